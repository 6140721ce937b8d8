"""Limited-memory BFGS."""

from __future__ import annotations

import dataclasses
from typing import Any

from gpuopt.arrays.options import whole
from gpuopt.arrays.quiet import quietly
from gpuopt.rules.elsewhere import by_known_names
from gpuopt.training.line_search.flat import Point, Problem, dot
from gpuopt.training.line_search.method import Method, State, downhill

__all__ = ["LBFGS"]

_WOLFE = 1e-3, 0.9


@by_known_names("gpuopt.LBFGS(memory=20)")
@dataclasses.dataclass(frozen=True)
class LBFGS(Method):
    """Limited-memory BFGS with a strong Wolfe line search, for `minimize` and `iterate`.

    The direction is ``-H·g``, where ``H`` approximates the inverse of the Hessian by the last
    `memory` steps ``s`` and changes of the gradient ``y`` (Liu & Nocedal 1989; Nocedal & Wright
    2006, algorithm 7.5). The line search is that of Moré & Thuente (1994). Its constants, 1e-3 and
    0.9, and the first step are those of SciPy's ``L-BFGS-B``. It takes real and complex arrays, and
    trees of them. If a value or gradient is not finite, the line search steps back.

    It needs exact values and gradients, not those of batches, with no noise other than rounding. If
    rounding hides any descent, it stops with the status 4.

    Parameters
    ----------
    memory : int
        The number of steps to keep. It stores 2·memory + 5 numbers for each element of x.

    Examples
    --------
    >>> import numpy as np, gpuopt as go
    >>> def fun(z):  # complex: the gradient is dL/dx + 1j * dL/dy
    ...     r = z**2 + 1
    ...     return (r * r.conj()).real.sum(), 4 * r * z.conj()
    >>> found = go.minimize(fun, np.array([1 + 0.5j]), go.LBFGS())
    >>> found.success, found.x.round(6)
    (True, array([0.+1.j]))
    """

    memory: int = 10

    def __post_init__(self) -> None:
        object.__setattr__(self, "memory", whole("LBFGS: memory", self.memory, 1))

    def start(self, problem: Problem, x: Any) -> State:
        return State(problem.at(x), ())

    def advance(self, problem: Problem, state: State) -> State | None:
        point, pairs = state
        direction = quietly(_direction, point.gradient, pairs)
        new = downhill(problem, point, direction, 1.0 if pairs else None, _WOLFE)
        if new is None:  # perhaps the kept steps mislead: forget them
            return self.advance(problem, State(point, ())) if pairs else None
        if new.growth > problem.eps:
            pairs = (*pairs, quietly(_learned, point, new))[-self.memory :]
        return State(new, pairs)


def _learned(old: Point, new: Point) -> tuple[Any, Any, Any]:
    s, y = new.x - old.x, new.gradient - old.gradient
    return s, y, 1 / dot(s, y)


def _direction(g: Any, pairs: Any) -> Any:
    """``-H·g`` by the two-loop recursion; its numbers stay on the device."""
    if not pairs:
        return -g
    parts = []
    for s, y, rho in reversed(pairs):
        part = rho * dot(s, g)
        g = g - part * y
        parts.append(part)
    _, y, rho = pairs[-1]
    g = g / (rho * dot(y, y))
    for (s, y, rho), part in zip(pairs, reversed(parts), strict=True):
        g = g + (part - rho * dot(y, g)) * s
    return -g
