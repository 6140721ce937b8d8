"""Reductions in one fixed order, so that every executor and every cut into tiles gives the same bits.

The elements of an array, in the order of their indices, lie in rows of 256 lanes. In each chunk of 64 rows the lanes are added
one row after another, in the compute dtype; what is left, 256 numbers a chunk, is folded in the same way until one row of
256 remains. That row is added in float64, one lane after another. Sums over several arrays are of these totals, in float64.
Lanes that have no element hold the number that changes nothing. The error is that of 64 additions for a factor of 64 in size.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from gpuopt.codegen.order import LANES, REDUCTION_CHUNK, ROWS, chunks
from gpuopt.tracing.ops import REDUCTIONS

__all__ = ["UFUNCS", "Folds", "fold", "fold_stream"]

UFUNCS: dict[str, np.ufunc] = {name: getattr(np, r.op.name) for name, r in REDUCTIONS.items()}


def fold(ufunc: np.ufunc, run: Any, out: Any) -> None:
    """Fold the elements of `run`, which begins with a chunk, into `out`: a row of lanes for each chunk."""
    whole, lanes = run.size // REDUCTION_CHUNK, LANES
    if whole:
        ufunc.reduce(run[: whole * REDUCTION_CHUNK].reshape(whole, ROWS, lanes), axis=1, out=out[:whole])
    rest = run[whole * REDUCTION_CHUNK :]
    rows = rest.size // lanes
    if rows:
        ufunc.reduce(rest[: rows * lanes].reshape(rows, lanes), axis=0, out=out[whole])
    if (tail := rest[rows * lanes :]).size:
        some = out[whole, : tail.size]
        some[...] = ufunc(some, tail, out=some) if rows else tail


def fold_stream(ufunc: np.ufunc, runs: Iterable[Any], stage: Any, out: Any) -> None:
    """Fold elements that come in runs of any length; `stage` is room for a chunk of them."""
    held = row = 0
    for each in runs:
        run = each
        while run.size:
            taken, run = run[: REDUCTION_CHUNK - held], run[REDUCTION_CHUNK - held :]
            stage[held : held + taken.size] = taken
            held += taken.size
            if held == REDUCTION_CHUNK:
                fold(ufunc, stage, out[row:])
                held, row = 0, row + 1
    if held:
        fold(ufunc, stage[:held], out[row:])


def fold_many(ufunc: np.ufunc, run: Any, sizes: list[int], out: Any) -> None:
    """Fold arrays of less than a chunk, one after another in `run`, each into its row of `out`; equal ones at once."""
    start = row = 0
    for size, same in itertools.groupby(sizes):
        count, rows = len(list(same)), size // LANES
        block, into = run[start : start + count * size].reshape(count, size), out[row : row + count]
        if rows:
            ufunc.reduce(block[:, : rows * LANES].reshape(count, rows, LANES), axis=1, out=into)
        if tail := size - rows * LANES:
            some = into[:, :tail]
            some[...] = ufunc(some, block[:, rows * LANES :]) if rows else block
        start, row = start + count * size, row + count


class Folds:
    """What the reductions of one stage need for arrays of the given sizes: a row of lanes for each chunk, on each level."""

    def __init__(self, ops: list[str], sizes: list[int], dtype: np.dtype[Any]) -> None:
        self.ops = ops
        self._last = [np.full((len(sizes), LANES), REDUCTIONS[op].nothing, dtype) for op in ops]
        self._levels = [
            [_levels(last[i : i + 1], size, op) for i, size in enumerate(sizes)]
            for op, last in zip(ops, self._last, strict=True)
        ]
        self._deep = dict.fromkeys(index for index, size in enumerate(sizes) if chunks(size) > 1)

    def rows(self, reduction: int, array: int) -> Any:
        """Where the chunks of an array are folded into."""
        return self._levels[reduction][array][0]

    def fold_pack(self, reduction: int, arrays: list[int], sizes: list[int], run: Any) -> None:
        """Fold small arrays that follow one another in `run`."""
        last, ufunc = self._last[reduction], UFUNCS[self.ops[reduction]]
        if arrays[-1] - arrays[0] == len(arrays) - 1:
            fold_many(ufunc, run, sizes, last[arrays[0] : arrays[-1] + 1])
        else:
            rows = last[arrays]
            fold_many(ufunc, run, sizes, rows)
            last[arrays] = rows

    def totals(self, arrays: list[int] | None) -> list[Any]:
        """For each reduction the totals of `arrays` (None for all), whose chunks were folded: an array of float64."""
        found = []
        for op, last, levels in zip(self.ops, self._last, self._levels, strict=True):
            for array in self._deep if arrays is None else [array for array in arrays if array in self._deep]:
                for lower, upper in itertools.pairwise(levels[array]):
                    fold(UFUNCS[op], lower.reshape(-1), upper)
            rows = last if arrays is None else last[arrays]
            sums = np.add.accumulate(rows, axis=1, dtype=np.float64)[:, -1] + 0.0 if op == "sum" else rows.max(axis=1)
            found.append(sums.astype(np.float64))
        return found


def _levels(last: Any, size: int, op: str) -> list[Any]:
    """The rows of lanes of each level, the last of which is one row."""
    levels = []
    while (count := chunks(size)) > 1:
        levels.append(np.full((count, LANES), REDUCTIONS[op].nothing, last.dtype))
        size = count * LANES
    return [*levels, last]
