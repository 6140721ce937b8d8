"""Rows that are gathered from an array, updated where they are, and put back.

Comes in: a program, and which rows of an array. Goes out: a launch. What depends on the count of a
row is a number of its own for each of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from gpuopt.arrays.backend import array_module
from gpuopt.arrays.dtypes import COMPUTE
from gpuopt.codegen.host import compile_host
from gpuopt.executors import Launch, RowCopies, executor_of, row_copies_of
from gpuopt.optimizer.groups import ParamGroup
from gpuopt.tracing.by_row import ByRow
from gpuopt.tracing.operands import hyper_array

__all__ = ["Gathered", "Numbers", "RowLaunch"]

_KNOWN = 4_096
"""The most counts for which the numbers that depend on them are kept."""
_SPARSE = 4
"""If the range of the rows' counts is more than so many times their number, they are told apart."""
_FEW = 256
"""Up to this number, Python finds the least sooner than NumPy."""


class Gathered:
    """Room for some rows: a parameter, its state, and what is read beside it."""

    def __init__(self, group: ParamGroup, rows: ByRow, size: int) -> None:
        param, beside, states = group.arrays_of(0)
        xp, shape = array_module(param), (size, *param.shape[1:])
        self.rows, room = rows, xp.empty(shape, param.dtype)
        numbers = [xp.empty(shape, COMPUTE[param.dtype.name]) for _ in rows.operands]
        read = {hyper_array(name): xp.empty(shape, x.dtype) for name, x in beside.items()}
        arrays = {**read, **dict(zip(rows.operands, numbers, strict=True))}
        self.executor = executor_of(param)(rows.program, [room], hyper_arrays=[arrays])
        self.executor.prepare(rows.program)
        written = [(param, room)]
        written += [(states[name], x) for name, x in self.executor.states[0].items()]
        read_from = list(zip(beside.values(), read.values(), strict=True))
        self.copies = row_copies_of(param)(written, read_from, numbers)


class RowLaunch:
    """An update of some rows that was planned; see `gpuopt.executors.Launch`.

    Parameters
    ----------
    copies : RowCopies
    where : object
        Which rows, as the copies take it.
    grads : array
        Their gradients.
    update : Launch
        What updates them where they are gathered.
    counts : tuple
        The counts of all rows, which rows of these, and their counts after the step.
    """

    def __init__(
        self,
        copies: RowCopies,
        where: Any,
        grads: Any,
        update: Launch,
        counts: tuple[Any, Any, Any],
    ) -> None:
        self._copies, self._where, self._update, self._counts = copies, where, update, counts
        self._grads = grads  # whose address is all that a launch on a GPU has of it
        self.begun = False

    def __call__(self) -> None:
        self._copies.take(self._where)
        self._update()
        self.begun = True
        self._copies.put(self._where)
        every, which, after = self._counts
        every[which] = after


class Numbers:
    """What some hyperparameters give: the scalars of all rows, and the numbers that depend on
    counts, for counts that follow one another.
    """

    def __init__(self, rows: ByRow, hyper: dict[str, float], compute: np.dtype[Any]) -> None:
        self.rows, self.hyper, self._compute = rows, hyper, compute
        self.scalars = compile_host(rows.program.update.scalars)(1, hyper)
        self._evaluate = compile_host(rows.numbers)
        self._first, self._values = 0, list[tuple[float, ...]]()
        self._columns: list[Any] = []

    def of(self, counts: Any) -> list[Any]:
        """Each of the numbers for these counts, a column."""
        if not self.rows.numbers or not len(counts):
            return [np.zeros((len(counts), 1), self._compute) for _ in self.rows.numbers]
        low, high = _ends(counts)
        known = self._first <= low and high < self._first + len(self._values)
        if known or (high - low <= _SPARSE * len(counts) and self._extend(low, high)):
            which, columns = counts - self._first, self._columns
        else:
            distinct, which = np.unique(counts, return_inverse=True)
            columns = self._made(self._evaluated(distinct.tolist()))
        return [column[which] for column in columns]

    def _extend(self, low: int, high: int) -> bool:
        """Know the numbers for these counts, too, and those between; not if they are too many."""
        first = self._first if self._values else low
        last = first + len(self._values)
        if max(high + 1, last) - min(low, first) > _KNOWN:
            return False
        before = self._evaluated(range(low, first))
        self._values = before + self._values + self._evaluated(range(last, high + 1))
        self._first = min(low, first)
        self._columns = self._made(self._values)
        return True

    def _evaluated(self, counts: Iterable[int]) -> list[tuple[float, ...]]:
        return [self._evaluate(count, self.hyper) for count in counts]

    def _made(self, values: list[tuple[float, ...]]) -> list[Any]:
        with np.errstate(over="ignore"):
            table = np.array(values).astype(self._compute)
        return list(np.ascontiguousarray(table.T)[:, :, None])


def _ends(counts: Any) -> tuple[int, int]:
    """The least and the largest; of a few Python finds them sooner."""
    few = counts.tolist() if len(counts) <= _FEW else (counts.min(), counts.max())
    return int(min(few)), int(max(few))
