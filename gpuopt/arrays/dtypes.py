"""The supported dtypes of arrays, and the compute dtype of each."""

from __future__ import annotations

from typing import Any

import numpy as np

COMPUTE: dict[str, np.dtype[Any]] = {
    "float16": np.dtype("float32"),
    "bfloat16": np.dtype("float32"),
    "float32": np.dtype("float32"),
    "float64": np.dtype("float64"),
    "complex64": np.dtype("float32"),
    "complex128": np.dtype("float64"),
}
"""The dtype of the arithmetic and of real state, by the name of the parameter's dtype."""


def supported(dtype: np.dtype[Any]) -> bool:
    """Whether arrays of `dtype` can be parameters and gradients: in native byte order, and one of
    `COMPUTE`.
    """
    return dtype.name in COMPUTE and dtype.isnative


def is_complex(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "c"


def state_dtype(compute: np.dtype[Any], complex_state: bool) -> np.dtype[Any]:
    """The dtype of a state array, for parameters computed in `compute`."""
    return np.dtype(f"complex{2 * 8 * compute.itemsize}") if complex_state else compute


def named(name: str) -> np.dtype[Any]:
    """The dtype called `name`; bfloat16 is that of ml_dtypes.

    Raises
    ------
    TypeError
        If the library has no arrays of that dtype.
    ModuleNotFoundError
        For bfloat16, if ml_dtypes is not installed.
    """
    if name not in COMPUTE:
        raise TypeError(f"no dtype {name!r} here: choose one of {', '.join(COMPUTE)}")
    if name == "bfloat16":
        import ml_dtypes

        dtype: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return dtype
    return np.dtype(name)
