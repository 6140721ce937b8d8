"""Random numbers that depend on nothing but a seed, the step, the array and the element: the same wherever they are made.

The bits are those of SplitMix64 (Steele, Lea & Flood 2014), which can start at any element. Normal numbers are made of them
with nothing but operations that every executor rounds alike.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["FIRST", "GOLDEN", "KEY_PARTS", "ROUNDING", "SECOND", "after", "base", "fill", "standard_normal", "uniform"]

KEY_PARTS = 4
"""A key is this many numbers below 65,536, which even float32 holds: the seed's, then the step's."""
ROUNDING = 2
"""The stream of stochastic rounding; normal numbers are made of those before it."""
GOLDEN = 0x9E3779B97F4A7C15
FIRST = 0xBF58476D1CE4E5B9
SECOND = 0x94D049BB133111EB
_MASK = 2**64 - 1


def base(key: tuple[float, ...], leaf: int, stream: int) -> int:
    """Where the sequence of an array begins: of array number `leaf`, with the numbers of its key."""
    start = sum(int(part) << (16 * n) for n, part in enumerate(key))
    for number in (0, leaf, stream):
        start = _mixed((start + (number + 1) * GOLDEN) & _MASK)
    return start


def _mixed(z: int) -> int:
    z = ((z ^ (z >> 30)) * FIRST) & _MASK
    z = ((z ^ (z >> 27)) * SECOND) & _MASK
    return z ^ (z >> 31)


def after(start: int, elements: int) -> int:
    """Where a sequence that begins at `start` is after so many elements."""
    return (start + elements * GOLDEN) & _MASK


def fill(run: Any, start: int, index: Any, z: Any, work: Any) -> None:
    """Fill `run` with the uniform numbers in (0, 1) of the elements that `index` names; `z` and `work` are scratch like it."""
    np.multiply(index, np.uint64(GOLDEN), out=z)
    np.add(z, np.uint64(after(start, 1)), out=z)
    for shift, factor in ((30, FIRST), (27, SECOND), (31, 0)):
        np.right_shift(z, np.uint64(shift), out=work)
        np.bitwise_xor(z, work, out=z)
        if factor:
            np.multiply(z, np.uint64(factor), out=z)
    digits = np.finfo(run.dtype).nmant
    np.right_shift(z, np.uint64(64 - digits), out=z)
    np.copyto(run, z, casting="unsafe")
    np.multiply(run, run.dtype.type(2.0**-digits), out=run)
    np.add(run, run.dtype.type(2.0 ** -(digits + 1)), out=run)


def uniform(like: Any, seed: int, t: Any, stream: int) -> Any:
    """Uniform numbers in (0, 1), one for each element of `like`."""
    key = (seed % 65536, seed // 65536, t % 65536, t // 65536)
    if hasattr(type(like), "uniform"):  # in a trace
        return like.uniform(key, stream)
    real = np.result_type(np.asarray(like).real.dtype, np.float32)
    run = np.empty(np.size(like), real)
    fill(run, base(key, 0, stream), np.arange(run.size, dtype=np.uint64), *np.empty((2, run.size), np.uint64))
    return run.reshape(np.shape(like))


def standard_normal(like: Any, seed: int, t: Any) -> Any:
    """Independent normal numbers of mean 0 and variance 1, one for each element of `like`; of a complex one, for each part.

    They are made by the polar form of Box & Muller (1958) from a counter, so they are the same on every executor, in every
    layout and on every run.

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
    if np.iscomplexobj(like):
        return radius * _sin_pi(0.5 - abs(2 * turn - 1)) + 1j * (radius * _sin_pi(2 * _fold(turn)))
    return radius * _sin_pi(0.5 - abs(2 * turn - 1))


def _log(u: Any) -> Any:
    """The logarithm of numbers in (0, 1), from the series of the inverse hyperbolic tangent."""
    halvings: Any = 0.0
    for power in (32, 16, 8, 4, 2, 1):
        small = u < 2.0**-power
        u, halvings = np.where(small, u * 2.0**power, u), np.where(small, halvings + power, halvings)
    small = u < math.sqrt(0.5)
    u, halvings = np.where(small, 2 * u, u), np.where(small, halvings + 1, halvings)
    s = (u - 1) / (u + 1)
    return 2 * s * _series(s * s, [1 / n for n in range(1, 23, 2)]) - halvings * math.log(2)


def _sin_pi(x: Any) -> Any:
    """The sine of ``pi * x`` for `x` from -1/2 to 1/2."""
    angle = math.pi * x
    return angle * _series(angle * angle, [(-1) ** n / math.factorial(2 * n + 1) for n in range(11)])


def _fold(u: Any) -> Any:
    """From (0, 1) onto -1/4 to 1/4, so that the sine of the whole turn ``2 * pi * u`` is that of the result."""
    return np.where(u < 0.25, u, np.where(u < 0.75, 0.5 - u, u - 1))


def _series(x: Any, coefficients: list[float]) -> Any:
    total: Any = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total
