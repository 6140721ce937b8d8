"""The proximal gradient method, accelerated."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

from gpuopt.arrays.options import flag, number
from gpuopt.arrays.quiet import quietly
from gpuopt.rules.elsewhere import by_known_names
from gpuopt.training.line_search.flat import Point, Problem, dot, read
from gpuopt.training.line_search.method import Method, State
from gpuopt.training.line_search.prox import proximal

__all__ = ["ProximalGradient"]

_HALVINGS = 60
_CLOSE = 1e4
"""The rounding of differences, as a multiple of the rounding of a value."""


class Memory(NamedTuple):
    """The prox of a vector; the step size, and whether it was never too large; the start of the
    next step, and the momentum there.
    """

    prox: Callable[[Any, float], Any]
    step: float
    grows: bool
    ahead: Any
    momentum: float


@by_known_names("gpuopt.ProximalGradient(prox=gpuopt.l1(0.1))")
@dataclasses.dataclass(frozen=True)
class ProximalGradient(Method):
    """The proximal gradient method, accelerated (FISTA), for `minimize` and `iterate`.

    It minimizes ``fun(x) + h(x)``. `fun` has a gradient, and ``h`` is given by its `prox`::

        x_new = prox(y - step·∇fun(y), step),    y_next = x_new + (t - 1)/t_next·(x_new - x)

    with ``t_next = (1 + √(1 + 4t²))/2`` (Beck & Teboulle 2009). ``t`` restarts at 1 when the
    momentum leads uphill (O'Donoghue & Candès 2015). It takes real and complex arrays, and trees of
    them. It has converged when no element of ``(y - x_new)/step`` is larger than ``gtol``.

    A prox does not tell the value of ``h``, so the best point is unknown. `minimize` therefore
    returns the last point, with the value and gradient of `fun` only. The sum may rise in a step.

    Parameters
    ----------
    step : float, optional
        The first step size, such as 1/L for a gradient with the Lipschitz constant L. By default,
        one more call of `fun` estimates it.
    prox : piece, callable, or a tree of them, optional
        A piece with a prox, such as ``gpuopt.l1(0.1)`` or ``gpuopt.nonnegative()``; or a function
        ``prox(x, step)``, which returns the point ``u`` that minimizes ``h(u) + ‖u -
        x‖²/(2·step)``. For a constraint, this is a projection. It gets x as `fun` does, one array
        or a tree. A tree of them has one for each array; None leaves its array unchanged.
    accelerate : bool
        Whether to use momentum.
    search : bool
        Whether to halve the step size until ``fun(x_new)`` is no larger than its quadratic model.
        The step size doubles until it is first halved, and whenever the momentum restarts. With
        False, give `step`.

    Examples
    --------
    The lasso, ``‖A·x - b‖²/2 + 0.5·‖x‖₁``:

    >>> import numpy as np, gpuopt as go
    >>> A, b = np.array([[1.0, 0.5], [0.0, 1.0]]), np.array([1.0, 0.2])
    >>> def fun(x):
    ...     r = A @ x - b
    ...     return r @ r / 2, A.T @ r
    >>> go.minimize(fun, np.zeros(2), go.ProximalGradient(prox=go.l1(0.5))).x.round(6)
    array([0.5, 0. ])
    """

    descends: ClassVar[bool] = False

    step: Any = None
    prox: Any = None
    accelerate: bool = True
    search: bool = True

    def __post_init__(self) -> None:
        for name in ("accelerate", "search"):
            flag(f"ProximalGradient: {name}", getattr(self, name))
        if self.step is not None:
            number("ProximalGradient: step", self.step, above=True)
        elif not self.search:
            raise ValueError(
                "ProximalGradient: search=False needs the step size: give step=1/L, where L is the "
                "Lipschitz constant of the gradient"
            )

    def start(self, problem: Problem, x: Any) -> State:
        prox, point = self._by_vectors(problem), problem.at(x)
        step = _first(problem, point) if self.step is None else float(self.step)
        move = prox(quietly(_forward, problem, point, step), step) - x
        point = point._replace(optimality=_optimality(problem, move, step))
        return State(point, Memory(prox, step, self.search, x, 1.0))

    def advance(self, problem: Problem, state: State) -> State | None:
        point, (prox, step, grows, ahead, momentum) = state
        begin = point if ahead is point.x else problem.at(ahead)
        if not math.isfinite(begin.value + begin.optimality):
            begin, momentum = point, 1.0
        for _ in range(_HALVINGS):
            x = prox(quietly(_forward, problem, begin, step), step)
            new = problem.at(x)
            model = read(*quietly(_model, begin, new))
            if not self.search or _is_below(problem, new, begin, step, model):
                break
            step, grows = step / 2, False
        else:
            return None
        new = new._replace(optimality=_optimality(problem, x - begin.x, step))
        on = x - point.x
        again = self.accelerate and read(dot(x - begin.x, on))[0] < 0
        if grows or (again and self.search):
            step *= 2
        if again or not self.accelerate:
            return State(new, Memory(prox, step, grows, x, 1.0))
        longer = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = x + problem.number((momentum - 1) / longer) * on
        return State(new, Memory(prox, step, grows, ahead, longer))

    def kept(self, state: State) -> Any:
        return state.point, state.memory._replace(prox=None)

    def again(self, problem: Problem, point: Point, memory: Any) -> State:
        return State(point, Memory(self._by_vectors(problem), *memory[1:]))

    def _by_vectors(self, problem: Problem) -> Callable[[Any, float], Any]:
        by_arrays = proximal(self.prox, problem.spec)

        def prox(x: Any, step: float) -> Any:
            return problem.vector(by_arrays(problem.arrays(x), step))

        return prox


def _first(problem: Problem, point: Point) -> float:
    """One over the curvature along the gradient."""
    (square,) = read(quietly(dot, point.gradient, point.gradient))
    if not 0 < square < math.inf:
        return 1.0
    length = min(1.0, 1 / math.sqrt(square))
    for _ in range(_HALVINGS):
        there = problem.along(point, -point.gradient)(length)
        if math.isfinite(there.value) and math.isfinite(there.slope):
            curvature = (1 + there.slope / square) / length
            return 1 / curvature if curvature > 0 else length
        length /= 10
    return length


def _forward(problem: Problem, begin: Point, step: float) -> Any:
    return begin.x - problem.number(step) * begin.gradient


def _model(begin: Point, new: Point) -> tuple[Any, Any, Any]:
    """The slope along a move, the square of its length, and the growth of the slope."""
    move = new.x - begin.x
    growth = dot(new.gradient - begin.gradient, move)
    return dot(begin.gradient, move), dot(move, move), growth


def _is_below(problem: Problem, new: Point, begin: Point, step: float, model: list[float]) -> bool:
    """Whether the value is no larger than its quadratic model.

    The gradient decides if the rounding of values is as large as the model's last term.
    """
    slope, square, growth = model
    if square / (2 * step) <= _CLOSE * problem.eps * abs(begin.value):
        return growth <= square / step
    return new.value <= begin.value + slope + square / (2 * step)


def _optimality(problem: Problem, move: Any, step: float) -> float:
    (largest,) = read(problem.largest(problem.arrays(move)))
    return largest / step
