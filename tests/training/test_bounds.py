"""Bounds of a minimization, in every form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from tests.support.problems import bowl


@pytest.mark.parametrize(
    "bounds",
    [
        (-1.0, np.array([0.5, 9.0])),
        [(-1, 0.5), (None, 9)],
        ((-1, 0.5), (None, 9)),
        (None, np.array([0.5, math.inf])),
    ],
)
def test_bounds(bounds: Any) -> None:
    found = go.minimize(bowl, np.array([-5.0, 8.0]), go.Adam(lr=0.1), bounds=bounds, maxiter=3000)
    assert found.success
    assert found.x == pytest.approx([0.5, 3.0], abs=1e-5)


def test_scipys_bounds() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    found = go.minimize(bowl, np.zeros(2), go.GradientDescent(0.5), bounds=optimize.Bounds([-1, 4], [2, 5]))
    assert found.x.tolist() == [2.0, 4.0]
    assert found.success


@pytest.mark.parametrize(
    ("bounds", "low", "high"),
    [
        (([-1, 0], [2, 3]), [-1, 2], [0, 3]),
        ([[-1, 0], [2, 3]], [-1, 2], [0, 3]),
        (([-1, 0], (2, None)), [-1, 2], [0, 9]),
        (np.array([[-1, 0], [2, 3]]), [-1, 2], [0, 3]),
        ((np.array([-1, 0]), np.array([2, 3])), [-1, 0], [2, 3]),
        ((np.array([-1, 0]), [2, 3]), [-1, 0], [2, 3]),
        ((None, np.array([2, 3])), [-9, -9], [2, 3]),
        ((-1, 2), [-1, -1], [2, 2]),
        ([(np.array([-1.0]), 0), (2, np.float32(3))], [-1, 2], [0, 3]),
    ],
)
def test_bounds_of_two_unknowns(bounds: Any, low: Any, high: Any) -> None:
    for centre, right in ((9.0, high), (-9.0, low)):
        found = go.minimize(bowl, np.zeros(2), go.GradientDescent(0.5), args=(centre,), bounds=bounds)
        assert found.x.tolist() == pytest.approx(right, abs=1e-5)


def test_none_within_a_side() -> None:
    found = go.minimize(bowl, np.zeros(3), go.GradientDescent(0.5), bounds=(None, [None, 1.0, 2]))  # type: ignore[arg-type]
    assert found.x == pytest.approx([3.0, 1.0, 2.0], abs=1e-5)


def test_a_bound_that_the_dtype_cannot_hold() -> None:
    found = go.minimize(bowl, np.zeros(2, "f4"), go.GradientDescent(0.5), bounds=(-1e300, 1e300))
    assert found.x == pytest.approx([3.0, 3.0], abs=1e-5)
