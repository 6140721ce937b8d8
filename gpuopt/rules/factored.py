"""Rules that keep second moments of rows and columns: Adafactor, CAME.

They call functions of whole arrays. For n rows and m columns such state has n + m numbers.
"""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from gpuopt.rules.ranges import Decay, NonNegative, Positive
from gpuopt.rules.rule import Rule, abs2
from gpuopt.rules.slices import number_like
from gpuopt.rules.whole_arrays import buffer, whole_array

__all__ = ["CAME", "Adafactor"]


def _rows(p: Any) -> Any:
    """A number for each row of the last two axes; of a vector, for each element."""
    return np.zeros_like(p.real if p.ndim < 2 else p.real[..., :1])


def _columns(p: Any) -> Any:
    """A number for each column of the last two axes; of a vector, one."""
    return number_like(p.real) if p.ndim < 2 else np.zeros_like(p.real[..., :1, :])


@whole_array(outputs=5)
def _factored(
    squares: Any, weight: Any, eps: Any, row: Any, column: Any
) -> tuple[Any, Any, Any, Any, Any]:
    """Averages of squares whose product estimates their average: of rows, over their mean, and of
    columns; the least that the product may be; and the averages.
    """
    eps = float(np.finfo(squares.dtype).eps) if eps is None else eps
    floor = number_like(squares) + eps * eps
    if squares.ndim < 2:
        row = row + weight * (squares - row)
        return row, np.ones_like(floor), floor, row, column
    row = row + weight * (squares.mean(axis=-1, keepdims=True) - row)
    column = column + weight * (squares.mean(axis=-2, keepdims=True) - column)
    return row / np.maximum(row.mean(axis=-2, keepdims=True), eps), column, floor, row, column


@whole_array(outputs=4)
def _factors(squares: Any, beta: Any, row: Any, column: Any) -> tuple[Any, Any, Any, Any]:
    """The same without a least value."""
    if squares.ndim < 2:
        row = beta * row + (1 - beta) * squares
        return row, np.ones_like(column), row, column
    row = beta * row + (1 - beta) * squares.mean(axis=-1, keepdims=True)
    column = beta * column + (1 - beta) * squares.mean(axis=-2, keepdims=True)
    return row / row.mean(axis=-2, keepdims=True), column, row, column


@whole_array
def _of_matrices(factor: Any, x: Any) -> Any:
    """A factor for matrices; 1 for vectors."""
    return factor if x.ndim > 1 else np.ones_like(factor)


class Adafactor(Rule):
    """Adafactor (Shazeer & Stern 2018, "Adafactor: adaptive learning rates with sublinear memory
    cost", algorithms 4 and 5).

    The second moment of a matrix is the product of those of its rows and columns, ``V =
    r·c/mean(r)`` with ``r ← (1-w)·r + w·mean(|g|²)`` and ``w = t^-power``. ``u = g/√max(V, ε₁²)``
    is scaled down to a root mean square of at most `clip`, and multiplied by the root mean square
    of the parameter, at least ε₂: ``p ← p·(1 - lr·wd) - max(ε₂, rms(p))·min(lr, 1/√t)·u``. Use it
    for large matrices whose state should take almost no memory. There is no first moment. The
    defaults are PyTorch's. It factors the last two axes, and keeps the whole second moment of a
    vector. In float32 its fused parts move 28 bytes an element.

    Parameters
    ----------
    lr : float or schedule
        The largest relative step, at least 0.
    power : float or schedule
        How fast w falls, greater than 0. PyTorch calls it ``beta2_decay=-0.8``.
    eps1 : float or schedule, optional
        ε₁, greater than 0. The default is the machine epsilon of the dtype that it computes in.
    eps2 : float or schedule
        ε₂, greater than 0.
    clip : float or schedule
        The largest root mean square of u, greater than 0. PyTorch calls it ``d``.
    weight_decay : float or schedule
        ``wd``, at least 0; decoupled.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.ones((2, 2))
    >>> opt = go.Adafactor().init(x)
    >>> opt.step(np.array([[1.0, -1.0], [2.0, -2.0]]))
    >>> x.round(6).tolist()
    [[0.99, 1.01], [0.99, 1.01]]
    """

    lr: NonNegative = 1e-2
    _: KW_ONLY
    power: Positive = 0.8
    eps1: Positive | None = None
    eps2: Positive = 1e-3
    clip: Positive = 1.0
    weight_decay: NonNegative = 0.0

    def update(
        self, t: Any, p: Any, g: Any, row: Any = buffer(_rows), col: Any = buffer(_columns)
    ) -> Any:
        r, c, floor, row, col = _factored(abs2(g), t**-self.power, self.eps1, row, col)
        u = g / np.sqrt(np.maximum(r * c, floor))
        size = np.maximum(self.eps2, _rms(p)) * np.minimum(self.lr, t**-0.5)
        step = size / np.maximum(1.0, _rms(u) / self.clip) * u
        return p * (1 - self.lr * self.weight_decay) - step, row, col


class CAME(Rule):
    """CAME (Luo et al. 2023, "CAME: confidence-guided adaptive memory efficient optimization",
    algorithm 2).

    Adafactor with a first moment, ``m ← β₁·m + (1-β₁)·u``, whose step is divided by the root of an
    estimate of ``(u - m)² + ε₂``, which is again factored into rows and columns. Use it for large
    matrices, if `Adafactor` is too unsteady: it takes large steps where the update is steady. The
    defaults are the authors'. A vector keeps its whole second moment, and its step is m. In float32
    its fused parts move 44 bytes an element.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta1, beta2, beta3 : float or schedule
        Decays of m, of the second moment of g, and of that of ``u - m``, in [0, 1).
    eps1, eps2 : float or schedule
        Added to both squares, greater than 0.
    clip : float or schedule
        The largest root mean square of u, greater than 0.
    weight_decay : float or schedule
        At least 0; decoupled.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros((2, 2))
    >>> opt = go.CAME(0.01).init(x)
    >>> opt.step(np.array([[1.0, -1.0], [2.0, -2.0]]))
    >>> x.round(4).tolist()
    [[-0.1111, 0.1111], [-0.1111, 0.1111]]
    """

    lr: NonNegative = 2e-4
    _: KW_ONLY
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    beta3: Decay = 0.9999
    eps1: Positive = 1e-30
    eps2: Positive = 1e-16
    clip: Positive = 1.0
    weight_decay: NonNegative = 0.0

    def update(
        self,
        t: Any,
        p: Any,
        g: Any,
        m: Any = 0.0,
        row: Any = buffer(_rows),
        col: Any = buffer(_columns),
        residual_row: Any = buffer(_rows),
        residual_col: Any = buffer(_columns),
    ) -> Any:
        r, c, row, col = _factors(abs2(g) + self.eps1, self.beta2, row, col)
        u = g / np.sqrt(r * c)
        u = u / np.maximum(1.0, _rms(u) / self.clip)
        m = self.beta1 * m + (1 - self.beta1) * u
        r, c, residual_row, residual_col = _factors(
            abs2(u - m) + self.eps2, self.beta3, residual_row, residual_col
        )
        step = m / np.sqrt(_of_matrices(r, p).real * _of_matrices(c, p).real)
        p = p * (1 - self.lr * self.weight_decay) - self.lr * step
        return p, m, row, col, residual_row, residual_col


def _rms(x: Any) -> Any:
    """The root of the mean square."""
    return np.sqrt(np.mean(abs2(x)))
