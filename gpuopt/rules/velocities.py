"""Relatives of gradient descent with a memory: QHM, AggMo, OptimisticGradient, ASGD."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any, ClassVar

import numpy as np

from gpuopt.rules.ranges import Decay, Hyper, NonNegative
from gpuopt.rules.rule import Rule, at_first
from gpuopt.rules.tuples import each

__all__ = ["ASGD", "QHM", "AggMo", "OptimisticGradient"]


class QHM(Rule):
    """Quasi-hyperbolic momentum (Ma & Yarats 2019, "Quasi-hyperbolic momentum and Adam for deep
    learning"): ``m ← β·m + (1-β)·g; p ← p - lr·((1-ν)·g + ν·m)``.

    Use it for momentum over many gradients: the step is a mean of momentum and plain descent, so
    that β may be closer to 1. The defaults are the authors'. In float32 it moves 20 bytes an
    element.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta : float or schedule
        Decay of the average, in [0, 1).
    nu : float or schedule
        The share of the average, at least 0: 0.0 is `GradientDescent`, 1.0 is `Momentum`.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.QHM(0.5, beta=0.9).init(x)
    >>> opt.step(np.array([3.0, -0.1]))
    >>> x.round(6).tolist()
    [-0.555, 0.0185]
    """

    lr: NonNegative = 1e-3
    _: KW_ONLY
    beta: Decay = 0.999
    nu: NonNegative = 0.7

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0) -> Any:
        m = self.beta * m + (1 - self.beta) * g
        return p - self.lr * ((1 - self.nu) * g + self.nu * m), m

    def scale(self, t: Any, m: Any) -> Any:
        return self.lr


class AggMo(Rule):
    """Aggregated momentum (Lucas, Sun, Zemel & Grosse 2019, "Aggregated momentum: stability through
    passive damping"): ``vᵢ ← βᵢ·vᵢ + g; p ← p - lr·Σvᵢ/K``, for K decays.

    Use it if `Momentum` oscillates: the large decay makes it fast, and the small ones damp its
    oscillations. The defaults are the authors'. In float32 it moves 36 bytes an element: 12, and 8
    for each decay.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    betas : tuple of float or schedule
        Decays of the velocities, in [0, 1).

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.AggMo(0.1, betas=(0.5, 0.9)).init(x)
    >>> opt.step(np.array([3.0, -0.1]))
    >>> x.round(6).tolist()
    [-0.3, 0.01]
    >>> list(opt.state)
    ['v[0]', 'v[1]']
    """

    lr: NonNegative = 0.1
    _: KW_ONLY
    betas: tuple[Decay, ...] = (0.0, 0.9, 0.99)
    momentum_states = ("v",)

    def update(self, t: Any, p: Any, g: Any, v: Any = each("betas")) -> Any:
        v = tuple(beta * old + g for beta, old in zip(self.betas, v, strict=False))
        return p - self.lr / len(v) * sum(v[1:], start=v[0]), v


class OptimisticGradient(Rule):
    """Optimistic gradient descent (Popov 1980; Daskalakis et al. 2018, "Training GANs with
    optimism"): ``p ← p - lr·((α + β)·g - β·last)``.

    Use it where two players descend against each other, so that plain descent runs in circles. The
    first step takes ``last = g``, as optax does. The defaults are optax's. In float32 it moves 20
    bytes an element.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    alpha : float or schedule
        The factor of the gradient.
    beta : float or schedule
        The factor of its change since the step before.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(1)
    >>> opt = go.OptimisticGradient(0.5).init(x)
    >>> for g in (2.0, 3.0):
    ...     opt.step(np.array([g]))
    >>> x.tolist()
    [-3.0]
    """

    lr: NonNegative = 0.01
    _: KW_ONLY
    alpha: Hyper = 1.0
    beta: Hyper = 1.0

    def update(self, t: Any, p: Any, g: Any, last: Any = 0.0) -> Any:
        change = g - at_first(t, g, last)
        return p - self.lr * (self.alpha * g + self.beta * change), g


class ASGD(Rule):
    """Averaged stochastic gradient descent (Polyak & Juditsky 1992, "Acceleration of stochastic
    approximation by averaging"; Bottou's code).

    ``p ← p·(1 - η·λ) - η·g`` with ``η = lr/(1 + λ·lr·(t-1))^α``; ``ax ← ax + (p - ax)/max(1, t - 1
    - t0)``: ax is p itself at first, and the mean of p from step ``t0 + 2`` on.
    Use it for noisy gradients: `Optimizer.evaluation` returns ax, which is free of the noise of
    single steps. Set t0 to the step at which the loss stops falling. The defaults are PyTorch's. In
    float32 it moves 20 bytes an element.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    lambd : float or schedule
        ``λ``, the decay of p and of the learning rate, at least 0.
    alpha : float or schedule
        The power of the learning rate's decay, at least 0.
    t0 : float or schedule
        The number of steps before the mean begins, at least 0.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(1)
    >>> opt = go.ASGD(0.5, lambd=0.0, t0=0.0).init(x)
    >>> for g in (2.0, 2.0, -1.0):
    ...     opt.step(np.array([g]))
    >>> x.tolist(), opt.evaluation().tolist()
    ([-1.5], [-1.75])
    """

    _averages: ClassVar[bool] = True
    lr: NonNegative = 0.01
    _: KW_ONLY
    lambd: NonNegative = 1e-4
    alpha: NonNegative = 0.75
    t0: NonNegative = 1e6

    def update(self, t: Any, p: Any, g: Any, ax: Any = 0.0) -> Any:
        eta = self.lr / (1 + self.lambd * self.lr * (t - 1)) ** self.alpha
        new = p - eta * (self.lambd * p + g)
        share = 1 / np.maximum(t - 1 - self.t0, 1.0)
        return new, np.where(share < 1, ax + share * (new - ax), new)

    def evaluation(self, p: Any, ax: Any) -> Any:
        return ax
