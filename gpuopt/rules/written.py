"""Values of hyperparameters that hold arrays: told from numbers, compared, and shown in short."""

from __future__ import annotations

import dataclasses
import numbers
import operator
from collections.abc import Callable, Mapping
from typing import Any

from gpuopt.rules.traced import Traced

__all__ = ["ComparedByValue", "is_array", "is_written", "same", "shown"]


def is_array(value: Any) -> bool:
    """Whether it is an array, of NumPy, CuPy or another library, and no single number or symbol."""
    return hasattr(type(value), "shape") and not isinstance(value, (numbers.Number, Traced))


def is_written(value: Any) -> bool:
    """Whether a hyperparameter is given by arrays, written in its place: one, or a tree of some."""
    if isinstance(value, Mapping):
        return any(map(is_written, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(is_written, value))
    return is_array(value) and len(value.shape) > 0 and not isinstance(value, type)


def same(a: Any, b: Any) -> bool:
    """Whether two values hold the very same arrays."""
    return _alike(a, b, operator.is_)


def _alike(a: Any, b: Any, agree: Callable[[Any, Any], bool]) -> bool:
    """Whether two values, or trees of the same structure, `agree` in each leaf."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_alike(a[key], b[key], agree) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(_alike(x, y, agree) for x, y in zip(a, b, strict=True))
    return agree(a, b)


class ComparedByValue:
    """An object of hyperparameters: it equals one of its class with equal values."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and _alike(_fields(self), _fields(other), _equal)

    def __hash__(self) -> int:
        values = _fields(self).values()
        return hash((type(self), *(None if is_written(value) else value for value in values)))

    def __repr__(self) -> str:
        """The call that makes it, with no array's elements; a dataclass's own says ``...`` ever
        after an interrupt.
        """
        given = (f"{name}={shown(value)}" for name, value in _fields(self).items())
        return f"{type(self).__qualname__}({', '.join(given)})"


def _fields(made: Any) -> dict[str, Any]:
    return {field.name: getattr(made, field.name) for field in dataclasses.fields(made)}


def _equal(a: Any, b: Any) -> bool:
    """Whether two values are equal; arrays in all their elements, dtypes included."""
    if a is b:
        return True
    if is_array(a) or is_array(b):
        alike = type(a) is type(b) and (a.shape, a.dtype) == (b.shape, b.dtype)
        return alike and bool((a == b).all())
    return bool(a == b)


def shown(value: Any) -> str:
    """The repr of a value; of arrays their shapes and dtypes."""
    if not is_written(value):
        return repr(value)
    if not is_array(value):
        return f"<tree of {_leaves(value)} arrays>"
    return f"<{value.dtype} array of shape {tuple(value.shape)}>"


def _leaves(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(map(_leaves, value.values()))
    return sum(map(_leaves, value)) if isinstance(value, (list, tuple)) else 1
