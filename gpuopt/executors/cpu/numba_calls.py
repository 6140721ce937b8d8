"""How a Numba loop is called: with a gradient, and a table of where arrays lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpuopt.codegen.numba_header import HEAD
from gpuopt.codegen.tile import Whole
from gpuopt.executors.cpu.kernel import CompiledKernel
from gpuopt.tracing.operands import GRAD

__all__ = ["Call", "Given", "address"]


def address(x: Any) -> int:
    """Where an array begins."""
    found: int = x.__array_interface__["data"][0]
    return found


class Given:
    """An array that a loop takes.

    Attributes
    ----------
    whole : Whole
    dtype : dtype
        What it takes it in.
    start : int or None
        Where the array begins, or 0 for the gradient itself; None if it is copied into scratch.
    offsets : array
        How many bytes later each run begins.
    """

    __slots__ = ("dtype", "offsets", "start", "whole")

    def __init__(self, whole: Whole, dtype: np.dtype[Any], start: int | None, offsets: Any) -> None:
        self.whole, self.dtype, self.start, self.offsets = whole, dtype, start, offsets


class _Table:
    """The numbers that a loop reads; and what is copied before and after it.

    Those are pairs of an operand, and the scratch that it is copied into, or from.
    """

    def __init__(self, scalars: Any, columns: list[Any]) -> None:
        runs = np.stack(np.broadcast_arrays(*columns), axis=1)
        head = [len(runs), address(scalars), 0, 0]
        assert len(head) == HEAD
        self.numbers = np.concatenate([head, runs.reshape(-1)]).astype(np.int64)
        self.address = address(self.numbers)


class Call:
    """A loop and all that it is given with a tile, which holds this, but for the gradient.

    Parameters
    ----------
    kernel : CompiledKernel
    function : callable
        The loop.
    size : int
        The elements of the tile.
    arrays : list of Given
    flat : bool
        Whether the gradient itself can be passed.
    lengths : array
        The elements of each run.
    rows : list of array
        The addresses that come after those of the arrays.
    """

    def __init__(
        self,
        kernel: CompiledKernel,
        function: Callable[[Any, int, int], None],
        size: int,
        arrays: Sequence[Given],
        flat: bool,
        lengths: Any,
        rows: Sequence[Any] = (),
    ) -> None:
        self._kernel, self.function, self._size = kernel, function, size
        self._arrays, self._lengths, self._rows = arrays, lengths, rows
        gradient = next((given for given in arrays if given.whole.array == GRAD), None)
        self._reads = gradient is not None and gradient.start is not None
        self._passes = self._reads and flat
        self._stand_in = words(np.zeros(1, gradient.dtype if gradient else kernel.compute))
        self._tables: dict[int, _Table] = {}
        self._copies: dict[int, list[tuple[Whole, Any]]] = {}
        self.direct: int | None = None
        """The address of its table, if it is called with the gradient itself, and copies none."""
        if self._passes and all(given.start is not None for given in arrays):
            self.direct = self._table(0).address

    def _table(self, thread: int) -> _Table:
        found = self._tables.get(thread)
        if found is None:
            columns, copies = [self._lengths], []
            for given in self._arrays:
                start = given.start
                if start is None:
                    name = given.whole.array, given.dtype.name
                    scratch = self._kernel.scratch
                    values = scratch.array(thread, name, self._size, given.dtype)
                    copies.append((given.whole, values))
                    start = address(values)
                    if given.whole.array == GRAD:
                        start -= address(self._stand_in)
                columns.append(start + given.offsets)
            table = _Table(self._kernel.values, [*columns, *self._rows])
            self._copies[thread] = copies
            found = self._tables[thread] = table
        return found

    def run(self, given: tuple[Any, Any], thread: int) -> list[Any]:
        """Call the loop with a tile and its gradient; the values of a stage are returned."""
        table, (tile, g) = self._table(thread), given
        for whole, values in self._copies[thread]:
            if whole.array in self._kernel.kernel.random:
                self._kernel.randomize(tile, whole.array, values, thread)
            elif whole.read:
                tile.load(whole.array, "", values, g)
        passed = words(g) if self._passes else self._stand_in
        if self._reads and not self._passes:
            table.numbers[3] = address(g) - address(passed)
        self.function(passed, table.address, thread)
        results = []
        for whole, values in self._copies[thread]:
            if whole.array.kind == "result":
                results.append(values)
            elif whole.written:
                tile.store(whole.array, "", values)
        return results

    def run_rows(self, given: tuple[Any, Any], rows: Any, thread: int) -> None:
        """Call the loop for runs each of which has a row of scalars; it is called so alone."""
        self._table(thread).numbers[1:3] = address(rows), rows.strides[0]
        self.run(given, thread)


def words(x: Any) -> Any:
    """An array as what a loop takes: numbers of 16 bits by their bits."""
    return x.view(np.uint16) if x.dtype.itemsize == 2 else x
