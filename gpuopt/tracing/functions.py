"""NumPy's other functions on values of a graph: choices, and reductions to one number."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gpuopt.rules.whole_arrays import WholeArrayFunction
from gpuopt.tracing.calls import record
from gpuopt.tracing.complexes import Parts, imaginary
from gpuopt.tracing.errors import ELEMENTWISE, trace_error
from gpuopt.tracing.expr import Graph
from gpuopt.tracing.keywords import refuse_keywords
from gpuopt.tracing.ufuncs import apply, parts_of

__all__ = ["call_function", "reduced"]


class _Function(NamedTuple):
    """A function of NumPy.

    Attributes
    ----------
    run : callable
        From a graph, and arguments by their names, to a value, or a bool.
    names : str
        The names of NumPy's arguments in their order.
    """

    run: Callable[..., Parts | bool]
    names: str


_ATTRIBUTES = {np.size: "p.size", np.ndim: "p.ndim", np.shape: "p.shape[0] or p.shape[-1]"}


def call_function(
    graph: Graph, function: Any, args: tuple[Any, ...], keywords: Mapping[str, Any]
) -> Parts | bool:
    """The value of a call of one of NumPy's functions that are not ufuncs."""
    name = f"{function.__module__.replace('numpy', 'np', 1)}.{function.__name__}"
    if function in _ATTRIBUTES:
        raise trace_error(f"{name} is not available in a rule: write {_ATTRIBUTES[function]}")
    if function not in _FUNCTIONS:
        raise trace_error(f"{name} is not elementwise; {ELEMENTWISE}")
    run, names = _FUNCTIONS[function]
    signature, given = inspect.signature(run), {**_by_name(names, args), **keywords}
    if function in _ALONG and given.get("axis") is not None:
        return _along(graph, name, function, given)
    taken = {key: given.pop(key) for key in tuple(signature.parameters)[1:] if key in given}
    refuse_keywords(name, given)
    try:
        signature.bind(graph, **taken)
    except TypeError:
        written = ", ".join([*("…" for _ in args), *(f"{name}=…" for name in keywords)])
        raise trace_error(
            f"{name}({written}) is not available in a rule with these arguments"
        ) from None
    return run(graph, **{key: x if x is None else parts_of(graph, x) for key, x in taken.items()})


def _along(graph: Graph, name: str, function: Any, given: Mapping[str, Any]) -> Parts:
    """A reduction along axes: a call of NumPy's function between the fused parts of a step."""
    axis = given["axis"]
    axes = axis if isinstance(axis, tuple) else (axis,)
    if given.get("keepdims") is not True:
        raise trace_error(
            f"{name}(…, axis=…) is not available in a rule: it has another shape than the "
            f"parameter, so write {name}(…, axis={axis!r}, keepdims=True), which broadcasts to it"
        )
    if not all(isinstance(each, int) and not isinstance(each, bool) for each in axes):
        raise trace_error(f"{name}: axis must be an int or a tuple of ints, got {axis!r}")
    first, *_ = given
    refuse_keywords(name, {k: x for k, x in given.items() if k not in (first, "axis", "keepdims")})
    x, along = parts_of(graph, given[first]), _ALONG[function]
    if function is np.linalg.norm:
        x = _square(graph, x)
    elif len(x) == 2 and along not in (np.sum, np.mean):
        raise trace_error(f"complex numbers have no order: take {name} of np.abs(x)")

    @functools.wraps(function)
    def reduce(array: Any) -> Any:
        return along(array, axis=axis, keepdims=True)

    (output,) = record(graph, WholeArrayFunction(reduce), [x]).outputs
    components = output.place.components(len(x) == 2)
    found = tuple(graph.leaf("input", component) for component in components)
    return apply(graph, "sqrt", found) if function is np.linalg.norm else found


def _by_name(names: str, args: tuple[Any, ...]) -> dict[str, Any]:
    """Arguments by their names; those beyond the names by their numbers."""
    every = [*names.split(), *(f"argument {n}" for n in range(len(args)))]
    return dict(zip(every, args, strict=False))


def reduced(graph: Graph, kind: str, a: Parts, over: str = "array") -> Parts:
    """The ``"sum"``, ``"mean"`` or ``"max"`` of a value, over one ``"array"`` or the ``"tree"``."""
    if kind == "mean":
        total = reduced(graph, "sum", a, over)
        if over == "array":
            return apply(graph, "divide", total, (graph.dimension("size"),))
        same = graph.node("equal", a[0], a[0])
        ones = graph.node("where", same, graph.constant(1), graph.constant(1))
        # as many as act, of which there may be none
        count = reduced(graph, "sum", (ones,), over)
        return apply(graph, "divide", total, apply(graph, "maximum", count, (graph.constant(1),)))
    if kind == "max" and len(a) == 2:
        raise trace_error("complex numbers have no largest one: take the maximum of np.abs(x)")
    if kind == "max" and a[0].boolean:
        return _holds(graph, a, over)
    return tuple(graph.reduce(kind, a, over))


def _min(graph: Graph, a: Parts) -> Parts:
    if a[0].boolean:
        return _all(graph, a)
    return apply(graph, "negative", reduced(graph, "max", apply(graph, "negative", a)))


def _holds(graph: Graph, a: Parts, over: str = "array") -> Parts:
    """Whether any element is not 0; of no elements none is."""
    ones = _where(graph, a, (graph.constant(1),), (graph.constant(0),))
    return apply(graph, "greater", reduced(graph, "max", ones, over), (graph.constant(0),))


def _all(graph: Graph, a: Parts) -> Parts:
    zeros = apply(graph, "equal", a, (graph.constant(0),))
    return apply(graph, "logical_not", _holds(graph, zeros))


def _square(graph: Graph, x: Parts) -> Parts:
    """The squared modulus."""
    squares = [graph.node("multiply", part, part) for part in x]
    return (squares[0] if len(squares) == 1 else graph.node("add", *squares),)


def _norm(graph: Graph, x: Parts) -> Parts:
    return apply(graph, "sqrt", reduced(graph, "sum", _square(graph, x)))


def _like(graph: Graph, a: Parts, value: int) -> Parts:
    return (graph.constant(bool(value) if a[0].boolean else value),)


def _where(graph: Graph, condition: Parts, x: Parts, y: Parts) -> Parts:
    mask = condition
    if not mask[0].boolean:
        mask = apply(graph, "not_equal", condition, (graph.constant(0),))
    if x[0].boolean and y[0].boolean:
        yes = apply(graph, "logical_and", mask, x)
        no = apply(graph, "logical_and", apply(graph, "logical_not", mask), y)
        return apply(graph, "logical_or", yes, no)
    re = graph.node("where", mask[0], x[0], y[0])
    if len(x) == len(y) == 1:
        return (re,)
    return re, graph.node("where", mask[0], imaginary(graph, x), imaginary(graph, y))


def _clip(
    graph: Graph,
    a: Parts,
    a_min: Parts | None = None,
    a_max: Parts | None = None,
    min: Parts | None = None,  # noqa: A002
    max: Parts | None = None,  # noqa: A002
) -> Parts:
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    a = a if low is None else apply(graph, "maximum", a, low)
    return a if high is None else apply(graph, "minimum", a, high)


_LIKE = "a dtype order subok shape"
_TOTAL = "a axis dtype out keepdims initial where"
_EXTREME = "a axis out keepdims initial where"
_FUNCTIONS: dict[Any, _Function] = {
    np.where: _Function(_where, "condition x y"),
    np.sum: _Function(lambda graph, a: reduced(graph, "sum", a), _TOTAL),
    np.mean: _Function(lambda graph, a: reduced(graph, "mean", a), "a axis dtype out keepdims"),
    np.max: _Function(lambda graph, a: reduced(graph, "max", a), _EXTREME),
    np.amax: _Function(lambda graph, a: reduced(graph, "max", a), _EXTREME),
    np.min: _Function(_min, _EXTREME),
    np.amin: _Function(_min, _EXTREME),
    np.all: _Function(_all, "a axis out keepdims"),
    np.any: _Function(_holds, "a axis out keepdims"),
    np.linalg.norm: _Function(_norm, "x ord axis keepdims"),
    np.real: _Function(lambda graph, val: val[:1], "val"),
    np.imag: _Function(lambda graph, val: (imaginary(graph, val),), "val"),
    np.iscomplexobj: _Function(lambda graph, x: len(x) == 2, "x"),
    np.isrealobj: _Function(lambda graph, x: len(x) == 1, "x"),
    np.clip: _Function(_clip, "a a_min a_max out"),
    np.copy: _Function(lambda graph, a: a, "a order subok"),
    np.zeros_like: _Function(lambda graph, a: _like(graph, a, 0), _LIKE),
    np.ones_like: _Function(lambda graph, a: _like(graph, a, 1), _LIKE),
}
_ALONG: dict[Any, Any] = {
    np.sum: np.sum,
    np.mean: np.mean,
    np.linalg.norm: np.sum,
    **{each: each for each in (np.max, np.amax, np.min, np.amin)},
}
"""The reductions that may be along axes, and what is called for them."""
