"""When a minimization ends: the caller's limits, checked, and whether one is reached."""

from __future__ import annotations

import math
from typing import Any

from gpuopt.arrays.options import number, whole

__all__ = ["Stopping"]


class Stopping:
    """The limits of a minimization.

    Parameters
    ----------
    maxiter, check_every : int
    gtol, ftol : float
    patience : int or None
        As in `minimize`.
    usual_patience : int
        The patience if only `ftol` is given.
    returns : bool
        Whether the rule takes back a step after which the value is not finite.

    Attributes
    ----------
    memory : tuple
        What one check keeps for the next.
    """

    def __init__(
        self,
        maxiter: Any,
        check_every: Any,
        gtol: Any,
        ftol: Any,
        patience: Any,
        usual_patience: int,
        returns: bool = False,
    ) -> None:
        self._returns = returns
        self.maxiter = whole("maxiter", maxiter, 0, floats=True)
        self.check_every = whole("check_every", check_every, 1, floats=True)
        self._gtol = number("gtol", gtol, finite=False)
        self._ftol = number("ftol", ftol, finite=False)
        if patience is not None:
            self._patience: float = whole("patience", patience, 1, floats=True)
        else:
            self._patience = usual_patience if self._ftol else math.inf
        self.memory = 0.0, 0  # the least value, and when it was found; until the first check

    def status(self, nit: int, value: float, optimality: float) -> int:
        """The status of the point after `nit` iterations; `MESSAGES` explains it."""
        if not math.isfinite(value) or not math.isfinite(optimality):
            if not (self._returns and nit):
                return 2
            return 1 if nit >= self.maxiter else -1
        if optimality <= self._gtol:
            return 0
        least, since = self.memory
        if not nit or value < least - self._ftol * max(1.0, abs(least)):
            self.memory = least, since = value, nit
        if nit - since >= self._patience:
            return 3
        return 1 if nit >= self.maxiter else -1
