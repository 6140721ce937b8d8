"""Rules that keep one number for a slice of an array: SM3, Adam-mini.

They call functions of whole arrays.
"""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from gpuopt.rules.ranges import Decay, NonNegative, Positive
from gpuopt.rules.rule import Rule, abs2, debias
from gpuopt.rules.whole_arrays import buffer, whole_array

__all__ = ["SM3", "AdamMini"]


@whole_array(outputs=2)
def _covered(squares: Any, v: Any) -> tuple[Any, Any]:
    """The sum of squares, estimated by the least that its slices have; and their new maxima, those
    along each axis one after another.
    """
    if squares.ndim < 2:
        return squares + v.reshape(squares.shape), (squares.reshape(-1) + v)
    bound, begin = None, 0
    for axis, length in enumerate(squares.shape):
        own = v[begin : begin + length].reshape((-1,) + (1,) * (squares.ndim - axis - 1))
        bound = own if bound is None else np.minimum(bound, own)
        begin += length
    total, axes = squares + bound, range(squares.ndim)
    maxima = [total.max(axis=tuple(i for i in axes if i != axis)) for axis in axes]
    return total, np.concatenate(maxima)


def _along_axes(p: Any) -> Any:
    """A number for each slice along each axis."""
    length = sum(p.shape) if p.ndim > 1 else p.size
    return np.zeros_like(p.real.reshape(-1), shape=length)


@whole_array
def _of_slices(squares: Any, beta: Any, v: Any) -> Any:
    """The average of the mean square of each slice along the first axis; of a vector, of all."""
    axes = tuple(range(1, squares.ndim)) if squares.ndim > 1 else None
    return beta * v + (1 - beta) * squares.mean(axis=axes, keepdims=True)


def number_like(x: Any) -> Any:
    """One 0, with as many axes as an array has."""
    return np.zeros_like(x, shape=(1,) * x.ndim) if x.ndim else np.zeros_like(x)


def _slices(p: Any) -> Any:
    rest = (1,) * (p.ndim - 1)
    return np.zeros_like(p.real, shape=(len(p), *rest)) if rest else number_like(p.real)


class SM3(Rule):
    """SM3 (Anil et al. 2019, "Memory-efficient adaptive optimization", algorithm SM3-II).

    AdaGrad with one sum for each row and each column (each slice along each axis) instead of one
    for each element. The sum of an element is estimated by the smallest of its slices' sums: ``s =
    |g|² + min(…)``. Each slice then keeps the largest s of its elements. ``m ← β·m + (1-β)·g/√(s +
    ε); p ← p - lr·m``. Use it for sparse gradients and large embeddings. The defaults, and the
    average m, are optax's. A vector keeps all sums, as in AdaGrad. In float32 its fused parts move
    28 bytes an element.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta : float or schedule
        Decay of m, in [0, 1).
    eps : float or schedule
        Added inside the root, greater than 0.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros((2, 2))
    >>> opt = go.SM3(1.0).init(x)
    >>> opt.step(np.array([[1.0, -1.0], [2.0, 0.0]]))
    >>> x.round(4).tolist()
    [[-0.1, 0.1], [-0.1, 0.0]]
    """

    lr: NonNegative = 1e-2
    _: KW_ONLY
    beta: Decay = 0.9
    eps: Positive = 1e-8

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0, v: Any = buffer(_along_axes)) -> Any:
        s, v = _covered(abs2(g), v)
        u = np.where(s > 0, g / np.sqrt(s + self.eps), 0.0)
        m = self.beta * m + (1 - self.beta) * u
        return p - self.lr * m, m, v


class AdamMini(Rule):
    """Adam-mini (Zhang et al. 2024, "Adam-mini: use fewer learning rates to gain more").

    AdamW with one second moment for each slice along the first axis: the mean of its squared
    gradients. For a matrix of weights, a slice holds the weights of one output. That is the
    authors' block for embeddings and multilayer perceptrons. To get their blocks of attention
    heads, store the matrix as ``(heads, size, inputs)``. A vector has one second moment. Use it for
    large networks: the state is about half that of `AdamW`. The defaults are the authors'. In
    float32 its fused parts move 28 bytes an element.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta1, beta2 : float or schedule
        Decays of the moments, in [0, 1).
    eps : float or schedule
        Added to the root, greater than 0.
    weight_decay : float or schedule
        At least 0; decoupled.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros((2, 2))
    >>> opt = go.AdamMini(0.1).init(x)
    >>> opt.step(np.array([[1.0, -1.0], [2.0, 0.0]]))
    >>> x.round(4).tolist()
    [[-0.1, 0.1], [-0.1414, 0.0]]
    """

    lr: NonNegative = 1e-3
    _: KW_ONLY
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.0

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0, v: Any = buffer(_slices)) -> Any:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = _of_slices(abs2(g), self.beta2, v)
        step = debias(m, self.beta1, t) / (np.sqrt(debias(v, self.beta2, t)) + self.eps)
        return p * (1 - self.lr * self.weight_decay) - self.lr * step, m, v
