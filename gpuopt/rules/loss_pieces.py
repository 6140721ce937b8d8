"""Gradient pieces that decide by the loss of each step."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

import numpy as np

from gpuopt.rules.piece import GradientPiece
from gpuopt.rules.ranges import HyperValue, Range

__all__ = ["backtrack"]


class backtrack(GradientPiece):
    """Take a step back after which the loss rose, and halve the rate: the bold driver (Vogl et al.
    1988, "Accelerating the convergence of the back-propagation method").

    A loss above that of the step before, or NaN, says that this step was bad. Then parameters and
    states return to what they were before it, momentum begins anew, and the rate, which multiplies
    the rule's `lr`, is multiplied by `factor`; the gradients are not used. The next call brings the
    loss and the gradients there. After a step that lowered the loss the rate is multiplied by
    `growth`, but it is never above 1. A GPU decides all that by itself: nothing waits.

    For losses that are functions of the parameters alone, such as that of all data: that of another
    batch rises by chance. It needs the loss, ``opt.step(grads, loss=value)``, as `fit`, `minimize`
    and `graph` pass it, and a gradient for every array. It stands anywhere before the rule.
    ``opt.t`` counts all calls; the rule and the other pieces count steps that were not taken back,
    ``opt.state["backtrack_steps"]``.

    The parameter and each state that changes have a copy, but for momentum: the state ``m``, or
    those that a class names in `momentum_states`. With `Adam` in float32 these are 8 bytes an
    element more, and it moves 44 bytes in place of 28. Neither buffers can be taken back nor rows,
    and no piece may act in some steps only.

    Parameters
    ----------
    factor : float or schedule
        Between 0 and 1.
    growth : float or schedule
        At least 1. 1.05 is that of the paper.

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
