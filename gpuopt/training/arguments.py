"""Arguments of the loops other than numbers: a rule, a callback, and arrays of other libraries."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpuopt.arrays.backend import array_module, is_array
from gpuopt.arrays.dtypes import supported
from gpuopt.arrays.foreign import conversion, on_gpu
from gpuopt.arrays.options import brief
from gpuopt.arrays.tree import TreeSpec
from gpuopt.optimizer.optimizer import Optimizer
from gpuopt.rules.base import Bindable, class_hint
from gpuopt.rules.catalogue import rules, whole_array_rules
from gpuopt.rules.piece import Piece

__all__ = [
    "asks_to_stop",
    "check_call",
    "check_callback",
    "check_method",
    "of_result",
    "remedy",
    "start",
    "start_array",
]


_LINE_SEARCHES = {"cg": "NonlinearCG", "lbfgs": "LBFGS", "lbfgsb": "LBFGS", "bfgs": "LBFGS"}


def check_method(method: Any) -> None:
    """Raise TypeError for anything but a rule."""
    if not isinstance(method, Bindable):
        raise TypeError(
            "method must be a gpuopt.Rule, such as gpuopt.Adam(), or another method, such as "
            f"gpuopt.LBFGS(), got {type(method).__name__}{remedy(method)}"
        )


def remedy(rule: Any) -> str:
    """What to pass in place of something that is related to a rule but is not one."""
    if isinstance(rule, str):
        return f": {_named(rule)}"
    if isinstance(rule, Piece) or (isinstance(rule, type) and issubclass(rule, Piece)):
        return ": a piece works in a chain, as in gpuopt.chain(gpuopt.clip(1.0), gpuopt.Adam())"
    if isinstance(rule, Optimizer) and type(rule).__module__.startswith("gpuopt.distributed"):
        return (
            ": it is an optimizer of several processes, so call opt.step(gradient(opt.params)) in "
            "a loop of your own"
        )
    if isinstance(rule, Optimizer):
        return ": minimize makes its own optimizer, so pass optimizer.rule"
    if is_array(rule):
        return ": the order is gpuopt.minimize(fun, x0, rule)"
    return class_hint(rule)


def _named(text: str) -> str:
    """What to type in place of the name of a method."""
    plain = "".join(filter(str.isalnum, text)).lower()
    known = {name.lower(): name for name in (*rules(), *whole_array_rules())} | _LINE_SEARCHES
    if plain in known:
        return f"write gpuopt.{known[plain]}()"
    return "write gpuopt.Adam(), or another of dir(gpuopt)"


def check_callback(callback: Any) -> None:
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable, not {brief(callback)}")


def check_call(
    name: str, function: Any, given: Sequence[str], remedy: Callable[[list[str]], str]
) -> None:
    """Raise TypeError unless a function can be called with as many arguments as it is given.

    `remedy` gets the names that it needs after the first.
    """
    try:
        taken = inspect.signature(function, follow_wrapped=False)  # which may add arguments
    except (TypeError, ValueError):  # some functions that are written in C have no signature
        return
    try:
        taken.bind(*given)
    except TypeError:
        each = [value.replace(annotation=value.empty) for value in taken.parameters.values()]
        named = taken.replace(parameters=each, return_annotation=taken.empty)
        called = ", ".join(given)
        needed = [value.name for value in each if value.default is value.empty and value.kind < 2]
        raise TypeError(
            f"{name} is called as {name}({called}), but takes {named}: "
            f"{remedy(needed[1:]) if needed else f'give it parameters for {called}'}"
        ) from None


def of_result(callback: Any) -> Callable[[Any], Any]:
    """A callback as a function of a result.

    As in SciPy, the callback gets the result if its only parameter is ``intermediate_result``, and
    otherwise x.
    """
    try:
        newer = set(inspect.signature(callback).parameters) == {"intermediate_result"}
    except ValueError:  # some functions that are written in C have no signature
        newer = False
    if newer:
        return lambda found: callback(intermediate_result=found)
    return lambda found: callback(found.x)


def asks_to_stop(answer: Any) -> bool:
    """Whether a callback returned True: Python's, NumPy's, or one on a device.

    Other results, such as a count or an array, have no effect.
    """
    if isinstance(answer, (bool, np.bool_)):
        return bool(answer)
    return is_array(answer) and answer.shape == () and answer.dtype == bool and bool(answer)


def start(x0: Any) -> TreeSpec:
    """Copies of the arrays of `x0`, one array or a tree, which a rule can update."""
    if not _is_tree(x0):
        return TreeSpec(start_array(x0), "x0")
    spec = TreeSpec(x0, "x0")
    if not spec.leaves:
        raise ValueError("x0 holds no arrays: there is nothing to minimize")
    leaves = zip(spec.leaves, spec.paths, strict=True)
    return TreeSpec(spec.build([start_array(leaf, f"x0{path}") for leaf, path in leaves]), "x0")


def _is_tree(x0: Any) -> bool:
    """Whether `x0` is a dict, or a list with arrays. A list of numbers is one array."""
    if isinstance(x0, (list, tuple)):
        return any(is_array(entry) or _is_tree(entry) for entry in x0)
    return isinstance(x0, dict)


def start_array(x0: Any, name: str = "x0") -> Any:
    """A copy of `x0` as an array that a rule can update."""
    if isinstance(x0, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array: pass {name}.filled(0.0), or with another number"
        )
    xp = array_module(x0)
    try:
        x = xp.array(x0, copy=True)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _no_start(x0, name) from error
    if is_array(x0) and supported(x.dtype):
        return x
    if x.dtype.kind == "O":
        raise _no_start(x0, name)
    if x.dtype.kind not in "biufc":
        raise TypeError(f"{name} must be an array of numbers, got dtype {x.dtype}")
    return x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)


def _no_start(x0: Any, name: str) -> TypeError:
    if is_array(x0):
        hint = f"pass {name}.astype(float)"
    elif isinstance(x0, (list, tuple)):
        hint = f"for several arrays pass [np.asarray(each) for each in {name}]"
    elif x0 is None:
        hint = "pass np.zeros(3), or another array to start from"
    else:
        hint = f"pass {conversion(x0, name, 'cupy' if on_gpu(x0) else 'np')}"
    return TypeError(f"{name} must be an array of numbers, got {type(x0).__name__}: {hint}")
