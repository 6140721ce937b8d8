"""A kernel as a Numba loop, and what the loop is given with each tile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuopt.executors.cpu.kernel import Bound, CompiledKernel
from gpuopt.executors.cpu.numba_call import Call, words
from gpuopt.executors.cpu.numba_compile import fill_code
from gpuopt.executors.cpu.numba_loops import Loops
from gpuopt.executors.cpu.packs import PackTile
from gpuopt.executors.cpu.scratch import Scratch
from gpuopt.executors.cpu.work import ArrayTile, Tile
from gpuopt.tracing.program import Kernel

__all__ = ["NumbaKernel"]

LAYOUTS = 16
"""For how many layouts of gradients the calls with a tile are kept."""


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
                calls.clear()  # who goes on with one holds it
            layout = self._loops.of_array(tile, g, folds)
            found = calls[key] = Call(self, tile.size, layout, flat)
        if found.direct is not None and not folds:
            tile.calls[self] = found
        return found

    def mapped(self, tile: Tile, g: Any, thread: int) -> list[Any]:
        return self.call(tile, g).run((tile, g), thread)

    def fold_tile(self, tile: ArrayTile, g: Any, thread: int) -> None:
        self.call(tile, g, folds=True).run((tile, g), thread)

    def fold_pack(self, tile: PackTile, g: Any, thread: int) -> None:
        self.call(tile, g, folds=True).run((tile, g), thread)

    def fill(self, runs: list[tuple[Any, int]], start: int, index: Any, room: list[Any]) -> None:
        for values, before in runs:
            fill_code(values.dtype)(values, np.uint64(start), index, np.uint64(before))
