"""Rules that find the length of their steps: BarzilaiBorwein, COCOB."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from gpuopt.rules.ranges import NonNegative, Positive, single
from gpuopt.rules.reductions import tree_sum
from gpuopt.rules.rule import Rule, abs2

__all__ = ["COCOB", "BarzilaiBorwein"]


class BarzilaiBorwein(Rule):
    """Gradient descent with the step of Barzilai & Borwein (1988, "Two-point step size gradient
    methods").

    ``p ← p - r·g`` with ``s = p - p_last``, ``y = g - g_last`` and ``r = ⟨s,s⟩/⟨s,y⟩``, the long
    step, or ``⟨s,y⟩/⟨y,y⟩``, the short one: the inverse of a curvature, computed from two
    gradients. Use it for gradients without noise: there it needs about as many steps as conjugate
    gradients, and no line search. The loss may rise in some steps. The first step uses `lr`, and so
    does a step along which the curvature is not positive. In float32 it moves 36 bytes an element,
    16 of them for the inner products. For complex parameters these are the real parts.

    Parameters
    ----------
    lr : float or schedule
        The first r, at least 0.
    kind : str
        ``"long"`` or ``"short"``.
    low, high : float or schedule
        The smallest and the largest r, greater than 0.
    tree : bool
        Use one r for all arrays together, instead of one for each array.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.array([3.0])
    >>> opt = go.BarzilaiBorwein(0.01).init(x)
    >>> for _ in range(2):
    ...     opt.step(5 * (x - 1))
    >>> x.round(6).tolist()
    [1.0]
    """

    lr: NonNegative = 1e-3
    _: KW_ONLY
    kind: str = "long"
    low: Positive = 1e-10
    high: Positive = 1e10
    tree: bool = False

    def check(self) -> None:
        if self.kind not in ("long", "short"):
            raise ValueError(f"BarzilaiBorwein: kind must be 'long' or 'short', got {self.kind!r}")

    def update(self, t: Any, p: Any, g: Any, p_last: Any = 0.0, g_last: Any = 0.0) -> Any:
        total = tree_sum if self.tree else np.sum
        s, y = p - p_last, g - g_last
        both = total((np.conj(s) * y).real)
        r = total(abs2(s)) / both if self.kind == "long" else both / total(abs2(y))
        r = np.where((t > 1) & (both > 0), np.clip(r, self.low, self.high), self.lr)
        return p - single(r) * g, p, g


class COCOB(Rule):
    """Continuous coin betting (Orabona & Tommasi 2017, "Training deep networks without learning
    rates through coin betting", algorithm 2).

    Each element bets a part of what it has won so far: ``l ← max(l, |g|); n ← n + |g|; won ←
    max(won - g·(p - p₀), 0); sum ← sum - g; p ← p₀ + sum/(l·max(n + l, α·l))·(l + won)``. Use it if
    you cannot tune a learning rate: it has none. The defaults are optax's. In float32 it moves 48
    bytes an element. For a complex parameter, products are inner products in the plane.

    Parameters
    ----------
    alpha : float or schedule
        How carefully it begins, greater than 0: the first step is about ``1/α``.
    eps : float or schedule
        The smallest l, greater than 0.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.COCOB().init(x)
    >>> opt.step(np.array([3.0, -0.1]))
    >>> x.round(6).tolist()
    [-0.01, 0.01]
    """

    _: KW_ONLY
    alpha: Positive = 100.0
    eps: Positive = 1e-8

    def start(self, p: Any) -> Any:
        return p, 0.0, self.eps, 0.0, 0.0

    def update(
        self, t: Any, p: Any, g: Any, p0: Any, total: Any, largest: Any, n: Any, won: Any
    ) -> Any:
        size = np.abs(g)
        largest, n, total = np.maximum(largest, size), n + size, total - g
        won = np.maximum(won - (np.conj(g) * (p - p0)).real, 0.0)
        bet = (largest + won) / np.maximum(n + largest, self.alpha * largest)
        return p0 + total / largest * bet, p0, total, largest, n, won
