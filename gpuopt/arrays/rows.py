"""Gradients of some rows of an array: what a user gives, and what a step reads of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from gpuopt.arrays import check
from gpuopt.arrays.backend import array_module, is_cupy
from gpuopt.arrays.dtypes import COMPUTE, state_dtype
from gpuopt.arrays.exchange import shared
from gpuopt.arrays.typed import AnyArray

__all__ = ["Rows", "out_of_bounds", "read_rows", "rows"]

_DUPLICATES = ("error", "sum")


@dataclasses.dataclass(eq=False)
class Rows:
    """The gradients of some rows of an array, made by `gpuopt.rows`.

    Attributes
    ----------
    index : array or list of int
    grads : array
    duplicates : {"error", "sum"}
    """

    index: Any
    grads: Any
    duplicates: str


def rows(
    index: AnyArray | Sequence[int],
    grads: AnyArray,
    duplicates: Literal["error", "sum"] = "error",
) -> Rows:
    """Gradients of some rows of an array, for `Optimizer.step`. The other rows stay unchanged.

    ``rule.init(params, rows=...)`` must name the array. Then each of its rows counts its own
    updates, as an optimizer of that row alone would.

    Parameters
    ----------
    index : (k,) array or list of int
        The rows, along the first axis. Negative numbers count from the end. An index on a GPU is
        copied to the host, which waits for it, so pass a NumPy array or a list.
    grads : (k, ...) array
        The gradient of each of these rows.
    duplicates : {"error", "sum"}
        What happens if a row occurs twice: an error, or the sum of its gradients, in their order.
        Sums of 16-bit gradients are computed in float32.

    Returns
    -------
    Rows

    Raises
    ------
    ValueError
        If `duplicates` is neither. `Optimizer.step` checks the rest.

    Examples
    --------
    >>> import gpuopt as go, numpy as np
    >>> positions = np.zeros((4, 2))
    >>> opt = go.SGD(lr=0.5).init(positions, rows="*")
    >>> opt.step(go.rows([3, 1], np.ones((2, 2))))
    >>> positions[:, 0]
    array([ 0. , -0.5,  0. , -0.5])
    >>> opt.counts
    array([0, 1, 0, 1])
    """
    if duplicates not in _DUPLICATES:
        raise ValueError(f"duplicates must be 'error' or 'sum', got {duplicates!r}")
    return Rows(index, grads, duplicates)


def read_rows(given: Any, p: Any, path: str) -> tuple[Any, Any]:
    """Which rows of an array a step updates, on the host; and their gradients.

    `given` is a `Rows`, or the gradient of all. A row may still be there twice, or be out of
    bounds.

    Raises
    ------
    TypeError, ValueError, IndexError
        If it does not fit; the message names it by its path.
    """
    if not isinstance(given, Rows):
        given = shared(given, f"grads{path}")
        check.gradient(given, p, path)
        return np.arange(len(p)), given
    index, grads = _index(given.index, path), shared(given.grads, f"grads{path}")
    shape = (len(index), *p.shape[1:])
    if not (type(grads) is np.ndarray is type(p) and grads.dtype == p.dtype):
        check.gradient(grads, array_module(p).broadcast_to(p[:1], shape), path)
    if grads.shape != shape:
        raise ValueError(
            f"grads{path} must have the shape {shape}, a gradient for each of {len(index)} rows of "
            f"params{path}, got {grads.shape}"
        )
    return _summed(index, grads, p, path) if given.duplicates == "sum" else (index, grads)


def _index(given: Any, path: str) -> Any:
    """The index as an array of whole numbers."""
    given = shared(given, f"index of grads{path}")
    check.unmasked("index", given, "compressed()")
    index = given.get() if is_cupy(given) else np.asarray(given)
    if index.ndim == 1 and (index.dtype.kind in "iu" or not index.size):
        return index.astype(np.int64, copy=False)
    name = f"index of grads{path}"
    if index.dtype.kind == "b":
        raise TypeError(f"{name} must be whole numbers, got a mask: pass np.flatnonzero(mask)")
    raise TypeError(
        f"{name} must be a 1-D array or list of whole numbers, got {index.dtype} {index.shape}"
    )


def out_of_bounds(index: Any, size: int, path: str) -> IndexError:
    """The error for an index that leaves the array."""
    wrong = index[(index < -size) | (index >= size)][0]
    return IndexError(
        f"index of grads{path}: {wrong} is out of bounds for params{path}, which has {size} rows"
    )


def _summed(index: Any, grads: Any, p: Any, path: str) -> tuple[Any, Any]:
    """Each row once, with the sum of its gradients, added one after the other."""
    size = len(p)
    if ((index < -size) | (index >= size)).any():
        raise out_of_bounds(index, size, path)
    unique, which = np.unique(index % size, return_inverse=True)
    if len(unique) == len(index):
        return index, grads
    order = np.argsort(which, kind="stable")
    turn = (
        np.arange(len(index)) - np.searchsorted(which[order], np.arange(len(unique)))[which[order]]
    )
    compute, xp = COMPUTE[p.dtype.name], array_module(grads)
    total = xp.zeros((len(unique), *p.shape[1:]), state_dtype(compute, p.dtype.kind == "c"))
    for number in range(int(turn.max()) + 1):
        now = order[turn == number]
        total[xp.asarray(which[now])] += grads[xp.asarray(now)]
    return unique, total
