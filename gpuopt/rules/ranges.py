"""The types that annotate hyperparameters: each says what values may be given."""

from __future__ import annotations

import dataclasses
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeAlias

import numpy as np

__all__ = ["Bound", "Decay", "Hyper", "NonNegative", "Positive"]


@dataclasses.dataclass(frozen=True)
class Range:
    """The values that a hyperparameter may take: ``low <= x`` (or ``low < x``) and ``x < high``.

    NaN is in no range. A number of the whole optimizer that is `narrow` is kept in float32. A
    hyperparameter that is `several` is a tuple of such values.
    """

    text: str
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    infinite: bool = False
    whole: bool = False
    narrow: bool = False
    several: bool = False

    def __contains__(self, value: float) -> bool:
        if self.whole and value % 1 != 0:
            return False
        if not math.isfinite(value):
            return self.infinite and not math.isnan(value)
        return self.low <= value < self.high and not (self.open_low and value == self.low)

    def __repr__(self) -> str:
        return f"Range({self.text!r})"


if TYPE_CHECKING:
    # A hyperparameter is given more strictly than it is read: `Adam("0.1")` is an error to type
    # checkers, `1 - self.beta` never. So each of these types, read from ``self``, passes for
    # anything: by its base `Any`, or by ``__get__``.

    class Symbol(Any):  # type: ignore[misc]
        """The type of a hyperparameter while ``update`` is traced; no user passes one."""

        def __get__(self, instance: object, owner: type | None = None) -> Any: ...

    class NumpyReal(Any, Protocol):  # type: ignore[misc]
        """A real NumPy scalar, such as ``np.float32(0.1)``."""

        @property
        def dtype(self) -> np.dtype[Any]: ...
        def is_integer(self) -> bool: ...

    class StepFunction(Any, Protocol):  # type: ignore[misc]
        """A schedule: a function from the number of completed steps to a number."""

        def __call__(self, step: int, /) -> float | NumpyReal | np.ndarray[Any, Any]: ...

    class Arrays(Any, Protocol):  # type: ignore[misc]
        """An array in place of a number, or a list or dict of some."""

        def copy(self) -> Any: ...

    HyperValue: TypeAlias = float | NumpyReal | StepFunction | Symbol
    EachValue: TypeAlias = HyperValue | Arrays
else:
    HyperValue = EachValue = float | Callable[[int], float]

FINITE = Range("a finite number")

AT_LEAST_0 = Range("a finite number >= 0", low=0.0)
ANY_OR_INFINITE = Range("a number, which may be infinite", infinite=True)

Hyper: TypeAlias = Annotated[HyperValue, FINITE]
"""A float hyperparameter: a finite number, or a schedule, a function of the completed steps."""
NonNegative: TypeAlias = Annotated[HyperValue, AT_LEAST_0]
"""A `Hyper` that is at least 0, such as a learning rate."""
Positive: TypeAlias = Annotated[HyperValue, Range("a finite number > 0", low=0.0, open_low=True)]
"""A `Hyper` that is greater than 0, such as an epsilon."""
Decay: TypeAlias = Annotated[HyperValue, Range("a number in [0, 1)", low=0.0, high=1.0)]
"""A `Hyper` in [0, 1): the decay of a moving average."""
Bound: TypeAlias = Annotated[HyperValue, ANY_OR_INFINITE]
"""A `Hyper` that may be infinite as well, such as the end of an interval."""
# The same of pieces, to type checkers, which may be given by arrays.
EachHyper: TypeAlias = Annotated[EachValue, FINITE]
EachNonNegative: TypeAlias = Annotated[EachValue, AT_LEAST_0]
EachBound: TypeAlias = Annotated[EachValue, ANY_OR_INFINITE]


STATIC = {bool: bool, int: int, str: str, str | None: str}
"""Annotations of what is fixed when a rule is made, and its type; None is a default."""


def single(value: Any) -> Any:
    """A schedule's value; the number in it, if it is a 0-d array of a real number.

    ``np.where`` of numbers gives such an array.
    """
    if not hasattr(type(value), "item"):  # a symbol answers no question about its attributes
        return value
    kind = getattr(value.dtype, "kind", "O")
    return value.item() if value.shape == () and kind in "iuf" else value


def _document(aliases: Mapping[str, Any]) -> None:
    """Let ``help(gpuopt.NonNegative)`` and IPython's ``?`` say what it is."""
    for name, alias in aliases.items():
        (allowed,) = alias.__metadata__
        alias.__doc__ = (
            f"``gpuopt.{name}`` annotates a hyperparameter that is {allowed.text}, or a schedule: "
            "a function from the number of completed steps to such a number."
        )


_document(
    {
        "Hyper": Hyper,
        "NonNegative": NonNegative,
        "Positive": Positive,
        "Decay": Decay,
        "Bound": Bound,
    }
)


def arguments_hint(schedule: Any, name: str) -> str | None:
    """What is wrong with the arguments of a schedule, and what to type; None if it takes a step."""
    try:
        taken = inspect.signature(schedule)
    except (TypeError, ValueError):  # some functions that are written in C have no signature
        return None
    try:
        taken.bind(0)
    except TypeError:
        hint = f"; write {name}=lambda step: {name}()" if not taken.parameters else ""
        return f"which must take one argument, the number of completed steps{hint}"
    return None


def range_of(cls: type, name: str, hint: Any) -> Range:
    """The range of a dynamic hyperparameter, or of each entry of one that is a tuple."""
    if typing.get_origin(hint) is tuple and typing.get_args(hint)[1:] == (...,):
        return dataclasses.replace(range_of(cls, name, typing.get_args(hint)[0]), several=True)
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    for part in [hint, *(typing.get_args(hint) if union else ())]:
        if found := [
            extra for extra in getattr(part, "__metadata__", ()) if isinstance(extra, Range)
        ]:
            return found[-1]
        if part is float:
            return FINITE
    raise TypeError(
        f"rule {cls.__name__}: {name} is annotated {hint!r}; a hyperparameter is a Hyper "
        "(NonNegative, Positive, Decay), a tuple of them, tuple[Hyper, ...], or a bool, an int or "
        "a str that is fixed when the rule is made"
    )
