"""Maps from an optimizer's arrays to others: of another size, or on another device.

Comes in: the functions of a user, or a library of arrays. Goes out: for each array what maps it,
and all that lies beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gpuopt.arrays.backend import array_module, is_array, is_cupy, on_host
from gpuopt.arrays.tree import TreeSpec
from gpuopt.rules.paths import matching

__all__ = ["Function", "Moving", "Resizing", "beside_of", "chosen"]

Function = Callable[[Any], Any]
"""What gives an array of another size for one."""


def chosen(functions: Mapping[str, Function], spec: TreeSpec) -> list[Function | None]:
    """For each array the function of the first pattern that matches it."""
    if not isinstance(functions, Mapping):
        raise TypeError(
            "resized needs a dict of paths and functions, got "
            f"{type(functions).__name__}: write opt.resized({{'*': function}})"
        )
    found: list[Function | None] = [None] * len(spec.leaves)
    for pattern, function in functions.items():
        here = matching(pattern, spec.names, "resized")
        if not callable(function):
            raise TypeError(f"resized: {pattern!r} needs a function, got {function!r}")
        found = [
            f or (function if is_here else None) for f, is_here in zip(found, here, strict=True)
        ]
    return found


def beside_of(value: Any, p: Any) -> Any:
    """An array beside a parameter in its shape; None if it is not for it."""
    try:
        return None if value is None else array_module(value).broadcast_to(value, p.shape)
    except ValueError:
        return None


class Resizing:
    """A function of one parameter, and of what lies beside it, checked."""

    def __init__(self, function: Function) -> None:
        self._function = function
        self._shape: tuple[int, ...] | None = None

    def __call__(self, x: Any, p: Any, what: str) -> Any:
        """What it gives for the parameter `p`, or for an array that lies beside it."""
        if x is None or x.shape != p.shape:  # a state that is one number
            return x
        new = self._function(x)
        if not is_array(new) or is_cupy(new) != is_cupy(x) or new.dtype != x.dtype:
            told = f"{new.dtype} {new.shape}" if is_array(new) else type(new).__name__
            raise TypeError(
                f"resized: the function for {what} must return an array of "
                f"{array_module(x).__name__} of dtype {x.dtype}, got {told}"
            )
        self._shape = self._shape or new.shape
        if new.shape != self._shape:
            raise ValueError(
                f"resized: the function gives the shape {new.shape} for {what}, and {self._shape} "
                "for the parameter: it must return the same shape for both"
            )
        return new.copy()

    def counts(self, counts: Any, p: Any) -> Any:
        """The count of an array; or the counts of its rows, wherever these are now."""
        if isinstance(counts, int):
            return counts
        xp = array_module(p)
        wide = xp.asarray(counts).reshape(len(counts), *[1] * (p.ndim - 1))
        new = self._function(xp.broadcast_to(wide, p.shape).copy())
        host = on_host(new)
        rows = host.reshape(len(host), -1).max(axis=1) if host.size else np.zeros(len(host))
        return rows.astype(np.int64)


class Moving:
    """Copies of arrays elsewhere."""

    def __init__(self, xp: Any) -> None:
        self._xp = xp

    def __call__(self, x: Any, p: Any, what: str) -> Any:
        if x is None:
            return None
        host = on_host(x)
        return host.copy() if self._xp is np else self._xp.asarray(host)

    def counts(self, counts: Any, p: Any) -> Any:
        """The counts, which are on the host."""
        return counts
