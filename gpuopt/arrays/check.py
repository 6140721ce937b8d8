"""Checks of parameters and gradients. Every message names the leaf, its value, and a remedy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from gpuopt.arrays.backend import array_module, is_array, is_cupy, optional_import
from gpuopt.arrays.dtypes import COMPUTE, is_complex, supported
from gpuopt.arrays.exchange import shared
from gpuopt.arrays.foreign import conversion, convertible, list_of_numbers, on_gpu
from gpuopt.arrays.memory import Memory, overlaps_itself

__all__ = [
    "axes_for",
    "check_axes",
    "gradient",
    "loss_and_grads",
    "parameters",
    "place",
    "unmasked",
]

_NO_ARRAY = "must be a NumPy or CuPy array"


def parameters(arrays: list[Any], paths: list[str], tree: Any) -> None:
    """Raise TypeError or ValueError unless `arrays`, the leaves of `tree`, can be updated in place,
    each on its own, on one device.
    """
    if not arrays:
        raise ValueError("params holds no arrays: there is nothing to update")
    for array, path in zip(arrays, paths, strict=True):
        _parameter(array, f"params{path}", tree)
    first = arrays[0]
    for array, path in zip(arrays, paths, strict=True):
        if place(array) != place(first):
            here, there = place(array), place(first)
            raise ValueError(
                f"params{path} is on {here}, params{paths[0]} on {there}: all arrays of one "
                "optimizer must be on one device"
            )
    Memory(arrays, [f"params{path}" for path in paths]).check_distinct()


def _parameter(array: Any, name: str, tree: Any) -> None:
    if not is_array(array):
        remedy = _remedy(array, name, tree)
        raise TypeError(f"{name} {_NO_ARRAY}, got {type(array).__name__}{remedy}")
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array, which has no meaning for an update: "
            f"use its .data or .filled(), such as {name}.filled()"
        )
    _dtype(array, name)
    if isinstance(array, np.ndarray) and not array.flags.writeable:
        raise ValueError(
            f"{name} is read-only: parameters are updated in place, so pass a writable copy, "
            f"{name}.copy()"
        )
    if overlaps_itself(array):
        raise ValueError(
            f"{name} has elements that share memory (strides {array.strides} of shape "
            f"{array.shape}): pass a copy, {name}.copy()"
        )


def _remedy(value: Any, name: str, tree: Any) -> str:
    """The remedy for a parameter that is not an array."""
    if isinstance(value, (int, float, complex, np.generic)):
        if found := list_of_numbers(tree, "params", name):
            return f": make a list of numbers one array, {found}"
        dtype = "np.complex128" if isinstance(value, complex) else "np.float64"
        return f": make it a 0-d array, np.array({name}, {dtype})"
    foreign = ("__array__", "__cuda_array_interface__", "toarray")
    is_foreign = any(hasattr(type(value), of) for of in foreign)
    if is_foreign and convertible(value):
        return f": make it {conversion(value, name, 'cupy' if on_gpu(value) else 'np', True)}"
    if hasattr(value, "named_parameters"):  # a module of PyTorch
        return f": pass its tensors, dict({name}.named_parameters())"
    if hasattr(value, "__iter__") and not isinstance(value, (str, bytes)) and not is_foreign:
        return f": make it list({name}), whose entries are arrays"
    return " (params are an array, or lists, tuples and dicts of arrays)"


def _dtype(array: Any, name: str) -> None:
    if supported(array.dtype):
        return
    foreign = array.dtype.name in COMPUTE
    kind = "in native byte order" if foreign else f"of one of the dtypes {', '.join(COMPUTE)}"
    wide = "complex128" if array.dtype.kind == "c" else "float64"
    right = array.dtype.name if foreign else wide
    hint = f": make it {name}.astype({right!r})" if foreign or array.dtype.kind in "biufcO" else ""
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
            f"loss_and_grad must return a pair (loss, grads), got {type(result).__name__}{items}: "
            "end it with return loss, grads"
        )
    loss, grads = shared(result[0], "the loss"), result[1]
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
        elif getattr(grads, "shape", None) == () or isinstance(grads, float):
            found += ": return the loss first, return loss, grads"
        raise TypeError(
            f"the loss that loss_and_grad returns must be a real number or 0-d array, not {found}"
        )
    return loss, grads


@contextlib.contextmanager
def axes_for(ax: Any, who: str, dark: bool = False, current: bool = False) -> Iterator[Any]:
    """Where to draw: what is given, else new axes, and what is drawn, in the style of pictures.

    With `current`, those that matplotlib draws on, if there are any; `who` asks for matplotlib.
    """
    if ax is not None:
        check_axes(ax)
        yield ax
        return
    style = optional_import("matplotlib.style", who)
    with style.context(f"gpuopt.plot.{'dark' if dark else 'light'}"):
        pyplot = optional_import("matplotlib.pyplot", who)
        yield pyplot.gca() if current else pyplot.subplots()[1]


def check_axes(ax: Any) -> None:
    """Raise TypeError unless `ax` can be drawn on."""
    if not hasattr(ax, "transData"):
        what = f"ax must be axes of matplotlib, such as plt.gca(), got {ax!r}"
        saves = f": to save the picture, write .figure.savefig({ax!r}) after the call"
        raise TypeError(what + saves * isinstance(ax, str))


def unmasked(name: str, array: Any, remedy: str = "filled(0)") -> None:
    """Raise TypeError for a masked array, whose masked elements would count."""
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: use its .{remedy}, such as {name}.{remedy}")


def gradient(g: Any, p: Any, path: str) -> None:
    """Raise TypeError or ValueError unless `g` can be the gradient of `p`."""
    name = f"grads{path}"
    if not is_array(g):
        raise TypeError(f"{name} {_NO_ARRAY} or None, got {type(g).__name__}{_instead(g, p, path)}")
    unmasked(name, g)
    if is_cupy(g) != is_cupy(p):
        raise TypeError(
            f"{name} is a {array_module(g).__name__} array, params{path} a "
            f"{array_module(p).__name__} array: move it first, {_moved(g, name, p)}"
        )
    if is_cupy(g) and g.device != p.device:
        raise ValueError(f"{name} is on {place(g)}, params{path} on {place(p)}: move it first")
    if g.shape != p.shape:
        raise ValueError(
            f"{name} must have the shape of params{path}, {p.shape}, got {g.shape}"
            f"{_reshaped(g, p, path)}"
        )
    if g.dtype != p.dtype:
        _dtype(g, name)
        if is_complex(g.dtype) or is_complex(p.dtype):
            right = f"{name}.astype({p.dtype.name!r})" if is_complex(p.dtype) else f"{name}.real"
            what = f"{name} must have the dtype of params{path}, {p.dtype}, got {g.dtype}"
            raise TypeError(f"{what}: pass {right}")


def _moved(g: Any, name: str, p: Any) -> str:
    return conversion(g, name, "cupy" if is_cupy(p) else "np")


def _reshaped(g: Any, p: Any, path: str) -> str:
    """The remedy for a gradient of another shape, if it has as many elements, or is a number."""
    name = f"grads{path}"
    if not g.shape:
        return f": pass {'cupy' if is_cupy(p) else 'np'}.full_like(params{path}, {name})"
    if g.ndim > 1 and g.shape == p.shape[::-1]:
        return f": pass {name}.T"
    return f": pass {name}.reshape({p.shape})" if g.size == p.size else ""


def _instead(g: Any, p: Any, path: str) -> str:
    """The remedy for a gradient that is not an array."""
    name, xp = f"grads{path}", "cupy" if is_cupy(p) else "np"
    if isinstance(g, (int, float, complex, np.number)):
        return f": pass {xp}.full_like(params{path}, {name})"
    if isinstance(g, (dict, list, tuple)) and len(g) == 1:
        key, value = next(iter(g.items() if isinstance(g, dict) else enumerate(g)))
        if is_array(value):
            return f": pass {name}[{key!r}]"
    if isinstance(g, dict) or not convertible(g):
        return f" (params{path} is one array)"
    return f": pass {_moved(g, name, p)}"
