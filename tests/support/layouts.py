"""The same values laid out in memory in several ways."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

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


def on_device(arrays: Sequence[Any]) -> list[Any]:
    """CuPy arrays whose elements lie as those of NumPy's arrays do: gaps, and the place between two multiples of 512 bytes."""
    return [None if array is None else _on_device(array) for array in arrays]


def _on_device(array: Any) -> Any:
    import cupy

    low, high = byte_bounds(array) if array.size else (array.ctypes.data,) * 2
    before = low % 512
    memory = cupy.empty(before + high - low, np.uint8)
    memory[before:].set(np.ctypeslib.as_array((ctypes.c_uint8 * (high - low)).from_address(low)))
    place = memory.data + before + (array.ctypes.data - low)
    return cupy.ndarray(array.shape, array.dtype, place, strides=array.strides)
