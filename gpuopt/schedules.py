"""Schedules: a hyperparameter's value as a function of the number of completed steps.

Each is a small frozen object. Call it with a step number, 0 at the first step: it returns a float.
``plot`` draws it, and its repr is the code that makes it. A GPU that counts the steps can evaluate
each of them. After its end, a schedule keeps its last value.

>>> import gpuopt as go
>>> lr = go.schedules.WarmUp(go.schedules.Cosine(1e-3, steps=900), steps=100)
>>> [lr(step) for step in (0, 50, 100, 1000)]
[0.0, 0.0005, 0.001, 0.0]
>>> rule = go.Adam(lr=lr)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, final

from gpuopt.rules.elsewhere import not_in
from gpuopt.rules.schedule import (
    CheckedSchedule,
    Debiased,
    Schedule,
    between,
    chosen,
    finite,
    increasing,
    largest,
    several,
    where,
)
from gpuopt.rules.tuples import flat

__all__ = [
    "Constant",
    "Cosine",
    "Debiased",
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


@final
@dataclasses.dataclass(frozen=True, repr=False)
class Constant(CheckedSchedule):
    """The same value at every step."""

    value: float

    def __call__(self, step: int) -> float:
        return self.value


@final
@dataclasses.dataclass(frozen=True, repr=False)
class Step(CheckedSchedule):
    """``value · factor^⌊step/every⌋``: multiplied by `factor` at step `every`, at ``2·every``, and
    so on.
    """

    value: float
    every: int
    factor: float = 0.1

    def __call__(self, step: int) -> float:
        return self.value * self.factor ** (step // self.every)


@final
@dataclasses.dataclass(frozen=True, repr=False)
class Exponential(CheckedSchedule):
    """``value · factor^(step/steps)``: smoothly multiplied by `factor` every `steps` steps."""

    value: float
    factor: float
    steps: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.factor <= 0:
            raise ValueError(f"schedules.Exponential: factor must be > 0, got {self.factor!r}")

    def __call__(self, step: int) -> float:
        return self.value * self.factor ** (step / self.steps)


@final
@dataclasses.dataclass(frozen=True, repr=False)
class Polynomial(CheckedSchedule):
    """``end + (value - end)·(1 - step/steps)^power``, from `value` at step 0 to `end` from step
    `steps` on; by default a straight line.
    """

    value: float
    steps: int
    end: float = 0.0
    power: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.power <= 0:
            raise ValueError(f"schedules.Polynomial: power must be > 0, got {self.power!r}")

    def __call__(self, step: int) -> float:
        left = largest(1 - step / self.steps, 0.0)
        return where(step <= 0, self.value, self.end + (self.value - self.end) * left**self.power)


@final
@dataclasses.dataclass(frozen=True, repr=False)
class Cosine(CheckedSchedule):
    """Half a cosine (Loshchilov & Hutter 2017, without restarts), from `value` at step 0 to `end`
    from step `steps` on.
    """

    value: float
    steps: int
    end: float = 0.0

    def __call__(self, step: int) -> float:
        return between(self.value, self.end, step / self.steps)


@final
@dataclasses.dataclass(frozen=True, repr=False)
class InverseSquareRoot(CheckedSchedule):
    """``value · √(steps / max(step, steps))``: `value` until step `steps`, then falling (Vaswani et
    al. 2017).
    """

    value: float
    steps: int

    def __call__(self, step: int) -> float:
        return self.value * (self.steps / largest(step, self.steps)) ** 0.5


@final
@dataclasses.dataclass(frozen=True, repr=False)
class WarmUp(CheckedSchedule):
    """A straight line from `start` at step 0 to the first value of `then` at step `steps`; after
    that, `then`.

    `then` is a schedule, which counts its steps from the end of the warm-up, or a constant number.
    """

    then: Callable[[int], float] | float
    steps: int
    start: float = 0.0

    def __post_init__(self) -> None:
        if not callable(self.then):
            finite(self, "then")
        super().__post_init__()

    def __call__(self, step: int) -> float:
        target = self.then(largest(step - self.steps, 0)) if callable(self.then) else self.then
        return where(
            step >= self.steps, target, self.start + (target - self.start) * (step / self.steps)
        )


@final
@dataclasses.dataclass(frozen=True, repr=False)
class Piecewise(Schedule):
    """``values[0]`` before step ``boundaries[0]``, ``values[1]`` from that step until before
    ``boundaries[1]``, and so on.
    """

    values: Sequence[float]
    boundaries: Sequence[int]

    def __post_init__(self) -> None:
        values = several(self, "values", self.values)
        object.__setattr__(self, "values", tuple(Constant(value).value for value in values))
        found = increasing(self, self.boundaries, len(self.values), "values")
        object.__setattr__(self, "boundaries", found)

    def __call__(self, step: int) -> float:
        return chosen(step, self.boundaries, [Constant(value) for value in self.values])


@final
@dataclasses.dataclass(frozen=True, repr=False)
class Joined(Schedule):
    """One schedule after another: the second begins at step ``boundaries[0]``, and so on. Each
    counts its steps from its own beginning.
    """

    schedules: Sequence[Callable[[int], float]]
    boundaries: Sequence[int]

    def __post_init__(self) -> None:
        parts = several(self, "schedules", self.schedules)
        if bad := [part for part in parts if not callable(part)]:
            raise TypeError(
                f"schedules.Joined: {bad[0]!r} is not a schedule; a number is "
                f"schedules.Constant({bad[0]!r})"
            )
        object.__setattr__(self, "schedules", parts)
        found = increasing(self, self.boundaries, len(parts), "schedules")
        object.__setattr__(self, "boundaries", found)

    def __call__(self, step: int) -> float:
        return chosen(step, self.boundaries, self.schedules)


@final
@dataclasses.dataclass(frozen=True, repr=False)
class OneCycle(CheckedSchedule):
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
        super().__post_init__()
        for name, value in (("rise", self.rise), ("fall", self.fall)):
            if value <= 0:
                raise ValueError(f"schedules.OneCycle: {name} must be > 0, got {value!r}")
        if not 0 < self.share * self.steps - 1 < self.steps - 1:
            raise ValueError(
                f"schedules.OneCycle: the peak, at share·steps - 1 with share={self.share!r} and "
                f"steps={self.steps!r}, must lie after step 0 and before the last step"
            )

    def __call__(self, step: int) -> float:
        top, low = self.share * self.steps - 1, self.peak / self.rise
        down = between(self.peak, low / self.fall, (step - top) / (self.steps - 1 - top))
        return where(step <= top, between(low, self.peak, step / top), down)


def first_untraceable(schedule: Any) -> Any:
    """The first callable in a schedule (or itself) that is not of this module, or None."""
    if type(schedule) not in _OWN:
        return schedule
    values = [getattr(schedule, field.name) for field in dataclasses.fields(schedule)]
    nested = map(first_untraceable, filter(callable, flat(values)))
    return next((found for found in nested if found is not None), None)


_OWN = {globals()[name] for name in __all__} - {Schedule}
if not TYPE_CHECKING:  # to a type checker any name would then be one of the module's
    __getattr__ = not_in("gpuopt.schedules", __all__)
