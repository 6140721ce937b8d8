"""What reductions give, and the scalars of a step that depend on it; on the host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gpuopt.bundle import Run
from gpuopt.graph import Total

__all__ = ["accepted"]

_Totals = dict[Total, Any]
"""What is known of a run: for each reduction a number, or an array of one for each array of the run."""


def accepted(runs: list[Run], sizes: list[int]) -> list[Run]:
    """The runs that their reductions accept, with scalars; the arrays have `sizes`.

    Reductions of one array are of that array alone; those of the tree are of all arrays of the runs in whose update they
    are, added in float64 in the order of the tree.
    """
    known: list[_Totals] = [{} for _ in runs]
    if any(run.trace.sized for run in runs):
        _note_sizes(runs, sizes, known)
    for number in range(max((len(run.trace.phases) for run in runs), default=0)):
        found: dict[Total, list[tuple[int, str, Any]]] = {}
        for position, run in enumerate(runs):
            if number < len(run.trace.phases):
                phase = run.trace.phases[number]
                for reduction, values in zip(phase.reductions, _reduced(run, phase, known[position]), strict=True):
                    known[position][reduction.value] = values
                    if reduction.value.over == "tree":
                        found.setdefault(reduction.value, []).append((position, reduction.op, values))
        for total, parts in found.items():
            whole = _combined([(_indices(runs[position]), values) for position, _, values in parts], parts[0][1])
            for position, _, _ in parts:
                known[position][total] = whole
    return [made for run, totals in zip(runs, known, strict=True) for made in _made(run, totals)]


def _reduced(run: Run, phase: Any, totals: _Totals) -> list[Any]:
    """For each reduction of a phase what it gives for each array of the run."""
    group: Any = run.bundle.group
    if not phase.apart:
        return group.reduce(phase, run.given, phase.evaluate(run.count, run.hyper, totals), run.positions)  # type: ignore[no-any-return]
    each = [
        group.reduce(phase, run.given, phase.evaluate(run.count, run.hyper, known), [position])
        for position, known in zip(run.members, _apart(totals), strict=True)
    ]
    return [np.concatenate(values) for values in zip(*each, strict=True)]


def _combined(parts: list[tuple[list[int], Any]], op: str) -> float:
    """The total of all arrays, in the order of the tree."""
    values = np.concatenate([values for _, values in parts])
    if op == "max":
        return float(values.max())
    order = np.argsort(np.concatenate([indices for indices, _ in parts]))
    return float(np.add.accumulate(values[order])[-1])


def _made(run: Run, totals: _Totals) -> list[Run]:
    """The run with its scalars, if it is accepted; where they differ from array to array, a run for each."""
    trace, found = run.trace, []
    if trace.apart:
        alike = run.bundle, trace, run.count
        parts = [(Run(*alike, [p], run.given, run.hyper), known) for p, known in zip(run.members, _apart(totals), strict=True)]
    else:
        parts = [(run, totals)]
    for part, known in parts:
        if trace.accepts is None or trace.accepts(part.count, part.hyper, known)[0]:
            part.scalars = trace.evaluate(part.count, part.hyper, known)
            found.append(part)
    return found


def _apart(totals: _Totals) -> Iterator[_Totals]:
    """What is known of each array of a run."""
    own = {total: values.tolist() for total, values in totals.items() if isinstance(values, np.ndarray)}
    for values in zip(*own.values(), strict=True):
        yield totals | dict(zip(own, values, strict=True))


def _indices(run: Run) -> list[int]:
    """Which arrays of the optimizer a run updates."""
    return run.bundle.indices if run.positions is None else [run.bundle.indices[p] for p in run.positions]


def _note_sizes(runs: list[Run], sizes: list[int], known: list[_Totals]) -> None:
    """Note how many elements each array has, and all arrays with parts of one scope together."""
    scopes: dict[str, int] = {}
    for run, totals in zip(runs, known, strict=True):
        own = np.array([sizes[index] for index in _indices(run)], np.float64)
        for scope in {part.scope for part in run.bundle.update.parts}:
            totals[Total(scope, "array")] = own
            scopes[scope] = scopes.get(scope, 0) + int(own.sum())
    for totals in known:
        totals |= {Total(total.name, "tree"): scopes[total.name] for total in list(totals)}
