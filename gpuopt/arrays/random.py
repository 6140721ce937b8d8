"""Random bits that depend only on a seed, the step, the array and the element: the same on every
executor.

They are those of SplitMix64 (Steele, Lea & Flood 2014); it can start at any element.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np

__all__ = [
    "FIRST",
    "GOLDEN",
    "KEY_PARTS",
    "ROUNDING",
    "SECOND",
    "after",
    "base",
    "bases",
    "fill",
    "sequence_of",
]

KEY_PARTS = 4
"""The length of a key: numbers below 65,536 (exact in float32) of the seed, then of the step."""
ROUNDING = 2
"""The first stream of stochastic rounding; normal numbers use the streams before it."""
GOLDEN = 0x9E3779B97F4A7C15
FIRST = 0xBF58476D1CE4E5B9
SECOND = 0x94D049BB133111EB
_MASK = 2**64 - 1


def sequence_of(stream: int) -> tuple[int, int]:
    """The sequence from which a stream takes bits, and how many other bits come before these: the
    64 of a number are enough to round four arrays.
    """
    sequence, word = divmod(max(stream - ROUNDING, 0), 4)
    return min(stream, ROUNDING) + sequence, 16 * word


@functools.lru_cache(maxsize=64)
def base(key: tuple[float, ...], leaf: int, sequence: int) -> int:
    """The start of a sequence of array number `leaf`, for the numbers of a key."""
    found: int = bases(key, leaf, sequence)
    return found


def bases(key: tuple[float, ...], leaf: Any, sequence: int) -> Any:
    """The same; or the starts of arrays whose numbers are an array of uint64."""
    start = sum(int(part) << (16 * n) for n, part in enumerate(key))
    for number in (0, leaf, sequence):
        start = _mixed((start + ((number + 1) * GOLDEN & _MASK)) & _MASK)
    return start


def _mixed(z: Any) -> Any:
    z = ((z ^ (z >> 30)) * FIRST) & _MASK
    z = ((z ^ (z >> 27)) * SECOND) & _MASK
    return z ^ (z >> 31)


def after(start: int, elements: int) -> int:
    """The position of a sequence from `start` after so many elements."""
    return (start + elements * GOLDEN) & _MASK


def fill(runs: Iterable[tuple[Any, int]], start: int, index: Any, z: Any, work: Any) -> None:
    """Fill `runs` with uniform numbers in (0, 1) of the elements that `index` names, each from the
    bits after so many; `z` and `work` are scratch like it.
    """
    np.multiply(index, np.uint64(GOLDEN), out=z)
    np.add(z, np.uint64(after(start, 1)), out=z)
    for shift, factor in ((30, FIRST), (27, SECOND), (31, 0)):
        np.right_shift(z, np.uint64(shift), out=work)
        np.bitwise_xor(z, work, out=z)
        if factor:
            np.multiply(z, np.uint64(factor), out=z)
    for run, before in runs:
        digits = np.finfo(run.dtype).nmant
        bits = np.left_shift(z, np.uint64(before), out=work) if before else z
        np.right_shift(bits, np.uint64(64 - digits), out=work)
        np.copyto(run, work, casting="unsafe")
        np.multiply(run, run.dtype.type(2.0**-digits), out=run)
        np.add(run, run.dtype.type(2.0 ** -(digits + 1)), out=run)
