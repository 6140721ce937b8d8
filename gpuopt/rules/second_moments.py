"""Relatives of Adam with another second moment: Adamax, AdaBelief, Yogi, ADOPT."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from gpuopt.rules.adaptive import lr_and_eps, scale_of
from gpuopt.rules.ranges import Decay, NonNegative, Positive, single
from gpuopt.rules.rule import Rule, abs2, at_first, clipped, weights_of

__all__ = ["ADOPT", "AdaBelief", "Adamax", "Yogi"]


class Adamax(Rule):
    """Adamax (Kingma & Ba 2015, "Adam: a method for stochastic optimization", section 7.1).

    ``m ← β₁·m + (1-β₁)·g; u ← max(β₂·u, |g| + ε); p ← p - lr·m̂/u`` with ``m̂ = m/(1-β₁ᵗ)``: Adam
    with a decaying maximum in place of the root of the second moment. Use it for gradients with
    rare large values. The defaults and the place of the epsilon are PyTorch's. The paper has no
    epsilon, and Keras adds it to u. In float32 it moves 28 bytes an element. A complex parameter
    has one maximum, that of the modulus, as in optax.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta1, beta2 : float or schedule
        Decay of the first moment and of the maximum, in [0, 1).
    eps : float or schedule
        Added to the modulus of the gradient, greater than 0.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.Adamax(0.5).init(x)
    >>> opt.step(np.array([3.0, -0.1]))
    >>> x.round(6).tolist()
    [-0.5, 0.5]
    """

    lr: NonNegative = 2e-3
    _: KW_ONLY
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Positive = 1e-8

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0, u: Any = 0.0) -> Any:
        m = self.beta1 * m + (1 - self.beta1) * g
        u = np.maximum(self.beta2 * u, np.abs(g) + self.eps)
        return p - self.lr / weights_of(m, self.beta1, t) * m / u, m, u

    def scale(self, t: Any, m: Any, u: Any) -> Any:
        return self.lr / u


class AdaBelief(Rule):
    """AdaBelief (Zhuang et al. 2020, "AdaBelief optimizer: adapting stepsizes by the belief in
    observed gradients").

    ``m ← β₁·m + (1-β₁)·g; s ← β₂·s + (1-β₂)·|g - m|² + ε'; p ← p - lr·m̂/(√ŝ + ε)``, corrected as
    in Adam: it takes large steps where the gradient is as predicted, and small ones elsewhere. Use
    it like `Adam`. The defaults are those of optax and of the authors. In float32 it moves 28 bytes
    an element. A complex parameter has one second moment, that of the modulus.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta1, beta2 : float or schedule
        Decay of the first moment and of the squared deviation from it, in [0, 1).
    eps : float or schedule
        Added to the root, greater than 0.
    eps_root : float or schedule
        ``ε'``, added to s in each step, greater than 0.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.AdaBelief(0.5).init(x)
    >>> opt.step(np.array([3.0, -0.1]))
    >>> x.round(6).tolist()
    [-0.555556, 0.555556]
    """

    lr: NonNegative = 1e-3
    _: KW_ONLY
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Positive = 1e-16
    eps_root: Positive = 1e-16

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0, s: Any = 0.0) -> Any:
        m = self.beta1 * m + (1 - self.beta1) * g
        s = self.beta2 * s + (1 - self.beta2) * abs2(g - m) + self.eps_root
        w1, w2 = weights_of(m, self.beta1, t), weights_of(s, self.beta2, t)
        lr, eps = lr_and_eps(self, w1, w2)
        return p - lr * m / (np.sqrt(s) + eps), m, s

    def scale(self, t: Any, m: Any, s: Any) -> Any:
        return scale_of(self, t, s)


class Yogi(Rule):
    """Yogi (Zaheer et al. 2018, "Adaptive methods for nonconvex optimization").

    ``m ← β₁·m + (1-β₁)·g; v ← v - (1-β₂)·sign(v - |g|²)·|g|²; p ← p - lr·m̂/(√v̂ + ε)``, corrected
    as in Adam: the second moment changes by at most ``|g|²``, so it forgets large gradients slowly.
    Use it for gradients that are large in few steps. The defaults and the corrections are optax's;
    the paper has no corrections. In float32 it moves 28 bytes an element. A complex parameter has
    one second moment, that of the modulus.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta1, beta2 : float or schedule
        Decay of the first moment and pace of the second, in [0, 1).
    eps : float or schedule
        Added to the root, greater than 0.
    initial : float or schedule
        The value of m and v before the first step, at least 0.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.Yogi(0.5).init(x)
    >>> opt.step(np.array([3.0, -0.1]))
    >>> x.round(4).tolist()
    [-0.4998, 0.4722]
    """

    lr: NonNegative = 0.01
    _: KW_ONLY
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Positive = 1e-3
    initial: NonNegative = 1e-6

    def start(self, p: Any) -> Any:
        return self.initial, self.initial

    def update(self, t: Any, p: Any, g: Any, m: Any, v: Any) -> Any:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = v - (1 - self.beta2) * np.sign(v - abs2(g)) * abs2(g)
        w1, w2 = weights_of(m, self.beta1, t), weights_of(v, self.beta2, t)
        lr, eps = lr_and_eps(self, w1, w2)
        return p - lr * m / (np.sqrt(v) + eps), m, v

    def scale(self, t: Any, m: Any, v: Any) -> Any:
        return scale_of(self, t, v)


class ADOPT(Rule):
    """ADOPT (Taniguchi et al. 2024, "ADOPT: modified Adam can converge with any β₂ with the optimal
    rate").

    The first step only sets ``v = |g|²``. Each later step uses the v of the step before: ``u =
    g/max(√v, ε); m ← β₁·m + (1-β₁)·u; p ← p - lr·m; v ← β₂·v + (1-β₂)·|g|²``. Use it where Adam
    does not converge. The defaults are those of the authors and of optax. In float32 it moves 28
    bytes an element. A complex parameter has one second moment, that of the modulus, and u is
    clipped by its modulus.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta1, beta2 : float or schedule
        Decay of the average of scaled gradients and of the second moment, in [0, 1).
    eps : float or schedule
        The smallest divisor, greater than 0.
    clipped : bool
        Clip u to ``(t-1)^(1/4)``.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.ADOPT(0.5).init(x)
    >>> for _ in range(2):
    ...     opt.step(np.array([3.0, -0.1]))
    >>> x.round(6).tolist()
    [-0.05, 0.05]
    """

    lr: NonNegative = 1e-3
    _: KW_ONLY
    beta1: Decay = 0.9
    beta2: Decay = 0.9999
    eps: Positive = 1e-6
    clipped: bool = True

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0, v: Any = 0.0) -> Any:
        u = g / single(np.maximum(np.sqrt(v), self.eps))
        if self.clipped:
            u = clipped(u, (t - 1) ** 0.25)
        m = self.beta1 * m + at_first(t, 0.0, 1 - self.beta1) * u
        beta2 = at_first(t, 0.0, self.beta2)
        return p - self.lr * m, m, beta2 * v + (1 - beta2) * abs2(g)

    def scale(self, t: Any, m: Any, v: Any) -> Any:
        return self.lr / single(np.maximum(np.sqrt(v), self.eps))
