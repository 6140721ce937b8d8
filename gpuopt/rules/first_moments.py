"""Relatives of Adam with another first moment: LaProp, QHAdam, Adan, AdEMAMix."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from gpuopt.rules.adaptive import lr_and_eps, scale_of
from gpuopt.rules.ranges import Decay, NonNegative, Positive, single
from gpuopt.rules.rule import Rule, abs2, at_first, root_of, weights_of

__all__ = ["AdEMAMix", "Adan", "LaProp", "QHAdam"]


class LaProp(Rule):
    """LaProp (Ziyin, Wang & Ueda 2020, "LaProp: separating momentum and adaptivity in Adam").

    ``v ← β₂·v + (1-β₂)·|g|²; b ← β₁·b + (1-β₁)·g/(√v̂ + ε); p ← p - lr·b̂``, corrected as in Adam:
    the average is taken over scaled gradients, so any β₁ works with any β₂. Use it for decays with
    which Adam is unstable. The defaults are the authors'. In their code, b holds the learning rate;
    that differs only if the rate changes. In float32 it moves 28 bytes an element. A complex
    parameter has one second moment, that of the modulus.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta1, beta2 : float or schedule
        Decay of the average of scaled gradients and of the second moment, in [0, 1).
    eps : float or schedule
        Added to the corrected root, greater than 0.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.LaProp(0.5).init(x)
    >>> opt.step(np.array([3.0, -0.1]))
    >>> x.round(6).tolist()
    [-0.5, 0.5]
    """

    lr: NonNegative = 4e-4
    _: KW_ONLY
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Positive = 1e-15
    momentum_states = ("b",)

    def update(self, t: Any, p: Any, g: Any, b: Any = 0.0, v: Any = 0.0) -> Any:
        v = self.beta2 * v + (1 - self.beta2) * abs2(g)
        root = root_of(weights_of(v, self.beta2, t))
        u = root * g / (np.sqrt(v) + self.eps * root)
        b = self.beta1 * b + (1 - self.beta1) * u
        return p - self.lr / weights_of(b, self.beta1, t) * b, b, v

    def scale(self, t: Any, b: Any, v: Any) -> Any:
        return scale_of(self, t, v)


class QHAdam(Rule):
    """Quasi-hyperbolic Adam (Ma & Yarats 2019, "Quasi-hyperbolic momentum and Adam for deep
    learning").

    Adam's moments m and v; ``p ← p - lr·((1-ν₁)·g + ν₁·m̂)/(√((1-ν₂)·|g|² + ν₂·v̂) + ε)``: a mean
    of the moment and the gradient itself. Use it for averages over many gradients: β₁ may be closer
    to 1. The defaults are the authors'. With ``nu1=1.0`` it is Adam. In float32 it moves 28 bytes
    an element. A complex parameter has one second moment, that of the modulus.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta1, beta2 : float or schedule
        Decay of the first and the second moment, in [0, 1).
    nu1, nu2 : float or schedule
        The shares of the moments, at least 0.
    eps : float or schedule
        Added to the root, greater than 0.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.QHAdam(0.5).init(x)
    >>> opt.step(np.array([3.0, -0.1]))
    >>> x.round(6).tolist()
    [-0.5, 0.5]
    """

    lr: NonNegative = 1e-3
    _: KW_ONLY
    beta1: Decay = 0.995
    beta2: Decay = 0.999
    nu1: NonNegative = 0.7
    nu2: NonNegative = 1.0
    eps: Positive = 1e-8

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0, v: Any = 0.0) -> Any:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * abs2(g)
        w1, w2 = weights_of(m, self.beta1, t), weights_of(v, self.beta2, t)
        first = self.nu1 / w1 * m + (1 - self.nu1) * g
        second = self.nu2 / w2 * v + (1 - self.nu2) * abs2(g)
        return p - self.lr * first / (np.sqrt(second) + self.eps), m, v


class Adan(Rule):
    """Adan (Xie et al. 2022, "Adan: adaptive Nesterov momentum algorithm for faster optimizing deep
    models").

    With ``c = g - last``, the change of the gradient, 0 in the first step: ``m ← β₁·m + (1-β₁)·g; d
    ← β₂·d + (1-β₂)·c; n ← β₃·n + (1-β₃)·|g + β₂·c|²; p ← (p - lr·(m̂ + β₂·d̂)/(√n̂ + ε))/(1 +
    lr·wd)``, corrected as in Adam. Use it for networks that bear learning rates well above Adam's.
    The defaults, and the meaning of each β, are those of the authors' code. The paper writes 1-β
    for each β, and optax weighs the change by 1-β₂. In float32 it moves 44 bytes an element. A
    complex parameter has one second moment, that of the modulus.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta1, beta2, beta3 : float or schedule
        Decay of the first moment, of the change and of the second moment, in [0, 1).
    eps : float or schedule
        Added to the root, greater than 0.
    weight_decay : float or schedule
        ``wd``, at least 0. It acts as a proximal step, after the update.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.Adan(0.5).init(x)
    >>> opt.step(np.array([3.0, -0.1]))
    >>> x.round(6).tolist()
    [-0.5, 0.5]
    """

    lr: NonNegative = 1e-3
    _: KW_ONLY
    beta1: Decay = 0.98
    beta2: Decay = 0.92
    beta3: Decay = 0.99
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.0
    momentum_states = ("m", "d")

    def update(
        self, t: Any, p: Any, g: Any, m: Any = 0.0, d: Any = 0.0, n: Any = 0.0, last: Any = 0.0
    ) -> Any:
        change = at_first(t, 0.0, g - last)
        m = self.beta1 * m + (1 - self.beta1) * g
        d = self.beta2 * d + (1 - self.beta2) * change
        n = self.beta3 * n + (1 - self.beta3) * abs2(g + self.beta2 * change)
        w1, w2 = weights_of(m, self.beta1, t), weights_of(d, self.beta2, t)
        lr, eps = lr_and_eps(self, w1, weights_of(n, self.beta3, t))
        p = p - lr * (m + self.beta2 * (w1 / w2) * d) / (np.sqrt(n) + eps)
        if self.weight_decay:
            p = p / (1 + self.lr * self.weight_decay)
        return p, m, d, n, g


class AdEMAMix(Rule):
    """AdEMAMix (Pagliardini, Ablin & Grangier 2024, "The AdEMAMix optimizer: better, faster,
    older").

    Adam's moments m and v, and a slow average: ``slow ← β₃·slow + (1-β₃)·g; p ← p - lr·((m̂ +
    α·slow)/(√v̂ + ε) + wd·p)``. Use it for long runs, in which old gradients still help. The
    defaults are those of the authors and of optax. In float32 it moves 36 bytes an element. A
    complex parameter has one second moment, that of the modulus.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta1, beta2, beta3 : float or schedule
        Decay of the first, the second and the slow moment, in [0, 1).
    alpha : float or schedule
        The share of the slow moment, at least 0.
    warmup : float or schedule
        The number of steps in which α grows from 0, and β₃ from β₁ by its half-life; 0.0 for no
        warm-up. The paper takes the length of the run.
    eps : float or schedule
        Added to the root, greater than 0.
    weight_decay : float or schedule
        ``wd``, at least 0.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.AdEMAMix(0.5).init(x)
    >>> opt.step(np.array([3.0, -0.1]))
    >>> x.round(6).tolist()
    [-0.50025, 0.50025]
    """

    lr: NonNegative = 1e-3
    _: KW_ONLY
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    beta3: Decay = 0.9999
    alpha: NonNegative = 5.0
    warmup: NonNegative = 0.0
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.0
    momentum_states = ("m", "slow")

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0, v: Any = 0.0, slow: Any = 0.0) -> Any:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * abs2(g)
        alpha, beta3 = self._mixture(t) if self.warmup else (self.alpha, self.beta3)
        slow = beta3 * slow + (1 - beta3) * g
        w1, w2 = weights_of(m, self.beta1, t), weights_of(v, self.beta2, t)
        lr, eps = lr_and_eps(self, w1, w2)
        step = lr * (m + alpha * w1 * slow) / (np.sqrt(v) + eps)
        if self.weight_decay:
            step = step + self.lr * self.weight_decay * p
        return p - step, m, v, slow

    def _mixture(self, t: Any) -> tuple[Any, Any]:
        """α and β₃ on the way up: α linear in t, and so is ``1/log β₃``, from ``1/log β₁`` on."""
        part = single(np.minimum(t / self.warmup, 1.0))
        slow = np.exp(1 / ((1 - part) / np.log(self.beta1) + part / np.log(self.beta3)))
        return part * self.alpha, single(np.where(part < 1, slow, self.beta3))
