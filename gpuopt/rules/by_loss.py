"""Rules that read the loss of each step: PolyakStep."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from gpuopt.rules.ranges import Hyper, NonNegative, single
from gpuopt.rules.reductions import tree_sum
from gpuopt.rules.rule import Rule, abs2

__all__ = ["PolyakStep"]


class PolyakStep(Rule):
    """Gradient descent with Polyak's step (Polyak 1987, "Introduction to optimization"; stochastic:
    Loizou et al. 2021, "Stochastic Polyak step-size for SGD").

    ``p ← p - min((f - f_min)/(‖g‖² + ε), lr)·g`` with the loss ``f`` and the norm of all arrays.
    There is no learning rate to tune where the smallest loss is known, as it is 0 for a fit that
    can be perfect. It needs the loss: ``opt.step(grads, loss=value)``; `fit` and `minimize` pass
    it. If f falls below `f_min`, it goes back. Defaults are optax's, which takes no step where ‖g‖²
    is below 2.2e-16; here it takes none where it is 0. In float32 it moves 16 bytes an element, 4
    of them for the norm.

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
