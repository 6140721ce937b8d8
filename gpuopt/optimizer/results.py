"""The results of functions of whole arrays, checked before anything is written.

Each function here takes the path of the array for which a function was called.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterator
from typing import Any

import numpy as np

from gpuopt.arrays.backend import is_array
from gpuopt.arrays.memory import bounds, share
from gpuopt.tracing.calls import Call, Output

__all__ = ["check_apart", "check_buffer", "check_fits", "name_of", "results_of"]


def name_of(output: Output, path: str) -> str:
    """What a result is called in an error."""
    function = output.call.function
    number = f"result {output.number + 1} of " if function.outputs > 1 else ""
    return f"{number}{function.name} for params{path}"


def results_of(call: Call, results: Any, path: str) -> Iterator[tuple[Output, Any]]:
    """The results of a call, as many as it promised."""
    name, count = call.function.name, call.function.outputs
    several = results if isinstance(results, (tuple, list)) else (results,)
    if len(several) != count or (count == 1 and several is results):
        raise ValueError(
            f"{name} must return {_values(count)}, as outputs={count} says; for params{path} it "
            f"returned {'a tuple of ' if several is results else ''}{_values(len(several))}"
        )
    for output, value in zip(call.outputs, several, strict=True):
        kind = getattr(value, "dtype", np.dtype(object)).kind
        if not isinstance(value, numbers.Number) and kind not in "fiubcV":  # V is a bfloat16
            raise ValueError(
                f"{name_of(output, path)} must be an array of numbers, or a number; it is "
                f"{_kind(value)}"
            )
        yield output, np.asarray(value) if isinstance(value, np.generic) else value


def check_apart(
    output: Output, value: Any, path: str, args: list[Any], seen: dict[Any, str]
) -> None:
    """Raise ValueError if a result that is kept lies where that of another array does, in `seen`.

    What it may share with its arguments belongs to others.
    """
    if not is_array(value) or not value.size:
        return
    other = seen.setdefault((output, bounds(value)), path)
    if other != path and not any(is_array(arg) and share(arg, value) for arg in args):
        raise ValueError(
            f"{name_of(output, path)} shares memory with that for params{other}, which is still "
            "needed: return a new array for each, such as value.copy()"
        )


def check_fits(output: Output, value: Any, shape: tuple[int, ...], path: str) -> None:
    """Raise ValueError if a result cannot be used in the formula of an array of that shape."""
    own = np.shape(value) if is_array(value) or np.isscalar(value) else None
    try:
        fits = own is not None and np.broadcast_shapes(own, shape) == shape
    except ValueError:
        fits = False
    if not fits or (np.iscomplexobj(value) and not output.call.complex):
        raise ValueError(
            f"{name_of(output, path)} is used in the formula, so it must broadcast to {shape}"
            f"{'' if output.call.complex else ' and be real'}; it is {_kind(value)}"
        )


def check_buffer(name: str, held: Any, output: Output, new: Any, path: str) -> None:
    """Raise ValueError if a result cannot be the new value of a buffer."""
    alike = is_array(new) and new.shape == held.shape
    if not alike or not np.can_cast(new.dtype, held.dtype, "same_kind"):
        raise ValueError(
            f"{name_of(output, path)} is the new value of {name}, which is {_kind(held)}; it is "
            f"{_kind(new)}"
        )


def _kind(value: Any) -> str:
    return f"{value.dtype} {value.shape}" if is_array(value) else type(value).__name__


def _values(count: int) -> str:
    return f"{count} value{'s' if count > 1 else ''}"
