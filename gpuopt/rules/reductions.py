"""Reductions over all arrays, for formulas that need more than ``np.sum`` of one array."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np

from gpuopt.rules.rule import abs2
from gpuopt.rules.traced import Traced

__all__ = ["tree_max", "tree_mean", "tree_norm", "tree_sum"]


_OverTree = Callable[[str, Any], Any]
_by: ContextVar[_OverTree | None] = ContextVar("_by", default=None)


@contextlib.contextmanager
def over_tree_by(reduce: _OverTree) -> Iterator[None]:
    """Let ``reduce(kind, x)`` give the reductions over the tree meanwhile."""
    token = _by.set(reduce)
    try:
        yield
    finally:
        _by.reset(token)


def seeing_one_array(where: str) -> contextlib.AbstractContextManager[None]:
    """Refuse reductions over the tree meanwhile; `where` is what an error says."""

    def refuse(kind: str, x: Any) -> Any:
        raise ValueError(
            f"{where} sees one array, so it cannot reduce all of them: keep the result of "
            f"gpuopt.tree_{kind} as a state in update, and read the state here"
        )

    return over_tree_by(refuse)


def _over_tree(kind: str, x: Any) -> Any:
    """Reduce a symbol over the tree, and anything else over itself."""
    if reduce := _by.get():
        return reduce(kind, x)
    return x.over_tree(kind) if isinstance(x, Traced) else getattr(np, kind)(x)


def tree_sum(x: Any) -> float | Any:
    """The sum of `x` over all arrays of the optimizer that have a gradient in this step."""
    return _over_tree("sum", x)


def tree_max(x: Any) -> float | Any:
    """The largest element of `x` in all arrays with a gradient in this step; NaN if any is NaN."""
    return _over_tree("max", x)


def tree_mean(x: Any) -> float | Any:
    """The mean of `x` over all arrays of the optimizer that have a gradient in this step."""
    return _over_tree("mean", x)


def tree_norm(x: Any) -> float | Any:
    """The Euclidean norm of `x` over all arrays of the optimizer that have a gradient in this
    step.
    """
    return np.sqrt(tree_sum(abs2(x)))
