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
"""Of Newton's method at most, which nearly doubles the digits of the root in each."""
FLOOR = 1e-18
"""The least scale of an element beside the largest: it stays where it is, nearly."""


@whole_array
def ball_multiplier(size: Any, scale: Any, radius: Any) -> Any:
    """``λ·scale`` with ``‖size/(1 + λ·scale)‖ = radius``; 0 where the norm is no larger."""
    scale = _relative(scale, size)
    return _root(size, np.ones_like(size), scale, radius, None) * scale


@whole_array
def group_norm(size: Any, most: Any, axis: int) -> Any:
    """The norm s of each group after its proximal step: ``‖size/(s + most)‖ = 1``, or 0."""
    return _root(size, most, np.ones_like(size), 1.0, axis)


def _root(size: Any, base: Any, slope: Any, norm: Any, axis: int | None) -> Any:
    """The ``λ ≥ 0`` with ``‖size/(base + λ·slope)‖ = norm`` along an axis; 0 where it is no larger.

    ``1/‖…‖`` is concave in λ, so Newton's steps from the left of the root do not pass it.
    """
    found = np.max((size / norm - base) / slope, axis=axis, keepdims=True)
    found = np.maximum(found, 0.0)
    for _ in range(STEPS):
        below = base + found * slope
        inverse = 1 / np.where(below > 0, below, np.inf)
        squares = (size * inverse) ** 2
        square = np.sum(squares, axis=axis, keepdims=True)
        falls = np.sum(squares * slope * inverse, axis=axis, keepdims=True)
        long = square > norm * norm
        ahead = (np.sqrt(square) / norm - 1) * square / np.where(long, falls, 1.0)
        found = np.where(long, found + ahead, found)
        if _seen(long & (ahead > np.finfo(found.dtype).eps * found)):
            break
    return found


@whole_array
def simplex_shift(x: Any, scale: Any, total: Any) -> Any:
    """``λ·scale`` with ``Σ max(x - λ·scale, 0) = total``.

    The sum is convex and falls in pieces of lines, so Newton's steps from the left end at the root
    itself (Michelot 1986), and so does what begins where one element alone would make the sum.
    """
    scale = _relative(scale, x)
    found = np.maximum(np.max((x - total) / scale), (np.sum(x) - total) / np.sum(scale))
    for _ in range(2 * STEPS):
        stays = x > found * scale
        weight = np.sum(np.where(stays, scale, 0))
        after = (np.sum(np.where(stays, x, 0)) - total) / np.where(weight > 0, weight, 1)
        ahead = (weight > 0) & (after > found)
        found = np.where(ahead, after, found)
        if _seen(ahead):
            break
    return found * scale


def _seen(ahead: Any) -> bool:
    """Whether nothing moves any more; a GPU is not asked, for the answer would be waited for."""
    return isinstance(ahead, (np.ndarray, np.bool_)) and not np.any(ahead)


def _relative(scale: Any, like: Any) -> Any:
    """The scale of each element beside the largest, which changes no projection: a learning rate
    that fell to 0 is no reason to leave a set.
    """
    scale = scale * np.ones_like(like)
    largest = np.max(scale)
    beside = np.maximum(scale / np.where(largest > 0, largest, 1), FLOOR)
    return np.where(largest > 0, beside, 1).astype(like.dtype)
