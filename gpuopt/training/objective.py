"""The function to minimize, called with the structure of `x0`, and its results checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuopt.arrays.backend import array_module, is_array, is_cupy
from gpuopt.arrays.check import unmasked
from gpuopt.arrays.dtypes import supported
from gpuopt.arrays.foreign import conversion
from gpuopt.arrays.options import brief
from gpuopt.arrays.tree import TreeSpec

__all__ = ["Objective", "real_number"]


class Objective:
    """The function's value and gradient at a point, which is the list of a tree's arrays.

    Parameters
    ----------
    fun, jac, args
        As in `minimize`.
    spec : TreeSpec
        The structure of the argument of `fun` and `jac`.
    copy : bool
        Whether `fun` and `jac` get a copy of x at each call, as in SciPy, so that they may keep and
        alter it.
    """

    def __init__(self, fun: Any, jac: Any, args: Any, spec: TreeSpec, copy: bool) -> None:
        if not callable(fun):
            raise TypeError(
                f"fun must be callable, got {brief(fun)}: the order is "
                "gpuopt.minimize(fun, x0, rule)"
            )
        if jac is not True and not callable(jac):
            raise ValueError(
                "jac must be True (fun returns value and gradient) or a callable, got "
                f"{brief(jac)}; scipy.optimize.minimize with "
                "method=gpuopt.scipy_method(rule) takes differences"
            )
        self._fun, self._jac = fun, jac
        self._args = args if isinstance(args, tuple) else (args,)
        self._spec, self._copy = spec, copy

    def __call__(self, x: list[Any]) -> tuple[Any, list[Any]]:
        """The value (a float, or an array of one element on a device) and the gradient's arrays."""
        result = self._fun(self._given(x), *self._args)
        if self._jac is not True:
            value = real_number(result)
            return value, self._gradient(self._jac(self._given(x), *self._args), x)
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise TypeError(
                "with jac=True, fun must return (value, gradient), got "
                f"{type(result).__name__}; or pass jac, a function that returns the gradient"
            )
        return real_number(result[0]), self._gradient(result[1], x)

    def _given(self, x: list[Any]) -> Any:
        return self._spec.build([array.copy(order="K") for array in x] if self._copy else x)

    def _gradient(self, gradient: Any, x: list[Any]) -> list[Any]:
        leaves = self._spec.match(gradient, "gradient")
        named = zip(leaves, x, self._spec.paths, strict=True)
        return [_gradient(leaf, array, path) for leaf, array, path in named]


def real_number(value: Any) -> Any:
    """A function's value as a float, or as an array of one element on a device."""
    if isinstance(value, float):
        return float(value)
    try:
        found = value if is_cupy(value) else np.asarray(value)
        kind = found.dtype.kind
        if found.size == 1 and kind in "biufVO" and not np.ma.is_masked(value):
            return found if is_cupy(found) else float(found.item())
    except (TypeError, ValueError, OverflowError, RuntimeError):
        kind = ""
    hint = ": return np.real(value)" if kind == "c" else ""
    if isinstance(value, tuple):
        hint = ": it may return the gradient too only with jac=True"
    raise TypeError(f"fun must return a single real number, got {_described(value)}{hint}")


def _gradient(gradient: Any, x: Any, path: str) -> Any:
    """A function's gradient as an array with which x can be updated."""
    if type(gradient) is type(x) and gradient.dtype == x.dtype and gradient.shape == x.shape:
        return gradient
    xp, to = array_module(x), "cupy" if is_cupy(x) else "np"
    name = f"gradient{path}"
    if is_array(gradient) and is_cupy(gradient) != is_cupy(x):
        raise TypeError(
            f"the {name} is a {array_module(gradient).__name__} array, x{path} a {xp.__name__} "
            f"array: return {conversion(gradient, name, to)}"
        )
    unmasked(name, gradient)
    array = gradient
    if not is_array(gradient):
        try:
            array = xp.asarray(gradient)
        except (TypeError, ValueError, RuntimeError) as error:
            raise _no_gradient(gradient, name, to) from error
    kind = array.dtype.kind
    if kind not in "biufcV":
        raise _no_gradient(gradient, name, to)
    if kind == "c" and x.dtype.kind != "c":
        raise TypeError(f"the {name} is complex, but x{path} is real: return np.real({name})")
    if array is not gradient or not supported(array.dtype) or kind != x.dtype.kind:
        array = array.astype(x.dtype)
    if array.shape == x.shape:
        return array
    if array.size == x.size == 1:
        return array.reshape(x.shape)
    hint = f": return {to}.reshape({name}, {x.shape})" if array.size == x.size else ""
    raise ValueError(
        f"the {name} must have the shape of x{path}, {x.shape}, got {array.shape}{hint}"
    )


def _no_gradient(gradient: Any, name: str, to: str) -> TypeError:
    hint = f": return {conversion(gradient, name, to)}"
    if is_array(gradient):
        hint = f" of dtype {gradient.dtype}: return {name}.astype(float)"
    elif isinstance(gradient, (list, tuple, dict, str, type(None))):
        hint = ""
    return TypeError(f"the {name} must be an array of numbers, got {_described(gradient)}{hint}")


def _described(value: Any) -> str:
    shape = getattr(value, "shape", ())
    return f"{type(value).__name__} of shape {shape}" if shape else brief(value)
