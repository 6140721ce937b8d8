"""Rules that scale the step of each array by its norms: LARS, LAMB, NovoGrad, StableAdamW."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from gpuopt.rules.adaptive import lr_and_eps
from gpuopt.rules.ranges import Decay, NonNegative, Positive, single
from gpuopt.rules.rule import Rule, abs2, at_first, root_of, weights_of

__all__ = ["LAMB", "LARS", "NovoGrad", "StableAdamW"]


class LARS(Rule):
    """Layer-wise adaptive rate scaling (You, Gitman & Ginsburg 2017, "Large batch training of
    convolutional networks").

    ``h = g + wd·p; b ← β·b + lr·r·h; p ← p - b`` with ``r = trust·‖p‖/(‖h‖ + ε)``, and 1 if either
    norm is 0: momentum whose step is proportional to the norm of its array. Use it for large
    batches. Each array has its own norms. The defaults and the place of the learning rate, inside
    b, are optax's. The paper has ``‖g‖ + wd·‖p‖`` in place of ‖h‖. In float32 it moves 28 bytes an
    element, 8 of them for norms.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta : float or schedule
        Decay of b, in [0, 1).
    weight_decay : float or schedule
        ``wd``, at least 0. It is coupled: added to the gradient.
    trust : float or schedule
        The norm of a step, relative to the norm of its array; at least 0.
    eps : float or schedule
        Added to the norm, at least 0.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.array([3.0, 4.0])
    >>> opt = go.LARS(trust=0.2).init(x)
    >>> opt.step(np.array([0.0, 7.0]))
    >>> x.tolist()
    [3.0, 3.0]
    """

    lr: NonNegative = 1.0
    _: KW_ONLY
    beta: Decay = 0.9
    weight_decay: NonNegative = 0.0
    trust: NonNegative = 1e-3
    eps: NonNegative = 0.0
    momentum_states = ("b",)

    def update(self, t: Any, p: Any, g: Any, b: Any = 0.0) -> Any:
        h = g + self.weight_decay * p if self.weight_decay else g
        b = self.beta * b + self.lr * _ratio(self.trust, p, h, self.eps) * h
        return p - b, b


class LAMB(Rule):
    """LAMB (You et al. 2020, "Large batch optimization for deep learning: training BERT in 76
    minutes").

    Adam's direction with decoupled decay, ``u = m̂/(√v̂ + ε) + wd·p``, scaled to the norm of the
    array: ``p ← p - lr·u·‖p‖/‖u‖``, or ``p ← p - lr·u`` if either norm is 0. Use it for large
    batches. Each array has its own norms. The defaults are optax's. The paper may clip ‖p‖;
    NVIDIA's apex first clips the gradient of all arrays. In float32 it moves 44 bytes an element,
    16 of them for norms. A complex parameter has one second moment, that of the modulus.

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

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.array([3.0, 4.0])
    >>> opt = go.LAMB(0.1).init(x)
    >>> opt.step(np.array([5.0, 0.0]))
    >>> x.round(6).tolist()
    [2.5, 4.0]
    """

    lr: NonNegative = 1e-3
    _: KW_ONLY
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Positive = 1e-6
    weight_decay: NonNegative = 0.0

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0, v: Any = 0.0) -> Any:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * abs2(g)
        w1, w2 = weights_of(m, self.beta1, t), weights_of(v, self.beta2, t)
        u = root_of(w2) / w1 * m / (np.sqrt(v) + self.eps * root_of(w2))
        if self.weight_decay:
            u = u + self.weight_decay * p
        return p - self.lr * _ratio(1.0, p, u, 0.0) * u, m, v


class NovoGrad(Rule):
    """NovoGrad (Ginsburg et al. 2019, "Stochastic gradient methods with layer-wise adaptive moments
    for training of deep networks").

    Momentum of gradients that are scaled to the same norm: ``v ← β₂·v + (1-β₂)·‖g‖²; m ← β₁·m +
    g/(√v + ε) + wd·p; p ← p - lr·m``, and ``v = ‖g‖²`` at first. Use it if memory is short: each
    array has its own norm, and its v is one number, so the rule needs no more memory than momentum.
    The defaults are optax's. The paper's β₁ is 0.95, and its β₂ is 0.98 for language. In float32 it
    moves 24 bytes an element, 4 of them for the norm.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta1, beta2 : float or schedule
        Decay of m and of v, in [0, 1).
    eps : float or schedule
        Added to the root, greater than 0.
    weight_decay : float or schedule
        ``wd``, at least 0. The decay is added inside m.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.NovoGrad(0.5).init(x)
    >>> opt.step(np.array([3.0, -4.0]))
    >>> x.round(6).tolist()
    [-0.3, 0.4]
    """

    lr: NonNegative = 1e-3
    _: KW_ONLY
    beta1: Decay = 0.9
    beta2: Decay = 0.25
    eps: Positive = 1e-6
    weight_decay: NonNegative = 0.0

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0, v: Any = 0.0) -> Any:
        square = np.sum(abs2(g))
        v = at_first(t, square, self.beta2 * v + (1 - self.beta2) * square)
        u = g / single(np.sqrt(v) + self.eps)
        m = self.beta1 * m + (u + self.weight_decay * p if self.weight_decay else u)
        return p - self.lr * m, m, v


class StableAdamW(Rule):
    """StableAdamW (Wortsman et al. 2023, "Stable and low-precision training for large-scale
    vision-language models").

    AdamW whose learning rate is ``lr/max(1, rms)``, where rms is the root mean square of
    ``g/max(√v̂, ε)`` over the array. Use it if the loss has spikes: a gradient much larger than the
    earlier ones makes no large step, so the gradient needs no clipping. The decay uses the same
    learning rate. The defaults are the authors'. In float32 it moves 36 bytes an element, 8 of them
    for rms. A complex parameter has one second moment, that of the modulus.

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

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.StableAdamW(0.5).init(x)
    >>> opt.step(np.array([3.0, -0.1]))
    >>> x.round(6).tolist()
    [-0.5, 0.5]
    """

    lr: NonNegative = 1e-3
    _: KW_ONLY
    beta1: Decay = 0.9
    beta2: Decay = 0.99
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.01

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0, v: Any = 0.0) -> Any:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * abs2(g)
        w1, w2 = weights_of(m, self.beta1, t), weights_of(v, self.beta2, t)
        lr, eps = lr_and_eps(self, w1, w2)
        surprise = w2 * np.mean(abs2(g / np.maximum(np.sqrt(v), eps)))
        slower = root_of(np.maximum(surprise, 1.0))
        decay = self.lr / slower * self.weight_decay * p
        return p - (decay + lr / slower * m / (np.sqrt(v) + eps)), m, v


def _ratio(trust: Any, p: Any, step: Any, eps: Any) -> Any:
    """``trust·‖p‖/(‖step‖ + eps)``, or 1 if either norm is 0."""
    size, length = np.linalg.norm(p), np.linalg.norm(step)
    return single(np.where((size > 0) & (length > 0), trust * size / (length + eps), 1.0))
