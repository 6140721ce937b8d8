"""Numbers and flags among the arguments of a call: checked, with messages of one form."""

from __future__ import annotations

import math
import numbers
import operator
from typing import Any

import numpy as np

__all__ = ["brief", "flag", "generator", "number", "pair", "whole"]


def brief(value: Any) -> str:
    """A value in a message: its repr, in one line and without the middle if it is long."""
    text = repr(value)
    if "\n" in text or len(text) > 200:
        text = " ".join(text.split())
    return text if len(text) <= 200 else f"{text[:150]} … {text[-40:]}"


def whole(name: str, value: Any, least: int, floats: bool = False) -> int:
    """A whole number of at least `least`; with `floats`, as in SciPy, also one such as ``1e4``."""
    what = f"{name} must be a whole number of at least {least}, got {brief(value)}"
    if floats and isinstance(value, float):
        if not value.is_integer():
            raise ValueError(what)
        value = int(value)
    try:
        found = operator.index(value)
    except TypeError:
        raise TypeError(what) from None
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(what)
    if found < least:
        raise ValueError(what)
    return found


def number(name: str, value: Any, above: bool = False, finite: bool = True) -> float:
    """A number of at least 0, or `above` it; unless `finite`, also infinity."""
    what = f"{name} must be a number {'>' if above else '>='} 0, got {brief(value)}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(what)
    infinite = float(value) == math.inf
    if not float(value) >= 0 or (finite and infinite) or (above and not value):
        raise ValueError(what)
    return float(value)


def flag(name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {brief(value)}")
    return bool(value)


def generator(seed: Any) -> np.random.Generator:
    """Random numbers from a seed."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise type(error)(
            "seed must be a whole number of at least 0 or a numpy.random.Generator, got "
            f"{brief(seed)}"
        ) from error


def pair(name: str, value: Any) -> tuple[float, float]:
    """Two different finite numbers, such as the limits of an axis."""
    what = f"{name} must be two different numbers, such as {name}=(-1, 1), got {brief(value)}"
    try:
        low, high = map(float, value)
    except (TypeError, ValueError):
        raise TypeError(what) from None
    if not (math.isfinite(low) and math.isfinite(high) and low != high):
        raise ValueError(what)
    return low, high
