"""The base of methods that call the function themselves, and a descent by one."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

from gpuopt.arrays import check
from gpuopt.arrays.backend import array_module
from gpuopt.arrays.quiet import quietly
from gpuopt.arrays.tree import TreeSpec
from gpuopt.rules.elsewhere import NotHere
from gpuopt.training.checkpoints.plain import on_device
from gpuopt.training.descent import Descent
from gpuopt.training.line_search.flat import Point, Problem, dot, read
from gpuopt.training.line_search.wolfe import Wolfe, wolfe
from gpuopt.training.objective import Objective

__all__ = ["ByMethod", "Method", "State", "downhill"]


_IDLE = 10
"""After this many steps without a lower value or a smaller gradient, rounding dominates."""


class State(NamedTuple):
    """The current point of a method, and its memory."""

    point: Point
    memory: Any


class Method:
    """A method that calls the function itself, whereas a rule is given each gradient.

    A subclass is a frozen dataclass of its settings, and holds no arrays.
    """

    not_a_rule: ClassVar[str] = ""
    """What to type if a rule is expected."""
    descends: ClassVar[bool] = True
    """Whether no step raises the function's value, except by rounding."""

    def __init_subclass__(cls) -> None:
        cls.not_a_rule = (
            f": {cls.__name__} calls the function itself, so write "
            f"gpuopt.minimize(fun, x, gpuopt.{cls.__name__}())"
        )
        init = NotHere(cls.not_a_rule.removeprefix(": "))
        init.__set_name__(cls, "init")
        cls.init = init  # type: ignore[attr-defined]

    @abstractmethod
    def start(self, problem: Problem, x: Any) -> State:
        """The initial state at the vector `x`."""

    @abstractmethod
    def advance(self, problem: Problem, state: State) -> State | None:
        """The state after an iteration; None if no lower point is found."""

    def kept(self, state: State) -> Any:
        """The state as plain values and arrays."""
        return tuple(state)

    def again(self, problem: Problem, point: Point, memory: Any) -> State:
        """The state from what `kept` returned, at the same point."""
        return State(point, memory)


def downhill(
    problem: Problem, start: Point, direction: Any, step: float | None, c: tuple[float, float]
) -> Point | None:
    """A point along `direction` that satisfies the strong Wolfe conditions with these constants.

    `step` is the first trial. With None the first move has the length 1, or that of the direction
    if it is shorter.
    """
    slope, square = read(*quietly(_slope_and_square, start.gradient, direction))
    if not slope < 0:
        return None
    noise = noise_of(problem, start.value)
    sought = Wolfe(start._replace(step=0.0, slope=slope), *c, noise)
    first = min(1.0, 1 / math.sqrt(square)) if step is None else step
    found = wolfe(problem.along(start, direction), first, sought)
    return found if found is None else found._replace(growth=found.slope / -slope + 1)


def noise_of(problem: Problem, value: float) -> float:
    """The largest part of a value that rounding may cause."""
    return 8 * problem.eps * abs(value)


def _slope_and_square(gradient: Any, direction: Any) -> tuple[Any, Any]:
    return dot(gradient, direction), dot(direction, direction)


class ByMethod(Descent):
    """A descent by such a method. Its point is the best one, except for rounding."""

    def __init__(
        self, objective: Objective, spec: TreeSpec, method: Method, given: dict[str, Any]
    ) -> None:
        if refused := [name for name, value in given.items() if value is not None]:
            name = type(method).__name__
            remedy = "use a rule, such as gpuopt.Adam()"
            if refused[0] == "bounds":
                remedy += ", or gpuopt.ProximalGradient(prox=gpuopt.bounds(lo, hi))"
            raise ValueError(f"{name} takes no {refused[0]}: {remedy}")
        check.parameters(spec.leaves, spec.paths, spec.build(spec.leaves))
        self._problem, self._method = Problem(objective, spec), method
        self._x, self.about = self._problem.vector(spec.leaves), {}
        self._state: Any = None  # before it starts

    @property
    def calls(self) -> int:  # type: ignore[override]
        """The number of calls of the function."""
        return self._problem.calls

    def begin(self) -> None:
        self._state = self._method.start(self._problem, self._x)
        point = self._state.point
        self._least, self._idle = (point.value, point.optimality), 0

    def step(self) -> bool:
        state = self._method.advance(self._problem, self._state)
        if state is None or (self._method.descends and not self._leads(state.point)):
            return False
        self._state = state
        return True

    def _leads(self, point: Point) -> bool:
        """Whether the steps still make progress; rounding may hide it for some of them."""
        value, optimality = self._least
        lower = point.value < value - noise_of(self._problem, point.value)
        self._idle = 0 if lower or point.optimality < optimality else self._idle + 1
        self._least = point.value if lower else value, min(optimality, point.optimality)
        return self._idle <= _IDLE

    def look(self) -> tuple[float, float]:
        return self._state.point.value, self._state.point.optimality

    def point(self) -> dict[str, Any]:
        point, tree = self._state.point, self._problem.tree
        return {"x": tree(point.x), "fun": point.value, "jac": tree(point.gradient)}

    def kept(self) -> Any:
        by_method = {"method": type(self._method).__name__, "state": self._method.kept(self._state)}
        return {**by_method, "steps": (self._least, self._idle), "calls": self.calls}

    def go_on(self, kept: Any, path: str) -> None:
        if (was := kept.get("method", "a rule")) != (now := type(self._method).__name__):
            raise ValueError(f"{path} is from a minimization by {was}, and this one is by {now}")
        problem, x = self._problem, self._x
        point, memory = on_device(kept["state"], array_module(x))
        self._state = self._method.again(problem, Point(*point), memory)
        found = self._state.point.x
        if (found.shape, found.dtype) != (x.shape, x.dtype):
            raise ValueError(
                f"{path} is from an x0 with {found.size} numbers of {found.dtype}, and this one "
                f"has {x.size} of {x.dtype}"
            )
        (self._least, self._idle), problem.calls = kept["steps"], kept["calls"]

    @property
    def best(self) -> dict[str, Any] | None:  # type: ignore[override]
        """The x, fun and jac of the point; None before the first."""
        return None if self._state is None else self.point()
