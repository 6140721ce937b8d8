"""Rows of arrays that are gathered, and put back, by NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

__all__ = ["HostCopies", "RowCopies"]

Pairs = Sequence[tuple[Any, Any]]


class RowCopies(Protocol):
    """Copies of some rows of arrays.

    Parameters
    ----------
    written, read : sequence of tuple
        Arrays, each with room for so many of its rows: those that are put back, and those that are
        not.
    numbers : sequence of array
        Room for numbers of which each row has one, in the shape of the rows of the others.
    """

    def __init__(self, written: Pairs, read: Pairs, numbers: Sequence[Any]) -> None: ...

    def given(self, index: Any, columns: Sequence[Any]) -> Any:
        """What `take` and `put` need to know: which rows, and the numbers of each, a column."""

    def take(self, where: Any) -> None:
        """Gather rows, and write the numbers of each."""

    def put(self, where: Any) -> None:
        """Put the rows back."""


class HostCopies:
    """`RowCopies` of NumPy arrays."""

    def __init__(self, written: Pairs, read: Pairs, numbers: Sequence[Any]) -> None:
        self._written = [_whole_rows(*pair) for pair in written]
        self._read = [*self._written, *(_whole_rows(*pair) for pair in read)]
        self._numbers = [x.reshape(len(x), x.size // max(len(x), 1)) for x in numbers]

    def given(self, index: Any, columns: Sequence[Any]) -> Any:
        return index, columns

    def take(self, where: Any) -> None:
        index, columns = where
        for whole, rows in self._read:
            whole.take(index, axis=0, out=rows, mode="wrap")
        for array, column in zip(self._numbers, columns, strict=True):
            array[...] = column

    def put(self, where: Any) -> None:
        index, _ = where
        for whole, rows in self._written:
            whole[index] = rows


def _whole_rows(whole: Any, rows: Any) -> tuple[Any, Any]:
    """The two as arrays of one axis whose elements are rows, which NumPy copies sooner."""
    if not (whole.flags.c_contiguous and rows.flags.c_contiguous and rows.size):
        return whole, rows
    row = f"V{rows.nbytes // len(rows)}"
    one, other = (x.reshape(len(x), -1).view(row)[:, 0] for x in (whole, rows))
    return one, other
