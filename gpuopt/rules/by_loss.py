"""Rules that read the loss of each step: PolyakStep, Momo."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from gpuopt.rules.ranges import Decay, Hyper, NonNegative, single
from gpuopt.rules.reductions import tree_sum
from gpuopt.rules.rule import Rule, abs2, at_first

__all__ = ["Momo", "PolyakStep"]


class PolyakStep(Rule):
    """Gradient descent with Polyak's step (Polyak 1987, "Introduction to optimization"; stochastic:
    Loizou et al. 2021, "Stochastic Polyak step-size for SGD").

    ``p ← p - min((f - f_min)/(‖g‖² + ε), lr)·g`` with the loss ``f`` and the norm over all arrays.
    Use it if you know the smallest loss, for example 0 for a fit that can be perfect: then there is
    no learning rate to tune. The rule needs the loss: ``opt.step(grads, loss=value)``; `fit` and
    `minimize` pass it. If f falls below `f_min`, the step goes uphill. The defaults are optax's.
    optax takes no step if ‖g‖² is below 2.2e-16; gpuopt takes none if it is 0. In float32 it moves
    16 bytes an element, 4 of them for the norm.

    Parameters
    ----------
    lr : float or schedule
        The longest step, at least 0.
    f_min : float or schedule
        The smallest loss there can be.
    eps : float or schedule
        Added to the square of the norm, at least 0.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.array([3.0, -4.0])
    >>> opt = go.PolyakStep().init(x)
    >>> for _ in range(2):
    ...     opt.step(x, loss=x @ x / 2)
    >>> x.tolist()
    [0.75, -1.0]
    """

    lr: NonNegative = 1.0
    _: KW_ONLY
    f_min: Hyper = 0.0
    eps: NonNegative = 0.0

    def update(self, t: Any, p: Any, g: Any) -> Any:
        square = tree_sum(abs2(g))
        step = np.minimum((self.loss - self.f_min) / (square + self.eps), self.lr)
        return p - single(np.where(square > 0, step, 0.0)) * g


class Momo(Rule):
    """Momo (Schaipp et al. 2024, "MoMo: momentum models for adaptive learning rates"): momentum
    with the step of Polyak.

    ``m ← β·m + (1-β)·g`` with averages ``f`` of the loss and ``γ`` of ``⟨g, p⟩`` alike, which begin
    with their first values; then ``p ← p - min((f - f_min - γ + ⟨m, p⟩)₊/‖m‖², lr)·m``, with
    products and norms over all arrays. Use it if you know the smallest loss: then `lr` needs less
    tuning than that of `Momentum`. The rule needs the loss: ``opt.step(grads, loss=value)``; `fit`
    and `minimize` pass it. The defaults are optax's. In float32 it moves 32 bytes an element, 12 of
    them for sums.

    Parameters
    ----------
    lr : float or schedule
        The longest step, at least 0.
    beta : float or schedule
        Decay of the averages, in [0, 1).
    f_min : float or schedule
        The smallest loss there can be.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.array([3.0, -4.0])
    >>> opt = go.Momo().init(x)
    >>> opt.step(x, loss=x @ x / 2)
    >>> x.tolist()
    [1.5, -2.0]
    """

    lr: NonNegative = 1.0
    _: KW_ONLY
    beta: Decay = 0.9
    f_min: Hyper = 0.0

    def update(
        self, t: Any, p: Any, g: Any, m: Any = 0.0, loss: Any = 0.0, gamma: Any = 0.0
    ) -> Any:
        beta = at_first(t, 0.0, self.beta)
        m, loss = beta * m + (1 - beta) * g, beta * loss + (1 - beta) * self.loss
        gamma = beta * gamma + (1 - beta) * tree_sum(_product(g, p))
        square, gap = tree_sum(abs2(m)), loss - self.f_min - gamma + tree_sum(_product(m, p))
        step = np.minimum(np.maximum(gap, 0.0) / square, self.lr)
        return p - single(np.where(square > 0, step, 0.0)) * m, m, loss, gamma


def _product(x: Any, y: Any) -> Any:
    """The real product of each element with the other; of its parts if they are complex."""
    return x.real * y.real + x.imag * y.imag if np.iscomplexobj(x) else x * y
