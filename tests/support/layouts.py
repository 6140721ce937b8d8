"""The same values laid out in memory in several ways."""

from __future__ import annotations

from typing import Any

from gpuopt import array_module


def contiguous(values: Any) -> Any:
    return values.copy()


def fortran(values: Any) -> Any:
    return values.T.copy().T


def strided(values: Any) -> Any:
    """Every second column of a wider array, backwards along the first axis."""
    wide = array_module(values).zeros((values.shape[0], 2 * values.shape[1]), values.dtype)
    view = wide[::-1, ::2]
    view[...] = values
    return view


def permuted(values: Any) -> Any:
    """The axes in another order in memory, and gaps between the rows."""
    wide = array_module(values).zeros((values.shape[1], values.shape[0] + 3), values.dtype)
    view = wide[:, : values.shape[0]].T
    view[...] = values
    return view


LAYOUTS = [contiguous, fortran, strided, permuted]


def placed(values: Any, layout: Any, xp: Any) -> Any:
    """The values in that layout, in an array of `xp`."""
    return layout(xp.asarray(values))
