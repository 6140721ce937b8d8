"""Objects that are not arrays of NumPy or CuPy, and how to convert them."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuopt.arrays.backend import is_cupy

__all__ = ["conversion", "convertible", "list_of_numbers", "on_gpu"]


def conversion(value: Any, name: str, to: str = "np", writeable: bool = False) -> str:
    """The code that makes an array of NumPy or CuPy from `value`, which is called `name`.

    It copies if the array must be `writeable` and a view of `value` would not be.
    """
    if is_cupy(value):
        return f"cupy.asnumpy({name})"
    name += "".join(f".{step}()" for step in _steps(value))
    if to == "np" and on_gpu(value):
        return f"cupy.asnumpy(cupy.asarray({name}))"
    seen = None if on_gpu(value) else _seen(value)
    if seen is None:
        return f"{to}.asarray({name})"
    dtype = f", {_number_dtype(seen)}" if seen.dtype.kind in "biuO" else ""
    copy = "array" if writeable and to == "np" and not seen.flags.writeable else "asarray"
    return f"{to}.{copy}({name}{dtype})"


def on_gpu(value: Any) -> bool:
    """Whether `value`, of any library, has its data on a GPU."""
    try:
        return hasattr(value, "__cuda_array_interface__")
    except RuntimeError:  # PyTorch's answer for a tensor there that requires a gradient
        return True


def _steps(value: Any) -> list[str]:
    """The methods to call before NumPy or CuPy can read what another library made."""
    asked = {
        "detach": getattr(value, "requires_grad", False),  # a tensor of PyTorch
        "to_dense": "sparse" in str(getattr(value, "layout", "")),
        "resolve_conj": hasattr(value, "is_conj") and value.is_conj(),
        "float": str(getattr(value, "dtype", "")) == "torch.bfloat16",  # unknown to NumPy
        "toarray": hasattr(value, "toarray"),  # a sparse matrix
    }
    return [step for step, is_needed in asked.items() if is_needed]


def convertible(value: Any) -> bool:
    """Whether NumPy or CuPy makes an array of numbers from `value`."""
    return on_gpu(value) or _seen(value) is not None


def _seen(value: Any) -> Any:
    """The array of numbers that NumPy makes of `value`; None if it makes no such array."""
    try:
        for step in _steps(value):
            value = getattr(value, step)()
        seen = np.asarray(value)
        if seen.dtype.kind == "O":
            seen.astype(np.complex128)
    except Exception:  # whatever the other library raises
        return None
    return seen if seen.dtype.kind in "biufcVO" else None


def _number_dtype(values: Any) -> str:
    """The dtype, as it is typed, of an array of these numbers."""
    return "np.complex128" if np.iscomplexobj(values) else "np.float64"


def list_of_numbers(tree: Any, name: str, leaf: str) -> str | None:
    """The code that makes one array of the list of numbers in `tree` that has the `leaf`.

    None if that leaf is not in a list, or not in one of numbers alone. `name` is the tree's.
    """
    if isinstance(tree, dict):
        inner = [(value, f"{name}[{key!r}]") for key, value in tree.items()]
    elif not isinstance(tree, (list, tuple)):
        return None
    elif _numbers(tree) and (seen := _seen(tree)) is not None:
        return f"np.array({name}, {_number_dtype(seen)})"
    else:
        inner = [(value, f"{name}[{index}]") for index, value in enumerate(tree)]
    for value, path in inner:
        if leaf.startswith(f"{path}[") and (found := list_of_numbers(value, path, leaf)):
            return found
    return None


def _numbers(value: Any) -> bool:
    """Whether these are numbers, in lists or tuples."""
    if isinstance(value, (list, tuple)):
        return bool(value) and all(map(_numbers, value))
    return isinstance(value, (int, float, complex, np.number))
