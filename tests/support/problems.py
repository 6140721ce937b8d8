"""Functions to minimize: ``fun(x) -> (value, gradient)``."""

from __future__ import annotations

from typing import Any

import numpy as np


def rosenbrock(x: Any) -> tuple[Any, Any]:
    a, b = x[1:] - x[:-1] ** 2, 1 - x[:-1]
    g = 0 * x
    g[:-1] = -400 * x[:-1] * a - 2 * b
    g[1:] += 200 * a
    return (100 * a**2 + b**2).sum(), g


def bowl(x: Any, centre: Any = 3.0) -> tuple[Any, Any]:
    return 0.5 * ((x - centre) ** 2).sum(), x - centre


def kink(x: Any) -> tuple[Any, Any]:
    """A sharp valley around 0 that a large step leaves."""
    return np.abs(x).sum() + (x * x).sum(), np.sign(x) + 2 * x
