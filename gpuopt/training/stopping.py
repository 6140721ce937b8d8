"""When a minimization ends: the caller's limits, checked, and whether one is reached."""

from __future__ import annotations

import math
import numbers
from typing import Any

__all__ = ["Stopping", "whole"]


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
        self.maxiter = whole("maxiter", maxiter, 0)
        self.check_every = whole("check_every", check_every, 1)
        self._gtol, self._ftol = _tolerance("gtol", gtol), _tolerance("ftol", ftol)
        if patience is not None:
            self._patience: float = whole("patience", patience, 1)
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


def whole(name: str, value: Any, least: int) -> int:
    """A whole number; as in SciPy, it may be a float such as ``1e4``."""
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(value, bool) or not isinstance(whole, numbers.Integral) or int(whole) < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(whole)


def _tolerance(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not float(value) >= 0:
        raise ValueError(f"{name} must be a number >= 0, got {value!r}")
    return float(value)
