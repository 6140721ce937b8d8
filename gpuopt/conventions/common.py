"""Shared by the conventions of all libraries: chains around a rule, refusals, and momentum that
holds the learning rate.
"""

from __future__ import annotations

import functools
import inspect
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY
from types import ModuleType
from typing import Any, TypeGuard

import numpy as np

from gpuopt.arrays.options import brief, flag
from gpuopt.rules import Chain, Rule, chain, decoupled_weight_decay, weight_decay
from gpuopt.rules.elsewhere import by_keyword, by_known_names, not_in
from gpuopt.rules.ranges import Decay, NonNegative
from gpuopt.rules.spelling import are_params

__all__ = [
    "Made",
    "VelocityOfSteps",
    "around",
    "constant",
    "coupled",
    "decoupled",
    "equals",
    "is_given",
    "number",
    "refuse",
    "show_arguments",
]

Made = Rule | Chain
"""The result of a function of `gpuopt.conventions`."""


class VelocityOfSteps(Rule):
    """Momentum whose velocity holds the learning rate (Sutskever et al. 2013, "On the importance of
    initialization and momentum in deep learning"): ``v ← β·v - lr·g; p ← p + v``.

    It differs from `Momentum` only if the learning rate changes. Use it to reproduce runs of Keras
    and scikit-learn.
    """

    lr: NonNegative = 0.01
    _: KW_ONLY
    beta: Decay = 0.9
    nesterov: bool = False
    momentum_states = ("v",)

    def update(self, t: Any, p: Any, g: Any, v: Any = 0.0) -> Any:
        v = self.beta * v - self.lr * g
        return p + (self.beta * v - self.lr * g if self.nesterov else v), v


def around(rule: Made, before: Iterable[Any] = (), after: Iterable[Any] = ()) -> Made:
    """The rule with pieces before and after it, where there are any."""
    pieces = [*before], [*after]
    return chain(*pieces[0], rule, *pieces[1]) if any(pieces) else rule


def equals(value: Any, other: Any) -> bool:
    """Whether an argument is that number or text; an array or a schedule is not."""
    return bool(np.isscalar(value) and value == other)


def is_given(value: Any) -> TypeGuard[Any]:
    """Whether an argument is neither None nor 0."""
    return value is not None and not equals(value, 0)


def number(name: str, value: Any) -> Any:
    """A number that the call computes with."""
    if not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {brief(value)}")
    return value


def coupled(decay: Any) -> list[Any]:
    """The piece that adds a decay to the gradient; none for 0 or None."""
    return [weight_decay(decay)] if is_given(decay) else []


def decoupled(decay: Any) -> list[Any]:
    """The piece that decays the parameter by ``lr·decay``; none for 0 or None."""
    return [decoupled_weight_decay(decay)] if is_given(decay) else []


def constant(function: str, name: str, value: Any, remedy: str) -> None:
    """Refuse a schedule for `name`."""
    if callable(value):
        raise ValueError(f"{function}: {name} cannot follow a schedule here: {remedy}")


def refuse(function: str, given: Mapping[str, Any], remedies: Mapping[str, str]) -> None:
    """Refuse options that are switched on and not available.

    Parameters
    ----------
    function : str
        The name of the function that they were given to.
    given : dict
        Options by name. None, False and 0 switch one off.
    remedies : dict
        For each option that exists what to do in its place; an empty text where it chooses nothing.
    """
    for name, value in given.items():
        if remedies[name] and is_given(value):
            what = f"{name}={brief(value)} is not available"
            raise ValueError(f"{function}: {what}: {remedies[name]}")


def show_arguments(library: ModuleType) -> None:
    """Let the functions of a library's module show, in place of ``**options``, the names in its
    `OPTIONS`, and refuse any other argument with those that they have.
    """
    options = getattr(library, "OPTIONS", {})
    path = library.__name__.replace("optax_", "optax.")
    library.__getattr__ = not_in(path, library.__all__)  # type: ignore[method-assign]
    for name in library.__all__:
        if inspect.isfunction(function := getattr(library, name)):
            shown = _showing(function, options, f"{path}.{name}")
            shown.__module__ = library.__name__  # where pickle finds it
            setattr(library, name, shown)


def _check(function: str, parameter: inspect.Parameter, value: Any) -> None:
    """Refuse an argument unless it is a flag like the default, or has as many entries."""
    name, default = parameter.name, parameter.default
    if isinstance(default, bool) and parameter.annotation != "Any":
        flag(f"{function}: {name}", value)
    elif isinstance(default, tuple):
        listed = isinstance(value, (tuple, list))
        if ((len(value),) if listed else getattr(value, "shape", None)) != (len(default),):
            raise (ValueError if listed else TypeError)(
                f"{function}: {name} must have {len(default)} entries, as in {name}={default}, "
                f"got {brief(value)}"
            )


def _showing(function: Any, options: Mapping[str, Any], path: str) -> Any:
    own = inspect.signature(function)
    found = {name: each for name, each in own.parameters.items() if name not in {"args", "options"}}
    if "options" in own.parameters:
        kind = inspect.Parameter.KEYWORD_ONLY
        found |= {name: inspect.Parameter(name, kind, default=x) for name, x in options.items()}
    rate, *_ = found
    checked = by_known_names(f"{path}({rate}=0.1)", [*found])(function)

    @functools.wraps(function)
    def shown(*args: Any, **given: Any) -> Any:
        first = bool(args) and are_params(args[0])
        if first or "params" in given:
            needed = {rate: 0.1} if found[rate].default is inspect.Parameter.empty else {}
            others = {**needed, **dict(zip(found, args[first:], strict=False)), **given}
            others.pop("params", None)
            raise TypeError(
                f"{path.removeprefix('gpuopt.conventions.')} takes no params: they belong to init; "
                f"write opt = {path}({by_keyword(others)}).init(params)"
            )
        for name, value in {**dict(zip(found, args, strict=False)), **given}.items():
            if name in found:
                _check(path.removeprefix("gpuopt.conventions."), found[name], value)
        return checked(*args, **given)

    shown.__signature__ = own.replace(parameters=[*found.values()])  # type: ignore[attr-defined]
    return shown
