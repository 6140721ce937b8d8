"""Nonlinear conjugate gradients."""

from __future__ import annotations

import dataclasses
from typing import Any

from gpuopt.arrays.backend import array_module
from gpuopt.arrays.quiet import quietly
from gpuopt.rules.elsewhere import by_known_names
from gpuopt.training.line_search.flat import Point, Problem, dot
from gpuopt.training.line_search.method import Method, State, downhill

__all__ = ["NonlinearCG"]

_WOLFE = 1e-4, 0.1


@by_known_names("gpuopt.NonlinearCG()")
@dataclasses.dataclass(frozen=True)
class NonlinearCG(Method):
    """Nonlinear conjugate gradients with a strong Wolfe line search, for `minimize` and `iterate`.

    The direction is ``d ← -g + β·d``. If ``y`` is the change of the gradient, ``β`` is

    - ``"hager-zhang"``: ``(y - 2·d·‖y‖²/⟨d, y⟩)·g / ⟨d, y⟩``, and at least ``-1/(‖d‖·min(0.01,
      ‖g_old‖))`` (Hager & Zhang 2005),
    - ``"polak-ribiere"``: ``⟨g, y⟩/‖g_old‖²``, and at least 0 (Nocedal & Wright 2006, 5.44),
    - ``"dai-yuan"``: ``‖g‖²/⟨d, y⟩`` (Dai & Yuan 1999), as in tike for ptychography.

    It restarts with ``-g`` if ``|⟨g, g_old⟩| > 0.2·‖g‖²`` (Powell 1977), or if ``d`` leads to no
    lower point. The line search is that of Moré & Thuente (1994), with the constants 1e-4 and 0.1.
    It keeps 3 numbers for each element of x, `gpuopt.LBFGS` 20, and calls the function two or three
    times as often. It takes real and complex arrays, and trees of them.

    Parameters
    ----------
    beta : {"hager-zhang", "polak-ribiere", "dai-yuan"}
        The formula of ``β``.

    Examples
    --------
    >>> import numpy as np, gpuopt as go
    >>> H = np.diag([1.0, 10.0, 100.0])
    >>> fun = lambda x: (x @ H @ x / 2, H @ x)
    >>> found = go.minimize(fun, np.ones(3), go.NonlinearCG())
    >>> found.success, bool(abs(found.x).max() < 1e-6)
    (True, True)
    """

    beta: str = "hager-zhang"

    def __post_init__(self) -> None:
        if self.beta not in _BETAS:
            raise ValueError(
                f"NonlinearCG: beta must be one of {', '.join(map(repr, _BETAS))}, "
                f"got {self.beta!r}"
            )

    def start(self, problem: Problem, x: Any) -> State:
        return State(problem.at(x), None)

    def advance(self, problem: Problem, state: State) -> State | None:
        point, before = state
        if before is None:
            direction, first = -point.gradient, None
        else:
            old, along = before
            direction = quietly(_direction, _BETAS[self.beta], point.gradient, old, along)
            first = point.step
        new = downhill(problem, point, direction, first, _WOLFE)
        if new is None:  # the direction does not lead down: take the gradient's
            return self.advance(problem, State(point, None)) if before is not None else None
        return State(new, (point, direction))

    def again(self, problem: Problem, point: Point, memory: Any) -> State:
        return State(point, memory and (Point(*memory[0]), memory[1]))


def _direction(beta: Any, g: Any, old: Point, d: Any) -> Any:
    xp = array_module(g)
    far = abs(dot(g, old.gradient)) > 0.2 * dot(g, g)  # from orthogonal
    return xp.where(far, 0.0, beta(g, g - old.gradient, d, old.gradient)) * d - g


def _hager_zhang(g: Any, y: Any, d: Any, old: Any) -> Any:
    xp, along = array_module(g), dot(d, y)
    least = -1 / (dot(d, d) ** 0.5 * xp.minimum(0.01, dot(old, old) ** 0.5))
    return xp.maximum((dot(y, g) - 2 * dot(y, y) * dot(d, g) / along) / along, least)


def _polak_ribiere(g: Any, y: Any, d: Any, old: Any) -> Any:
    return array_module(g).maximum(dot(g, y) / dot(old, old), 0.0)


def _dai_yuan(g: Any, y: Any, d: Any, old: Any) -> Any:
    return dot(g, g) / dot(d, y)


_BETAS = {
    "hager-zhang": _hager_zhang,
    "polak-ribiere": _polak_ribiere,
    "dai-yuan": _dai_yuan,
}
