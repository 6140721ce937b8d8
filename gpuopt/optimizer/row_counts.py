"""Counts of rows: the numbers that depend on them, and the launch that counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from gpuopt.codegen.host import compile_host
from gpuopt.executors import Launch
from gpuopt.tracing.by_row import ByRow

__all__ = ["Numbers", "RowLaunch"]

_KNOWN = 4_096
"""The most counts for which the numbers that depend on them are kept."""
_SPARSE = 4
"""If the range of the rows' counts is more than so many times their number, they are told apart."""
_FEW = 256
"""Up to this number, Python finds the least sooner than NumPy."""


class RowLaunch:
    """A planned update of some rows, which counts them; see `gpuopt.executors.Launch`.

    Parameters
    ----------
    update : Launch
        What updates them.
    counts : array
        The counts of all rows.
    index, after : array
        Which rows they are, and their counts after the step.
    """

    def __init__(self, update: Launch, counts: Any, index: Any, after: Any) -> None:
        self._update, self._counts = update, (counts, index, after)

    @property
    def begun(self) -> bool:
        return self._update.begun

    def __call__(self) -> None:
        self._update()
        counts, index, after = self._counts
        counts[index] = after


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
