"""The parts of schedules: their base class, checks of their fields, helpers for their formulas.

A helper takes numbers, or the symbols of a trace.
"""

from __future__ import annotations

import abc
import bisect
import dataclasses
import itertools
import math
import numbers
import typing
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gpuopt.arrays.options import whole as whole_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "CheckedSchedule",
    "Debiased",
    "Schedule",
    "between",
    "chosen",
    "finite",
    "increasing",
    "largest",
    "several",
    "where",
]


@dataclasses.dataclass(frozen=True)
class Schedule(abc.ABC):
    """A function from the number of completed steps to a float."""

    @abc.abstractmethod
    def __call__(self, step: int) -> float:
        """The value for the update after `step` completed steps."""

    def plot(self, steps: int, ax: Axes | None = None) -> Axes:
        """Draw the values of the first `steps` steps.

        Parameters
        ----------
        steps : int
            The number of steps, at least 1.
        ax : matplotlib.axes.Axes, optional
            Where to draw. The default is the current axes, or new ones in the style of
            `gpuopt.plot` if there are none.

        Returns
        -------
        matplotlib.axes.Axes
        """
        from gpuopt.arrays.check import axes_for

        steps = whole(self, "steps of plot", steps)
        with axes_for(ax, "Schedule.plot", current=True) as drawn:
            drawn.plot(range(steps), [self(step) for step in range(steps)])
            drawn.set(xlabel="completed steps", ylabel="value")
        return drawn

    def __repr__(self) -> str:
        fields = ", ".join(
            f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self)
        )
        return f"schedules.{type(self).__name__}({fields})"


def finite(schedule: Schedule, name: str) -> None:
    """Check a field that must be a finite number, and store it as a float."""
    value = getattr(schedule, name)
    what = f"schedules.{type(schedule).__name__}: {name} must be a finite number, got {value!r}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(what)
    if not math.isfinite(value):
        raise ValueError(what)
    object.__setattr__(schedule, name, float(value))


def whole(schedule: Schedule, name: str, value: Any) -> int:
    """A number of steps, which may be a float such as ``0.1 * 1000``."""
    return whole_number(f"schedules.{type(schedule).__name__}: {name}", value, 1, floats=True)


class CheckedSchedule(Schedule):
    """A schedule whose ``float`` fields are finite, and whose ``int`` fields are at least 1."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if field.type == "float":
                finite(self, field.name)
            elif field.type == "int":
                steps = whole(self, field.name, getattr(self, field.name))
                object.__setattr__(self, field.name, steps)


@typing.final
@dataclasses.dataclass(frozen=True, repr=False)
class Debiased(CheckedSchedule):
    """``value · (1 - betaᵗ)^power`` with ``t = step + 1``: a number that follows the sum of an
    average's weights.

    Keras' and scikit-learn's Adam add their epsilon to the uncorrected root. Use `gpuopt.Adam` with
    ``eps=Debiased(1e-7, 0.999)`` for the same.

    Parameters
    ----------
    value : float
    beta : float
        The decay of the average, in [0, 1).
    power : float
        -0.5 divides by the root of the sum of the average's weights.
    """

    value: float
    beta: float
    power: float = -0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.beta < 1:
            raise ValueError(f"schedules.Debiased: beta must be in [0, 1), got {self.beta!r}")

    def __call__(self, step: int) -> float:
        return self.value * (1 - self.beta ** (step + 1)) ** self.power


def several(schedule: Schedule, name: str, values: Any) -> tuple[Any, ...]:
    """The entries of a field: of a list, a tuple, an array, or anything else that is iterated."""
    if isinstance(values, str) or not np.iterable(values):
        raise TypeError(
            f"schedules.{type(schedule).__name__}: {name} must be a list or a tuple, got {values!r}"
        )
    return tuple(values)


def increasing(schedule: Schedule, boundaries: Any, parts: int, kind: str) -> tuple[int, ...]:
    """Check the steps at which one of several parts follows another."""
    each = several(schedule, "boundaries", boundaries)
    found = tuple(whole(schedule, "boundaries", boundary) for boundary in each)
    name = f"schedules.{type(schedule).__name__}"
    if any(b <= a for a, b in itertools.pairwise(found)):
        raise ValueError(f"{name}: boundaries must increase, got {each!r}")
    if len(found) != parts - 1:
        raise ValueError(f"{name}: {parts} {kind} need {parts - 1} boundaries, got {len(found)}")
    return found


def where(condition: Any, a: Any, b: Any) -> Any:
    """`a` if the condition holds, else `b`: for numbers and for symbols."""
    return (a if condition else b) if isinstance(condition, bool) else np.where(condition, a, b)


def chosen(step: Any, boundaries: Sequence[int], values: Sequence[Callable[[Any], Any]]) -> Any:
    """The value at `step`: the second from the first boundary on, and so on; each counts from its
    own beginning.
    """
    starts = (0, *boundaries)
    if isinstance(step, numbers.Integral):
        part = bisect.bisect_right(boundaries, step)
        return values[part](step - starts[part])
    found = values[0](step)
    for start, value in zip(boundaries, values[1:], strict=True):
        found = np.where(step >= start, value(np.maximum(step - start, 0)), found)
    return found


def largest(a: Any, b: Any) -> Any:
    """The larger of two numbers or symbols."""
    return max(a, b) if isinstance(a, numbers.Real) else np.maximum(a, b)


def between(start: float, end: float, part: Any) -> Any:
    """From `start` to `end` along half a cosine; both ends are exact."""
    wave = math.cos(math.pi * part) if isinstance(part, float) else np.cos(math.pi * part)
    return where(part >= 1, end, where(part <= 0, start, end + (start - end) * (1 + wave) / 2))
