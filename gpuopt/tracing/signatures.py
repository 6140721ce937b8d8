"""The states of a formula, read from the signature of its ``update``; what its methods return."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gpuopt.rules.hooks import has_hook
from gpuopt.rules.rule import Rule
from gpuopt.rules.traced import Traced
from gpuopt.rules.tuples import Each, entries, flat
from gpuopt.rules.whole_arrays import Buffer
from gpuopt.tracing.errors import TraceError
from gpuopt.tracing.expr import Graph
from gpuopt.tracing.symbols import lift

if TYPE_CHECKING:
    from gpuopt.rules.base import Part

__all__ = [
    "arranged",
    "is_value",
    "momentum_names",
    "named_results",
    "own_buffers",
    "own_names",
    "own_states",
    "state_names",
]


def state_names(update: Any) -> dict[str, float | Buffer | None]:
    """The states and their initial values (None where ``start`` gives them), and the buffers, from
    the signatures of ``update``.
    """
    states: dict[str, float | Buffer | None] = {}
    for part in update.parts:
        own = {**own_states(part.formula), **own_buffers(part.formula)}
        if clash := [name for name in own if part.named(name, "_") in states]:
            raise TraceError(
                f"{type(part.formula).__name__}.update: state {clash[0]} has the same name in "
                "another part"
            )
        states |= {part.named(name, "_"): initial for name, initial in own.items()}
    return states


def own_states(formula: Any) -> dict[str, float | None]:
    """The states of one formula and their initial values, from the signature of its ``update``."""
    found = {name: initial for own in _own(formula).values() for name, initial in own.items()}
    return {name: initial for name, initial in found.items() if not isinstance(initial, Buffer)}


def own_buffers(formula: Any) -> dict[str, Buffer]:
    """The buffers of one formula, from the signature of its ``update``."""
    found = {name: initial for own in _own(formula).values() for name, initial in own.items()}
    return {name: initial for name, initial in found.items() if isinstance(initial, Buffer)}


def own_names(formula: Any) -> list[str]:
    """The states and buffers of one formula, in the order of the arguments of its ``update``."""
    return [name for own in _own(formula).values() for name in own]


def arranged(formula: Any, values: Sequence[Any]) -> list[Any]:
    """The arguments of ``update`` for states and buffers, from the values of `own_names`."""
    found, own = list[Any](), iter(values)
    for parameter, names in _own(formula).items():
        several = isinstance(parameter.default, Each)
        found.append(tuple(next(own) for _ in names) if several else next(own))
    return found


def momentum_names(part: Part, formula: Any) -> list[str]:
    """The full names of the states of a rule that are its momentum."""
    if part.name:
        return []
    given, own = formula.momentum_states, {x.name: names for x, names in _own(formula).items()}
    if given is not Rule.momentum_states and (
        missing := [name for name in given if name not in own]
    ):
        raise TraceError(
            f"{type(formula).__name__}.momentum_states names {missing[0]!r}, which is not a state "
            f"of update: it has {', '.join(own) or 'none'}"
        )
    return [part.named(name, "_") for each in given for name in own.get(each, ())]


def _own(formula: Any) -> dict[inspect.Parameter, dict[str, Any]]:
    """For each argument of ``update`` for states and buffers their names, and what they start at.

    That is a number, None where ``start`` gives it, or a buffer.
    """
    found = dict[inspect.Parameter, dict[str, Any]]()
    for parameter in _arguments(formula):
        name, initial = parameter.name, parameter.default
        if isinstance(initial, Buffer):
            found[parameter] = {name: initial}
            continue
        what = f"{type(formula).__name__}.update: state {name}"
        names = [name]
        if isinstance(initial, Each):
            values = getattr(formula, initial.field, None)
            if not isinstance(values, tuple):
                raise TraceError(
                    f"{what} has one value for each entry of {initial.field!r}, which is not a "
                    "tuple of hyperparameters: annotate it tuple[gpuopt.Hyper, ...]"
                )
            names, initial = [*entries(name, values)], initial.start
        if has_hook(formula, "start"):
            initial = None
        elif isinstance(initial, bool) or not isinstance(initial, (int, float)):
            raise TraceError(f"{what} needs a number to start at, as in {name}=0.0")
        else:
            initial = float(initial)
        found[parameter] = dict.fromkeys(names, initial)
    return found


def _arguments(formula: Any) -> list[inspect.Parameter]:
    """The arguments of ``update`` for states and buffers, in order."""
    name, first = type(formula).__name__, formula._arguments
    _, *parameters = inspect.signature(type(formula).update).parameters.values()
    if tuple(p.name for p in parameters[: len(first)]) != first:
        wanted = f"{name}.update must begin with (self, {', '.join(first)})"
        raise TraceError(f"{wanted}, got {inspect.signature(type(formula).update)}")
    for parameter in parameters[len(first) :]:
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
            raise TraceError(f"{name}.update: state {parameter} must be an ordinary parameter")
    return parameters[len(first) :]


def named_results(
    formula: Any, graph: Graph, method: str, names: list[str], result: Any
) -> list[Any]:
    """The values that a method returned, one for each name."""
    values = flat(result)
    what = f"{type(formula).__name__}.{method} must return ({', '.join(names)})"
    if result is None:
        raise TraceError(f"{what}; it returned None: is a return missing?")
    if len(values) != len(names):
        raise TraceError(f"{what}, {len(names)} values; it returned {len(values)}")
    for name, value in zip(names, values, strict=True):
        if not is_value(value):
            raise TraceError(f"{what}; for {name} it returned {type(value).__name__} {value!r}")
    return [value if isinstance(value, Traced) else lift(graph, value) for value in values]


def is_value(x: Any) -> bool:
    """Whether a method may return `x` as the value of an array or a number."""
    return isinstance(x, (Traced, numbers.Number, np.generic))
