"""Reductions in one fixed order, so that every executor and every cut into tiles gives the same bits.

The elements of an array, in the order of their indices, lie in rows of 256 lanes. In each chunk of 64 rows the lanes are added
one row after another, in the compute dtype; what is left, 256 numbers a chunk, is folded in the same way until one row of
256 remains. That row is added in float64, one lane after another. Sums over several arrays are of these totals, in float64.
Lanes that have no element hold the number that changes nothing. The error is that of 64 additions for a factor of 64 in size.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["CHUNK", "LANES", "NOTHING", "ROWS", "UFUNCS", "Folds", "chunks", "fold"]

LANES = 256
ROWS = 64
CHUNK = LANES * ROWS
UFUNCS: dict[str, np.ufunc] = {"sum": np.add, "max": np.maximum}
NOTHING = {"sum": 0.0, "max": -np.inf}
"""What the total of no elements is."""


def chunks(size: int) -> int:
    """How many chunks `size` elements are, the last of which may be short; at least one."""
    return max(1, -(-size // CHUNK))


def fold(ufunc: np.ufunc, run: Any, out: Any) -> None:
    """Fold the elements of `run`, which begins with a chunk, into `out`: a row of lanes for each chunk."""
    whole, lanes = run.size // CHUNK, LANES
    if whole:
        ufunc.reduce(run[: whole * CHUNK].reshape(whole, ROWS, lanes), axis=1, out=out[:whole])
    rest = run[whole * CHUNK :]
    rows = rest.size // lanes
    if rows:
        ufunc.reduce(rest[: rows * lanes].reshape(rows, lanes), axis=0, out=out[whole])
    if (tail := rest[rows * lanes :]).size:
        some = out[whole, : tail.size]
        some[...] = ufunc(some, tail, out=some) if rows else tail


class Folds:
    """What the reductions of one phase need for arrays of the given sizes: a row of lanes for each chunk, on each level."""

    def __init__(self, ops: list[str], sizes: list[int], dtype: np.dtype[Any]) -> None:
        self.ops = ops
        self._last = [np.full((len(sizes), LANES), NOTHING[op], dtype) for op in ops]
        self._levels = [
            [_levels(last[i : i + 1], size, op) for i, size in enumerate(sizes)]
            for op, last in zip(ops, self._last, strict=True)
        ]

    def rows(self, reduction: int, array: int) -> Any:
        """Where the chunks of an array are folded into."""
        return self._levels[reduction][array][0]

    def totals(self, arrays: list[int]) -> list[list[float]]:
        """For each reduction the totals of `arrays`, whose chunks were folded."""
        found = []
        for op, last, levels in zip(self.ops, self._last, self._levels, strict=True):
            for array in arrays:
                for lower, upper in zip(levels[array], levels[array][1:], strict=False):
                    fold(UFUNCS[op], lower.reshape(-1), upper)
            rows = last if len(arrays) == len(last) else last[arrays]
            sums = np.add.accumulate(rows, axis=1, dtype=np.float64)[:, -1] + 0.0 if op == "sum" else rows.max(axis=1)
            found.append([float(x) for x in sums])
        return found


def _levels(last: Any, size: int, op: str) -> list[Any]:
    """The rows of lanes of each level, the last of which is one row."""
    levels = []
    while (count := chunks(size)) > 1:
        levels.append(np.full((count, LANES), NOTHING[op], last.dtype))
        size = count * LANES
    return [*levels, last]
