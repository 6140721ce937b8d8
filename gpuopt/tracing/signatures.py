"""The states of a formula, read from the signature of its ``update``; what its methods return."""

from __future__ import annotations

import inspect
import numbers
from typing import Any

import numpy as np

from gpuopt.rules.hooks import has_hook
from gpuopt.rules.traced import Traced
from gpuopt.rules.whole_arrays import Buffer
from gpuopt.tracing.errors import TraceError
from gpuopt.tracing.expr import Graph
from gpuopt.tracing.symbols import lift

__all__ = ["arguments", "is_value", "named_results", "own_buffers", "own_states", "state_names"]


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
    name, states = type(formula).__name__, dict[str, float | None]()
    for parameter in arguments(formula):
        initial = parameter.default
        if isinstance(initial, Buffer):
            continue
        if has_hook(formula, "start"):
            states[parameter.name] = None
        elif isinstance(initial, (int, float)) and not isinstance(initial, bool):
            states[parameter.name] = float(initial)
        else:
            raise TraceError(
                f"{name}.update: state {parameter.name} needs a number to start at, as in "
                f"{parameter.name}=0.0"
            )
    return states


def own_buffers(formula: Any) -> dict[str, Buffer]:
    """The buffers of one formula, from the signature of its ``update``."""
    found = {parameter.name: parameter.default for parameter in arguments(formula)}
    return {name: default for name, default in found.items() if isinstance(default, Buffer)}


def arguments(formula: Any) -> list[inspect.Parameter]:
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
    values = result if isinstance(result, (tuple, list)) else (result,)
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
