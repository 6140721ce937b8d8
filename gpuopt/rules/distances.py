"""Rules without a learning rate, which estimate the distance to the solution: DoG, DAdaptAdam,
Prodigy.

The estimate is one number for all arrays, and so is the count of steps.
"""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from gpuopt.rules.ranges import Decay, NonNegative, Positive, single
from gpuopt.rules.reductions import tree_norm, tree_sum
from gpuopt.rules.rule import Rule, abs2, root_of, sum_of_weights

__all__ = ["DAdaptAdam", "DoG", "Prodigy"]


class DoG(Rule):
    """Distance over gradients (Ivgi, Hinder & Carmon 2023, "DoG is SGD's best friend: a
    parameter-free dynamic step size schedule").

    ``p ← p - lr·far/√(Σ‖g‖² + ε)·g``, where far is the largest distance from the first parameters
    so far. It begins at ``reps_rel·(1 + ‖p₀‖)``. Norms and sums are over all arrays that have a
    gradient in the step. An array without a gradient in the first step does not count in the first
    distance. Use it if you cannot tune a learning rate; the authors recommend an average of the
    parameters with it, ``chain(DoG(), average())``. The defaults are optax's. In float32 it moves
    24 bytes an element, 12 of them for norms.

    Parameters
    ----------
    lr : float or schedule
        Factor of the step, at least 0.
    reps_rel : float or schedule
        The first distance, relative to the norm of the parameters; greater than 0.
    eps : float or schedule
        Added to the sum of squares, greater than 0.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.array([3.0, 4.0])
    >>> opt = go.DoG(reps_rel=0.1).init(x)
    >>> opt.step(np.array([0.0, 7.0]))
    >>> x.round(6).tolist()
    [3.0, 3.4]
    """

    lr: NonNegative = 1.0
    _: KW_ONLY
    reps_rel: Positive = 1e-6
    eps: Positive = 1e-8

    def start(self, p: Any) -> Any:
        return p, self.reps_rel * (1 + tree_norm(p)), 0.0

    def update(self, t: Any, p: Any, g: Any, p0: Any, far: Any, total: Any) -> Any:
        far = single(np.maximum(far, tree_norm(p - p0)))
        total = total + tree_sum(abs2(g))
        return p - self.lr * far / root_of(total + self.eps) * g, p0, far, total


class DAdaptAdam(Rule):
    """Adam by D-adaptation (Defazio & Mishchenko 2023, "Learning-rate-free learning by
    D-adaptation").

    AdamW with the learning rate ``r = d·lr·√(1-β₂ⁿ)/(1-β₁ⁿ)`` inside m, where d, a lower bound of
    the distance to the solution, never falls: ``s ← √β₂·s + (1-√β₂)·r·g; top ← √β₂·top +
    (1-√β₂)·r·Σg·s/(√v + ε); d ← max(d, top/((1-√β₂)·Σ|s|))`` with sums over all arrays. Use it if
    you cannot tune a learning rate: leave `lr` at 1, or pass a schedule from 1 to 0. The defaults
    and the corrections are those of optax. In float32 it moves 48 bytes an element, 12 of them for
    sums. A complex parameter has one second moment, that of the modulus.

    Parameters
    ----------
    lr : float or schedule
        Factor of the step, at least 0.
    beta1, beta2 : float or schedule
        Decay of the first and the second moment, in [0, 1).
    eps : float or schedule
        Added to the root, greater than 0.
    first : float or schedule
        The first d, greater than 0, and less than the distance; ``estim_lr0`` in optax.
    weight_decay : float or schedule
        At least 0; decoupled, multiplied by r.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.DAdaptAdam(first=0.1).init(x)
    >>> opt.step(np.array([3.0, -0.1]))
    >>> x.round(6).tolist()
    [-0.1, 0.1]
    """

    lr: NonNegative = 1.0
    _: KW_ONLY
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Positive = 1e-8
    first: Positive = 1e-6
    weight_decay: NonNegative = 0.0

    def start(self, p: Any) -> Any:
        return 0.0, 0.0, 0.0, self.first, 0.0, 0.0

    def update(
        self, t: Any, p: Any, g: Any, m: Any, v: Any, s: Any, d: Any, top: Any, n: Any
    ) -> Any:
        rate, n = _rate(self, d, n + 1), n + 1
        beta3 = root_of(self.beta2)
        gain = tree_sum((np.conj(g) * s).real / (np.sqrt(v) + self.eps))
        top = beta3 * top + (1 - beta3) * rate * gain
        m = self.beta1 * m + (1 - self.beta1) * rate * g
        v = self.beta2 * v + (1 - self.beta2) * abs2(g)
        s = beta3 * s + (1 - beta3) * rate * g
        d = _farther(d, top, (1 - beta3) * tree_sum(np.abs(s)))
        step = m / (np.sqrt(v) + self.eps)
        step = step + self.weight_decay * rate * p if self.weight_decay else step
        return p - step, m, v, s, d, top, n


class Prodigy(Rule):
    """Prodigy (Mishchenko & Defazio 2024, "Prodigy: an expeditiously adaptive parameter-free
    learner").

    AdamW with the learning rate ``r = d·lr·√(1-β₂ⁿ)/(1-β₁ⁿ)`` and moments of ``d·g``, where d, an
    estimate of the distance to the solution, never falls and grows faster than in `DAdaptAdam`: ``s
    ← √β₂·s + d/d₀·r·g; top ← √β₂·top + d/d₀·r·Σg·(p₀ - p); d ← max(d, top/Σ|s|)`` with sums over
    all arrays. Use it if you cannot tune a learning rate: leave `lr` at 1, or pass a schedule from
    1 to 0. The defaults and the corrections are those of optax. In float32 it moves 52 bytes an
    element: 36 for the update, 16 for sums. A complex parameter has one second moment, that of the
    modulus.

    Parameters
    ----------
    lr : float or schedule
        Factor of the step, at least 0.
    beta1, beta2 : float or schedule
        Decay of the first and the second moment, in [0, 1).
    eps : float or schedule
        Added to the root, times d, greater than 0.
    first : float or schedule
        The first d, ``d₀``, greater than 0, and less than the distance; ``estim_lr0`` in optax.
    weight_decay : float or schedule
        At least 0; decoupled, multiplied by r.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.Prodigy(first=0.1).init(x)
    >>> opt.step(np.array([3.0, -0.1]))
    >>> x.round(6).tolist()
    [-0.1, 0.1]
    """

    lr: NonNegative = 1.0
    _: KW_ONLY
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Positive = 1e-8
    first: Positive = 1e-6
    weight_decay: NonNegative = 0.0

    def start(self, p: Any) -> Any:
        return 0.0, 0.0, 0.0, p, self.first, 0.0, 0.0

    def update(
        self, t: Any, p: Any, g: Any, m: Any, v: Any, s: Any, p0: Any, d: Any, top: Any, n: Any
    ) -> Any:
        rate, n = _rate(self, d, n + 1), n + 1
        beta3, weight = root_of(self.beta2), d / self.first * rate
        m = self.beta1 * m + (1 - self.beta1) * d * g
        v = self.beta2 * v + (1 - self.beta2) * d * d * abs2(g)
        s = beta3 * s + weight * g
        top = beta3 * top + weight * tree_sum((np.conj(g) * (p0 - p)).real)
        d = _farther(d, top, tree_sum(np.abs(s)))
        step = rate * m / (np.sqrt(v) + d * self.eps)
        step = step + self.weight_decay * rate * p if self.weight_decay else step
        return p - step, m, v, s, p0, d, top, n


def _rate(rule: DAdaptAdam | Prodigy, d: Any, n: Any) -> Any:
    """The learning rate of the `n`-th step, with both bias corrections in it."""
    root = root_of(sum_of_weights(rule.beta2, n))
    return d * rule.lr * (root / sum_of_weights(rule.beta1, n))


def _farther(d: Any, top: Any, below: Any) -> Any:
    """The larger of `d` and a quotient, which is 0 where it is divided by 0."""
    return single(np.maximum(d, np.where(below > 0, top / below, 0.0)))
