"""The float hyperparameters of a step: their values, checked against the dtypes that they are computed in."""

from __future__ import annotations

import math
from collections.abc import Hashable
from numbers import Real
from typing import Any

import numpy as np

from gpuopt.rules.base import Update
from gpuopt.rules.hooks import has_hook
from gpuopt.schedules import first_untraceable

__all__ = ["Members", "Numbers", "begun", "check_traceable", "numbers", "scheduled"]

Members = dict[Hashable, Update]
Numbers = dict[Hashable, dict[str, float]]

_LARGEST = float(np.finfo(np.float32).max)


def numbers(members: Members, step: int | None, computed: dict[Hashable, set[Any]]) -> Numbers:
    """Evaluate the hyperparameters of each update after `step` steps; without schedules if None.

    Raises if a value overflows in the compute dtype, or underflows to zero where it must be
    positive.
    """
    found = {key: _constants(update) if step is None else update.hyper(step) for key, update in members.items()}
    for key, update in members.items():
        for dtype in computed[key]:
            _check_numbers(update, found[key], dtype)
    return found


def scheduled(members: Members) -> bool:
    """Whether any hyperparameter follows a schedule."""
    return any(callable(value) for update in members.values() for value in update.hyperparameters.values())


def begun(members: Members) -> dict[str, float]:
    """The initial values of the whole optimizer's numbers, by their full names."""
    found: dict[str, float] = {}
    parts = [part for update in members.values() for part in update.parts]
    for part in parts:
        if not has_hook(part.formula, "numbers"):
            continue
        formula: Any = part.formula
        what, given = f"{type(formula).__name__}.numbers", formula.numbers()
        if not isinstance(given, dict):
            raise TypeError(f"{what} must return a dict of initial values by name, got {given!r}")
        for name, value in given.items():
            if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
                raise TypeError(f"{what}: {name} must start at a number, got {value!r}")
            if _LARGEST < abs(float(value)) < math.inf:
                raise ValueError(f"{what}: {name} must start at a number that float32 can hold, got {value!r}")
            found[part.named(name)] = float(value)
    return found


def check_traceable(members: Members) -> None:
    """Raise TypeError for a schedule of the user's own: a captured step cannot call it."""
    for update in members.values():
        for name, value in update.hyperparameters.items():
            if callable(value) and name in update.ranges and (found := first_untraceable(value)) is not None:
                raise TypeError(
                    f"capturable=True: {name} follows {found!r}, which a step captured in a CUDA graph cannot call: use one of "
                    f"gpuopt.schedules, such as schedules.Piecewise, or set opt.rule = opt.rule.replace({{{name!r}: ...}}) "
                    "between steps"
                )


def _constants(update: Update) -> dict[str, float]:
    """The float hyperparameters without schedules: those may end with the last step."""
    fields = update.hyperparameters
    return {name: fields[name] for name in update.ranges if fields[name] is not None and not callable(fields[name])}


def _check_numbers(update: Update, values: dict[str, float], dtype: np.dtype[Any]) -> None:
    """Raise ValueError if a hyperparameter overflows in `dtype`, or must not vanish but does."""
    limits = np.finfo(dtype)
    tiny, largest = float(limits.tiny), float(limits.max)  # a comparison with NumPy's would round the value first
    for part in update.parts:
        for name, allowed in part.formula.ranges.items():
            value = values.get(part.named(name), 1.0)
            what = (
                f"{type(part.formula).__name__}: {name}={value!r} {{}} in {dtype}, in which these arrays are computed: use at "
            )
            if allowed.open_low and value < tiny:
                raise ValueError(what.format("vanishes") + f"least {tiny:.3g}")
            if largest < abs(value) < math.inf:
                raise ValueError(what.format("overflows") + f"most {largest:.3g}")
