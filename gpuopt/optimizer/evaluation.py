"""The result of `Optimizer.evaluation`: the parameters, or what pieces keep in their place.

Comes in: a group of arrays with their state, and how far training came. Goes out: new arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gpuopt.arrays.dynamic8 import decoded
from gpuopt.arrays.precision import MASTER
from gpuopt.arrays.quiet import cast
from gpuopt.optimizer.groups import ParamGroup
from gpuopt.rules.base import Update, bind
from gpuopt.rules.hooks import has_hook
from gpuopt.rules.reductions import seeing_one_array
from gpuopt.rules.tuples import flat
from gpuopt.tracing.signatures import arranged, own_names, own_states
from gpuopt.tracing.undoing import counted

__all__ = ["Reached", "evaluated"]


class Reached(NamedTuple):
    """How far training came.

    Attributes
    ----------
    t : int
        How many steps were completed.
    counts : sequence of int
        How often each array of the optimizer was updated.
    numbers : dict
        The numbers of the whole optimizer, by their full names.
    scalar_states : dict
        The states that are one number, by their full names: one for each array.
    """

    t: int
    counts: Sequence[int]
    numbers: Mapping[str, Any]
    scalar_states: Mapping[str, Sequence[Any]]


def evaluated(group: ParamGroup, reached: Reached) -> list[Any]:
    """For each array of a group a new one to evaluate with, in the parameter's dtype."""
    pieces = [part for part in group.update.parts if has_hook(part.formula, "evaluation")]
    step = max(reached.t - 1, 0)
    values = {part.named(n): x for part in pieces for n, x in part.formula.hyper(step).items()}
    return [
        _evaluated(group, position, index, values, reached)
        for position, index in enumerate(group.indices)
    ]


def _evaluated(
    group: ParamGroup,
    position: int,
    index: int,
    values: Mapping[str, Any],
    reached: Reached,
) -> Any:
    """The same of one array: it, its master copy, or what pieces that have acted make of it.

    A piece sees arrays in C order, so that what it adds up does not depend on the layout; where it
    has not acted, its state as it would begin now.
    """
    param, hyper, state = group.arrays_of(position)
    array, rows = state.get(MASTER, param).copy(), reached.scalar_states
    coded = {each.name for each in group.programs[-1].states if each.coded}
    undoing = [part for part in group.update.parts if has_hook(part.formula, "undo")]
    made = [int(rows[counted(part)][index]) for part in undoing] or [reached.counts[index]]
    acted = _acted(group.update, made[0])

    def shown(name: str) -> Any:
        return decoded(state[name], param.shape) if name in coded else state[name].copy()

    for part, formula in bind(group.update.parts, {**values, **hyper}):
        if not has_hook(formula, "evaluation"):
            continue
        vars(formula).update(_numbers_of(part, formula, reached.numbers))
        order = [part.named(name, "_") for name in own_names(formula)]
        names = [part.named(name, "_") for name in own_states(formula)]
        own = {n: shown(n) if n in state else float(rows[n][index]) for n in names}
        if order and part.name not in acted:
            if not has_hook(formula, "start") or not group.begins_alone(names):
                continue
            own = dict(zip(names, flat(formula.start(array.copy())), strict=True))
        own |= {n: x.copy() for n, x in group.whole_arrays.buffers[position].items()}
        with seeing_one_array(f"{type(formula).__name__}.evaluation"):
            array = formula.evaluation(array, *arranged(formula, [own[name] for name in order]))
        if getattr(array, "shape", None) != param.shape:
            what = f"{type(formula).__name__}.evaluation must return an array of the parameter's"
            got = f"{type(array).__name__} {getattr(array, 'shape', '')}"
            raise ValueError(f"{what} shape, {param.shape}, got {got}")
    return cast(array, param.dtype)


def _numbers_of(part: Any, formula: Any, numbers: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of the whole optimizer that a piece keeps, by its own names."""
    if not has_hook(formula, "numbers"):
        return {}
    return {name: float(numbers[part.named(name)]) for name in part.formula.numbers()}


def _acted(update: Update, count: int) -> set[str]:
    """The names of the parts that have acted in so many updates of an array."""
    found = set()
    for part in update.parts:
        if count > 0:
            found.add(part.name)
        if has_hook(part.formula, "steps"):
            count = part.formula.steps(count)  # type: ignore[attr-defined]
    return found
