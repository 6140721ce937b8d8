"""Gradient descent and momentum: the two rules to read before writing one."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

from gpuopt.rules.ranges import Decay, NonNegative
from gpuopt.rules.rule import Rule

__all__ = ["SGD", "GradientDescent", "Momentum"]


class GradientDescent(Rule):
    """Gradient descent (Cauchy 1847; stochastic: Robbins & Monro 1951): ``p ← p - lr·g``.

    Use it for gradients without noise, for well-scaled problems, and as a baseline.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    """

    lr: NonNegative = 0.01

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return p - self.lr * g

    def scale(self, t: Any) -> Any:
        return self.lr


SGD = GradientDescent


class Momentum(Rule):
    """Momentum (Polyak 1964), as a moving average of gradients: ``v ← β·v + (1-d)·g; p ← p -
    lr·v``.

    Use it for noisy gradients, and for losses with long, narrow valleys: the average damps
    oscillations.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta : float or schedule
        Decay of the velocity, in [0, 1).
    dampening : float, schedule or None
        ``d`` in [0, 1). None means ``d = β``, the moving average; 0.0 is the heavy ball, ``v ← β·v
        + g``, which PyTorch's SGD computes. (PyTorch does not dampen the first step; with ``d = 0``
        that makes no difference.)
    nesterov : bool
        Step along the velocity one update ahead (Sutskever et al. 2013): ``p ← p - lr·(β·v +
        (1-d)·g)``.
    """

    lr: NonNegative = 0.01
    _: KW_ONLY
    beta: Decay = 0.9
    dampening: Decay | None = None
    nesterov: bool = False
    momentum_states = ("v",)

    def check(self) -> None:
        if self.nesterov and self.beta == 0:
            raise ValueError(f"Momentum: nesterov=True needs beta > 0, got beta={self.beta!r}")

    def update(self, t: Any, p: Any, g: Any, v: Any = 0.0) -> Any:
        if self.dampening is None or self.dampening:  # the heavy ball has no such factor
            g = (1 - (self.beta if self.dampening is None else self.dampening)) * g
        v = self.beta * v + g
        return p - self.lr * (self.beta * v + g if self.nesterov else v), v

    def scale(self, t: Any, v: Any) -> Any:
        dampening = self.beta if self.dampening is None else self.dampening
        return self.lr * ((1 - dampening) / (1 - self.beta))
