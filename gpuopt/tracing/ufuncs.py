"""NumPy's ufuncs on values of a graph: the meaning of each operator and function in a formula."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gpuopt.rules.traced import Traced
from gpuopt.tracing.complexes import COMPLEX, Parts
from gpuopt.tracing.errors import ELEMENTWISE, trace_error
from gpuopt.tracing.expr import Expr, Graph
from gpuopt.tracing.keywords import refuse_keywords
from gpuopt.tracing.powers import power
from gpuopt.tracing.truth import of_truth_values

__all__ = ["apply", "call_ufunc", "parts_of"]


def parts_of(graph: Graph, x: Any) -> Parts:
    """The value of `x`: a symbol, or a Python or NumPy number."""
    if isinstance(x, Traced):
        return x.parts
    if isinstance(x, np.ndarray) and x.ndim == 0:
        x = x.item()
    if isinstance(x, (bool, np.bool_)):
        return (graph.constant(bool(x)),)
    if isinstance(x, (int, float, np.integer, np.floating)):
        return (graph.constant(float(x)),)
    if isinstance(x, (complex, np.complexfloating)):
        return graph.constant(float(x.real)), graph.constant(float(x.imag))
    raise trace_error(
        "a rule computes with its arguments, hyperparameters and numbers, not with "
        f"{type(x).__name__} {x!r}"
    )


def call_ufunc(
    graph: Graph, ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], given: Mapping[str, Any]
) -> Parts:
    """The value of a call of `ufunc` with `inputs` and the keywords `given`."""
    name = ufunc.__name__
    if method != "__call__":
        raise trace_error(f"np.{name}.{method} is not elementwise; {ELEMENTWISE}")
    if getattr(np, name, None) is not ufunc:
        raise trace_error(f"{name} is not a function of NumPy; {ELEMENTWISE}")
    refuse_keywords(f"np.{name}", given)
    return apply(graph, name, *(parts_of(graph, x) for x in inputs))


def apply(graph: Graph, name: str, *xs: Parts) -> Parts:
    """The ufunc `name` of values, complex ones by their real and imaginary parts."""
    name, xs = of_truth_values(graph, name, xs)
    if name in _DERIVED:
        return _DERIVED[name](graph, *xs)
    if any(len(x) == 2 for x in xs):
        if name not in COMPLEX:
            raise trace_error(
                f"np.{name} of complex arrays is not available in a rule: work with x.real and "
                "x.imag, or abs2(x)"
            )
        return COMPLEX[name](graph, *xs)
    return (graph.node(name, *(x[0] for x in xs)),)


def _conjugate(graph: Graph, x: Parts) -> Parts:
    return x if len(x) == 1 else (x[0], graph.node("negative", x[1]))


def _power(graph: Graph, x: Parts, y: Parts) -> Parts:
    (exponent, *_), complexes = y, len(x) + len(y) > 2
    if not complexes and x[0].host and exponent.host:
        return (_power_of_number(graph, x[0], exponent),)
    value = exponent.value if exponent.op == "constant" and len(y) == 1 else None
    if value in _POWERS:
        return _POWERS[value](graph, x)
    if complexes:
        raise trace_error(
            "of a complex array, only the powers x**2, x**3, x**4, x**0.5, x**1 and x**-1 are "
            "available in a rule: work with np.abs(x), x.real and x.imag"
        )
    return (power(graph, x[0], exponent),)


def _power_of_number(graph: Graph, x: Expr, exponent: Expr) -> Expr:
    """A square is a product where a hyperparameter is the exponent.

    A GPU's power of the same numbers may differ in the last digit, even of a square.
    """
    raised = graph.node("power", x, exponent)
    if exponent.op != "hyper":
        return raised
    squares = graph.node("equal", exponent, graph.constant(2.0))
    return graph.node("where", squares, graph.node("multiply", x, x), raised)


def _fabs(graph: Graph, x: Parts) -> Parts:
    if len(x) == 2:
        raise trace_error("np.fabs is for real arrays: use np.abs")
    return apply(graph, "absolute", x)


def _exclusive_or(graph: Graph, x: Parts, y: Parts) -> Parts:
    zero = (graph.constant(0),)
    return apply(graph, "not_equal", *(apply(graph, "not_equal", each, zero) for each in (x, y)))


def _reciprocal(graph: Graph, x: Parts) -> Parts:
    return apply(graph, "divide", (graph.constant(1),), x)


def _of_each(name: str, joint: str) -> Callable[[Graph, Parts], Parts]:
    """What compares the modulus of either part with infinity."""

    def lowered(graph: Graph, x: Parts) -> Parts:
        infinity = graph.constant(math.inf)
        found = [graph.node(name, graph.node("absolute", part), infinity) for part in x]
        return (found[0] if len(found) == 1 else graph.node(joint, *found),)

    return lowered


_POWERS: dict[float | None, Callable[[Graph, Parts], Parts]] = {
    -1.0: _reciprocal,
    0.5: lambda graph, x: apply(graph, "sqrt", x),
    1.0: lambda graph, x: x,
    2.0: lambda graph, x: apply(graph, "multiply", x, x),
    3.0: lambda graph, x: apply(graph, "multiply", apply(graph, "multiply", x, x), x),
    4.0: lambda graph, x: _POWERS[2.0](graph, _POWERS[2.0](graph, x)),
}
_DERIVED: dict[str, Callable[..., Parts]] = {
    "itself": lambda graph, x: x,
    "positive": lambda graph, x: x,
    "fabs": _fabs,
    "logical_xor": _exclusive_or,
    "conjugate": _conjugate,
    "power": _power,
    "square": lambda graph, x: apply(graph, "multiply", x, x),
    "reciprocal": _reciprocal,
    "isnan": lambda graph, x: apply(graph, "not_equal", x, x),
    "isfinite": _of_each("less", "logical_and"),
    "isinf": _of_each("equal", "logical_or"),
}
