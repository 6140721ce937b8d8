"""The Numba executor: a kernel as one compiled loop, run over arrays as they are stored."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from gpuopt.arrays.backend import helpers_stay_awake
from gpuopt.codegen.numba_handover import ROW
from gpuopt.codegen.tile import Whole
from gpuopt.executors.cpu import handover
from gpuopt.executors.cpu.kernel import Bound, CompiledKernel
from gpuopt.executors.cpu.numba_compile import fill_code
from gpuopt.executors.cpu.numba_loops import Layout, Loops, address, divided, table
from gpuopt.executors.cpu.packs import PackTile
from gpuopt.executors.cpu.scratch import Scratch
from gpuopt.executors.cpu.tiles import TileExecutor
from gpuopt.executors.cpu.work import ArrayTile, FoldItem, Tile
from gpuopt.executors.scalars import Scalars
from gpuopt.tracing.operands import GRAD
from gpuopt.tracing.program import Kernel, UpdateProgram

__all__ = ["NumbaExecutor"]

SMALLEST, PORTIONS = 16_384, 4
"""Elements of the smallest portion that threads share, and how many each thread is to find."""
LAYOUTS = 16
"""For how many layouts of gradients the calls with a tile are kept."""


class Call:
    """A loop and all that it is given with a tile, which holds this, but for the gradient.

    Parameters
    ----------
    kernel : CompiledKernel
    size : int
        The elements of the tile.
    layout : Layout
        The loop, and what it takes.
    flat : bool
        Whether the gradient itself can be passed.
    """

    def __init__(self, kernel: CompiledKernel, size: int, layout: Layout, flat: bool) -> None:
        self._kernel, self._size, self._layout = kernel, size, layout
        self.function = layout.function
        arrays = layout.arrays
        gradient = next((given for given in arrays if given.whole.array == GRAD), None)
        self._reads = gradient is not None and gradient.start is not None
        self._passes = self._reads and flat
        self._stand_in = words(np.zeros(1, gradient.dtype if gradient else kernel.compute))
        self._tables: dict[int, tuple[Any, int]] = {}
        self._copies: dict[int, list[tuple[Whole, Any]]] = {}
        self.direct: int | None = None
        """The address of its table, if it is called with the gradient itself, and copies none."""
        self.copies = any(given.start is None for given in arrays)
        if self._passes and not self.copies:
            self.direct = self._table(0)[1]
        self._shared: tuple[Any, list[Any]] | None = None

    def _table(self, thread: int) -> tuple[Any, int]:
        """The numbers that the loop reads, and where they lie; and what is copied for that."""
        found = self._tables.get(thread)
        if found is None:
            columns, copies = [self._layout.lengths], []
            for given in self._layout.arrays:
                start = given.start
                if start is None:
                    name = given.whole.array, given.dtype.name
                    values = self._kernel.scratch.array(thread, name, self._size, given.dtype)
                    copies.append((given.whole, values))
                    start = address(values)
                    if given.whole.array == GRAD:
                        start -= address(self._stand_in)
                columns.append(start + given.offsets)
            numbers = table(self._kernel.values, _runs([*columns, *self._layout.rows]))
            self._copies[thread] = copies
            found = self._tables[thread] = numbers, address(numbers)
        return found

    def run(self, given: tuple[Any, Any], thread: int) -> list[Any]:
        """Call the loop with a tile and its gradient; the values of a stage are returned."""
        (numbers, where), (tile, g) = self._table(thread), given
        for whole, values in self._copies[thread]:
            if whole.array in self._kernel.kernel.random:
                self._kernel.randomize(tile, whole.array, values, thread)
            elif whole.read:
                tile.load(whole.array, values, g)
        passed = words(g) if self._passes else self._stand_in
        if self._reads and not self._passes:
            numbers[3] = address(g) - address(passed)
        self.function(passed, where, thread)
        results = []
        for whole, values in self._copies[thread]:
            if whole.array.kind == "result":
                results.append(values)
            elif whole.written:
                tile.store(whole.array, values)
        return results

    def rows(self, g: Any, size: int) -> Any:
        """The calls that do what `run` does, for some `size` elements each; it `copies` nothing."""
        if self._shared is None:
            self._shared = self._divided(size)  # all at once, for an interrupt may come any time
        rows = self._shared[0]
        rows[:, 1] = address(g)
        return rows

    def _divided(self, size: int) -> tuple[Any, list[Any]]:
        """The rows of these calls, but for the gradient, and the tables that they name."""
        arrays = self._layout.arrays
        columns = [self._layout.lengths, *(x.start + x.offsets for x in arrays)]
        widths = [given.step * given.dtype.itemsize for given in arrays]
        widths += [0] * len(self._layout.rows)
        runs = divided(_runs([*columns, *self._layout.rows]), widths, size)
        tables = [table(self._kernel.values, each) for each in runs]
        rows = np.zeros((len(runs), ROW), np.int64)
        rows[:, 0] = handover.machine_code(self.function)
        rows[:, 2] = list(map(address, tables))
        return rows, tables

    def run_rows(self, given: tuple[Any, Any], rows: Any, thread: int) -> None:
        """Call the loop for runs each of which has a row of scalars; it is called so alone."""
        self._table(thread)[0][1:3] = address(rows), rows.strides[0]
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
        self._loops = Loops(kernel, compute, dtype, self.folds)
        self._dtype = self._loops.dtype
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

    def fill(self, values: Any, start: int, index: Any, room: list[Any]) -> None:
        fill_code(values.dtype)(values, np.uint64(start), index)


def _runs(columns: list[Any]) -> Any:
    """Of each run one of each column."""
    return np.stack(np.broadcast_arrays(*columns), axis=1)


def words(x: Any) -> Any:
    """An array as what a loop takes: numbers of 16 bits by their bits."""
    return x.view(np.uint16) if x.dtype.itemsize == 2 else x


class NumbaExecutor(TileExecutor):
    """Arrays that are updated by one loop, which reads and writes each element once."""

    name = "numba"
    tile = folded = 524_288
    pack = 1_000_000
    shared = 1 << 23
    """Bytes that a step must move for a second thread to pay, if helpers are awake."""

    def prepare(self, program: UpdateProgram) -> None:
        super().prepare(program)
        most = self._load * max(self._kernels[each].moved for each in program.kernels)
        if self._threads > 1 and most >= self.shared and helpers_stay_awake():
            handover.prepare()
            self._shares = True

    def _shared(
        self, compiled: CompiledKernel, work: Iterable[FoldItem], positions: list[int] | None
    ) -> Callable[[Any], None] | None:
        assert isinstance(compiled, NumbaKernel)
        total, folds = int(self._load_of(positions)), bool(compiled.kernel.reductions)
        if total * compiled.moved < self.shared:
            return None
        size, rows, held = max(SMALLEST, -(-total // (PORTIONS * self._threads))), [], []
        for tile, g in work:
            call = compiled.call(tile, g, folds) if type(tile) is ArrayTile else None
            if call is None or call.copies:
                return None
            rows.append(call.rows(g, size))
            held.append((call, g))
        every = rows[0] if len(rows) == 1 else np.concatenate(rows)
        return functools.partial(self._lead, compiled, every, held)

    def _lead(self, compiled: CompiledKernel, rows: Any, held: Any, scalars: Scalars) -> None:
        """Share calls with other threads; what they read is `held` until they are done."""
        compiled.scalars[...] = scalars
        handover.run(rows, self._threads)

    def _compile(self, kernel: Kernel) -> CompiledKernel:
        return NumbaKernel(kernel, self.compute, self._scratch, self._sizes, self._dtype)
