"""Runs: stretches of an array tile in which each array advances by its own step."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Runs", "lay_out"]

SHORTEST = 32
"""Shorter runs cost more than a copy of the arrays."""
STEPS = (1, 2)
"""The steps that are taken; arrays with others are copied."""

_Strides = tuple[int, ...]


class Runs(NamedTuple):
    """How the arrays of a tile are cut into runs.

    Attributes
    ----------
    length : int
        The elements of a run.
    steps : list of int
        Of each array: how many elements further the next one lies.
    offsets : list of array
        Of each array: how many bytes after its beginning each run begins.
    taken : list of bool
        Of each array: whether it is taken as it lies, and not copied.
    """

    length: int
    steps: list[int]
    offsets: list[Any]
    taken: list[bool]


def lay_out(
    shape: tuple[int, ...], arrays: Sequence[Any], sizes: Sequence[int], whole: bool
) -> Runs:
    """Find the longest runs of arrays of `shape`, whose elements have so many bytes.

    A flat array has its elements in the order of the shape, and so has a copy, for which None
    stands. If it is to be one `whole` run, the others are copied.
    """
    plain = [_plain(shape, size) for size in sizes]
    found = [
        of if x is None or x.ndim != len(shape) else tuple(x.strides)
        for x, of in zip(arrays, plain, strict=True)
    ]
    taken = [x is not None for x in arrays]
    while True:
        length, outer = _joined(shape, found)
        short = outer and (whole or length < SHORTEST)
        usable = [
            of == flat or (not short and (length == 1 or of[-1] in [size * step for step in STEPS]))
            for of, flat, size in zip(found, plain, sizes, strict=True)
        ]
        if all(usable):
            break
        found = [of if fits else flat for of, flat, fits in zip(found, plain, usable, strict=True)]
        taken = [was and fits for was, fits in zip(taken, usable, strict=True)]
    steps = [
        of[-1] // size if length > 1 and of else 1 for of, size in zip(found, sizes, strict=True)
    ]
    return Runs(length, steps, [_offsets(outer, of) for of in found], taken)


def _plain(shape: tuple[int, ...], size: int) -> _Strides:
    """The strides of an array without gaps."""
    return tuple(size * math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _joined(shape: tuple[int, ...], strides: list[_Strides]) -> tuple[int, tuple[int, ...]]:
    """The elements along the last axes that are one run in all arrays, and the axes before."""
    length, axis = 1, len(shape)
    while axis and all(axis == len(shape) or of[axis - 1] == of[-1] * length for of in strides):
        axis -= 1
        length *= shape[axis]
    return length, shape[:axis]


def _offsets(outer: tuple[int, ...], strides: _Strides) -> Any:
    steps = zip(outer, strides, strict=False)
    along = [np.arange(count, dtype=np.int64) * stride for count, stride in steps]
    return functools.reduce(np.add.outer, along, np.zeros(1, np.int64)).reshape(-1)
