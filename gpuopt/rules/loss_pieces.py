"""Gradient pieces that decide by the loss of each step."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

import numpy as np

from gpuopt.rules.piece import GradientPiece
from gpuopt.rules.ranges import HyperValue, Range

__all__ = ["backtrack"]


class backtrack(GradientPiece):
    """Take back a step after which the loss rose, and halve the rate: the bold driver (Vogl et al.
    1988, "Accelerating the convergence of the back-propagation method").

    If the loss is above that of the step before, or NaN, that step was bad. Then parameters and
    states return to their values before it, momentum restarts, and the rate, which multiplies the
    rule's `lr`, is multiplied by `factor`. The gradients of this call are not used. Pass the loss
    and the gradients at the restored point to the next call. After a step that lowered the loss,
    the rate is multiplied by `growth`, up to 1. A GPU decides this by itself, so nothing waits.

    Use it for a loss that depends on the parameters alone, such as the loss of all data: the loss
    of another batch may rise by chance. It needs the loss, ``opt.step(grads, loss=value)``, which
    `fit`, `minimize` and `graph` pass, and a gradient for every array. It may stand anywhere before
    the rule. ``opt.t`` counts all calls. The rule and the other pieces count the steps that were
    not taken back, ``opt.state["backtrack_steps"]``.

    It keeps a copy of the parameter and of each state that changes, except momentum: the state
    ``m``, or the states that a class names in `momentum_states`. With `Adam` in float32, these are
    8 more bytes an element, and a step moves 44 bytes instead of 28. Buffers and rows cannot be
    taken back, and no piece may act in only some of the steps.

    Parameters
    ----------
    factor : float or schedule
        Between 0 and 1.
    growth : float or schedule
        At least 1. The paper has 1.05.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.array([3.0, -4.0])
    >>> opt = go.chain(go.backtrack(), go.GradientDescent(2.5)).init(x)
    >>> for _ in range(3):
    ...     opt.step(x, loss=x @ x / 2)
    >>> x.tolist(), float(opt.numbers["backtrack.rate"])
    ([-0.75, 1.0], 0.5)
    """

    factor: Annotated[
        HyperValue, Range("a number between 0 and 1", low=0.0, high=1.0, open_low=True)
    ] = 0.5
    growth: Annotated[HyperValue, Range("a finite number >= 1", low=1.0)] = 1.05
    _takes_arrays: ClassVar[bool] = False
    last: ClassVar[Any]
    rate: ClassVar[Any]
    _number_ranges: ClassVar[dict[str, Range]] = {
        "rate": Range("a number from 0 to 1", low=0.0, high=math.nextafter(1.0, 2.0)),
    }

    def numbers(self) -> dict[str, Any]:
        return {"last": -math.inf, "rate": 1.0}

    def undo(self) -> Any:
        return (self.last > -math.inf) & np.logical_not(self.loss <= self.last)

    def scale_lr(self) -> Any:
        return self.rate

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return g

    def adapt(self, p: Any, g: Any, accepted: Any) -> Any:
        judged, undone = self.last > -math.inf, self.undo()
        grown = np.where(judged, np.minimum(self.rate * self.growth, 1.0), self.rate)
        known = np.logical_not(undone) & (self.loss == self.loss)
        rate = np.where(undone, self.rate * self.factor, grown)
        return np.where(known, self.loss, -math.inf), rate
