"""What reductions give, and the scalars of a step that depend on it; on the host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gpuopt.codegen.host import compile_host
from gpuopt.optimizer.groups import GroupStep, batches
from gpuopt.tracing.expr import SIZE, ReductionKey

__all__ = ["resolve_reductions"]

_Totals = dict[ReductionKey, Any]
"""What is known of a run: for each reduction a number, or an array of one for each array of the run."""


def resolve_reductions(runs: list[GroupStep]) -> tuple[list[GroupStep], dict[str, float]]:
    """The runs that their reductions accept, with scalars; and what the numbers of the whole optimizer become.

    Reductions of one array are of that array alone; those of the tree are of all arrays of the runs in whose update they
    are, added in float64 in the order of the tree.
    """
    known: list[_Totals] = [_sizes(run) if SIZE in _asked(run) else {} for run in runs]
    for batch in batches(runs):
        for position, stage in batch:
            found = _reduced(runs[position], stage, known[position])
            for reduction, values in zip(stage.reductions, found, strict=True):
                known[position][reduction.value] = values
        for total in {r.value: r.op for _, stage in batch for r in stage.reductions if r.value.scope == "tree"}.items():
            _combine(*total, runs, known)
    adapted: dict[str, float] = {}
    for run, totals in zip(runs[:1], known, strict=False):  # what the numbers are made of is the same in all
        if run.trace.adapted:
            values = compile_host(tuple(run.trace.adapted.values()))(run.count, run.hyper, totals)
            adapted = dict(zip(run.trace.adapted, values, strict=True))
    return [made for run, totals in zip(runs, known, strict=True) for made in _made(run, totals)], adapted


def _reduced(run: GroupStep, stage: Any, totals: _Totals) -> list[Any]:
    """For each reduction of a stage what it gives for each array of the run."""
    group: Any = run.group.executor
    evaluate = compile_host(stage.scalars)
    if not stage.per_array:
        return group.reduce(stage, run.given, evaluate(run.count, run.hyper, totals), run.positions)  # type: ignore[no-any-return]
    each = [
        group.reduce(stage, run.given, evaluate(run.count, run.hyper, known), [position])
        for position, known in zip(run.members, _apart(totals), strict=True)
    ]
    return [np.concatenate(values) for values in zip(*each, strict=True)]


def _combine(total: ReductionKey, op: str, runs: list[GroupStep], known: list[_Totals]) -> None:
    """Put the total of all arrays, in the order of the tree, in place of each run's; once all that have it were reduced."""
    members = [n for n, run in enumerate(runs) if any(r.value == total for stage in run.trace.stages for r in stage.reductions)]
    if not all(total in known[n] for n in members):
        return
    values = np.concatenate([known[n][total] for n in members])
    if op == "max":
        whole = float(values.max())
    else:
        order = np.argsort(np.concatenate([_indices(runs[n]) for n in members]))
        whole = float(np.add.accumulate(values[order])[-1])
    for n in members:
        known[n][total] = whole


def _made(run: GroupStep, totals: _Totals) -> list[GroupStep]:
    """The run with its scalars, if it is accepted; where they differ from array to array, a run for each."""
    trace, found = run.trace, []
    if trace.per_array:
        alike = run.group, trace, run.count
        parts = [
            (GroupStep(*alike, [p], run.given, run.hyper), known) for p, known in zip(run.members, _apart(totals), strict=True)
        ]
    else:
        parts = [(run, totals)]
    for part, known in parts:
        if trace.accept is None or compile_host((trace.accept,))(part.count, part.hyper, known)[0]:
            part.scalars = compile_host(trace.scalars)(part.count, part.hyper, known)
            found.append(part)
    return found


def _apart(totals: _Totals) -> Iterator[_Totals]:
    """What is known of each array of a run."""
    own = {total: values.tolist() for total, values in totals.items() if isinstance(values, np.ndarray)}
    for values in zip(*own.values(), strict=True):
        yield totals | dict(zip(own, values, strict=True))


def _indices(run: GroupStep) -> list[int]:
    """Which arrays of the optimizer a run updates."""
    return run.group.indices if run.positions is None else [run.group.indices[p] for p in run.positions]


def _asked(run: GroupStep) -> frozenset[ReductionKey]:
    """What the scalars of a run are made of."""
    return run.trace.needs.union(*(stage.needs for stage in run.trace.stages))


def _sizes(run: GroupStep) -> _Totals:
    """How many elements each array of a run has."""
    return {SIZE: np.array([run.group.sizes[position] for position in run.members], np.float64)}
