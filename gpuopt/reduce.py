"""What reductions give, and the scalars of a step that depend on it; on the host."""

from __future__ import annotations

import math
from typing import Any

from gpuopt.bundle import Run
from gpuopt.graph import Total

__all__ = ["accepted"]


def accepted(runs: list[Run], sizes: list[int]) -> list[Run]:
    """The runs that their reductions accept, with scalars; the arrays have `sizes`.

    Reductions of one array are of that array alone; those of the tree are of all arrays of the runs in whose update they
    are, added in float64 in the order of the tree.
    """
    known: dict[int, dict[Total, Any]] = {index: {} for run in runs for index in _indices(run)}
    if any(run.trace.phases for run in runs):
        _count_elements(runs, sizes, known)
    for number in range(max((len(run.trace.phases) for run in runs), default=0)):
        for run in runs:
            if number < len(run.trace.phases):
                _reduce(run, number, known)
        _combine(runs, number, known)
    found = []
    for run in runs:
        totals = known[_indices(run)[0]]
        if run.trace.accepts is None or run.trace.accepts(run.count, run.hyper, totals)[0]:
            run.scalars = run.trace.evaluate(run.count, run.hyper, totals)
            found.append(run)
    return found


def _indices(run: Run) -> list[int]:
    """Which arrays of the optimizer a run updates."""
    return [run.bundle.indices[position] for position in run.members]


def _reduce(run: Run, number: int, known: dict[int, dict[Total, Any]]) -> None:
    """Note what each array gives for the reductions of a phase."""
    phase, indices = run.trace.phases[number], _indices(run)
    scalars = phase.evaluate(run.count, run.hyper, known[indices[0]])
    group: Any = run.bundle.group
    found = group.reduce(phase, run.given, scalars, run.members)
    for reduction, values in zip(phase.reductions, found, strict=True):
        for index, value in zip(indices, values, strict=True):
            known[index][reduction.value] = value


def _combine(runs: list[Run], number: int, known: dict[int, dict[Total, Any]]) -> None:
    """Put the total over the tree in place of each array's own."""
    trees = {
        reduction.value: reduction.op
        for run in runs
        for phase in run.trace.phases[number : number + 1]
        for reduction in phase.reductions
        if reduction.value.over == "tree"
    }
    for total, op in trees.items():
        members = [known[index] for index in sorted(known) if total in known[index]]
        whole = 0.0 if op == "sum" else -math.inf
        for member in members:
            value = member[total]
            whole = whole + value if op == "sum" else (whole if whole > value or whole != whole else value)
        for member in members:
            member[total] = whole


def _count_elements(runs: list[Run], sizes: list[int], known: dict[int, dict[Total, Any]]) -> None:
    """Note how many elements each array has, and all arrays with parts of one scope together."""
    scopes: dict[str, set[int]] = {}
    for run in runs:
        for part in run.bundle.update.parts:
            scopes.setdefault(part.scope, set()).update(_indices(run))
    for scope, members in scopes.items():
        whole = sum(sizes[index] for index in members)
        for index in members:
            known[index] |= {Total(scope, "array"): sizes[index], Total(scope, "tree"): whole}
