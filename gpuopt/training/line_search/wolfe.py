"""A step along a line that satisfies the strong Wolfe conditions, by cubic interpolation.

The method of Moré and Thuente (1994), "Line search algorithms with guaranteed sufficient decrease",
ACM Transactions on Mathematical Software 20. If the value's rounding hides a decrease, a smaller
gradient shows it (Hager and Zhang 2005, SIAM Journal on Optimization 16, "approximate Wolfe").
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from gpuopt.training.line_search.flat import Point

__all__ = ["wolfe"]

_TRIALS = 20
_NARROW = 0.1
"""The search ends in an interval this small, relative to its larger end."""


class Wolfe(NamedTuple):
    """The conditions that a step must meet.

    The value falls by `decrease` times the prediction of the slope, and the slope becomes at most
    `curvature` times its first value. Values that differ by less than `noise` count as equal.
    """

    start: Point
    decrease: float
    curvature: float
    noise: float

    @property
    def sought(self) -> float:
        return self.decrease * self.start.slope

    def accept(self, trial: Point) -> bool:
        enough = trial.value <= self.start.value + self.sought * trial.step
        flat = abs(trial.slope) <= -self.curvature * self.start.slope
        return flat and (enough or self.hides(trial))

    def lower(self, trial: Point) -> bool:
        """Whether a point is lower. If noise hides that, a smaller gradient decides."""
        if self.hides(trial):
            return trial.optimality < self.start.optimality
        return trial.value < self.start.value

    def hides(self, trial: Point) -> bool:
        return abs(trial.value - self.start.value) <= self.noise


def wolfe(at: Callable[[float], Point], step: float, sought: Wolfe) -> Point | None:
    """The first accepted point, else the lowest one found; None if none is lower than the start.

    `step` is the first trial. If a value or gradient is not finite, the step was too long.
    """
    best, other = sought.start, None
    limit, widths, auxiliary = math.inf, (math.inf, math.inf), True
    for _ in range(_TRIALS):
        trial = at(step)
        if not all(map(math.isfinite, (trial.value, trial.slope, trial.optimality))):
            limit, step = step, best.step + 0.1 * (step - best.step)
            continue
        if sought.accept(trial):
            return trial
        line = sought.start.value + sought.sought * trial.step
        auxiliary = auxiliary and (trial.value > line or trial.slope < 0)
        tilt = sought.sought if auxiliary and best.value >= trial.value > line else 0.0
        best, other, step = _narrowed(best, other, trial, tilt, limit, sought.noise)
        if other is not None:
            width = abs(other.step - best.step)
            if width <= _NARROW * max(other.step, best.step):
                break
            if width >= 0.66 * widths[0]:
                step = (best.step + other.step) / 2
            widths = widths[1], width
        if not math.isfinite(step) or step == best.step:
            break
    return best if best is not sought.start and sought.lower(best) else None


def _narrowed(
    best: Point, other: Point | None, trial: Point, tilt: float, limit: float, noise: float
) -> tuple[Point, Point | None, float]:
    """The end with the lowest value, the other end if it is known, and the next step.

    The values are those of the function minus a line with the slope `tilt`. If noise hides which
    value is lower, only the slopes decide.
    """
    b, t = _tilted(best, tilt), _tilted(trial, tilt)
    if abs(trial.value - best.value) <= noise:
        t = t._replace(value=b.value)
    step = _next_step(b, None if other is None else _tilted(other, tilt), t, limit)
    if t.value > b.value:
        return best, trial, step
    return trial, best if t.slope * (b.step - t.step) < 0 else other, step


def _tilted(point: Point, tilt: float) -> Point:
    return point._replace(value=point.value - tilt * point.step, slope=point.slope - tilt)


def _next_step(best: Point, other: Point | None, trial: Point, limit: float) -> float:
    """The expected minimum, by the four cases of the paper's section 4."""
    if trial.value > best.value:
        cubic, quadratic = _cubic(best, trial), _quadratic(best, trial)
        cubic_is_nearer = abs(cubic - best.step) < abs(quadratic - best.step)
        return cubic if cubic_is_nearer else (cubic + quadratic) / 2
    if trial.slope * best.slope < 0:
        return max(_cubic(trial, best), _secant(trial, best), key=lambda s: abs(s - trial.step))
    ahead = trial.step - best.step
    low, high = trial.step + 1.1 * ahead, trial.step + 4 * ahead
    if limit < math.inf:
        high = min(high, (trial.step + limit) / 2)
    if abs(trial.slope) < abs(best.slope):
        secant, cubic = _secant(trial, best), _cubic(trial, best, high)
        if (cubic - trial.step) * ahead < 0:
            cubic = high
        nearer, farther = sorted((cubic, secant), key=lambda s: abs(s - trial.step))
        if other is None:
            return min(max(farther, min(low, high)), high)
        end = trial.step + 0.66 * (other.step - trial.step)
        return min(nearer, end) if ahead > 0 else max(nearer, end)
    return high if other is None else _cubic(trial, other)


def _cubic(a: Point, b: Point, without: float | None = None) -> float:
    """The minimum of the cubic through two points, seen from `a`; `without` if it has none."""
    theta = 3 * (a.value - b.value) / (b.step - a.step) + a.slope + b.slope
    size = max(abs(theta), abs(a.slope), abs(b.slope))
    square = (theta / size) ** 2 - (a.slope / size) * (b.slope / size) if size else 0.0
    if square <= 0 and without is not None:
        return without
    gamma = math.copysign(size * math.sqrt(max(square, 0.0)), b.step - a.step)
    below = 2 * gamma - a.slope + b.slope
    ratio = (gamma - a.slope + theta) / below if below else 0.5
    return a.step + ratio * (b.step - a.step)


def _quadratic(a: Point, b: Point) -> float:
    """The minimum of the parabola through two values with the slope at `a`."""
    distance = b.step - a.step
    below = (a.value - b.value) / distance + a.slope
    return a.step + (a.slope / below / 2 if below else 0.5) * distance


def _secant(a: Point, b: Point) -> float:
    """Where the slope would be 0 if it were linear."""
    below = a.slope - b.slope
    return a.step + (a.slope / below if below else 0.5) * (b.step - a.step)
