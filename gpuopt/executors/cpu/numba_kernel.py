"""A kernel as a Numba loop, and what the loop is given with each tile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuopt.executors.cpu import numba_objects
from gpuopt.executors.cpu.kernel import Bound, CompiledKernel
from gpuopt.executors.cpu.numba_call import CallTables, Table, words
from gpuopt.executors.cpu.numba_compile import fill_code, lanes_code
from gpuopt.executors.cpu.numba_loops import Loops, address
from gpuopt.executors.cpu.packs import PackTile
from gpuopt.executors.cpu.scratch import Scratch
from gpuopt.executors.cpu.work import ArrayTile, Tile
from gpuopt.tracing.operands import GRAD, Operand
from gpuopt.tracing.program import Kernel

__all__ = ["NumbaKernel"]

LAYOUTS = 16
"""For how many layouts of gradients the calls with a tile are kept."""


class Call(CallTables):
    """A loop and all that it is given with a tile."""

    def run(self, given: tuple[Any, Any], thread: int) -> list[Any]:
        """Call the loop with a tile and its gradient; the values of a stage are returned."""
        made, (tile, g) = self.tables.get(thread) or self.filled(thread), given
        filled: dict[Operand, Any] = {}
        if random := self._kernel.kernel.random:
            filled = {whole.array: values for whole, values in made.copies if whole.array in random}
            self._kernel.randomize(tile, filled, thread)
        for whole, values in made.copies:
            found = whole.array in filled or (whole.array == GRAD and self._finds(made, tile, g))
            if whole.read and not found:
                tile.load(whole.array, values, g)
        if made.drawn:
            self.begin(made.drawn)
        passed = words(g) if self._passes else self._stand_in
        if self._reads and not self._passes:
            made.numbers[3] = address(g) - self._at
        self.function(passed, made.where, thread)
        results = []
        for whole, values in made.copies:
            if whole.array.kind == "result":
                results.append(values)
            elif whole.written:
                tile.store(whole.array, values)
        return results

    def _finds(self, made: Table, tile: Tile, g: Any) -> bool:
        """Have packed gradients read where they lie, if they are stored as the loop takes them."""
        if type(tile) is not PackTile:
            return False
        find, objects = numba_objects.finder(), np.fromiter(map(id, g), np.int64, len(g))
        found = find is not None and find(objects, id(self._stored), self._at, made.gradients)
        if not found:
            made.gradients[...] = made.gathered
        return found

    def run_rows(self, given: tuple[Any, Any], rows: Any, thread: int) -> None:
        """Call the loop for runs each of which has a row of scalars; it is called so alone."""
        made = self.tables.get(thread) or self.filled(thread)
        made.numbers[1:3] = address(rows), rows.strides[0]
        self.run(given, thread)


class NumbaKernel(CompiledKernel):
    """A loop that reads and writes each element once; a stage's folds what it maps.

    Parameters
    ----------
    kernel, compute, scratch, sizes
        As for `CompiledKernel`.
    dtype : dtype
        Of the parameters.
    """

    def __init__(
        self,
        kernel: Kernel,
        compute: np.dtype[Any],
        scratch: Scratch,
        sizes: Sequence[int],
        dtype: np.dtype[Any],
    ) -> None:
        super().__init__(kernel, compute, scratch, sizes)
        if kernel.random:
            fill_code(compute)  # compiled before the first step
        if kernel.reductions:
            self.folds.add_lanes = lanes_code(compute)
        self._loops = Loops(kernel, compute, dtype, self.folds)
        self._dtype, self.draws_apart = self._loops.dtype, self._loops.reads_random
        self._is_wide = self._dtype.itemsize > 2

    def bind(self, tile: Tile, g: Any) -> Bound:
        call = self.call(tile, g)
        if call.direct is None:
            return Call.run, call, (tile, g)
        return call.function, g if self._is_wide else words(g), call.direct

    def bind_rows(self, tile: PackTile, g: Any, rows: Any) -> Bound:
        return self.call(tile, g, rows=True).run_rows, (tile, g), rows

    def call(self, tile: Tile, g: Any, folds: bool = False, rows: bool = False) -> Call:
        """How a loop is called with such a gradient; it is found, and compiled, once."""
        calls: dict[Any, Any] = tile.calls
        usual: Call | None = None if folds else calls.get(self)
        if usual is not None and g.ndim == 1 and g.dtype == self._dtype and g.flags.carray:
            return usual
        if type(tile) is PackTile:
            stored = self._is_wide or all(x.dtype == self._dtype for x in g)
            dtype = self._dtype if stored else self.compute
            key: Any = self, folds, rows, dtype
            found: Call | None = calls.get(key)
            if found is None:
                layout = self._loops.of_pack(tile, dtype, folds)
                found = calls[key] = Call(self, tile.size, layout, False)
            return found
        assert isinstance(tile, ArrayTile)
        flat = g.ndim == 1 and g.dtype == self._dtype and g.flags.carray
        if not flat:
            calls = calls.setdefault(None, {})
        key = self, folds, None if flat else (g.strides, g.dtype, g.flags.aligned)
        found = calls.get(key)
        if found is None:
            if not flat and len(calls) >= LAYOUTS:
                calls.clear()  # a caller that continues with one holds it
            layout = self._loops.of_array(tile, g, folds)
            found = calls[key] = Call(self, tile.size, layout, flat)
        if found.direct is not None and not folds:
            tile.calls[self] = found
        return found

    def mapped(self, tile: Tile, g: Any, thread: int) -> list[Any]:
        return self.call(tile, g).run((tile, g), thread)

    def fold_tile(self, tile: ArrayTile, g: Any, thread: int) -> None:
        call = self.call(tile, g, folds=True)
        if call.direct is None:
            call.run((tile, g), thread)
        else:
            call.function(g if self._is_wide else words(g), call.direct, thread)

    def fold_pack(self, tile: PackTile, g: Any, thread: int) -> None:
        self.call(tile, g, folds=True).run((tile, g), thread)

    def fill(self, runs: list[tuple[Any, int]], start: int, index: Any, room: list[Any]) -> None:
        for values, before in runs:
            fill_code(values.dtype)(values, np.uint64(start), index, np.uint64(before))
