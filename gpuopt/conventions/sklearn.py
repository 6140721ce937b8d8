"""The solvers of scikit-learn's ``MLPClassifier`` and ``MLPRegressor``, without their parameters.

Their penalty ``alpha`` belongs to the loss.
"""

from __future__ import annotations

from typing import Any

import gpuopt.rules as go
from gpuopt.conventions.common import Made, VelocityOfSteps, equals, is_given
from gpuopt.schedules import Debiased

__all__ = ["AdamOptimizer", "SGDOptimizer"]


def SGDOptimizer(
    learning_rate_init: Any = 0.1,
    lr_schedule: str = "constant",
    momentum: float = 0.9,
    nesterov: bool = True,
    power_t: float = 0.5,
) -> Made:
    """``solver="sgd"``: a velocity that holds the learning rate."""
    if not equals(lr_schedule, "constant"):
        raise ValueError(
            f"sklearn.SGDOptimizer: lr_schedule={lr_schedule!r} is not available, because it "
            "depends on epochs: pass learning_rate_init a function of the completed steps"
        )
    if not is_given(momentum):
        return go.GradientDescent(learning_rate_init)
    return VelocityOfSteps(learning_rate_init, beta=momentum, nesterov=nesterov)


def AdamOptimizer(
    learning_rate_init: Any = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
) -> Made:
    """``solver="adam"``: the epsilon is added to the uncorrected root."""
    eps = Debiased(epsilon, beta_2)
    return go.Adam(learning_rate_init, beta1=beta_1, beta2=beta_2, eps=eps)
