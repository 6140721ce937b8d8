"""How a loop is called with a tile: the table that it reads, made once, and the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuopt.codegen.numba_handover import ROW
from gpuopt.codegen.tile import Whole
from gpuopt.executors.cpu import handover
from gpuopt.executors.cpu.kernel import CompiledKernel
from gpuopt.executors.cpu.numba_loops import Layout, address, divided, table
from gpuopt.tracing.operands import GRAD

__all__ = ["Call", "words"]


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
                tile.load(whole.array, "", values, g)
        passed = words(g) if self._passes else self._stand_in
        if self._reads and not self._passes:
            numbers[3] = address(g) - address(passed)
        self.function(passed, where, thread)
        results = []
        for whole, values in self._copies[thread]:
            if whole.array.kind == "result":
                results.append(values)
            elif whole.written:
                tile.store(whole.array, "", values)
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


def _runs(columns: list[Any]) -> Any:
    """Of each run one of each column."""
    return np.stack(np.broadcast_arrays(*columns), axis=1)


def words(x: Any) -> Any:
    """An array as what a loop takes: numbers of 16 bits by their bits."""
    return x.view(np.uint16) if x.dtype.itemsize == 2 else x
