"""The forms of a prox: a function of a tree, a piece with a prox, or a tree of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpuopt.arrays.tree import TreeSpec

__all__ = ["proximal"]

_FORMS = (
    "prox must be a function prox(x, step), a piece with a prox such as gpuopt.l1(0.1), or a tree "
    "of them"
)


def proximal(prox: Any, spec: TreeSpec) -> Callable[[list[Any], float], list[Any]]:
    """A prox as a function of a tree's arrays and of the step size."""
    if not isinstance(prox, (dict, list, tuple, type(None))):
        whole = _function(prox, "")
        return lambda x, step: _checked(spec.match(whole(spec.build(x), step), "prox"), x, spec)
    each = [None] * len(spec.leaves) if prox is None else spec.match(prox, "prox", "no penalty")
    functions = [_function(one, path) for one, path in zip(each, spec.paths, strict=True)]

    def by_array(x: list[Any], step: float) -> list[Any]:
        found = zip(functions, x, strict=True)
        return _checked([function(array, step) for function, array in found], x, spec)

    return by_array


def _function(prox: Any, path: str) -> Callable[[Any, float], Any]:
    if prox is None:
        return lambda x, step: x
    function = getattr(prox, "prox", prox)
    if not callable(function) or isinstance(prox, type):
        raise TypeError(f"{_FORMS}, got {prox!r}" + (f" for x0{path}" if path else ""))
    return function  # type: ignore[no-any-return]


def _checked(found: list[Any], x: list[Any], spec: TreeSpec) -> list[Any]:
    for new, old, path in zip(found, x, spec.paths, strict=True):
        if type(new) is not type(old) or new.shape != old.shape:
            raise TypeError(
                f"prox must return an array like x{path}, {type(old).__name__} of shape "
                f"{old.shape}, got {type(new).__name__} of shape {getattr(new, 'shape', ())}"
            )
        if new.dtype.kind == "c" and old.dtype.kind != "c":
            raise TypeError(
                f"prox returned a complex array for the real x{path}: return np.real of it"
            )
    return found
