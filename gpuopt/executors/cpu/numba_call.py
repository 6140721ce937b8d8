"""What a Numba loop is given with each tile: addresses, places in sequences of random numbers, and
copies in scratch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gpuopt.codegen.numba_handover import ROW
from gpuopt.codegen.numba_header import HEAD
from gpuopt.codegen.tile import Whole, sequences
from gpuopt.executors.cpu import handover
from gpuopt.executors.cpu.kernel import CompiledKernel
from gpuopt.executors.cpu.numba_loops import DRAWN, Layout, address, divided, table
from gpuopt.tracing.operands import GRAD, Operand

__all__ = ["CallTables", "Drawn", "Table", "words"]


class Drawn(NamedTuple):
    """Random numbers that a loop draws.

    Attributes
    ----------
    operand : Operand
    places : array
        The column of a table that says where in their sequence each run begins.
    first : array
        The same, if the sequence began at 0.
    """

    operand: Operand
    places: Any
    first: Any


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
    drawn : list of Drawn
    """

    numbers: Any
    where: int
    copies: list[tuple[Whole, Any]]
    gradients: Any
    gathered: Any
    drawn: list[Drawn]


class CallTables:
    """The arguments of a loop for a tile, except the gradient; the tile holds them.

    Parameters
    ----------
    kernel : CompiledKernel
    size : int
        The elements of the tile.
    layout : Layout
        The loop, and what it takes.
    flat : bool
        Whether the gradient itself can be passed.

    Attributes
    ----------
    function : callable
        The loop.
    tables : dict
        What it reads in each thread that has called it.
    direct : int or None
        The address of its table, if it is called with the gradient itself, and copies none.
    copies : bool
        Whether something is copied into scratch.
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
        self.tables: dict[int, Table] = {}
        self.direct: int | None = None
        self.copies = any(given.start is None for given in arrays)
        self._draws = any(given.width == DRAWN for given in arrays)
        if self._passes and not (self.copies or self._draws):
            self.direct = self.filled(0).where
        self._shared: tuple[Any, list[Any], list[Drawn]] | None = None

    def filled(self, thread: int) -> Table:
        """Make what the loop reads in that thread, and keep it."""
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
        drawn = self._drawn(numbers, runs.shape)
        made = Table(numbers, address(numbers), copies, gradients, gathered, drawn)
        self.tables[thread] = made
        return made

    def _drawn(self, numbers: Any, shape: tuple[int, ...]) -> list[Drawn]:
        """What is drawn by the runs of a table of that shape: the first of each sequence."""
        runs, first = numbers[HEAD:].reshape(shape), {*sequences(self._kernel.kernel).values()}
        columns = [(runs[:, n], of) for n, of in enumerate(self._layout.arrays, start=1)]
        return [
            Drawn(of.whole.array, column, column.copy())
            for column, of in columns
            if of.width == DRAWN and of.whole.array in first
        ]

    def begin(self, drawn: list[Drawn]) -> None:
        """Begin the sequences of random numbers of this step."""
        for operand, places, first in drawn:
            start, _ = self._kernel.sequence(operand, self._layout.numbers)
            np.add(first, np.asarray(start, np.uint64).view(np.int64), out=places)

    def rows(self, g: Any, size: int) -> Any:
        """The calls that do what `run` does, for some `size` elements each; it `copies` nothing."""
        if self._shared is None:
            self._shared = self._divided(size)  # all at once, for an interrupt may come any time
        rows = self._shared[0]
        rows[:, 1] = address(g)
        return rows

    def draw(self) -> None:
        """Begin the sequences that these calls draw from, once the scalars of a step are there."""
        if self._draws and self._shared is not None:
            self.begin(self._shared[2])

    def _divided(self, size: int) -> tuple[Any, list[Any], list[Drawn]]:
        """The rows of these calls, except the gradient, their tables, and what is drawn."""
        arrays = self._layout.arrays
        columns = [self._layout.lengths, *(x.start + x.offsets for x in arrays)]
        widths = [given.width for given in arrays] + [0] * len(self._layout.rows)
        runs = divided(_runs([*columns, *self._layout.rows]), widths, size)
        tables = [table(self._kernel.values, each) for each in runs]
        rows = np.zeros((len(runs), ROW), np.int64)
        rows[:, 0] = handover.machine_code(self.function)
        rows[:, 2] = list(map(address, tables))
        each = zip(tables, runs, strict=True)
        drawn = [one for made, of in each for one in self._drawn(made, of.shape)]
        return rows, tables, drawn


def _runs(columns: list[Any]) -> Any:
    """Of each run one of each column."""
    return np.stack(np.broadcast_arrays(*columns), axis=1)


def words(x: Any) -> Any:
    """An array as what a loop takes: numbers of 16 bits by their bits."""
    return x.view(np.uint16) if x.dtype.itemsize == 2 else x
