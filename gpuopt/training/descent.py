"""A minimization by a rule, point by point, and the best point that was seen."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

from gpuopt.arrays.backend import array_module, is_cupy
from gpuopt.arrays.tree import TreeSpec
from gpuopt.arrays.typed import HyperArrays
from gpuopt.rules.base import Bindable
from gpuopt.rules.chains import loss_scale_name
from gpuopt.training.bounds import Box
from gpuopt.training.checkpoints.checkpoint import applied, contents
from gpuopt.training.checkpoints.plain import on_device
from gpuopt.training.objective import Objective

__all__ = ["ByRule", "Descent", "largest"]


class Descent(ABC):
    """A point that moves.

    Attributes
    ----------
    calls : int
        The number of calls of the function.
    best : dict or None
        The x, fun and jac of the best point that was seen; None before the first.
    about : dict
        Further entries of the results of `iterate`.
    """

    calls: int
    best: dict[str, Any] | None
    about: dict[str, Any]

    @abstractmethod
    def begin(self) -> None:
        """Evaluate the function where the descent starts."""

    @abstractmethod
    def step(self) -> bool:
        """Move to the next point, and evaluate the function there; False if none is found."""

    @abstractmethod
    def look(self) -> tuple[float, float]:
        """The value, and the number to compare with `gtol`; this may wait for a GPU."""

    @abstractmethod
    def point(self) -> dict[str, Any]:
        """Copies of x, fun and jac."""

    @abstractmethod
    def kept(self) -> Any:
        """The content of a checkpoint, a tree of plain values and arrays."""

    @abstractmethod
    def go_on(self, kept: Any, path: str) -> None:
        """Continue from the content of the file at `path`, in place of `begin`."""


class ByRule(Descent):
    """A descent by a rule, which updates the arrays of `spec` in place.

    A value on the host can become the best when it is computed, a value on a GPU at a check.
    """

    def __init__(
        self,
        objective: Objective,
        spec: TreeSpec,
        within: list[Box],
        rule: Bindable,
        hyper: HyperArrays | None,
        master: bool,
    ) -> None:
        self._objective, self._spec, self._x, self._within = objective, spec, spec.leaves, within
        self._masters: list[Any] = []
        self._project()
        self._opt = rule.init(spec.build(self._x), hyper, master=master)
        if loss_scale_name(rule) is not None:
            raise ValueError(f"minimize does not scale the loss: leave LossScale out of {rule!r}")
        if "master" in (state := self._opt.state):
            self._masters = spec.match(state["master"], "master")
        self.calls, self.best, self.about = 0, None, {"opt": self._opt}

    def begin(self) -> None:
        self._value, self._gradient = self._objective(self._x)
        self.calls += 1
        if not is_cupy(self._value):
            self._compare()

    def step(self) -> bool:
        value = self._value
        gradient = self._spec.build(self._gradient)
        self._opt.step(gradient, value.reshape(()) if is_cupy(value) else value)
        self._project()
        self.begin()
        return True

    def look(self) -> tuple[float, float]:
        if is_cupy(self._value):
            self._value = float(self._value.item())
            self._compare()
        beyond = zip(self._within, self._gradient, self._x, strict=True)
        return self._value, largest([box.projected(gradient, x) for box, gradient, x in beyond])

    def point(self) -> dict[str, Any]:
        x, gradient = (
            self._spec.build([array.copy(order="K") for array in arrays])
            for arrays in (self._x, self._gradient)
        )
        return {"x": x, "fun": self._value, "jac": gradient}

    def kept(self) -> Any:
        by_rule = {"value": self._value, "gradient": self._gradient, "best": self.best}
        return {**contents(self._opt, None, None), **by_rule, "calls": self.calls}

    def go_on(self, kept: Any, path: str) -> None:
        applied(kept, self._opt, None, path)
        found = tuple(kept[name] for name in ("value", "gradient", "best"))
        self._value, self._gradient, self.best = on_device(found, array_module(*self._x))
        self.calls = kept["calls"]

    def _compare(self) -> None:
        value = self._value
        if self.best is None or (math.isfinite(value) and value <= self.best["fun"]):
            self.best = self.point()

    def _project(self) -> None:
        """Move x, and its copies in float32, into their boxes."""
        for box, x in zip(self._within, self._x, strict=True):
            box.project(x)
        for box, copy in zip(self._within, self._masters, strict=False):
            if copy is not None:
                box.project(copy)


def largest(arrays: list[Any]) -> float:
    """The largest modulus of an element; NaN if there is one."""
    found = [float(abs(array).max()) for array in arrays if array.size]
    return max(found, default=0.0) if not any(map(math.isnan, found)) else math.nan
