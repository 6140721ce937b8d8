"""What the scalar code of one step reads on the host: results of reductions, and states.

Comes in: for each reduction a number for each array that was reduced. Goes out: that number, or the
total of the tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gpuopt.arrays.quiet import quietly
from gpuopt.tracing.expr import Expr, ReductionKey, StateKey
from gpuopt.tracing.ops import REDUCTIONS

__all__ = ["Totals", "TotalsOfArray", "TotalsOfEach"]


class Totals:
    """The results of reductions: of each array of the optimizer, and of all of them.

    Parameters
    ----------
    count : int
        How many arrays the optimizer has.
    dimensions : dict
        What is read of their shapes: a list with a number for each.
    states : dict
        The states that are one number: a list with one for every array, or one of a tree.
    """

    def __init__(
        self,
        count: int,
        dimensions: Mapping[ReductionKey, list[float]],
        states: Mapping[StateKey, Any],
    ) -> None:
        self._count, self._rows, self._states = count, {**dimensions}, states
        self._ops: dict[ReductionKey, str] = {}
        self._trees: dict[ReductionKey, float] = {}

    def add(self, reduction: Expr, indices: Sequence[int], values: Sequence[float]) -> None:
        """Take what a reduction gave for the arrays at `indices`."""
        key: ReductionKey = reduction.value
        if key not in self._rows:
            self._ops[key] = reduction.op
            self._rows[key] = [REDUCTIONS[reduction.op].nothing] * self._count
        row = self._rows[key]
        for index, value in zip(indices, values, strict=True):
            row[index] = value

    def array(self, key: ReductionKey, index: int) -> float:
        """The result of the reduction for one array."""
        return self._rows[key][index]

    def arrays(self, key: ReductionKey, indices: Sequence[int]) -> list[float]:
        """The results of the reduction for several arrays."""
        row = self._rows[key]
        return [row[index] for index in indices]

    def tree(self, key: ReductionKey) -> float:
        """The result for all arrays that were reduced, added in float64 in the order of the tree.

        Every array that takes part must have been added by now.
        """
        if key not in self._trees:
            row, ufunc = self._rows[key], getattr(np, REDUCTIONS[self._ops[key]].op.name)
            if len(row) > 1:
                row = quietly(ufunc.accumulate, row).tolist()
            self._trees[key] = row[-1]
        return self._trees[key]

    def state(self, key: StateKey, index: int) -> float:
        """The number of one array, or of the tree that it is in."""
        found: float = self._states[key] if key.tree is not None else self._states[key][index]
        return found

    def states(self, key: StateKey, indices: Sequence[int]) -> list[float]:
        """The numbers of several arrays, which differ."""
        row = self._states[key]
        return [row[index] for index in indices]

    def are_alike(self, keys: Iterable[StateKey], indices: Sequence[int]) -> bool:
        """Whether each of these states is the same in several arrays."""
        rows = (self.states(key, indices) for key in keys if key.tree is None)
        return all(row.count(row[0]) == len(row) for row in rows)


class TotalsOfEach:
    """The totals for scalar code of many arrays: a list for what differs from one to the next."""

    __slots__ = ("_indices", "_totals")

    def __init__(self, totals: Totals, indices: Sequence[int]) -> None:
        self._totals, self._indices = totals, indices

    def __getitem__(self, key: ReductionKey | StateKey) -> Any:
        totals = self._totals
        if isinstance(key, StateKey):
            return (
                totals.state(key, 0) if key.tree is not None else totals.states(key, self._indices)
            )
        return totals.tree(key) if key.scope == "tree" else totals.arrays(key, self._indices)


class TotalsOfArray:
    """The totals for scalar code, by their keys: of one array or of the tree."""

    __slots__ = ("_index", "_totals")

    def __init__(self, totals: Totals, index: int) -> None:
        self._totals, self._index = totals, index

    def __getitem__(self, key: ReductionKey | StateKey) -> float:
        if isinstance(key, StateKey):
            return self._totals.state(key, self._index)
        return (
            self._totals.tree(key) if key.scope == "tree" else self._totals.array(key, self._index)
        )
