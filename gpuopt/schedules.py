"""Schedules: a hyperparameter's value as a function of the number of completed steps.

Each is a small frozen object. Called with a step number (0 at the first step), it returns a float.
``plot`` draws it, and its repr makes it again. Each can also be traced, in case a GPU counts the
steps. After the end of a schedule, its last value holds.

>>> import gpuopt as go
>>> lr = go.schedules.WarmUp(go.schedules.Cosine(1e-3, steps=900), steps=100)
>>> [lr(step) for step in (0, 50, 100, 1000)]
[0.0, 0.0005, 0.001, 0.0]
>>> rule = go.Adam(lr=lr)
"""

from __future__ import annotations

import abc
import bisect
import dataclasses
import itertools
import math
import numbers
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "Constant",
    "Cosine",
    "Exponential",
    "InverseSquareRoot",
    "Joined",
    "OneCycle",
    "Piecewise",
    "Polynomial",
    "Schedule",
    "Step",
    "WarmUp",
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
            Where to draw; the current axes by default.

        Returns
        -------
        matplotlib.axes.Axes
        """
        from gpuopt.arrays.backend import optional_import

        _whole(self, "steps of plot", steps)
        if ax is None:
            ax = optional_import("matplotlib.pyplot", "Schedule.plot").gca()
        ax.plot(range(steps), [self(step) for step in range(steps)])
        ax.set(xlabel="completed steps", ylabel="value")
        return ax

    def __repr__(self) -> str:
        fields = ", ".join(
            f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self)
        )
        return f"schedules.{type(self).__name__}({fields})"


def _number(schedule: Schedule, name: str) -> float:
    """Check a field that must be a finite number, and store it as a float."""
    value = getattr(schedule, name)
    what = f"schedules.{type(schedule).__name__}: {name} must be a finite number, got {value!r}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(what)
    if not math.isfinite(value):
        raise ValueError(what)
    object.__setattr__(schedule, name, float(value))
    return float(value)


def _whole(schedule: Schedule, name: str, value: Any) -> int:
    what = (
        f"schedules.{type(schedule).__name__}: {name} must be a whole number of at least 1, "
        f"got {value!r}"
    )
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(what)
    if value < 1:
        raise ValueError(what)
    return int(value)


def _increasing(schedule: Schedule, boundaries: Any, parts: int, kind: str) -> tuple[int, ...]:
    found = tuple(_whole(schedule, "boundaries", boundary) for boundary in boundaries)
    name = f"schedules.{type(schedule).__name__}"
    if any(b <= a for a, b in itertools.pairwise(found)):
        raise ValueError(f"{name}: boundaries must increase, got {boundaries!r}")
    if len(found) != parts - 1:
        raise ValueError(f"{name}: {parts} {kind} need {parts - 1} boundaries, got {len(found)}")
    return found


def _where(condition: Any, a: Any, b: Any) -> Any:
    """`a` if the condition holds, else `b`: for numbers and for symbols."""
    return (a if condition else b) if isinstance(condition, bool) else np.where(condition, a, b)


def _chosen(step: Any, boundaries: Sequence[int], values: Sequence[Callable[[Any], Any]]) -> Any:
    """The value that applies at `step`: the second from the first boundary on, and so on; each
    counts from its own start.
    """
    starts = (0, *boundaries)
    if isinstance(step, numbers.Integral):
        part = bisect.bisect_right(boundaries, step)
        return values[part](step - starts[part])
    found = values[0](step)
    for start, value in zip(boundaries, values[1:], strict=True):
        found = np.where(step >= start, value(np.maximum(step - start, 0)), found)
    return found


def _largest(a: Any, b: Any) -> Any:
    return max(a, b) if isinstance(a, numbers.Real) else np.maximum(a, b)


def _between(start: float, end: float, part: Any) -> Any:
    """From `start` to `end` along half a cosine; both ends are exact."""
    wave = math.cos(math.pi * part) if isinstance(part, float) else np.cos(math.pi * part)
    return _where(part >= 1, end, _where(part <= 0, start, end + (start - end) * (1 + wave) / 2))


@final
@dataclasses.dataclass(frozen=True, repr=False)
class Constant(Schedule):
    """The same value at every step."""

    value: float

    def __post_init__(self) -> None:
        _number(self, "value")

    def __call__(self, step: int) -> float:
        return self.value


@final
@dataclasses.dataclass(frozen=True, repr=False)
class Step(Schedule):
    """``value · factor^⌊step/every⌋``: multiplied by `factor` at step `every`, ``2·every`` and so
    on.
    """

    value: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        _number(self, "value")
        _number(self, "factor")
        _whole(self, "every", self.every)

    def __call__(self, step: int) -> float:
        return self.value * self.factor ** (step // self.every)


@final
@dataclasses.dataclass(frozen=True, repr=False)
class Exponential(Schedule):
    """``value · factor^(step/steps)``: smoothly, `factor` times smaller every `steps` steps."""

    value: float
    factor: float
    steps: int = 1

    def __post_init__(self) -> None:
        _number(self, "value")
        if _number(self, "factor") <= 0:
            raise ValueError(f"schedules.Exponential: factor must be > 0, got {self.factor!r}")
        _whole(self, "steps", self.steps)

    def __call__(self, step: int) -> float:
        return self.value * self.factor ** (step / self.steps)


@final
@dataclasses.dataclass(frozen=True, repr=False)
class Polynomial(Schedule):
    """``end + (value - end)·(1 - step/steps)^power``, a straight line by default: `value` at 0,
    `end` from `steps` on.
    """

    value: float
    steps: int
    end: float = 0.0
    power: float = 1.0

    def __post_init__(self) -> None:
        _number(self, "value")
        _number(self, "end")
        _whole(self, "steps", self.steps)
        if _number(self, "power") <= 0:
            raise ValueError(f"schedules.Polynomial: power must be > 0, got {self.power!r}")

    def __call__(self, step: int) -> float:
        left = _largest(1 - step / self.steps, 0.0)
        return _where(step <= 0, self.value, self.end + (self.value - self.end) * left**self.power)


@final
@dataclasses.dataclass(frozen=True, repr=False)
class Cosine(Schedule):
    """Half a cosine (Loshchilov & Hutter 2017, without restarts): `value` at 0, `end` from `steps`
    on.
    """

    value: float
    steps: int
    end: float = 0.0

    def __post_init__(self) -> None:
        _number(self, "value")
        _number(self, "end")
        _whole(self, "steps", self.steps)

    def __call__(self, step: int) -> float:
        return _between(self.value, self.end, step / self.steps)


@final
@dataclasses.dataclass(frozen=True, repr=False)
class InverseSquareRoot(Schedule):
    """``value · √(steps / max(step, steps))``: `value` until `steps`, then falling (Vaswani et al.
    2017).
    """

    value: float
    steps: int

    def __post_init__(self) -> None:
        _number(self, "value")
        _whole(self, "steps", self.steps)

    def __call__(self, step: int) -> float:
        return self.value * (self.steps / _largest(step, self.steps)) ** 0.5


@final
@dataclasses.dataclass(frozen=True, repr=False)
class WarmUp(Schedule):
    """A straight line from `start` at step 0 to the first value of `then`, reached at `steps`; and
    from there on `then`.

    `then` is a schedule, or a number to stay at; it sees the steps since the warm-up.
    """

    then: Callable[[int], float] | float
    steps: int
    start: float = 0.0

    def __post_init__(self) -> None:
        if not callable(self.then):
            _number(self, "then")
        _number(self, "start")
        _whole(self, "steps", self.steps)

    def __call__(self, step: int) -> float:
        target = self.then(_largest(step - self.steps, 0)) if callable(self.then) else self.then
        return _where(
            step >= self.steps, target, self.start + (target - self.start) * (step / self.steps)
        )


@final
@dataclasses.dataclass(frozen=True, repr=False)
class Piecewise(Schedule):
    """``values[0]`` before step ``boundaries[0]``, ``values[1]`` from there to before
    ``boundaries[1]``, and so on.
    """

    values: Sequence[float]
    boundaries: Sequence[int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(Constant(value).value for value in self.values))
        found = _increasing(self, self.boundaries, len(self.values), "values")
        object.__setattr__(self, "boundaries", found)

    def __call__(self, step: int) -> float:
        return _chosen(step, self.boundaries, [Constant(value) for value in self.values])


@final
@dataclasses.dataclass(frozen=True, repr=False)
class Joined(Schedule):
    """One schedule after another: the second from step ``boundaries[0]`` on, and so on; each counts
    from its own start.
    """

    schedules: Sequence[Callable[[int], float]]
    boundaries: Sequence[int]

    def __post_init__(self) -> None:
        parts = tuple(self.schedules)
        if bad := [part for part in parts if not callable(part)]:
            raise TypeError(
                f"schedules.Joined: {bad[0]!r} is no schedule; a number is "
                f"schedules.Constant({bad[0]!r})"
            )
        object.__setattr__(self, "schedules", parts)
        object.__setattr__(
            self, "boundaries", _increasing(self, self.boundaries, len(parts), "schedules")
        )

    def __call__(self, step: int) -> float:
        return _chosen(step, self.boundaries, self.schedules)


@final
@dataclasses.dataclass(frozen=True, repr=False)
class OneCycle(Schedule):
    """Up along half a cosine and down along another (Smith & Topin 2019), in the convention of
    PyTorch's OneCycleLR.

    From ``peak/rise`` at step 0 to `peak` at ``share·steps - 1``, and down to ``peak/rise/fall`` at
    ``steps - 1``.
    """

    peak: float
    steps: int
    share: float = 0.3
    rise: float = 25.0
    fall: float = 1e4

    def __post_init__(self) -> None:
        _number(self, "peak")
        for name in ("rise", "fall"):
            if _number(self, name) <= 0:
                raise ValueError(
                    f"schedules.OneCycle: {name} must be > 0, got {getattr(self, name)!r}"
                )
        if not 0 < _number(self, "share") * _whole(self, "steps", self.steps) - 1 < self.steps - 1:
            raise ValueError(
                f"schedules.OneCycle: the peak, at share·steps - 1 with share={self.share!r} and "
                f"steps={self.steps!r}, "
                "must lie after step 0 and before the last step"
            )

    def __call__(self, step: int) -> float:
        top, low = self.share * self.steps - 1, self.peak / self.rise
        down = _between(self.peak, low / self.fall, (step - top) / (self.steps - 1 - top))
        return _where(step <= top, _between(low, self.peak, step / top), down)


def first_untraceable(schedule: Any) -> Any:
    """The first callable in a schedule (or itself) that is not of this module, or None."""
    if type(schedule) not in _OWN:
        return schedule
    values = [getattr(schedule, field.name) for field in dataclasses.fields(schedule)]
    nested = [
        inner
        for value in values
        for inner in (value if isinstance(value, tuple) else (value,))
        if callable(inner)
    ]
    return next((found for found in map(first_untraceable, nested) if found is not None), None)


_OWN = {globals()[name] for name in __all__} - {Schedule}
