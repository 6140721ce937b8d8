"""Bounds of a minimization, in each form that `minimize` and SciPy accept."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gpuopt.arrays.backend import array_module, is_array, is_cupy
from gpuopt.arrays.check import unmasked
from gpuopt.arrays.options import brief
from gpuopt.arrays.tree import TreeSpec

__all__ = ["Box", "boxes", "read_as_scipy"]

_FORMS = (
    "bounds must be (lo, hi), a (min, max) pair for each element of x, or a scipy.optimize.Bounds"
)


class Box:
    """The box between a lower and an upper bound for each element of x.

    Parameters
    ----------
    bounds : (lo, hi), sequence of pairs, or scipy.optimize.Bounds, or None
    x : array
        The start of a minimization. `low` and `high` have its shape, dtype and device.
    path : str
        The path of `x` in a tree, for messages.
    """

    def __init__(self, bounds: Any, x: Any, path: str = "") -> None:
        self.bounded = bounds is not None
        if not self.bounded:
            return
        low, high = _limits(bounds, x)
        if x.dtype.kind == "c":
            raise TypeError(f"bounds need a real x0{path}, because complex numbers have no order")
        xp = self._xp = array_module(x)
        for name, limit in (("a lower", low), ("an upper", high)):
            if np.isnan(limit).any():
                raise ValueError(
                    f"bounds: {name} bound is NaN: use None or an infinity for no bound"
                )
        try:
            with np.errstate(over="ignore"):  # a bound that the dtype cannot hold is none
                self.low, self.high = (
                    xp.asarray(np.broadcast_to(limit, x.shape).astype(x.dtype))
                    for limit in (low, high)
                )
        except ValueError:
            raise ValueError(
                f"bounds of shape {low.shape} and {high.shape} do not broadcast to x{path} "
                f"of shape {x.shape}"
            ) from None
        above = self.low > self.high
        if bool(above.any()):
            one, other = (float(side[above][0]) for side in (self.low, self.high))
            raise ValueError(
                f"bounds of x{path}: the lower bound {one} is above the upper, {other}"
            )

    def project(self, x: Any) -> None:
        """Clip `x` in place."""
        if self.bounded:
            self._xp.clip(x, self.low, self.high, out=x)

    def projected(self, gradient: Any, x: Any) -> Any:
        """``x - clip(x - gradient)``, without losing a small gradient at a large x."""
        if not self.bounded:
            return gradient
        return self._xp.clip(gradient, x - self.high, x - self.low)


def boxes(bounds: Any, spec: TreeSpec) -> list[Box]:
    """The box of each array of a tree. For one array, `bounds` are those of `Box`."""
    if bounds is None or spec.paths == [""]:
        return [Box(bounds, x) for x in spec.leaves]
    if isinstance(bounds, tuple) and len(bounds) == 2:
        low, high = bounds
    elif hasattr(bounds, "lb"):
        low, high = bounds.lb, bounds.ub
    else:
        raise TypeError(
            "bounds of several arrays must be (lo, hi), each a number, None or a tree like x0, "
            f"got {brief(bounds)}"
        )
    sides = zip(_by_leaf(low, -math.inf, spec), _by_leaf(high, math.inf, spec), strict=True)
    named = zip(sides, spec.leaves, spec.paths, strict=True)
    return [Box(side, x, path) for side, x, path in named]


def _by_leaf(side: Any, none: float, spec: TreeSpec) -> list[Any]:
    is_tree = isinstance(side, (dict, list, tuple))
    leaves = spec.match(side, "bounds") if is_tree else [side] * len(spec.leaves)
    return [_limit(leaf, none) for leaf in leaves]


def read_as_scipy(bounds: Any) -> tuple[Any, Any]:
    """The lower and upper bound of SciPy's forms: a ``Bounds``, or a sequence of pairs."""
    return (bounds.lb, bounds.ub) if hasattr(bounds, "lb") else _pairs(bounds)


def _limits(bounds: Any, x: Any) -> tuple[Any, Any]:
    """The lower and upper bound as float64 arrays on the host; infinities for no bound."""
    if hasattr(bounds, "lb"):
        return _limit(bounds.lb, -math.inf), _limit(bounds.ub, math.inf)
    if isinstance(bounds, tuple) and len(bounds) == 2 and not _are_pairs(bounds, x):
        return _limit(bounds[0], -math.inf), _limit(bounds[1], math.inf)
    low, high = _pairs(bounds)
    if low.size != x.size:
        raise ValueError(
            f"bounds must hold a (min, max) pair for each of the {x.size} elements of x, got "
            f"{low.size} entries"
        )
    return low.reshape(x.shape), high.reshape(x.shape)


def _are_pairs(bounds: tuple[Any, Any], x: Any) -> bool:
    """Whether a tuple of two is SciPy's two pairs for an x of two elements; arrays never are."""
    return x.size == 2 and all(
        isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in bounds
    )


def _pairs(bounds: Any) -> tuple[Any, Any]:
    try:
        pairs = [tuple(pair) for pair in bounds]
    except TypeError:
        two = isinstance(bounds, list) and len(bounds) == 2
        hint = f": write bounds={tuple(bounds)!r}" if two else ""
        raise TypeError(f"{_FORMS}, got {brief(bounds)}{hint}") from None
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"{_FORMS}, got {brief(bounds)}")
    low, high = zip(*([_entry(b) for b in pair] for pair in pairs), strict=True)
    return _limit(low, -math.inf).ravel(), _limit(high, math.inf).ravel()


def _entry(bound: Any) -> Any:
    return bound.item() if is_array(bound) and bound.size == 1 else bound


def _limit(limit: Any, none: float) -> Any:
    """One side as a float64 array on the host, with `none` in place of None."""
    if is_cupy(limit):
        limit = limit.get()
    name, sign = ("lo", "-") if none < 0 else ("hi", "")
    unmasked(name, limit, f"filled({sign}np.inf)")
    try:
        if not isinstance(limit, np.ndarray):
            number = np.frompyfunc(lambda bound: none if bound is None else bound, 1, 1)
            limit = number(np.array(limit, object))
        return np.asarray(limit, np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{_FORMS}, with numbers or None, got {brief(limit)}") from None
