"""A minimization as it goes on: evaluate, check, update; and the best point seen."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

from gpuopt.arrays.backend import is_cupy
from gpuopt.rules.base import Bindable
from gpuopt.rules.chains import loss_scale_name
from gpuopt.training.arguments import asks_to_stop, of_result
from gpuopt.training.bounds import Box
from gpuopt.training.objective import Objective
from gpuopt.training.result import OptimizeResult, ended

__all__ = ["Search"]


class Search:
    """A search for the smallest value, from `x`, which it updates in place."""

    def __init__(self, objective: Objective, x: Any, box: Box, rule: Bindable) -> None:
        self._objective, self._x, self._box = objective, x, box
        box.project(x)
        self._opt = rule.init(x)
        if loss_scale_name(rule) is not None:
            raise ValueError(f"minimize does not scale the loss: leave LossScale out of {rule!r}")
        self._best: dict[str, Any] | None = None
        self._nit = self._calls = 0

    def run(self, maxiter: int, gtol: float, check_every: int, callback: Any) -> OptimizeResult:
        """Search until one of the reasons to stop; an interrupt gets the result so far."""
        ask = None if callback is None else of_result(callback)
        try:
            for self._nit in itertools.count():
                last = self._nit == maxiter
                checked = last or self._nit % check_every == 0
                value, gradient = self._evaluate(read=checked)
                if checked:
                    status = self._status(value, gradient, gtol, last)
                    if ask is not None and self._is_stopped(ask, value, gradient):
                        status = 99
                    if status >= 0:
                        return self._ended(status)
                self._opt.step(gradient, value.reshape(()) if is_cupy(value) else value)
                self._box.project(self._x)
            raise AssertionError("the last iteration returns")
        except KeyboardInterrupt as interrupt:
            if self._best is not None:
                interrupt.result = self._ended(98)  # type: ignore[attr-defined]
                interrupt.add_note("minimize: the best x so far is in sys.last_value.result.x")
            raise

    def _evaluate(self, read: bool) -> tuple[Any, Any]:
        """The value and the gradient; a value that the host has, or is to `read`, may be the
        best.
        """
        value, gradient = self._objective(self._x)
        self._calls += 1
        if read and is_cupy(value):
            value = float(value.item())
        if not is_cupy(value) and (
            self._best is None or (math.isfinite(value) and value <= self._best["fun"])
        ):
            self._best = self._point(value, gradient)
        return value, gradient

    def _point(self, value: float, gradient: Any) -> dict[str, Any]:
        return {"x": self._x.copy(order="K"), "fun": value, "jac": gradient.copy(order="K")}

    def _status(self, value: float, gradient: Any, gtol: float, last: bool) -> int:
        largest = _largest(gradient)
        if not math.isfinite(value) or not math.isfinite(largest):
            return 2
        if self._box.bounded:
            largest = _largest(self._box.projected(gradient, self._x))
        return 0 if largest <= gtol else 1 if last else -1

    def _is_stopped(self, ask: Callable[[Any], Any], value: float, gradient: Any) -> bool:
        now = ended(self._point(value, gradient), -1, self._nit, self._calls)
        try:
            return asks_to_stop(ask(now))
        except StopIteration:
            return True

    def _ended(self, status: int) -> OptimizeResult:
        assert self._best is not None
        return ended(self._best, status, self._nit, self._calls)


def _largest(array: Any) -> float:
    return float(abs(array).max()) if array.size else 0.0
