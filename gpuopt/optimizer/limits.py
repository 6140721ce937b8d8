"""Limits of stored values: numbers between which a 16-bit parameter stays, whatever its rounding.

Comes in: an update, the dtype of its arrays, and the values of its hyperparameters. Goes out: the
same with limits that the dtype can hold, not outside of those that were given. A value between two
such limits is rounded to one between them, to nearest and at random alike.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from gpuopt.rules.base import Update

__all__ = ["limits_of", "within"]


def limits_of(update: Update, dtype: np.dtype[Any]) -> list[tuple[str, str]]:
    """The full names of each pair of limits, a lower and an upper one; none if nothing is rounded
    to fewer bits as it is stored.
    """
    if dtype.itemsize != 2:
        return []
    return [
        (part.named(low), part.named(high))
        for part in update.parts
        for low, high in part.formula._limits
    ]


def within(
    limits: list[tuple[str, str]], values: Mapping[str, float], dtype: np.dtype[Any]
) -> dict[str, float]:
    """The values with each limit moved to the next number of `dtype` inside, if there is one."""
    found = dict(values)
    for low, high in limits:
        inside = {
            name: stored_limit(values[name], end, dtype)
            for name, end in ((low, math.inf), (high, -math.inf))
            if name in values
        }
        if inside.get(low, -math.inf) <= inside.get(high, math.inf):
            found |= inside
    return found


@functools.lru_cache(maxsize=512)
def stored_limit(value: float, end: float, dtype: np.dtype[Any]) -> float:
    """The number of `dtype` nearest to `value` on the side of `end`, an infinity."""
    if not math.isfinite(value):
        return value
    with np.errstate(over="ignore"):
        stored = np.asarray(value).astype(dtype)
    outside = float(stored) < value if end > 0 else float(stored) > value
    return float(np.nextafter(stored, dtype.type(end))) if outside else float(stored)
