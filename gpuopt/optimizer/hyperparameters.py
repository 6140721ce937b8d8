"""The float hyperparameters of a step: numbers and schedules, checked.

Comes in: updates. Goes out: `HyperValues`, the numbers of each update after any number of steps;
and the initial values of the whole optimizer's numbers.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from numbers import Real
from typing import Any, TypeAlias, cast

import numpy as np

from gpuopt.rules.base import Update
from gpuopt.rules.hooks import has_hook
from gpuopt.rules.ranges import Range
from gpuopt.schedules import first_untraceable

__all__ = [
    "HyperValues",
    "Updates",
    "ValuesOfUpdates",
    "check_number",
    "check_traceable",
    "initial_values",
    "misfit",
    "number_ranges",
]

Updates: TypeAlias = Mapping[Hashable, Update]
"""The updates of an optimizer, by what the rule calls them."""
ValuesOfUpdates: TypeAlias = dict[Hashable, dict[str, float]]
"""For each update its float hyperparameters, by their full names."""

_LARGEST = float(np.finfo(np.float32).max)


class HyperValues:
    """The values of the float hyperparameters of several updates.

    Parameters
    ----------
    updates : dict
        By their keys.
    dtypes : dict
        For each of them the dtypes that its arrays are computed in: no value may overflow there,
        nor vanish if it must not.
    step : int or None
        How many steps are completed. With None no schedule is called: its last step may be done.

    Attributes
    ----------
    checked : dict
        The values after `step` steps.
    fixed : dict or None
        The same, if they hold for every step; None if a hyperparameter follows a schedule.
    """

    def __init__(
        self, updates: Updates, dtypes: Mapping[Hashable, set[np.dtype[Any]]], step: int | None
    ) -> None:
        self._updates, self._dtypes = updates, dtypes
        self.checked = self.at(step)
        scheduled = any(
            callable(value)
            for update in updates.values()
            for value in update.hyperparameters.values()
        )
        self.fixed = None if scheduled else self.checked

    def at(self, step: int | None) -> ValuesOfUpdates:
        """The values after `step` completed steps; those without a schedule if it is None.

        Raises
        ------
        TypeError, ValueError
            If a schedule gives no valid number.
        """
        if step is None:
            found = {key: _constants(update) for key, update in self._updates.items()}
        else:
            found = {key: update.hyper(step) for key, update in self._updates.items()}
        for key, update in self._updates.items():
            for dtype in self._dtypes[key]:
                _check_numbers(update, found[key], dtype)
        return found


def _constants(update: Update) -> dict[str, float]:
    """The float hyperparameters without schedules: those may end with the last step."""
    fields = update.hyperparameters
    return {
        name: fields[name]
        for name in update.ranges
        if fields[name] is not None and not callable(fields[name])
    }


def _check_numbers(update: Update, values: Mapping[str, float], dtype: np.dtype[Any]) -> None:
    """Raise ValueError if a hyperparameter overflows in `dtype`, or must not vanish but does."""
    for part in update.parts:
        for name, allowed in part.formula.ranges.items():
            value = values.get(part.named(name), 1.0)
            if found := misfit(value, allowed, dtype):
                does, remedy = found
                what = f"{type(part.formula).__name__}: {name}={value!r} {does} in {dtype}"
                raise ValueError(f"{what}, in which these arrays are computed: use {remedy}")


def misfit(value: float, allowed: Range, dtype: np.dtype[Any]) -> tuple[str, str] | None:
    """The fault of a value that `dtype` cannot hold, with a remedy; None if it fits."""
    limits = np.finfo(dtype)
    # NumPy's own numbers would round the value before they compare.
    tiny, largest = float(limits.tiny), float(limits.max)
    if allowed.open_low and value < tiny:
        return "vanishes", f"at least {tiny:.3g}"
    if largest < abs(value) < math.inf:
        return "overflows", f"at most {largest:.3g}"
    return None


def initial_values(updates: Updates) -> dict[str, float | np.float32]:
    """The initial values of the whole optimizer's numbers, by their full names.

    Those that a piece keeps in float32 are such.
    """
    found: dict[str, float | np.float32] = {}
    parts = [part for update in updates.values() for part in update.parts]
    for part in parts:
        if not has_hook(part.formula, "numbers"):
            continue
        formula: Any = part.formula
        what, given = f"{type(formula).__name__}.numbers", formula.numbers()
        if not isinstance(given, dict):
            raise TypeError(f"{what} must return a dict of initial values by name, got {given!r}")
        for name, value in given.items():
            check_number(f"{what}: {name}", value, ANY, "start at ")
            narrow = formula._number_ranges.get(name, ANY).narrow
            found[part.named(name)] = np.float32(value) if narrow else float(value)
    return found


ANY = Range("any number", infinite=True)


def number_ranges(updates: Updates) -> dict[str, Range]:
    """The range of each number of the whole optimizer, by its full name."""
    parts = [part for update in updates.values() for part in update.parts]
    return {
        part.named(name): part.formula._number_ranges.get(name, ANY)
        for part in parts
        if has_hook(part.formula, "numbers")
        for name in cast("Any", part.formula).numbers()
    }


def check_number(what: str, value: Any, allowed: Range, begin: str = "be ") -> None:
    """Raise TypeError or ValueError unless a number of the whole optimizer may be `value`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"{what} must {begin}a number, got {value!r}")
    try:
        number = float(value)
    except OverflowError:
        number, fits = 1e300, False
    else:
        fits = not (allowed.narrow and _LARGEST < abs(number) < math.inf)
    if allowed is not ANY and number not in allowed:
        raise ValueError(f"{what} must {begin}{allowed.text}, got {value!r}")
    if not fits:
        kept = "float32" if allowed.narrow else "float64"
        raise ValueError(f"{what} must {begin}a number that {kept} can hold, got {value!r}")


def check_traceable(updates: Updates) -> None:
    """Raise TypeError for a schedule of the user's own: a captured step cannot call it."""
    for update in updates.values():
        for name, value in update.hyperparameters.items():
            scheduled = callable(value) and name in update.ranges
            if scheduled and (found := first_untraceable(value)) is not None:
                raise TypeError(
                    f"capturable=True: {name} follows {found!r}, which a step captured in a CUDA "
                    "graph cannot call: use one of gpuopt.schedules, such as schedules.Piecewise, "
                    f"or set opt.rule = opt.rule.replace({{{name!r}: ...}}) between steps"
                )
