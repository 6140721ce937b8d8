"""Arrays whose rows are updated separately: each row has its own count.

Comes in: the gradients of some rows. Goes out: what updates these rows, for each of which the
numbers that depend on its count are passed. So the cost of a step depends only on the rows that it
updates.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gpuopt.arrays.device import device_of
from gpuopt.arrays.dtypes import COMPUTE
from gpuopt.arrays.random import ROUNDING
from gpuopt.arrays.rows import out_of_bounds, read_rows
from gpuopt.arrays.tree import TreeSpec
from gpuopt.executors import Launch, RowUpdates, row_updates_of
from gpuopt.optimizer.gradients import GradientReader
from gpuopt.optimizer.groups import ParamGroup
from gpuopt.optimizer.hyperparameters import ValuesOfUpdates
from gpuopt.optimizer.row_counts import Numbers, RowLaunch
from gpuopt.rules.base import Update
from gpuopt.rules.composite import Joined
from gpuopt.rules.hooks import has_hook
from gpuopt.rules.paths import matching
from gpuopt.rules.rule import Rule
from gpuopt.tracing.by_row import ByRow, by_row
from gpuopt.tracing.operands import hyper_array
from gpuopt.tracing.program import UpdateProgram

__all__ = ["RowGroup", "RowGroups", "most", "named_rows", "shown"]


class RowGroup(ParamGroup):
    """An array whose rows are updated separately.

    Parameters
    ----------
    key, update, leaves, hyper_arrays, indices, device_counts, precision, paths
        As for `ParamGroup`; `indices` is the one array.

    Attributes
    ----------
    counts : list of array
        How often each row was updated: an array of int64.
    """

    counts: list[Any]

    def __init__(self, key: Hashable, update: Update, leaves: list[Any], *rest: Any) -> None:
        super().__init__(key, update, leaves, *rest)
        (self.index,) = self.indices
        self._path = rest[-1][self.index]
        self._param = leaves[self.index]
        self.check_programs(update, self.programs)
        self.counts = [np.zeros(len(self._param), np.int64)]
        self._turn = np.zeros(len(self._param), np.int64)
        self._known: Numbers | None = None
        self._rows, self._updates = self._made()

    def check_programs(self, update: Update, programs: Sequence[UpdateProgram]) -> None:
        """Raise ValueError if rows cannot be updated so."""
        if reason := _why_not(update, programs):
            blamed = self._blamed(update)
            other = "another rule" if isinstance(blamed, Rule) else "a chain without it"
            raise ValueError(
                f"rows: {type(blamed).__name__}, in the update of params{self._path}, {reason}, "
                f"which cannot be done row by row: give the array {other} with go.partition, or "
                "pass its rows as a list of arrays, with None for those without a gradient"
            )

    def _blamed(self, update: Update) -> Any:
        """The rule, or the piece without which its rows can be updated."""
        rule, *pieces = sorted(update.parts, key=lambda part: part.name != "")
        for piece in (rule, *pieces):
            alone = Joined(tuple(part for part in update.parts if part in (rule, piece)))
            if _why_not(alone, self.programs_of(alone)):
                return piece.formula
        return rule.formula

    def plan_rows(self, given: Any, values: ValuesOfUpdates, reader: GradientReader) -> Launch:
        """Find what updates some rows, and write nothing."""
        index, grads = read_rows(given, self._param, self._path)
        reader.check_apart(grads, self.index)
        self._check_once(index)
        with device_of(self._param):
            counts, hyper = self.counts[0][index] + 1, self.hyper(values)
            if self._rows is not by_row(self.programs[-1]):
                self._rows, self._updates = self._made()
            numbers = self._numbers(hyper)
            update = self._updates.plan(index, grads, numbers.of(counts), numbers.scalars)
        return RowLaunch(update, self.counts[0], index, counts)

    def _check_once(self, index: Any) -> None:
        """Raise an error if a row is not there, or there twice."""
        turns = np.arange(len(index))
        try:
            self._turn[index] = turns
        except IndexError:
            raise out_of_bounds(index, len(self._turn), self._path) from None
        found = self._turn[index]
        if found.tobytes() != turns.tobytes():  # sooner than a comparison of arrays
            twice = index[(found != turns).argmax()]
            raise ValueError(
                f"index of grads{self._path} holds {twice} twice: to add the gradients of a row, "
                "write go.rows(index, grads, duplicates='sum')"
            )

    def _made(self) -> tuple[ByRow, RowUpdates]:
        """The program for rows, and what makes its updates."""
        rows = by_row(self.programs[-1])
        _, beside, states = self.arrays_of(0)
        hyper_arrays = {hyper_array(name): x for name, x in beside.items()}
        return rows, row_updates_of(self._param)(rows, self._param, states, hyper_arrays)

    def _numbers(self, hyper: dict[str, float]) -> Numbers:
        """What the hyperparameters give: scalars, and numbers that depend on counts."""
        known = self._known
        if known is None or known.rows is not self._rows or known.hyper != hyper:
            compute = COMPUTE[self._param.dtype.name]
            known = self._known = Numbers(self._rows, dict(hyper), compute)
        return known


class Apart(NamedTuple):
    """The gradients of a step, those of rows apart.

    Attributes
    ----------
    others : list of array or None
        Of all arrays in order; None for those that are updated by rows.
    rows : list of tuple
        Those arrays, and what is given for them.
    """

    others: list[Any]
    rows: list[tuple[RowGroup, Any]]


class RowGroups(list[RowGroup]):
    """The arrays of an optimizer whose rows are updated separately."""

    def apart(self, spec: TreeSpec, grads: Any) -> Apart:
        """Tell the gradients of rows from others."""
        found = spec.match(grads, "grads", "no gradient in this step")
        rows = [(group, found[group.index]) for group in self]
        for group in self:
            found[group.index] = None
        return Apart(found, [(group, given) for group, given in rows if given is not None])

    def plan(self, given: Apart, values: ValuesOfUpdates, reader: GradientReader) -> list[Launch]:
        """Find what updates rows by their gradients, and write nothing."""
        return [group.plan_rows(rows, values, reader) for group, rows in given.rows]

    def load(self, counts: Sequence[Any]) -> None:
        """Continue with the counts of all arrays."""
        for group in self:
            group.counts[0][...] = counts[group.index]


def shown(counts: Sequence[Any]) -> list[Any]:
    """The counts of arrays, for a user: those of rows are copies."""
    return [count if isinstance(count, int) else count.copy() for count in counts]


def most(count: Any) -> int:
    """The count of an array; or the largest of its rows, 0 if it has none."""
    return int(np.max(count, initial=0))


def named_rows(rows: str | Sequence[str] | None, spec: TreeSpec) -> list[bool]:
    """For each array whether its rows are updated separately.

    Raises
    ------
    TypeError, ValueError
        If a pattern names no array, or one without rows.
    """
    found = [False] * len(spec.leaves)
    several = isinstance(rows, Collection) and not isinstance(rows, (str, bytes))
    patterns: Any = () if rows is None else rows if several else [rows]
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise TypeError(
                "rows must be a path or a list of paths, such as 'positions', or '*' for all "
                f"arrays, got {pattern!r}"
            )
        here = matching(pattern, spec.names, "rows")
        found = [a or b for a, b in zip(found, here, strict=True)]
    for path, leaf, is_found in zip(spec.paths, spec.leaves, found, strict=True):
        if is_found and not leaf.ndim:
            raise ValueError(f"rows: params{path} is a 0-d array, which has no rows")
    return found


def _why_not(update: Update, programs: Sequence[UpdateProgram]) -> str | None:
    """What an update does that needs more than the elements of a row; None if it does not."""
    whole = programs[-1]
    kernel = whole.update
    streams = [stream for _, stream in kernel.random.values()]
    reasons = {
        "acts in some steps only": len(programs) > 1,
        "decides whether a step is made": whole.accept is not None,
        "reduces arrays, reads their shapes or calls functions of whole arrays": bool(
            whole.stages or kernel.needs or whole.buffers
        ),
        "keeps a number for each array": bool(kernel.scalar_states or whole.shared),
        "rounds at random what it stores": max(streams, default=0) >= ROUNDING,
        "draws random numbers": bool(kernel.random),
        "reads the loss": whole.loss_reader is not None,
        "gives other parameters to evaluate with": any(
            has_hook(part.formula, "evaluation") for part in update.parts
        ),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)
