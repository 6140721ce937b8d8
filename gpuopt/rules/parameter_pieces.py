"""Pieces that change, or average, the rule's new parameters; projections have their own modules."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuopt.rules.piece import ParameterPiece, rate_of
from gpuopt.rules.ranges import Decay, NonNegative

__all__ = ["average", "decoupled_weight_decay", "lookahead"]


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

    The slow parameters begin as the parameters at the first step. `Optimizer.evaluation` returns
    them.

    Parameters
    ----------
    k : int
        The number of steps between two updates of the slow parameters, at least 1.
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
