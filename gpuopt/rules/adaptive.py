"""Rules that scale each element's step by its own second moment: RMSProp, Adam, AdamW."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from gpuopt.rules.ranges import Decay, NonNegative, Positive
from gpuopt.rules.rule import Rule, abs2, weights_of

__all__ = ["Adam", "AdamW", "RMSProp"]


class RMSProp(Rule):
    """RMSProp (Tieleman & Hinton 2012, lecture 6.5): ``v ← β·v + (1-β)·|g|²; p ← p - lr·g/(√v +
    ε)``.

    The epsilon is outside the root, as in PyTorch (optax and Keras put it inside), whose decay is
    0.99 if none is given. A complex parameter has one second moment, of its modulus, as in optax;
    in PyTorch each of its parts has one.

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
        (1-β)·g``. The maximum guards against a difference that rounding made negative.
    momentum : float or schedule
        ``b ← μ·b + g/(√v + ε); p ← p - lr·b``; 0.0 switches it off.
    """

    lr: NonNegative = 0.01
    _: KW_ONLY
    beta: Decay = 0.9
    eps: Positive = 1e-8
    centered: bool = False
    momentum: Decay = 0.0

    def update(self, t: Any, p: Any, g: Any, v: Any = 0.0, c: Any = 0.0, b: Any = 0.0) -> Any:
        v = self.beta * v + (1 - self.beta) * abs2(g)
        variance = v
        if self.centered:
            c = self.beta * c + (1 - self.beta) * g
            variance = np.maximum(v - abs2(c), 0.0)
        u = g / (np.sqrt(variance) + self.eps)
        if self.momentum:
            b = u = self.momentum * b + u
        return p - self.lr * u, v, c, b


class Adam(Rule):
    """Adam (Kingma & Ba 2015, algorithm 1).

    ``m ← β₁·m + (1-β₁)·g; v ← β₂·v + (1-β₂)·|g|²; p ← p - lr·m̂/(√v̂ + ε)`` with ``m̂ =
    m/(1-β₁ᵗ)``, ``v̂ = v/(1-β₂ᵗ)``. The epsilon is added to the corrected root, as in PyTorch and
    optax (Keras and scikit-learn: to the uncorrected). A complex parameter has one second moment,
    of its modulus, as in optax; in PyTorch each of its parts has one.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta1, beta2 : float or schedule
        Decay of the first and the second moment, in [0, 1).
    eps : float or schedule
        Added to the root, greater than 0.
    bias_correction : bool
        False takes m and v as they are.
    amsgrad : bool
        Divide by the largest second moment so far (Reddi et al. 2018), of the uncorrected v as in
        PyTorch.
    """

    lr: NonNegative = 1e-3
    _: KW_ONLY
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Positive = 1e-8
    bias_correction: bool = True
    amsgrad: bool = False

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0, v: Any = 0.0, v_max: Any = 0.0) -> Any:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * abs2(g)
        largest = v
        if self.amsgrad:
            largest = v_max = np.maximum(v_max, v)
        lr, eps = _corrected(self, m, v, t)
        return p - lr * m / (np.sqrt(largest) + eps), m, v, v_max


class AdamW(Rule):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019): ``p ← p·(1 - lr·wd)``, then
    `Adam`.

    The decay is multiplied by the learning rate, as in PyTorch and optax. If none is given, it is
    0.01 as in PyTorch, 1e-4 in optax, 0.004 in Keras.

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
    bias_correction, amsgrad : bool
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

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0, v: Any = 0.0, v_max: Any = 0.0) -> Any:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * abs2(g)
        largest = v
        if self.amsgrad:
            largest = v_max = np.maximum(v_max, v)
        lr, eps = _corrected(self, m, v, t)
        # Not p * (1 - lr * wd): next to 1, a small product would lose its digits.
        decay = self.lr * self.weight_decay * p
        return p - (decay + lr * m / (np.sqrt(largest) + eps)), m, v, v_max


def _corrected(rule: Adam | AdamW, m: Any, v: Any, t: Any) -> tuple[Any, Any]:
    """Learning rate and epsilon with both bias corrections in them.

    With the sums of weights ``w₁ = 1-β₁ᵗ``, ``w₂ = 1-β₂ᵗ``: ``lr·m̂/(√v̂ + ε) = lr·(√w₂/w₁)·m/(√v +
    ε·√w₂)``. These are numbers, so no array is scaled by a correction.
    """
    if not rule.bias_correction:
        return rule.lr, rule.eps
    w1, w2 = weights_of(m, rule.beta1, t), weights_of(v, rule.beta2, t)
    # NumPy's root of a plain number would be a scalar that makes float32 arrays float64.
    root = math.sqrt(w2) if isinstance(w2, float) else np.sqrt(w2)
    return rule.lr * (root / w1), rule.eps * root
