"""The step that a line search finds: it satisfies the strong Wolfe conditions, whatever the function."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gpuopt.training.line_search.flat import Point
from gpuopt.training.line_search.wolfe import Wolfe, wolfe

LINES: dict[str, Callable[[float], tuple[float, float]]] = {
    # The first two are of Moré and Thuente's paper.
    "long": lambda a: (-a / (a * a + 2), (a * a - 2) / (a * a + 2) ** 2),
    "flat": lambda a: ((a + 0.004) ** 5 - 2 * (a + 0.004) ** 4, 5 * (a + 0.004) ** 4 - 8 * (a + 0.004) ** 3),
    "wavy": lambda a: (a * a - 3 * a + 0.3 * math.sin(5 * a), 2 * a - 3 + 1.5 * math.cos(5 * a)),
    "parabola": lambda a: ((a - 3) ** 2, 2 * (a - 3)),
    "kinked": lambda a: (math.hypot(a - 2, 0.001), (a - 2) / math.hypot(a - 2, 0.001)),
    "wall": lambda a: (-math.log(1 - a) - 5 * a, 1 / (1 - a) - 5) if a < 1 else (math.nan, math.nan),
}


def on(line: Any) -> tuple[Callable[[float], Point], list[float]]:
    steps: list[float] = []

    def at(step: float) -> Point:
        steps.append(step)
        value, slope = line(step)
        return Point(None, value, None, abs(slope), step, slope)

    return at, steps


@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 10.0, 1e3])
@pytest.mark.parametrize("curvature", [0.1, 0.9])
@pytest.mark.parametrize("name", LINES)
def test_strong_wolfe(name: str, curvature: float, first: float) -> None:
    at, steps = on(LINES[name])
    start = at(0.0)
    found = wolfe(at, first, Wolfe(start, 1e-4, curvature, 0.0))
    assert found is not None
    assert found.value <= start.value + 1e-4 * found.step * start.slope
    assert abs(found.slope) <= -curvature * start.slope or len(steps) > 4
    assert len(steps) <= 16


def test_none_where_every_way_is_up() -> None:
    at, steps = on(lambda a: (a, -1.0))
    assert wolfe(at, 1.0, Wolfe(at(0.0), 1e-4, 0.9, 0.0)) is None
    assert len(steps) < 25


def test_where_rounding_hides_the_values_the_slopes_tell() -> None:
    """Equal values on both sides of the minimum, and noise above them."""
    noise = np.random.default_rng(0).uniform(0, 1e-12, 100).tolist()
    at, _ = on(lambda a: (1.0 + noise.pop(), 1e-9 * (a - 0.7)))
    found = wolfe(at, 10.0, Wolfe(at(0.0), 1e-4, 0.1, 1e-12))
    assert found is not None
    assert found.step == pytest.approx(0.7, abs=0.08)


def test_values_that_rounding_lifts() -> None:
    """All but the first are higher by less than the noise, which is more than the slope is worth."""
    at, steps = on(lambda a: (1.0 + (5e-13 if a else 0.0), 1e-13 * (a - 0.7)))
    found = wolfe(at, 10.0, Wolfe(at(0.0), 1e-4, 0.1, 1e-12))
    assert found is not None
    assert found.step == pytest.approx(0.7, abs=0.08)
    assert len(steps) < 6


def test_what_is_not_finite_ends_the_line() -> None:
    """It falls faster and faster, up to a wall."""
    at, steps = on(lambda a: (-a - a * a, -1 - 2 * a) if a < 1 else (math.nan, math.nan))
    found = wolfe(at, 3.0, Wolfe(at(0.0), 1e-4, 0.9, 0.0))
    assert found is not None
    assert 0.9 < found.step < 1
    beyond = [step for step in steps if step >= 1]
    assert beyond == sorted(set(beyond), reverse=True)


def test_no_end_to_the_descent() -> None:
    at, steps = on(lambda a: (-a, -1.0))
    found = wolfe(at, 1.0, Wolfe(at(0.0), 1e-4, 0.9, 0.0))
    assert found is not None
    assert found.step == max(steps)
