"""Random numbers that depend only on a seed, the step, the array and the element: the same on every
executor.

Normal numbers are computed from the bits of `gpuopt.arrays.random` with nothing but operations that
every executor rounds alike.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gpuopt.arrays.random import base, fill, sequence_of
from gpuopt.rules.rule import ValueT
from gpuopt.rules.traced import Traced

__all__ = ["standard_normal"]


def uniform(like: Any, seed: int, t: Any, stream: int) -> Any:
    """Uniform numbers in (0, 1), one for each element of `like`."""
    key = (seed % 65536, seed // 65536, t % 65536, t // 65536)
    if isinstance(like, Traced):
        return like.uniform(key, stream)
    real = np.result_type(np.asarray(like).real.dtype, np.float32)
    run = np.empty(np.size(like), real)
    sequence, before = sequence_of(stream)
    index, room = np.arange(run.size, dtype=np.uint64), np.empty((2, run.size), np.uint64)
    fill([(run, before)], base(key, 0, sequence), index, *room)
    return run.reshape(np.shape(like))


def standard_normal(like: ValueT, seed: int, t: Any) -> ValueT:
    """Independent standard normal numbers for each element of `like`, or each complex part.

    The polar form of Box & Muller (1958) makes them from a counter, so they are the same on every
    executor, in every layout and in every run.

    Parameters
    ----------
    like : array
        A parameter or gradient.
    seed : int
        From 0 to 2**32 - 1.
    t : int
        The step, as ``update`` gets it.
    """
    radius = (-2 * _log(uniform(like, seed, t, 0))) ** 0.5
    turn = uniform(like, seed, t, 1)
    value: Any = like
    noise: ValueT = radius * _sin_pi(0.5 - abs(2 * turn - 1))
    if np.iscomplexobj(value):
        noise = noise + 1j * (radius * _sin_pi(2 * _fold(turn)))
    return noise


def _log(u: Any) -> Any:
    """The logarithm of numbers in (0, 1), from the series of the inverse hyperbolic tangent."""
    halvings: Any = 0.0
    for power in (32, 16, 8, 4, 2, 1):
        small = u < 2.0**-power
        u, halvings = (
            np.where(small, u * 2.0**power, u),
            np.where(small, halvings + power, halvings),
        )
    small = u < math.sqrt(0.5)
    u, halvings = np.where(small, 2 * u, u), np.where(small, halvings + 1, halvings)
    s = (u - 1) / (u + 1)
    return 2 * s * _series(s * s, [1 / n for n in range(1, 23, 2)]) - halvings * math.log(2)


def _sin_pi(x: Any) -> Any:
    """The sine of ``pi * x`` for `x` from -1/2 to 1/2."""
    angle = math.pi * x
    return angle * _series(
        angle * angle, [(-1) ** n / math.factorial(2 * n + 1) for n in range(11)]
    )


def _fold(u: Any) -> Any:
    """Fold (0, 1) onto -1/4 to 1/4, without changing the sine of the whole turn ``2 * pi * u``."""
    return np.where(u < 0.25, u, np.where(u < 0.75, 0.5 - u, u - 1))


def _series(x: Any, coefficients: list[float]) -> Any:
    total: Any = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total
