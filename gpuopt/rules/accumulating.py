"""Rules that follow the squares of all gradients: AdaGrad, AdaDelta, MadGrad."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from gpuopt.rules.adaptive import divisor
from gpuopt.rules.ranges import Decay, NonNegative, Positive
from gpuopt.rules.rule import Rule, abs2, at_first, root_of

__all__ = ["AdaDelta", "AdaGrad", "MadGrad"]


class AdaGrad(Rule):
    """AdaGrad (Duchi, Hazan & Singer 2011, "Adaptive subgradient methods for online learning and
    stochastic optimization"): ``s ← s + |g|²; p ← p - lr·g/(√s + ε)``.

    Use it for gradients that are 0 in most steps: an element that seldom moves keeps a large step.
    Steps never grow again, so a long run of dense gradients ends in tiny steps; RMSProp is better
    there. The defaults are PyTorch's. optax and Keras have ``initial=0.1, eps=1e-7,
    eps_in_root=True``. In float32 it moves 20 bytes an element. A complex parameter has one sum,
    that of the squared modulus.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    lr_decay : float or schedule
        At least 0: the learning rate is ``lr/(1 + (t-1)·lr_decay)``.
    eps : float or schedule
        Added to the root, greater than 0.
    initial : float or schedule
        The value of s before the first step, at least 0.
    eps_in_root : bool
        Divide by ``√(s + ε)``.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.AdaGrad(0.5).init(x)
    >>> opt.step(np.array([3.0, -0.1]))
    >>> x.round(6).tolist()
    [-0.5, 0.5]
    """

    lr: NonNegative = 0.01
    _: KW_ONLY
    lr_decay: NonNegative = 0.0
    eps: Positive = 1e-10
    initial: NonNegative = 0.0
    eps_in_root: bool = False

    def update(self, t: Any, p: Any, g: Any, s: Any = 0.0) -> Any:
        if self.initial:
            s = at_first(t, self.initial, s)
        s = s + abs2(g)
        return p - self._rate(t) * g / divisor(s, self.eps, self.eps_in_root), s

    def scale(self, t: Any, s: Any) -> Any:
        return self._rate(t) / divisor(s, self.eps, self.eps_in_root)

    def _rate(self, t: Any) -> Any:
        return self.lr / (1 + (t - 1) * self.lr_decay) if self.lr_decay else self.lr


class AdaDelta(Rule):
    """AdaDelta (Zeiler 2012, "ADADELTA: an adaptive learning rate method").

    ``v ← ρ·v + (1-ρ)·|g|²; d = √(u + ε)/√(v + ε)·g; u ← ρ·u + (1-ρ)·|d|²; p ← p - lr·d``. Use it if
    you cannot tune a learning rate: the step has the parameter's unit, so `lr` may stay 1. The
    first steps are tiny, about √ε. The defaults are PyTorch's, and also the paper's except for ρ,
    which is 0.95 in the paper and in Keras. In float32 it moves 28 bytes an element. Both moments
    of a complex parameter are those of the modulus; optax takes the square of the complex number.

    Parameters
    ----------
    lr : float or schedule
        Factor of the step, at least 0. The paper has no such factor.
    rho : float or schedule
        Decay of both moments, in [0, 1).
    eps : float or schedule
        Added inside both roots, greater than 0.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.AdaDelta().init(x)
    >>> opt.step(np.array([3.0, -0.1]))
    >>> x.round(6).tolist()
    [-0.003162, 0.003161]
    """

    lr: NonNegative = 1.0
    _: KW_ONLY
    rho: Decay = 0.9
    eps: Positive = 1e-6

    def update(self, t: Any, p: Any, g: Any, v: Any = 0.0, u: Any = 0.0) -> Any:
        v = self.rho * v + (1 - self.rho) * abs2(g)
        d = np.sqrt((u + self.eps) / (v + self.eps)) * g
        return p - self.lr * d, v, self.rho * u + (1 - self.rho) * abs2(d)


class MadGrad(Rule):
    """MADGRAD (Defazio & Jelassi 2022, "Adaptivity without compromise: a momentumized, adaptive,
    dual averaged gradient method for stochastic optimization").

    ``λ = (lr + ε)·√t; v ← v + λ·|g|²; s ← s + λ·g; z = p₀ - s/(∛v + ε); p ← β·p + (1-β)·z``: each
    step starts from the initial parameters ``p₀``, with a cube root in place of AdaGrad's square
    root, and momentum averages the parameters on the way. Use it where AdaGrad slows down too much.
    The defaults are those of the authors and of optax.contrib. In float32 it moves 32 bytes an
    element.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta : float or schedule
        Decay of the average of parameters, in [0, 1).
    eps : float or schedule
        Added to the learning rate and to the root, greater than 0.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.MadGrad(0.1, beta=0.5).init(x)
    >>> opt.step(np.array([3.0, -0.1]))
    >>> x.round(4).tolist()
    [-0.1554, 0.05]
    """

    lr: NonNegative = 0.01
    _: KW_ONLY
    beta: Decay = 0.9
    eps: Positive = 1e-6

    def start(self, p: Any) -> Any:
        return 0.0, 0.0, p

    def update(self, t: Any, p: Any, g: Any, v: Any, s: Any, origin: Any) -> Any:
        weight = (self.lr + self.eps) * root_of(t)
        v, s = v + weight * abs2(g), s + weight * g
        z = origin - s / (np.cbrt(v) + self.eps)
        return self.beta * p + (1 - self.beta) * z, v, s, origin
