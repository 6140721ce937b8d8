"""The results of the reductions of one step, on the host.

Comes in: for each reduction a number for each array that was reduced. Goes out: that number, or the
total of the tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuopt.tracing.expr import SIZE, Expr, ReductionKey
from gpuopt.tracing.ops import REDUCTIONS

__all__ = ["Totals", "TotalsOfArray", "TotalsOfEach"]


class Totals:
    """The results of reductions: of each array of the optimizer, and of all of them.

    Parameters
    ----------
    sizes : sequence of int
        The elements of every array of the optimizer.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._count = len(sizes)
        self._rows: dict[ReductionKey, NDArray[np.float64]] = {SIZE: np.array(sizes, np.float64)}
        self._ops: dict[ReductionKey, str] = {}
        self._trees: dict[ReductionKey, float] = {}

    def add(self, reduction: Expr, indices: Sequence[int], values: NDArray[np.float64]) -> None:
        """Take what a reduction gave for the arrays at `indices`."""
        key: ReductionKey = reduction.value
        if key not in self._rows:
            self._ops[key], self._rows[key] = (
                reduction.op,
                np.full(self._count, REDUCTIONS[reduction.op].nothing),
            )
        self._rows[key][indices] = values

    def array(self, key: ReductionKey, index: int) -> float:
        """The result of the reduction for one array."""
        return float(self._rows[key][index])

    def arrays(self, key: ReductionKey, indices: Sequence[int]) -> list[float]:
        """The results of the reduction for several arrays."""
        found: list[float] = self._rows[key][indices].tolist()
        return found

    def tree(self, key: ReductionKey) -> float:
        """The result for all arrays that were reduced, added in float64 in the order of the tree.

        Every array that takes part must have been added by now.
        """
        if key not in self._trees:
            row = self._rows[key]
            ufunc = getattr(np, REDUCTIONS[self._ops[key]].op.name)
            self._trees[key] = float(ufunc.accumulate(row)[-1])
        return self._trees[key]

    def seen_by(self, index: int) -> TotalsOfArray:
        """The totals as the scalar code of one array reads them."""
        return TotalsOfArray(self, index)

    def of_each(self, indices: Sequence[int]) -> TotalsOfEach:
        """The totals as the scalar code of several arrays reads them."""
        return TotalsOfEach(self, indices)


class TotalsOfEach:
    """The totals for scalar code of many arrays: a list for each reduction of one array."""

    __slots__ = ("_indices", "_totals")

    def __init__(self, totals: Totals, indices: Sequence[int]) -> None:
        self._totals, self._indices = totals, indices

    def __getitem__(self, key: ReductionKey) -> Any:
        totals = self._totals
        return totals.tree(key) if key.scope == "tree" else totals.arrays(key, self._indices)


class TotalsOfArray:
    """The totals for scalar code, by the key of a reduction: of one array or of the tree."""

    __slots__ = ("_index", "_totals")

    def __init__(self, totals: Totals, index: int) -> None:
        self._totals, self._index = totals, index

    def __getitem__(self, key: ReductionKey) -> float:
        return (
            self._totals.tree(key) if key.scope == "tree" else self._totals.array(key, self._index)
        )
