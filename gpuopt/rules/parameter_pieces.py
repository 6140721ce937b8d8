"""Pieces that change, or average, the parameters that the rule proposes, simplest first."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuopt.rules.piece import ParameterPiece, rate_of
from gpuopt.rules.ranges import Decay, EachBound, NonNegative

__all__ = ["average", "bounds", "decoupled_weight_decay", "lookahead"]


class decoupled_weight_decay(ParameterPiece):
    """Decoupled weight decay (Loshchilov & Hutter 2019) in PyTorch's convention: ``p ← new -
    lr·weight_decay·p``.

    Parameters
    ----------
    weight_decay : float or schedule
        At least 0. It is multiplied by the rule's ``lr``.
    """

    weight_decay: NonNegative

    def update(self, t: Any, p: Any, new: Any) -> Any:
        return new - rate_of(self, "use weight_decay") * self.weight_decay * p


class bounds(ParameterPiece):
    """Project onto an interval: ``p ← min(max(new, lo), hi)``. For real parameters.

    A 16-bit parameter is inside as it is stored, too, however it is rounded: its ends are the
    outermost numbers of its dtype that are inside, unless there is none. Schedules that a GPU
    evaluates are taken as they are, and so are arrays: give them in the parameter's dtype, and what
    is stored is inside.

    Parameters
    ----------
    lo, hi : float, schedule, array or None
        The ends, ``lo <= hi``; None, or an infinity, for no bound.
    """

    _limits = (("lo", "hi"),)
    lo: EachBound | None = None
    hi: EachBound | None = None

    def check(self) -> None:
        if self.lo is None and self.hi is None:
            raise ValueError("bounds: give lo, hi or both")
        if isinstance(self.lo, float) and isinstance(self.hi, float) and self.lo > self.hi:
            raise ValueError(
                f"bounds: lo must not be greater than hi, got lo={self.lo!r}, hi={self.hi!r}"
            )

    def update(self, t: Any, p: Any, new: Any) -> Any:
        if np.iscomplexobj(new):
            raise ValueError(
                "bounds: complex numbers have no order; to bound real and imaginary parts alike, "
                "write rule.init(params.view(np.float64))"
            )
        return np.clip(new, self.lo, self.hi)


class average(ParameterPiece):
    """Keep an average of the parameters for `Optimizer.evaluation`; training does not see it.

    Parameters
    ----------
    decay : float, schedule or None
        In [0, 1): an exponential average, ``mean ← mean + (1 - decay)·(p - mean)``, starting at the
        parameters after the first step. None: the mean of the parameters after every step (Polyak &
        Juditsky 1992). Both are those of PyTorch's ``AveragedModel``.
    """

    decay: Decay | None = None

    def update(self, t: Any, p: Any, new: Any, mean: Any = 0.0) -> Any:
        share = 1 / t if self.decay is None else 1 - self.decay
        return new, np.where(t == 1, new, mean + share * (new - mean))

    def evaluation(self, p: Any, mean: Any) -> Any:
        """The value that `Optimizer.evaluation` returns in place of the parameter."""
        return mean


class lookahead(ParameterPiece):
    """Lookahead (Zhang et al. 2019, algorithm 1): at every `k`-th step ``slow ← slow + alpha·(p -
    slow); p ← slow``.

    The slow parameters begin as the parameters are at the first step. `Optimizer.evaluation` gives
    them.

    Parameters
    ----------
    k : int
        Steps between two looks, at least 1.
    alpha : float or schedule
        At least 0.
    """

    k: int = 5
    alpha: NonNegative = 0.5

    def check(self) -> None:
        if self.k < 1:
            raise ValueError(f"lookahead: k must be at least 1, got {self.k!r}")

    def start(self, p: Any) -> Any:
        return (p,)

    def update(self, t: Any, p: Any, new: Any, slow: Any) -> Any:
        now = t % self.k == 0
        moved = slow + self.alpha * (new - slow)
        return np.where(now, moved, new), np.where(now, moved, slow)

    def evaluation(self, p: Any, slow: Any) -> Any:
        """The value that `Optimizer.evaluation` returns in place of the parameter."""
        return slow
