"""Bounds of a minimization, in each of the forms that `minimize` takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gpuopt.arrays.backend import array_module, is_cupy

__all__ = ["projection"]


def projection(bounds: Any, x: Any) -> Callable[[Any], Any]:
    """Clip an array to the bounds, in place."""
    if bounds is None:
        return lambda a: a
    low, high = _limits(bounds, x)
    if x.dtype.kind == "c":
        raise TypeError("bounds need a real x0: complex numbers have no order")
    xp = array_module(x)
    for name, limit in (("lower", low), ("upper", high)):
        if np.isnan(limit).any():
            raise ValueError(f"bounds: a {name} bound is NaN; use None or an infinity for no bound")
    try:
        low, high = (
            xp.asarray(np.broadcast_to(limit, x.shape).astype(x.dtype)) for limit in (low, high)
        )
    except ValueError:
        raise ValueError(
            f"bounds of shape {low.shape} and {high.shape} do not broadcast to x of shape {x.shape}"
        ) from None
    if bool((low > high).any()):
        raise ValueError("bounds: a lower bound is above its upper bound")
    return lambda a: xp.clip(a, low, high, out=a)


def _limits(bounds: Any, x: Any) -> tuple[Any, Any]:
    """Lower and upper bound as float64 arrays on the host, None as infinity."""
    host = (
        [b.get() if is_cupy(b) else b for b in (bounds.lb, bounds.ub)]
        if hasattr(bounds, "lb")
        else None
    )
    if (
        host is None
        and isinstance(bounds, tuple)
        and len(bounds) == 2
        and not _is_pair_list(bounds, x)
    ):
        host = [b.get() if is_cupy(b) else b for b in bounds]
    if host is not None:
        low, high = (
            fallback if b is None else b
            for b, fallback in zip(host, (-math.inf, math.inf), strict=True)
        )
        return np.asarray(low, np.float64), np.asarray(high, np.float64)
    pairs = [tuple(pair) for pair in bounds]
    if len(pairs) != x.size or any(len(pair) != 2 for pair in pairs):
        raise ValueError(
            f"bounds must hold a (min, max) pair for each of the {x.size} elements of x, got "
            f"{len(pairs)} entries"
        )
    low = np.array([-math.inf if a is None else a for a, _ in pairs], np.float64)
    high = np.array([math.inf if b is None else b for _, b in pairs], np.float64)
    return low.reshape(x.shape), high.reshape(x.shape)


def _is_pair_list(bounds: tuple[Any, Any], x: Any) -> bool:
    """Whether a tuple of two is SciPy's two pairs for an x of two elements: they are tuples
    themselves.
    """
    return x.size == 2 and all(isinstance(pair, tuple) and len(pair) == 2 for pair in bounds)
