"""Relatives of Adam with another learning rate: AdaBound, RAdam."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from gpuopt.rules.ranges import Decay, NonNegative, Positive
from gpuopt.rules.rule import Rule, abs2, root_of, weights_of

__all__ = ["AdaBound", "RAdam"]


class AdaBound(Rule):
    """AdaBound (Luo et al. 2019, "Adaptive gradient methods with dynamic bound of learning rate").

    Adam's moments m and v; ``p ← p - clip(lr·√(1-β₂ᵗ)/(1-β₁ᵗ)/(√v + ε), low, high)·m`` with ``low =
    final_lr·(1 - 1/(γ·t + 1))``, ``high = final_lr·(1 + 1/(γ·t))``: it begins as Adam and ends as
    gradient descent with momentum, whose learning rate is `final_lr`. Use it if Adam is fast at
    first, and momentum is better in the end. The defaults are the authors'. In their code
    `final_lr` changes with a scheduled `lr`; here it has a schedule of its own. In float32 it moves
    28 bytes an element. A complex parameter has one second moment, that of the modulus.

    Parameters
    ----------
    lr : float or schedule
        Learning rate at the beginning, at least 0.
    final_lr : float or schedule
        Learning rate in the end, at least 0.
    gamma : float or schedule
        How fast the bounds close, greater than 0.
    beta1, beta2 : float or schedule
        Decay of the first and the second moment, in [0, 1).
    eps : float or schedule
        Added to the uncorrected root, greater than 0.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.AdaBound(0.5).init(x)
    >>> opt.step(np.array([3.0, -0.1]))
    >>> x.round(4).tolist()
    [-0.5, 0.5]
    """

    lr: NonNegative = 1e-3
    _: KW_ONLY
    final_lr: NonNegative = 0.1
    gamma: Positive = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Positive = 1e-8

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0, v: Any = 0.0) -> Any:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * abs2(g)
        return p - self.scale(t, m, v) * m, m, v

    def scale(self, t: Any, m: Any, v: Any) -> Any:
        w1, w2 = weights_of(m, self.beta1, t), weights_of(v, self.beta2, t)
        rate = self.lr * (root_of(w2) / w1) / (np.sqrt(v) + self.eps)
        low = self.final_lr * (1 - 1 / (self.gamma * t + 1))
        high = self.final_lr * (1 + 1 / (self.gamma * t))
        return np.clip(rate, low, high)


class RAdam(Rule):
    """Rectified Adam (Liu et al. 2020, "On the variance of the adaptive learning rate and beyond").

    Adam's moments m and v, and the number of gradients that v averages: ``ρ = ρ∞ -
    2·t·β₂ᵗ/(1-β₂ᵗ)`` with ``ρ∞ = 2/(1-β₂) - 1``. If ρ is beyond the threshold, ``p ← p -
    lr·r·m̂·√(1-β₂ᵗ)/(√v + ε)`` with ``r = √((ρ-4)(ρ-2)ρ∞/((ρ∞-4)(ρ∞-2)ρ))``; else ``p ← p -
    lr·m̂``. Use it in place of `Adam` with a warm-up. The defaults and the place of the epsilon are
    PyTorch's. optax adds the epsilon to the corrected root, and the paper's threshold is 4. In
    float32 it moves 28 bytes an element. A complex parameter has one second moment, that of the
    modulus.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta1, beta2 : float or schedule
        Decay of the first and the second moment, in [0, 1).
    eps : float or schedule
        Added to the uncorrected root, greater than 0.
    threshold : float or schedule
        The ρ beyond which the second moment is used, greater than 0.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.RAdam(0.5).init(x)
    >>> opt.step(np.array([3.0, -0.1]))
    >>> x.round(6).tolist()
    [-1.5, 0.05]
    """

    lr: NonNegative = 1e-3
    _: KW_ONLY
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Positive = 1e-8
    threshold: Positive = 5.0

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0, v: Any = 0.0) -> Any:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * abs2(g)
        w1 = weights_of(m, self.beta1, t)
        return p - self.lr / w1 * m * self._step(t, v), m, v

    def scale(self, t: Any, m: Any, v: Any) -> Any:
        return self.lr * self._step(t, v)

    def _step(self, t: Any, v: Any) -> Any:
        """What the corrected first moment is multiplied by, beside the learning rate."""
        w2 = weights_of(v, self.beta2, t)
        most = 2 / (1 - self.beta2) - 1
        rho = most - 2 * t * (1 - w2) / w2
        square = (rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho)
        r = root_of(np.maximum(square, 0.0) * w2)
        return np.where(rho > self.threshold, r / (np.sqrt(v) + self.eps), 1.0)
