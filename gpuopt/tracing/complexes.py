"""Complex arithmetic as real arithmetic of real and imaginary parts; later stages see only real
values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from gpuopt.tracing.expr import Expr, Graph

__all__ = ["COMPLEX", "Parts", "imaginary"]

Parts: TypeAlias = tuple[Expr, ...]
"""A value: its real part, and its imaginary part where it is complex."""


def imaginary(graph: Graph, x: Parts) -> Expr:
    """The imaginary part, 0 of a real value."""
    return x[1] if len(x) == 2 else graph.constant(False if x[0].boolean else 0)


def _each(name: str) -> Callable[..., Parts]:
    """An operation that acts on real and imaginary parts alike."""

    def lowered(graph: Graph, *xs: Parts) -> Parts:
        return (
            graph.node(name, *(x[0] for x in xs)),
            graph.node(name, *(imaginary(graph, x) for x in xs)),
        )

    return lowered


def _multiply(graph: Graph, x: Parts, y: Parts) -> Parts:
    node = graph.node
    if len(x) == 1:
        return node("multiply", x[0], y[0]), node("multiply", x[0], y[1])
    if len(y) == 1:
        return node("multiply", x[0], y[0]), node("multiply", x[1], y[0])
    (a, b), (c, d) = x, y
    return (
        node("subtract", node("multiply", a, c), node("multiply", b, d)),
        node("add", node("multiply", a, d), node("multiply", b, c)),
    )


def _squared(graph: Graph, x: Parts) -> Expr:
    return graph.node("add", *(graph.node("multiply", part, part) for part in x))


def _divide(graph: Graph, x: Parts, y: Parts) -> Parts:
    node = graph.node
    if len(y) == 1:
        return node("divide", x[0], y[0]), node("divide", imaginary(graph, x), y[0])
    square, a, b = _squared(graph, y), x[0], imaginary(graph, x)
    re = node("quotient", square, a, b, *y)
    return re, node("quotient", square, b, node("negative", a), *y)


def _absolute(graph: Graph, x: Parts) -> Parts:
    return (graph.node("modulus", _squared(graph, x), *x),)


def _sign(graph: Graph, x: Parts) -> Parts:
    square, (a, b) = _squared(graph, x), x
    return graph.node("direction", square, a, b), graph.node("direction", square, b, a)


def _equal(graph: Graph, x: Parts, y: Parts) -> Parts:
    re = graph.node("equal", x[0], y[0])
    im = graph.node("equal", imaginary(graph, x), imaginary(graph, y))
    return (graph.node("logical_and", re, im),)


COMPLEX: dict[str, Callable[..., Parts]] = {
    "add": _each("add"),
    "subtract": _each("subtract"),
    "negative": _each("negative"),
    "multiply": _multiply,
    "divide": _divide,
    "absolute": _absolute,
    "sign": _sign,
    "equal": _equal,
    "not_equal": lambda graph, x, y: (graph.node("logical_not", *_equal(graph, x, y)),),
}
"""The operations on complex values; of the arguments some may be real."""
