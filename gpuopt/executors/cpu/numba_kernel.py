"""A kernel as a Numba loop, and what the loop is given with each tile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gpuopt.codegen.numba_handover import ROW
from gpuopt.codegen.numba_header import HEAD
from gpuopt.codegen.tile import Whole
from gpuopt.executors.cpu import handover, numba_objects
from gpuopt.executors.cpu.kernel import Bound, CompiledKernel
from gpuopt.executors.cpu.numba_compile import fill_code
from gpuopt.executors.cpu.numba_loops import Layout, Loops, address, divided, table
from gpuopt.executors.cpu.packs import PackTile
from gpuopt.executors.cpu.scratch import Scratch
from gpuopt.executors.cpu.work import ArrayTile, Tile
from gpuopt.tracing.operands import GRAD
from gpuopt.tracing.program import Kernel

__all__ = ["NumbaKernel"]

LAYOUTS = 16
"""For how many layouts of gradients the calls with a tile are kept."""


class Table(NamedTuple):
    """What a loop reads in one thread.

    Attributes
    ----------
    numbers : array
        See `gpuopt.codegen.numba_header.HEAD`.
    where : int
        The address of these.
    copies : list of tuple
        Each array that is copied into scratch, or out of it, and that scratch.
    gradients : array or None
        The column of the numbers that says where each gradient begins, if these are copied.
    gathered : array or None
        The same, if they were copied.
    """

    numbers: Any
    where: int
    copies: list[tuple[Whole, Any]]
    gradients: Any
    gathered: Any


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
        self._stored = gradient.dtype if gradient else kernel.compute
        self._reads = gradient is not None and gradient.start is not None
        self._passes = self._reads and flat
        self._stand_in = words(np.zeros(1, self._stored))
        self._at = address(self._stand_in)
        self._tables: dict[int, Table] = {}
        self.direct: int | None = None
        """The address of its table, if it is called with the gradient itself, and copies none."""
        self.copies = any(given.start is None for given in arrays)
        if self._passes and not self.copies:
            self.direct = self._table(0).where
        self._shared: tuple[Any, list[Any]] | None = None

    def _table(self, thread: int) -> Table:
        """What the loop reads in that thread; it is made once."""
        if thread not in self._tables:
            self._tables[thread] = self._filled(thread)
        return self._tables[thread]

    def _filled(self, thread: int) -> Table:
        columns, copies, place = [self._layout.lengths], [], None
        for given in self._layout.arrays:
            start = given.start
            if start is None:
                name = given.whole.array, given.dtype.name
                values = self._kernel.scratch.array(thread, name, self._size, given.dtype)
                copies.append((given.whole, values))
                start = address(values)
                if given.whole.array == GRAD:
                    start, place = start - self._at, len(columns)
            columns.append(start + given.offsets)
        runs = _runs([*columns, *self._layout.rows])
        numbers = table(self._kernel.values, runs)
        gradients = None if place is None else numbers[HEAD:].reshape(runs.shape)[:, place]
        gathered = None if gradients is None else gradients.copy()
        return Table(numbers, address(numbers), copies, gradients, gathered)

    def run(self, given: tuple[Any, Any], thread: int) -> list[Any]:
        """Call the loop with a tile and its gradient; the values of a stage are returned."""
        made, (tile, g) = self._table(thread), given
        for whole, values in made.copies:
            if whole.array in self._kernel.kernel.random:
                self._kernel.randomize(tile, whole.array, values, thread)
            elif whole.read and not (whole.array == GRAD and self._finds(made, tile, g)):
                tile.load(whole.array, values, g)
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
        self._table(thread).numbers[1:3] = address(rows), rows.strides[0]
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

    def fill(self, values: Any, start: int, index: Any, room: list[Any], before: int) -> None:
        fill_code(values.dtype)(values, np.uint64(start), index, np.uint64(before))


def _runs(columns: list[Any]) -> Any:
    """Of each run one of each column."""
    return np.stack(np.broadcast_arrays(*columns), axis=1)


def words(x: Any) -> Any:
    """An array as what a loop takes: numbers of 16 bits by their bits."""
    return x.view(np.uint16) if x.dtype.itemsize == 2 else x
