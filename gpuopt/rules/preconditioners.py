"""Rules that keep matrices for the axes of an array: Shampoo and SOAP.

They call functions of whole arrays. All matrices of an array lie in one flat buffer.
"""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from gpuopt.rules.matrices import adjoint
from gpuopt.rules.ranges import Decay, NonNegative, Positive
from gpuopt.rules.rule import Rule, abs2, at_first, root_of, sum_of_weights
from gpuopt.rules.whole_arrays import buffer, whole_array

__all__ = ["SOAP", "Shampoo"]

_LARGEST = 10_000
"""Axes with more slices have no matrix of their own."""


def _turned(p: Any) -> list[int]:
    """The axes of an array that have a matrix in SOAP: those of a vector have none."""
    return [axis for axis, size in enumerate(p.shape) if p.ndim > 1 and size <= _LARGEST]


def _split(flat: Any, x: Any, axes: list[int]) -> list[Any]:
    """The matrices of these axes, which lie one after another."""
    found, begin = [], 0
    for size in (x.shape[axis] for axis in axes):
        found.append(flat[begin : begin + size * size].reshape(size, size))
        begin += size * size
    return found


def _joined(matrices: list[Any], like: Any) -> Any:
    """The matrices one after another."""
    return np.concatenate([like[:0], *(matrix.reshape(-1) for matrix in matrices)])


def _zeros(p: Any) -> Any:
    """A matrix of zeros for each axis that has one in SOAP."""
    return np.zeros_like(p.reshape(-1), shape=sum(p.shape[axis] ** 2 for axis in _turned(p)))


def _unit(p: Any) -> Any:
    """The unit matrix for each axis."""
    flat = p.reshape(-1)
    return _joined([np.identity(size, like=flat).astype(p.dtype) for size in p.shape], flat)


def _outer(x: Any, axis: int) -> Any:
    """The products of an array's slices along an axis."""
    slices = np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1)
    return slices @ adjoint(slices)


def _along(matrix: Any, x: Any, axis: int) -> Any:
    """The product of a matrix with an array, along an axis."""
    return np.moveaxis(np.tensordot(matrix, x, axes=(1, axis)), 0, axis)


def _finite(matrix: Any) -> Any:
    """A matrix that can be decomposed: in a step that is skipped there may be NaN."""
    return np.where(np.isfinite(matrix), matrix, 0.0)


def _root(matrix: Any, eps: Any, order: int) -> Any:
    """The inverse root of an Hermitian matrix."""
    values, vectors = np.linalg.eigh(_finite(matrix))
    return (vectors * np.maximum(values, eps) ** (-1.0 / order)) @ adjoint(vectors)


@whole_array(outputs=3)
def _preconditioned(
    g: Any, t: Any, every: int, eps: Any, sums: Any, roots: Any
) -> tuple[Any, Any, Any]:
    """The gradient times the inverse root of each axis' sum, the sums, and their roots."""
    axes = list(range(g.ndim))
    sums = sums + _joined([_outer(g, axis) for axis in axes], sums)
    if every == 1 or (t - 1) % every == 0:
        units = _split(_unit(g), g, axes)
        whole = [s + eps * one for s, one in zip(_split(sums, g, axes), units, strict=True)]
        roots = _joined([_root(each, eps, 2 * g.ndim) for each in whole], sums)
    for axis, root in zip(axes, _split(roots, g, axes), strict=True):
        g = _along(root, g, axis)
    return g, sums, roots


class Shampoo(Rule):
    """Shampoo (Gupta, Koren & Singer 2018, "Shampoo: preconditioned stochastic tensor
    optimization", algorithms 1 and 2).

    ``L ← L + G·Gᴴ; R ← R + Gᴴ·G; p ← p - lr·L^(-1/4)·G·R^(-1/4)``, where L and R begin as ε times
    the unit matrix. An array of k axes has k matrices, with roots of order 2k. Use it for arrays
    whose axes are short: an axis of n elements has two matrices of n² elements, and costs n³
    operations. Give long vectors another rule with `partition`. The paper leaves lr and ε open; 0.1
    and 1e-4 are usual. In float32 its fused parts move 8 bytes an element.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    eps : float or schedule
        The sums begin as ε times the unit matrix; greater than 0.
    every : int
        The number of steps between two computations of the roots, at least 1.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros((2, 2))
    >>> opt = go.Shampoo(0.1).init(x)
    >>> opt.step(np.array([[3.0, 0.0], [0.0, -4.0]]))
    >>> x.round(3).tolist()
    [[-0.1, 0.0], [0.0, 0.1]]
    """

    lr: NonNegative = 0.1
    _: KW_ONLY
    eps: Positive = 1e-4
    every: int = 1

    def check(self) -> None:
        if self.every < 1:
            raise ValueError(f"Shampoo: every must be at least 1, got {self.every}")

    def update(
        self,
        t: Any,
        p: Any,
        g: Any,
        sums: Any = buffer(lambda p: 0 * _unit(p)),
        roots: Any = buffer(_unit),
    ) -> Any:
        step, sums, roots = _preconditioned(g, t, self.every, self.eps, sums, roots)
        return p - self.lr * step, sums, roots


@whole_array(outputs=2)
def _in_basis(x: Any, y: Any, bases: Any) -> tuple[Any, Any]:
    """Two arrays in the eigenbases of their axes."""
    axes = _turned(x)
    for axis, basis in zip(axes, _split(bases, x, axes), strict=True):
        x, y = _along(adjoint(basis), x, axis), _along(adjoint(basis), y, axis)
    return x, y


@whole_array
def _out_of_basis(x: Any, bases: Any) -> Any:
    axes = _turned(x)
    for axis, basis in zip(axes, _split(bases, x, axes), strict=True):
        x = _along(basis, x, axis)
    return x


@whole_array(outputs=3)
def _refreshed(
    g: Any, v: Any, t: Any, every: int, beta: Any, sums: Any, bases: Any
) -> tuple[Any, Any, Any]:
    """The second moment in the new bases, the averages of products, and the bases: eigenvectors in
    the first step, and one step of the power method, made orthogonal, in every `every`-th.
    """
    axes = _turned(g)
    sums = beta * sums + (1 - beta) * _joined([_outer(g, axis) for axis in axes], sums)
    if t != 1 and (t - 1) % every != 0:
        return v, sums, bases
    found = []
    for axis, s, basis in zip(axes, _split(sums, g, axes), _split(bases, g, axes), strict=True):
        if t == 1:
            found.append(np.linalg.eigh(_finite(s))[1][:, ::-1])
        else:
            order = np.argsort(-np.sum(basis.conj() * (s @ basis), axis=0).real)
            v = np.take(v, order, axis=axis)
            found.append(np.linalg.qr(_finite(s @ basis[:, order]))[0])
    return v, sums, _joined(found, bases)


class SOAP(Rule):
    """SOAP (Vyas et al. 2024, "SOAP: improving and stabilizing Shampoo using Adam", algorithm 3).

    Adam in the eigenbases of Shampoo's matrices, which average the gradient's products along each
    axis. The gradient and the first moment are rotated into these bases, the second moment is kept
    there, and the step is rotated back. The first step finds the bases, and moves nothing.
    Afterwards, every `every` steps, one step of the power method updates them. Use it for matrices
    whose axes are short: an axis of n elements has two matrices of n² elements. An axis of more
    than 10,000 elements has none, and a vector is updated as by Adam. The defaults are the
    authors'. In float32 its fused parts move 48 bytes an element.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta1, beta2 : float or schedule
        Decays of the moments, in [0, 1).
    beta3 : float or schedule, optional
        Decay of the products, in [0, 1). The default is `beta2`.
    eps : float or schedule
        Added to the root, greater than 0.
    weight_decay : float or schedule
        At least 0; decoupled.
    every : int
        The number of steps between two updates of the bases, at least 1.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros((2, 2))
    >>> opt = go.SOAP(0.1, weight_decay=0.0).init(x)
    >>> for _ in range(2):
    ...     opt.step(np.array([[3.0, 0.0], [0.0, -4.0]]))
    >>> x.round(3).tolist()
    [[-0.1, 0.0], [0.0, 0.1]]
    """

    lr: NonNegative = 3e-3
    _: KW_ONLY
    beta1: Decay = 0.95
    beta2: Decay = 0.95
    beta3: Decay | None = None
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.01
    every: int = 10

    def check(self) -> None:
        if self.every < 1:
            raise ValueError(f"SOAP: every must be at least 1, got {self.every}")

    def update(
        self,
        t: Any,
        p: Any,
        g: Any,
        m: Any = 0.0,
        v: Any = 0.0,
        sums: Any = buffer(_zeros),
        bases: Any = buffer(_zeros),
    ) -> Any:
        m = at_first(t, 0.0, self.beta1 * m + (1 - self.beta1) * g)
        turned, step = _in_basis(g, m, bases)
        v = at_first(t, 0.0, self.beta2 * v + (1 - self.beta2) * abs2(turned))
        step = _out_of_basis(step / (np.sqrt(v) + self.eps), bases)
        beta3 = self.beta2 if self.beta3 is None else self.beta3
        v, sums, bases = _refreshed(g, v, t, self.every, beta3, sums, bases)
        v = v.real
        lr = (
            self.lr * root_of(sum_of_weights(self.beta2, t - 1)) / sum_of_weights(self.beta1, t - 1)
        )
        new = (p - lr * step) * (1 - self.lr * self.weight_decay)
        return at_first(t, p, new), m, v, sums, bases
