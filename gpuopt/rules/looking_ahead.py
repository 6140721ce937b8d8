"""Rules with Nesterov's momentum whose weights change each step: NAdam, AcceleratedGradient."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from gpuopt.rules.adaptive import lr_and_eps, scale_of
from gpuopt.rules.ranges import Decay, NonNegative, Positive, single
from gpuopt.rules.reductions import tree_sum
from gpuopt.rules.rule import Rule, abs2, root_of, weights_of

__all__ = ["AcceleratedGradient", "NAdam"]


class NAdam(Rule):
    """NAdam (Dozat 2016, "Incorporating Nesterov momentum into Adam").

    Adam's moments m and v, with a growing decay ``μₜ = β₁·(1 - 0.96^(t·ψ)/2)``, and the product P
    of all decays so far: ``p ← p - lr·((1-μₜ)/(1-P)·g + μₜ₊₁/(1-P·μₜ₊₁)·m)/(√v̂ + ε)``. Use it like
    `Adam`; it gives more weight to the newest gradient. The defaults and the formula are PyTorch's.
    Keras has ``ψ=1``, and optax's NAdam is ``Adam(nesterov=True)``. In float32 it moves 28 bytes an
    element. A complex parameter has one second moment, that of the modulus.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta1, beta2 : float or schedule
        Final decay of the first moment, and decay of the second, in [0, 1).
    eps : float or schedule
        Added to the root, greater than 0.
    momentum_decay : float or schedule
        ``ψ``, how fast the decay grows, at least 0.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.NAdam(0.5).init(x)
    >>> opt.step(np.array([3.0, -0.1]))
    >>> x.round(6).tolist()
    [-0.528226, 0.528226]
    """

    lr: NonNegative = 2e-3
    _: KW_ONLY
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Positive = 1e-8
    momentum_decay: NonNegative = 4e-3

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0, v: Any = 0.0, product: Any = 1.0) -> Any:
        decay = self.momentum_decay
        mu, ahead = (self.beta1 * (1 - 0.5 * 0.96 ** (n * decay)) for n in (t, t + 1))
        m, product = self.beta1 * m + (1 - self.beta1) * g, mu * product
        v = self.beta2 * v + (1 - self.beta2) * abs2(g)
        lr, eps = lr_and_eps(self, 1.0, weights_of(v, self.beta2, t))
        step = (1 - mu) / (1 - product) * g + ahead / (1 - product * ahead) * m
        return p - lr * step / (np.sqrt(v) + eps), m, v, product

    def scale(self, t: Any, m: Any, v: Any, product: Any) -> Any:
        return scale_of(self, t, v)


class AcceleratedGradient(Rule):
    """Nesterov's accelerated gradient (1983; Beck & Teboulle 2009, "FISTA", without a proximal
    step), with the adaptive restart of O'Donoghue & Candès (2015).

    ``x ← p - lr·g; p ← x + (θ - 1)/θ'·(x - x_last)`` with ``θ' = (1 + √(1 + 4θ²))/2`` and ``θ = 1``
    at first: the gradient is taken at p, ahead of x. `Optimizer.evaluation` returns x. Use it for
    convex losses and exact gradients, with `lr` up to the inverse of the largest curvature. It
    restarts, with ``θ = 1``, when ``⟨g, x - x_last⟩ > 0`` over all arrays. That ends the ripples of
    a momentum that is too large. In float32 it moves 32 bytes an element, 12 of them for the
    restart.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    restart : bool
        Restart the momentum when it points uphill.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.ones(1)
    >>> opt = go.AcceleratedGradient(0.1).init(x)
    >>> for _ in range(9):  # the last but one starts again
    ...     opt.step(2 * x)
    >>> opt.evaluation().round(6).tolist()
    [-0.016905]
    """

    lr: NonNegative = 0.01
    _: KW_ONLY
    restart: bool = True

    def start(self, p: Any) -> Any:
        return p, 1.0

    def update(self, t: Any, p: Any, g: Any, x: Any, theta: Any) -> Any:
        new = p - self.lr * g
        if self.restart:
            uphill = tree_sum((np.conj(g) * (new - x)).real) > 0
            theta = single(np.where(uphill, 1.0, theta))
        after = (1 + root_of(1 + 4 * theta * theta)) / 2
        return new + (theta - 1) / after * (new - x), new, after

    def evaluation(self, p: Any, x: Any, theta: Any) -> Any:
        return x
