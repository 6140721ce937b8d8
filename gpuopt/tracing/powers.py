"""Powers of arrays, of operations that round alike everywhere: `power`.

``x**y`` is ``2**(y·log₂|x|)``. The logarithm has nearly twice the digits of a number: each value on
the way is a pair, of a number and of what its rounding left off (Dekker 1971). The error is below
1.3 units in the last place. Special values are those of C and of NumPy.
"""

from __future__ import annotations

import math
from typing import TypeAlias

from gpuopt.tracing.expr import Expr, Graph

__all__ = ["power"]

_TERMS, _DEGREE = 10, 13
"""How far the series of the logarithm and of the power of 2 go."""
_LOG2E = (1477 / 1024, 0.00031222838896340733)
_THIRD = (1365 / 4096, 1 / 12288)
"""The logarithm of e to base 2, and a third, in two parts: the first has at most 11 digits."""


class _Value:
    """A value of the graph, with operators."""

    def __init__(self, graph: Graph, expr: Expr) -> None:
        self.graph, self.expr = graph, expr

    def node(self, op: str, *others: _Value | float) -> _Value:
        found = [x.expr if isinstance(x, _Value) else self.graph.constant(x) for x in others]
        return _Value(self.graph, self.graph.node(op, self.expr, *found))

    def of(self, number: float) -> _Value:
        return _Value(self.graph, self.graph.constant(number))

    def __add__(self, other: _Value | float) -> _Value:
        return self.node("add", other)

    def __sub__(self, other: _Value | float) -> _Value:
        return self.node("subtract", other)

    def __mul__(self, other: _Value | float) -> _Value:
        return self.node("multiply", other)

    def __truediv__(self, other: _Value) -> _Value:
        return self.node("divide", other)

    def __neg__(self) -> _Value:
        return self.node("negative")

    def __abs__(self) -> _Value:
        return self.node("absolute")


_Pair: TypeAlias = tuple[_Value, _Value]


def power(graph: Graph, base: Expr, exponent: Expr) -> Expr:
    """``base ** exponent``, real values of which at least one is an array."""
    x, y = (_Value(graph, each) for each in _arrays(graph, base, exponent))
    size = abs(x)
    first, rest = _product(_logarithm(size), y)
    most = first.node("minimum", 5000.0).node("maximum", -5000.0)
    rest = (abs(first).node("less", 4000.0)).node("where", rest, 0.0)
    near = (most + 0.5).node("floor")
    found = _scaled(_exponential((most - near) + rest), near)
    return _with_special(x, size, y, found).expr


def _arrays(graph: Graph, *given: Expr) -> list[Expr]:
    """Both as arrays: a number is repeated, so that its digits are those of the dtype."""
    (array, *_) = (x for x in given if not x.host)
    everywhere = graph.node("equal", array, array)
    return [graph.node("where", everywhere, x, x) if x.host else x for x in given]


def _logarithm(a: _Value) -> _Pair:
    """The logarithm to base 2 of positive numbers, by the series of ``2·artanh(s)``."""
    low = a.node("exponent")
    a = _scaled(a, -low)  # a subnormal number is normal now
    high = a.node("exponent")
    m = _scaled(a, -high)
    large = m.node("greater", 1.4140625)
    m, whole = large.node("where", m * 0.5, m), low + high
    whole = large.node("where", whole + 1.0, whole)
    numerator, denominator = m - 1.0, m + 1.0
    lost = m - (denominator - 1.0)
    s = numerator / denominator
    back, rest = _product_of(s, denominator)
    pair = _sum(s, (((numerator - back) - rest) - s * lost) / denominator)
    square = _times(pair, pair)
    w, series = square[0], square[0].of(1 / (2 * _TERMS + 3))
    for k in range(_TERMS, 1, -1):
        series = w * series + 1 / (2 * k + 1)
    more = _times(square, _sum_of(_THIRD[0], w * series, _THIRD[1]))
    twice = pair[0] + pair[0], pair[1] + pair[1]
    log = _times_number(_times(twice, _sum_of(1.0, *more)), _LOG2E)
    return _sum_of(whole, log[0], log[1])


def _exponential(x: _Value) -> _Value:
    """2 to the power of numbers between -1/2 and 1/2."""
    u, series = x * math.log(2), x.of(1 / math.factorial(_DEGREE))
    for k in range(_DEGREE - 1, -1, -1):
        series = u * series + 1 / math.factorial(k)
    return series


def _scaled(x: _Value, exponent: _Value) -> _Value:
    """A number times 2 to the power of a whole one, in two halves, each of which is normal."""
    half = (exponent * 0.5).node("floor")
    return x * half.node("two_to") * (exponent - half).node("two_to")


def _with_special(x: _Value, size: _Value, y: _Value, found: _Value) -> _Value:
    """The power of ``|x|`` with the sign, and where ``x`` or ``y`` is not an ordinary number."""
    infinite, zero = size.node("equal", math.inf), size.node("equal", 0.0)
    grows = y.node("greater", 0.0).node("equal", infinite)  # from 0 or from infinity
    ends = grows.node("where", math.inf, 0.0)
    found = infinite.node("logical_or", zero).node("where", ends, found)
    whole = y.node("floor").node("equal", y)
    odd = whole.node("logical_and", (y * 0.5).node("floor").node("not_equal", y * 0.5))
    below = zero.node("where", x.of(1.0) / x, x).node("less", 0.0)
    found = below.node("logical_and", odd).node("where", -found, found)
    lost = x.node("less", 0.0).node(
        "logical_and", whole.node("logical_or", infinite).node("logical_not")
    )
    found = lost.node("where", math.nan, found)
    found = y.node("equal", y).node("where", found, y)
    unit = size.node("equal", 1.0).node("logical_and", abs(y).node("equal", math.inf))
    one = x.node("equal", 1.0).node("logical_or", y.node("equal", 0.0)).node("logical_or", unit)
    return one.node("where", 1.0, found)


def _upper(x: _Value) -> _Pair:
    """A number in two parts of half the digits."""
    upper = x.node("upper")
    return upper, x - upper


def _product_of(a: _Value, b: _Value) -> _Pair:
    """A product, and what its rounding left off."""
    product, (ah, al), (bh, bl) = a * b, _upper(a), _upper(b)
    return product, ((ah * bh - product) + ah * bl + al * bh) + al * bl


def _product(a: _Pair, b: _Value) -> _Pair:
    product, rest = _product_of(a[0], b)
    return product, rest + a[1] * b


def _times(a: _Pair, b: _Pair) -> _Pair:
    product, rest = _product_of(a[0], b[0])
    return _sum(product, rest + (a[0] * b[1] + a[1] * b[0]))


def _times_number(a: _Pair, b: tuple[float, float]) -> _Pair:
    product, (ah, al) = a[0] * b[0], _upper(a[0])
    return _sum(product, ((ah * b[0] - product) + al * b[0]) + (a[0] * b[1] + a[1] * b[0]))


def _sum(a: _Value, b: _Value) -> _Pair:
    """The sum of two numbers, the first of which is 0 or the larger, and what rounding left off."""
    total = a + b
    return total, b - (total - a)


def _sum_of(a: _Value | float, b: _Value, rest: _Value | float) -> _Pair:
    """The same of a sum that has another small part."""
    total = b + a
    return _sum(total, (b - (total - a)) + rest)
