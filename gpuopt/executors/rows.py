"""Rows of NumPy arrays that are gathered, updated by an executor, and put back."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gpuopt.arrays.dtypes import COMPUTE
from gpuopt.executors.scalars import Scalars
from gpuopt.tracing.by_row import ByRow
from gpuopt.tracing.operands import Operand

if TYPE_CHECKING:
    from gpuopt.executors import Executor, Launch

__all__ = ["HostRows", "RowUpdates"]

_KEPT = 8
"""The most numbers of rows for which the arrays that they are gathered in are kept."""


class RowUpdates(Protocol):
    """Updates of some rows of an array.

    Parameters
    ----------
    rows : ByRow
        What updates them.
    param : array
    states : dict
        Its state by name.
    hyper_arrays : dict
        The arrays that stand for hyperparameters, in its shape.
    """

    def plan(self, index: Any, grads: Any, columns: Sequence[Any], scalars: Scalars) -> Launch:
        """Find what updates rows, and write nothing.

        `grads` are the gradients of the rows at `index`. Of the numbers that differ from row to
        row, each is one of the `columns`.
        """


class HostRows:
    """`RowUpdates` of NumPy arrays."""

    def __init__(
        self,
        executor: type[Executor],
        rows: ByRow,
        param: Any,
        states: dict[str, Any],
        hyper_arrays: dict[Operand, Any],
    ) -> None:
        self._kernel, self._rooms = rows.program.update, dict[int, _Room]()
        self._made = functools.partial(_Room, executor, rows, param, states, hyper_arrays)
        if param.size:
            self._room(1)  # which compiles what runs for any number of rows

    def plan(self, index: Any, grads: Any, columns: Sequence[Any], scalars: Scalars) -> Launch:
        room = self._room(len(index))
        update = room.executor.plan(self._kernel, [np.ascontiguousarray(grads)], scalars)
        return _Gathered(room, index, columns, update)

    def _room(self, size: int) -> _Room:
        """Where so many rows are gathered."""
        found = self._rooms.pop(size, None) or self._made(size)
        if len(self._rooms) >= _KEPT:
            self._rooms.pop(next(iter(self._rooms)))
        self._rooms[size] = found
        return found


class _Room:
    """Room for some rows: of a parameter, of its state, and of what is read beside it."""

    def __init__(
        self,
        executor: type[Executor],
        rows: ByRow,
        param: Any,
        states: dict[str, Any],
        hyper_arrays: dict[Operand, Any],
        size: int,
    ) -> None:
        shape = size, *param.shape[1:]
        own, compute = np.empty(shape, param.dtype), COMPUTE[param.dtype.name]
        numbers = {array: np.empty(shape, compute) for array in rows.operands}
        read = {array: np.empty(shape, x.dtype) for array, x in hyper_arrays.items()}
        self.executor = executor(rows.program, [own], hyper_arrays=[{**read, **numbers}])
        self.executor.prepare(rows.program)
        pairs = [(param, own)]
        pairs += [(states[name], x) for name, x in self.executor.states[0].items()]
        self._written = [_whole_rows(*pair) for pair in pairs]
        beside = zip(hyper_arrays.values(), read.values(), strict=True)
        self._read = [*self._written, *(_whole_rows(*pair) for pair in beside)]
        self._numbers = [x.reshape(size, x.size // max(size, 1)) for x in numbers.values()]

    def take(self, index: Any, columns: Sequence[Any]) -> None:
        """Gather rows, and write the numbers of each."""
        for whole, rows in self._read:
            whole.take(index, axis=0, out=rows, mode="wrap")
        for array, column in zip(self._numbers, columns, strict=True):
            array[...] = column

    def put(self, index: Any) -> None:
        """Put the rows back."""
        for whole, rows in self._written:
            whole[index] = rows


class _Gathered:
    """An update of rows where they are gathered; see `gpuopt.executors.Launch`."""

    def __init__(self, room: _Room, index: Any, columns: Sequence[Any], update: Launch) -> None:
        self._room, self._index, self._columns, self._update = room, index, columns, update
        self.begun = False

    def __call__(self) -> None:
        self._room.take(self._index, self._columns)
        self._update()
        self.begun = True
        self._room.put(self._index)


def _whole_rows(whole: Any, rows: Any) -> tuple[Any, Any]:
    """The two as arrays of one axis whose elements are rows, which NumPy copies sooner."""
    if not (whole.flags.c_contiguous and rows.flags.c_contiguous and rows.size):
        return whole, rows
    row = f"V{rows.nbytes // len(rows)}"
    one, other = (x.reshape(len(x), -1).view(row)[:, 0] for x in (whole, rows))
    return one, other
