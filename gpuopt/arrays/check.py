"""Checks of parameters and gradients. Every message names the leaf, its value, and a remedy."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuopt.arrays.backend import array_module, is_array, is_cupy
from gpuopt.arrays.dtypes import COMPUTE, is_complex, supported
from gpuopt.arrays.foreign import conversion, on_gpu
from gpuopt.arrays.memory import Memory

__all__ = ["gradient", "loss_and_grads", "parameters", "place"]

_NO_ARRAY = "must be a NumPy or CuPy array"


def parameters(arrays: list[Any], paths: list[str]) -> None:
    """Raise TypeError or ValueError unless `arrays` can be updated in place, each on its own, on
    one device.
    """
    if not arrays:
        raise ValueError("params holds no arrays: there is nothing to update")
    for array, path in zip(arrays, paths, strict=True):
        _parameter(array, f"params{path}")
    first = arrays[0]
    for array, path in zip(arrays, paths, strict=True):
        if place(array) != place(first):
            here, there = place(array), place(first)
            raise ValueError(
                f"params{path} is on {here}, params{paths[0]} on {there}: all arrays of one "
                "optimizer must be on one device"
            )
    Memory(arrays, [f"params{path}" for path in paths]).check_distinct()


def _parameter(array: Any, name: str) -> None:
    if not is_array(array):
        raise TypeError(f"{name} {_NO_ARRAY}, got {type(array).__name__}{_remedy(array, name)}")
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array, which has no meaning for an update: "
            "use its .data or .filled()"
        )
    _dtype(array, name)
    if isinstance(array, np.ndarray) and not array.flags.writeable:
        raise ValueError(
            f"{name} is read-only: parameters are updated in place, so pass a writable copy"
        )
    if _overlaps_itself(array):
        raise ValueError(
            f"{name} has elements that share memory (strides {array.strides} of shape "
            f"{array.shape}): pass a copy"
        )


def _remedy(value: Any, name: str) -> str:
    """What to do about a parameter that is no array."""
    if isinstance(value, (int, float, complex, np.generic)):
        return f": make it a 0-d array, np.array({name}, np.float64)"
    if any(hasattr(type(value), of) for of in ("__array__", "__cuda_array_interface__", "toarray")):
        return f": make it {conversion(value, name, 'cupy' if on_gpu(value) else 'np')}"
    return " (params are an array, or lists, tuples and dicts of arrays)"


def _dtype(array: Any, name: str) -> None:
    if supported(array.dtype):
        return
    foreign = array.dtype.name in COMPUTE
    kind = "in native byte order" if foreign else f"of one of the dtypes {', '.join(COMPUTE)}"
    right = array.dtype.name if foreign else "float64"
    hint = f": make it {name}.astype({right!r})" if foreign or array.dtype.kind in "biufO" else ""
    raise TypeError(
        f"{name} must be an array {kind}, got dtype "
        f"{array.dtype.str if foreign else array.dtype}{hint}"
    )


def place(array: Any) -> str:
    return f"CUDA device {array.device.id}" if is_cupy(array) else "the CPU"


def loss_and_grads(result: Any) -> tuple[Any, Any]:
    """The result of the user's function, if it is a pair of a real scalar and gradients."""
    if not (isinstance(result, tuple) and len(result) == 2):
        items = f" of {len(result)}" if isinstance(result, tuple) else ""
        raise TypeError(
            f"loss_and_grad must return a pair (loss, grads), not a {type(result).__name__}{items}"
        )
    loss, grads = result
    shape, kind = getattr(loss, "shape", None), getattr(getattr(loss, "dtype", None), "kind", "")
    # "V" is how NumPy describes bfloat16.
    if not ((shape == () and kind in "fiuV") or type(loss) in (int, float)):
        found = type(loss).__name__ + (
            "" if shape is None else f" of shape {shape} and dtype {loss.dtype}"
        )
        if getattr(loss, "size", 0) == 1 and shape:
            found += ": return loss.reshape(())"
        elif kind == "c" or isinstance(loss, complex):
            found += ": return loss.real"
        raise TypeError(
            f"the loss that loss_and_grad returns must be a real number or 0-d array, not {found}"
        )
    return loss, grads


def _overlaps_itself(array: Any) -> bool:
    """Whether two elements may share memory: a stride is within the reach of smaller ones."""
    reach = array.itemsize
    for stride, length in sorted(
        (abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1
    ):
        if stride < reach:
            return bool(array.size)
        reach += stride * (length - 1)
    return False


def gradient(g: Any, p: Any, path: str) -> None:
    """Raise TypeError or ValueError unless `g` can be the gradient of `p`."""
    name = f"grads{path}"
    if not is_array(g):
        raise TypeError(
            f"{name} {_NO_ARRAY} or None, got {type(g).__name__}: pass {_moved(g, name, p)}"
        )
    if isinstance(g, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: use its .filled(0)")
    if is_cupy(g) != is_cupy(p):
        raise TypeError(
            f"{name} is a {array_module(g).__name__} array, params{path} a "
            f"{array_module(p).__name__} array: move it first, {_moved(g, name, p)}"
        )
    if is_cupy(g) and g.device != p.device:
        raise ValueError(f"{name} is on {place(g)}, params{path} on {place(p)}: move it first")
    if g.shape != p.shape:
        raise ValueError(f"{name} must have the shape of params{path}, {p.shape}, got {g.shape}")
    if g.dtype != p.dtype:
        _dtype(g, name)
        if is_complex(g.dtype) or is_complex(p.dtype):
            raise TypeError(f"{name} must have the dtype of params{path}, {p.dtype}, got {g.dtype}")


def _moved(g: Any, name: str, p: Any) -> str:
    return conversion(g, name, "cupy" if is_cupy(p) else "np")
