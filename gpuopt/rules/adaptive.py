"""Rules that scale each element's step by its own second moment: RMSProp, Adam, AdamW."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from gpuopt.rules.ranges import Decay, NonNegative, Positive
from gpuopt.rules.rule import Rule, abs2, at_first, root_of, weights_of

__all__ = ["Adam", "AdamW", "RMSProp"]


class RMSProp(Rule):
    """RMSProp (Tieleman & Hinton 2012, lecture 6.5): ``v ← β·v + (1-β)·|g|²; p ← p - lr·g/(√v +
    ε)``.

    Use it for gradients whose scale differs between elements, or changes with time. The epsilon is
    outside the root, as in PyTorch; optax and Keras put it inside. PyTorch's default decay is 0.99.
    A complex parameter has one second moment, that of its modulus, as in optax; in PyTorch, its
    real and its imaginary part have one each.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta : float or schedule
        Decay of the second moment, in [0, 1).
    eps : float or schedule
        Added to the root, greater than 0.
    centered : bool
        Divide by the root of the variance (Graves 2013): ``√max(v - |c|², 0)`` with ``c ← β·c +
        (1-β)·g``. The maximum guards against a difference that rounding makes negative.
    momentum : float or schedule
        ``b ← μ·b + g/(√v + ε); p ← p - lr·b``; 0.0 switches it off.
    eps_in_root : bool
        Divide by ``√(v + ε)``, as optax and Keras do.
    initial : float or schedule
        The value of v before the first step, at least 0. The first version of TensorFlow has 1.0.
    """

    lr: NonNegative = 0.01
    _: KW_ONLY
    beta: Decay = 0.9
    eps: Positive = 1e-8
    centered: bool = False
    momentum: Decay = 0.0
    eps_in_root: bool = False
    initial: NonNegative = 0.0
    momentum_states = ("b",)

    def update(self, t: Any, p: Any, g: Any, v: Any = 0.0, c: Any = 0.0, b: Any = 0.0) -> Any:
        if self.initial:
            v = at_first(t, self.initial, v)
        v = self.beta * v + (1 - self.beta) * abs2(g)
        if self.centered:
            c = self.beta * c + (1 - self.beta) * g
        u = g / self._divisor(v, c)
        if self.momentum:
            b = u = self.momentum * b + u
        return p - self.lr * u, v, c, b

    def _divisor(self, v: Any, c: Any) -> Any:
        variance = np.maximum(v - abs2(c), 0.0) if self.centered else v
        return divisor(variance, self.eps, self.eps_in_root)

    def scale(self, t: Any, v: Any, c: Any, b: Any) -> Any:
        return self.lr / (1 - self.momentum) / self._divisor(v, c)


class Adam(Rule):
    """Adam (Kingma & Ba 2015, algorithm 1).

    ``m ← β₁·m + (1-β₁)·g; v ← β₂·v + (1-β₂)·|g|²; p ← p - lr·m̂/(√v̂ + ε)`` with ``m̂ =
    m/(1-β₁ᵗ)``, ``v̂ = v/(1-β₂ᵗ)``. Use it as a first choice: its steps hardly depend on the scale
    of the gradients. The epsilon is added to the corrected root, as in PyTorch and optax; Keras and
    scikit-learn add it to the uncorrected root. A complex parameter has one second moment, that of
    its modulus, as in optax; in PyTorch, its real and its imaginary part have one each.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta1, beta2 : float or schedule
        Decay of the first and the second moment, in [0, 1).
    eps : float or schedule
        Added to the root, greater than 0.
    bias_correction : bool
        If False, m and v are used as they are.
    amsgrad : bool
        Divide by the largest second moment so far (Reddi et al. 2018). As in PyTorch, it is that of
        the uncorrected v.
    nesterov : bool
        Take m one update ahead (Dozat 2016), as optax does: ``β₁·m/(1-β₁ᵗ⁺¹) + (1-β₁)·g/(1-β₁ᵗ)``
        in place of m̂. The β₁ of PyTorch's and Keras' NAdam changes: see `NAdam`.
    eps_in_root : float or schedule
        Added to v̂ inside the root, at least 0; ``eps_root`` in optax.
    """

    lr: NonNegative = 1e-3
    _: KW_ONLY
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Positive = 1e-8
    bias_correction: bool = True
    amsgrad: bool = False
    nesterov: bool = False
    eps_in_root: NonNegative = 0.0

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0, v: Any = 0.0, v_max: Any = 0.0) -> Any:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * abs2(g)
        largest = v
        if self.amsgrad:
            largest = v_max = np.maximum(v_max, v)
        return p - _step(self, t, g, m, largest), m, v, v_max

    def scale(self, t: Any, m: Any, v: Any, v_max: Any) -> Any:
        return _scale(self, t, v_max if self.amsgrad else v)


class AdamW(Rule):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019): ``p ← p·(1 - lr·wd)``, then
    `Adam`.

    Use it for networks: the decay shrinks all elements alike, whatever their second moments. It is
    multiplied by the learning rate, as in PyTorch and optax. Its default is PyTorch's, 0.01; optax
    has 1e-4, Keras 0.004.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta1, beta2 : float or schedule
        Decay of the first and the second moment, in [0, 1).
    eps : float or schedule
        Added to the root, greater than 0.
    weight_decay : float or schedule
        ``wd``, at least 0.
    bias_correction, amsgrad, nesterov : bool
        As in `Adam`.
    eps_in_root : float or schedule
        As in `Adam`.
    """

    lr: NonNegative = 1e-3
    _: KW_ONLY
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.01
    bias_correction: bool = True
    amsgrad: bool = False
    nesterov: bool = False
    eps_in_root: NonNegative = 0.0

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0, v: Any = 0.0, v_max: Any = 0.0) -> Any:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * abs2(g)
        largest = v
        if self.amsgrad:
            largest = v_max = np.maximum(v_max, v)
        # Not p * (1 - lr * wd): next to 1, a small product would lose its digits.
        decay = self.lr * self.weight_decay * p
        return p - (decay + _step(self, t, g, m, largest)), m, v, v_max

    def scale(self, t: Any, m: Any, v: Any, v_max: Any) -> Any:
        return _scale(self, t, v_max if self.amsgrad else v)


def _step(rule: Adam | AdamW, t: Any, g: Any, m: Any, v: Any) -> Any:
    """``lr·m̂/(√v̂ + ε)``, with the options that both rules have."""
    lr, eps, w1, w2 = rule.lr, rule.eps, 1.0, 1.0
    if rule.bias_correction:
        w1, w2 = weights_of(m, rule.beta1, t), weights_of(v, rule.beta2, t)
        lr, eps = lr_and_eps(rule, w1, w2)
    if rule.nesterov:
        ahead = rule.beta1 * w1
        m = ahead / (ahead + (1 - rule.beta1)) * m + (1 - rule.beta1) * g
    if rule.eps_in_root:
        v = v + rule.eps_in_root * w2
    return lr * (m / (np.sqrt(v) + eps))


def _scale(rule: Adam | AdamW, t: Any, v: Any) -> Any:
    """``lr/(√v̂ + ε)``, which multiplies m̂."""
    if not rule.bias_correction:
        return rule.lr / (np.sqrt(v + rule.eps_in_root if rule.eps_in_root else v) + rule.eps)
    return scale_of(rule, t, v, rule.eps_in_root)


def scale_of(rule: Any, t: Any, v: Any, in_root: Any = 0.0) -> Any:
    """``lr/(√(v̂ + in_root) + ε)``, with v̂ corrected as in Adam."""
    w2 = weights_of(v, rule.beta2, t)
    lr, eps = lr_and_eps(rule, 1.0, w2)
    return lr / (np.sqrt(v + in_root * w2 if in_root else v) + eps)


def lr_and_eps(rule: Any, w1: Any, w2: Any) -> tuple[Any, Any]:
    """Learning rate and epsilon with both bias corrections in them.

    With the sums of weights ``w₁ = 1-β₁ᵗ``, ``w₂ = 1-β₂ᵗ``: ``lr·m̂/(√v̂ + ε) = lr·(√w₂/w₁)·m/(√v +
    ε·√w₂)``. These are numbers, so no array is scaled by a correction.
    """
    root = root_of(w2)
    return rule.lr * (root / w1), rule.eps * root


def divisor(v: Any, eps: Any, in_root: bool) -> Any:
    """``√v + ε``, or ``√(v + ε)``."""
    return np.sqrt(v + eps) if in_root else np.sqrt(v) + eps
