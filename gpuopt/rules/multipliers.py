"""Lagrange's multipliers of sets and penalties of several elements, in a diagonal metric.

Each is the root of a falling function of one number, found by Newton's method from its left; the
formula that calls the function is elementwise again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuopt.rules.whole_arrays import whole_array

__all__ = ["ball_multiplier", "group_norm", "simplex_shift"]

STEPS = 12
"""The most steps of Newton's method, which nearly doubles the digits of the root in each."""
FLOOR = 1e-18
"""The least scale of an element, relative to the largest: such an element hardly moves."""


BLOCK = 32_768
"""The number of elements that a CPU takes together, so that its cache holds what is computed from
them.
"""


@whole_array
def ball_multiplier(size: Any, scale: Any, radius: Any) -> Any:
    """``λ·scale`` with ``‖size/(1 + λ·scale)‖ = radius``; 0 where the norm is no larger.

    ``1/‖…‖`` is concave in λ, so Newton's steps from the left of the root do not pass it.
    """
    scale = _relative(scale, size)
    flat, slope = size.reshape(-1), scale.reshape(-1)
    found = np.maximum(np.max((flat - radius) / slope) / radius, 0)
    for _ in range(STEPS):
        square, falls = 0.0, 0.0
        for part in _blocks(flat):
            below = 1 + found * slope[part]
            squares = (flat[part] / below) ** 2
            square, falls = square + squares.sum(), falls + (squares * slope[part] / below).sum()
        found, ahead = _next(found, square, falls, radius)
        if _seen(ahead):
            break
    return found * scale


@whole_array
def group_norm(size: Any, most: Any, axis: int) -> Any:
    """The norm s of each group after its proximal step: ``‖size/(s + most)‖ = 1``, or 0."""
    most = np.broadcast_to(most, size.shape)
    parts = _blocks(size, axis)
    return np.concatenate([_norms(size[part], most[part], axis) for part in parts])


def _norms(size: Any, most: Any, axis: int) -> Any:
    found = np.maximum(np.max(size - most, axis=axis, keepdims=True), 0)
    for _ in range(STEPS):
        below = np.maximum(found + most, np.finfo(most.dtype).tiny)
        squares = (size / below) ** 2
        square = np.sum(squares, axis=axis, keepdims=True)
        falls = np.sum(squares / below, axis=axis, keepdims=True)
        found, ahead = _next(found, square, falls, 1.0)
        if _seen(ahead):
            break
    return found


def _next(found: Any, square: Any, falls: Any, norm: Any) -> tuple[Any, Any]:
    """The next of Newton's points, and whether it is ahead of the last one."""
    long = square > norm * norm
    ahead = (np.sqrt(square) / norm - 1) * square / np.where(long, falls, 1.0)
    after = np.where(long, found + ahead, found)
    return after.astype(found.dtype), long & (ahead > np.finfo(found.dtype).eps * after)


@whole_array
def simplex_shift(x: Any, scale: Any, total: Any) -> Any:
    """``λ·scale`` with ``Σ max(x - λ·scale, 0) = total``.

    The sum is convex and falls in pieces of lines, so Newton's steps from the left end at the root
    itself (Michelot 1986), and so does what begins where one element alone would make the sum. What
    is 0 once stays 0.
    """
    every = scale = _relative(scale, x)
    found = np.maximum(np.max((x - total) / scale), (np.sum(x) - total) / np.sum(scale))
    for _ in range(2 * STEPS):
        x, scale = _where(x > found * scale, x, scale)
        weight = np.sum(scale)
        after = (np.sum(x) - total) / np.where(weight > 0, weight, 1)
        ahead = (weight > 0) & (after > found)
        found = np.where(ahead, after, found)
        if _seen(ahead):
            break
    return found * every


def _where(stays: Any, *arrays: Any) -> list[Any]:
    """Those elements of arrays; on a GPU, which would be waited for, zeros for the others."""
    on_host = isinstance(stays, np.ndarray)
    return [x[stays] if on_host else np.where(stays, x, 0) for x in arrays]


def _blocks(x: Any, axis: int | None = None) -> list[slice]:
    """Parts of an array along its first axis; one, if `axis` is that, or on a GPU."""
    if not isinstance(x, np.ndarray) or axis in (0, -x.ndim):
        return [slice(None)]
    rows = max(1, BLOCK * len(x) // x.size)
    return [slice(first, first + rows) for first in range(0, len(x), rows)]


def _seen(ahead: Any) -> bool:
    """Whether nothing moves any more; False on a GPU, because the answer would take a wait."""
    return isinstance(ahead, (np.ndarray, np.bool_)) and not np.any(ahead)


def _relative(scale: Any, like: Any) -> Any:
    """The scale of each element relative to the largest, which changes no projection: an iterate
    stays in a set also if the learning rate falls to 0.
    """
    if np.ndim(scale) == 0:  # one number, which may be on the host where the array is not
        return np.ones_like(like)
    scale = np.broadcast_to(scale, like.shape)
    largest = np.max(scale)
    found = scale / np.where(largest > 0, largest, 1)
    return np.maximum(found, np.where(largest > 0, FLOOR, 1)).astype(like.dtype, copy=False)
