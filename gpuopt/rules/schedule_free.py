"""Rules that average in place of a schedule: ScheduleFreeSGD, ScheduleFreeAdamW."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Annotated, Any, ClassVar, TypeAlias

import numpy as np

from gpuopt.rules.ranges import Decay, HyperValue, NonNegative, Positive, Range, single
from gpuopt.rules.rule import Rule, abs2, root_of, weights_of

__all__ = ["ScheduleFreeAdamW", "ScheduleFreeSGD"]

Between: TypeAlias = Annotated[HyperValue, Range("a number in (0, 1)", 0.0, 1.0, open_low=True)]
"""Where y lies between z and x: not at z, because x is computed from the two."""


class ScheduleFreeSGD(Rule):
    """Schedule-free gradient descent (Defazio et al. 2024, "The road less scheduled").

    Three sequences: z takes the steps, x is a mean of z, and the gradient is taken at y, between
    them. The parameters hold y: ``z ← z - lr·h; x ← (1-c)·x + c·z; y = (1-β)·z + β·x`` with ``h = g
    + wd·y``, and ``c`` the weight of this step divided by the sum of all weights. Use it if you do
    not know the number of steps in advance: `Optimizer.evaluation` returns x, which at every step
    is as good as the end of a schedule. The weights are ``tʳ·lr_maxᵖ``. Pieces behind the rule
    change y, and neither z nor x: with `bounds`, x may lie outside; for decay, use `weight_decay`.
    The defaults are those of the authors' package schedulefree. In float32 it moves 20 bytes an
    element.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta : float or schedule
        Where the gradient is taken: close to z near 0, close to x near 1; in (0, 1).
    weight_decay : float or schedule
        ``wd``, at least 0.
    warmup : float or schedule
        The number of steps in which the learning rate rises from 0; 0.0 for no warm-up.
    r : float or schedule
        The power of t in the weights, at least 0.
    power : float or schedule
        The power of the largest learning rate so far in the weights, at least 0.

    Examples
    --------
    >>> import gpuopt as go
    >>> y = np.ones(1)
    >>> opt = go.ScheduleFreeSGD(0.5).init(y)
    >>> for _ in range(3):
    ...     opt.step(y)
    >>> y.round(4).tolist(), opt.evaluation().round(4).tolist()
    ([0.2525], [0.2729])
    """

    _averages: ClassVar[bool] = True
    lr: NonNegative = 1.0
    _: KW_ONLY
    beta: Between = 0.9
    weight_decay: NonNegative = 0.0
    warmup: NonNegative = 0.0
    r: NonNegative = 0.0
    power: NonNegative = 2.0

    def start(self, p: Any) -> Any:
        return p, 0.0, 0.0

    def update(self, t: Any, p: Any, g: Any, z: Any, lr_max: Any, total: Any) -> Any:
        h = g + self.weight_decay * p if self.weight_decay else g
        lr, c, lr_max, total = _weighed(self, t, lr_max, total)
        return p + c * (z - p) + lr * (self.beta * (1 - c) - 1) * h, z - lr * h, lr_max, total

    def evaluation(self, p: Any, z: Any, lr_max: Any, total: Any) -> Any:
        return p + (1 - 1 / self.beta) * (z - p)


class ScheduleFreeAdamW(Rule):
    """Schedule-free AdamW (Defazio et al. 2024, "The road less scheduled").

    `ScheduleFreeSGD` with ``h = g/(√v̂ + ε) + wd·y``, where v is Adam's second moment: its averages
    replace Adam's first moment. Use it in place of `AdamW` with a schedule. The parameters hold y,
    and `Optimizer.evaluation` returns x. The defaults are those of the authors' package
    schedulefree. In float32 it moves 28 bytes an element. A complex parameter has one second
    moment, that of the modulus.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta1 : float or schedule
        Where the gradient is taken: close to z near 0, close to x near 1; in (0, 1).
    beta2 : float or schedule
        Decay of the second moment, in [0, 1).
    eps : float or schedule
        Added to the root, greater than 0.
    weight_decay, warmup, r, power : float or schedule
        As in `ScheduleFreeSGD`.

    Examples
    --------
    >>> import gpuopt as go
    >>> y = np.ones(1)
    >>> opt = go.ScheduleFreeAdamW(0.1).init(y)
    >>> for _ in range(3):
    ...     opt.step(y)
    >>> y.round(4).tolist(), opt.evaluation().round(4).tolist()
    ([0.7968], [0.8061])
    """

    _averages: ClassVar[bool] = True
    lr: NonNegative = 2.5e-3
    _: KW_ONLY
    beta1: Between = 0.9
    beta2: Decay = 0.999
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.0
    warmup: NonNegative = 0.0
    r: NonNegative = 0.0
    power: NonNegative = 2.0

    def start(self, p: Any) -> Any:
        return p, 0.0, 0.0, 0.0

    def update(self, t: Any, p: Any, g: Any, z: Any, v: Any, lr_max: Any, total: Any) -> Any:
        v = self.beta2 * v + (1 - self.beta2) * abs2(g)
        root = root_of(weights_of(v, self.beta2, t))
        h = root * g / (np.sqrt(v) + self.eps * root)
        h = h + self.weight_decay * p if self.weight_decay else h
        lr, c, lr_max, total = _weighed(self, t, lr_max, total)
        new = p + c * (z - p) + lr * (self.beta1 * (1 - c) - 1) * h
        return new, z - lr * h, v, lr_max, total

    def evaluation(self, p: Any, z: Any, v: Any, lr_max: Any, total: Any) -> Any:
        return p + (1 - 1 / self.beta1) * (z - p)


def _weighed(rule: Any, t: Any, lr_max: Any, total: Any) -> tuple[Any, Any, Any, Any]:
    """The learning rate, the share of this step, the largest rate so far, the sum of weights."""
    lr = rule.lr * single(np.minimum(1.0, t / rule.warmup)) if rule.warmup else rule.lr
    lr_max = single(np.maximum(lr, lr_max))
    weight = t**rule.r * lr_max**rule.power
    total = total + weight
    # No weight at all where the rate was 0 so far.
    return lr, single(np.where(total > 0, weight / total, 0.0)), lr_max, total
