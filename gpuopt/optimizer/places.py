"""Arrays that are to be copied into others: whether they fit, and the same on their device."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from gpuopt.arrays.backend import array_module, is_array, is_cupy

__all__ = ["fits", "like", "told"]


def like(target: Any, source: Any) -> Any:
    """A saved array as one that can be assigned to `target`, wherever the two are."""
    if is_cupy(source) == is_cupy(target):
        return source
    return source.get() if is_cupy(source) else array_module(target).asarray(source)


def told(found: Any) -> str:
    """A description of what was found in place of a wanted array."""
    if is_array(found) and not isinstance(found, np.ma.MaskedArray):
        return f"{found.dtype} {found.shape}"
    return type(found).__name__


def fits(target: Any, source: Any, exchanged: Collection[str] = ()) -> bool:
    """Whether `source` is an array that may be assigned to `target`: as it is, or where dtypes of
    state are `exchanged`.
    """
    return (
        target is not None
        and is_array(source)
        and not isinstance(source, np.ma.MaskedArray)
        and source.shape == target.shape
        and (source.dtype == target.dtype or {source.dtype.name, target.dtype.name} == exchanged)
    )
