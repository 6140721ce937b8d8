"""Objects that are no arrays of NumPy or CuPy, and how to make them some."""

from __future__ import annotations

from typing import Any

from gpuopt.arrays.backend import is_cupy

__all__ = ["conversion", "on_gpu"]


def conversion(value: Any, name: str, to: str = "np") -> str:
    """The code that makes an array of NumPy or CuPy from `value`, which is called `name`."""
    if is_cupy(value):
        return f"cupy.asnumpy({name})"
    if getattr(value, "requires_grad", False):  # a tensor of PyTorch
        name = f"{name}.detach()"
    if hasattr(value, "toarray"):  # a sparse matrix
        name = f"{name}.toarray()"
    if to == "np" and on_gpu(value):
        return f"cupy.asnumpy(cupy.asarray({name}))"
    return f"{to}.asarray({name})"


def on_gpu(value: Any) -> bool:
    """Whether `value`, of any library, has its data on a GPU."""
    try:
        return hasattr(value, "__cuda_array_interface__")
    except RuntimeError:  # PyTorch's answer for a tensor there that requires a gradient
        return True
