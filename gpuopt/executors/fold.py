"""Reductions in one fixed order: every executor and every cut into tiles gives the same bits.

The elements of an array, in the order of their indices, lie in rows of 256 lanes. In each chunk of
64 rows the lanes are added one row after another, in the compute dtype. That leaves 256 numbers a
chunk, which are folded in the same way, until one row of 256 remains. That row is added in float64,
one lane after another. Sums over several arrays are of these totals, in float64. Lanes without an
element hold the number that changes nothing. For each factor of 64 in size, the error is that of 64
additions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from gpuopt.codegen.order import LANES, REDUCTION_CHUNK, ROWS, chunks
from gpuopt.tracing.ops import REDUCTIONS

__all__ = ["UFUNCS", "Folds", "add_lanes", "fold", "fold_stream"]

UFUNCS: dict[str, np.ufunc] = {name: getattr(np, r.op.name) for name, r in REDUCTIONS.items()}


def fold(ufunc: np.ufunc, values: Any, out: Any) -> None:
    """Fold flat `values`, which begin with a chunk, into `out`: a row of lanes for each chunk."""
    whole, lanes = values.size // REDUCTION_CHUNK, LANES
    if whole:
        full = values[: whole * REDUCTION_CHUNK].reshape(whole, ROWS, lanes)
        ufunc.reduce(full, axis=1, out=out[:whole])
    rest = values[whole * REDUCTION_CHUNK :]
    rows = rest.size // lanes
    if rows:
        ufunc.reduce(rest[: rows * lanes].reshape(rows, lanes), axis=0, out=out[whole])
    if (tail := rest[rows * lanes :]).size:
        some = out[whole, : tail.size]
        some[...] = ufunc(some, tail, out=some) if rows else tail


def fold_stream(ufunc: np.ufunc, portions: Iterable[Any], room: Any, out: Any) -> None:
    """Fold values that come in flat portions of any length; `room` is for a chunk of them."""
    held = row = 0
    for portion in portions:
        values = portion
        while values.size:
            taken, values = values[: REDUCTION_CHUNK - held], values[REDUCTION_CHUNK - held :]
            room[held : held + taken.size] = taken
            held += taken.size
            if held == REDUCTION_CHUNK:
                fold(ufunc, room, out[row:])
                held, row = 0, row + 1
    if held:
        fold(ufunc, room[:held], out[row:])


def fold_many(ufunc: np.ufunc, values: Any, sizes: list[int], out: Any) -> None:
    """Fold arrays of less than a chunk each, one after another in `values`, into rows of `out`.

    Neighbours of equal size are folded at once.
    """
    start = row = 0
    for size, same in itertools.groupby(sizes):
        count, rows = len(list(same)), size // LANES
        block = values[start : start + count * size].reshape(count, size)
        into = out[row : row + count]
        if rows:
            full = block[:, : rows * LANES].reshape(count, rows, LANES)
            ufunc.reduce(full, axis=1, out=into)
        if tail := size - rows * LANES:
            some = into[:, :tail]
            some[...] = ufunc(some, block[:, rows * LANES :]) if rows else block
        start, row = start + count * size, row + count


def add_lanes(rows: Any, totals: Any) -> None:
    """Add up each row in float64, one lane after another; -0.0 becomes 0.0."""
    if len(rows) == 1:  # along one row, NumPy's reduce would add in another order
        totals[0] = np.add.accumulate(rows[0].astype(np.float64))[-1] + 0.0
    else:
        np.add.reduce(rows.T.astype(np.float64, order="C"), axis=0, out=totals)
        totals += 0.0


class Folds:
    """What the reductions of a stage are folded into, for arrays of the given sizes.

    That is a row of lanes for each chunk of an array; on the next level, one for each chunk of
    those rows; and so on to one row. All arrays have their last rows together.

    Parameters
    ----------
    ops : list of str
        The reductions: ``"sum"`` or ``"max"``.
    sizes : list of int
        The elements of each array.
    dtype : dtype

    Attributes
    ----------
    last : list of array
        For each reduction the last row of every array.
    add_lanes : callable
        The function of that name, or one that does the same.
    """

    def __init__(self, ops: list[str], sizes: list[int], dtype: np.dtype[Any]) -> None:
        self.ops, self._totals = ops, np.zeros(len(sizes))
        self.add_lanes: Callable[[Any, Any], None] = add_lanes
        self.last = [np.full((len(sizes), LANES), REDUCTIONS[op].nothing, dtype) for op in ops]
        self._levels: list[list[list[Any]]] = []
        for op, last in zip(ops, self.last, strict=True):
            of_each = [_levels(last[i : i + 1], size, op) for i, size in enumerate(sizes)]
            self._levels.append(of_each)
        self._deep = dict.fromkeys(i for i, size in enumerate(sizes) if chunks(size) > 1)

    def rows(self, reduction: int, position: int) -> Any:
        """The rows that the chunks of an array are folded into."""
        return self._levels[reduction][position][0]

    def fold_pack(
        self, reduction: int, positions: list[int], sizes: list[int], values: Any
    ) -> None:
        """Fold small arrays that follow one another in `values`."""
        last, ufunc = self.last[reduction], UFUNCS[self.ops[reduction]]
        if positions[-1] - positions[0] == len(positions) - 1:
            fold_many(ufunc, values, sizes, last[positions[0] : positions[-1] + 1])
        else:
            rows = last[positions]
            fold_many(ufunc, values, sizes, rows)
            last[positions] = rows

    def totals(self, positions: list[int] | None) -> list[list[float]]:
        """For each reduction, the total of each of the arrays at `positions` (None for all).

        Their chunks were folded.
        """
        deep = self._deep if positions is None else [p for p in positions if p in self._deep]
        found = []
        for op, last, levels in zip(self.ops, self.last, self._levels, strict=True):
            for position in deep:
                for lower, upper in itertools.pairwise(levels[position]):
                    fold(UFUNCS[op], lower.reshape(-1), upper)
            rows = last if positions is None else last[positions]
            totals = self._totals[: len(rows)]
            if op == "sum":
                self.add_lanes(rows, totals)
            else:
                rows.max(axis=1, out=totals)
            found.append(totals.tolist())
        return found


def _levels(last: Any, size: int, op: str) -> list[Any]:
    """The rows of lanes of each level, the last of which is one row."""
    levels = []
    while (count := chunks(size)) > 1:
        levels.append(np.full((count, LANES), REDUCTIONS[op].nothing, last.dtype))
        size = count * LANES
    return [*levels, last]
