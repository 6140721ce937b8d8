"""Symbols: what a rule's ``update`` computes with while it is traced.

A `Symbol` stands for an array or a host scalar. It answers to NumPy's operators and ufuncs and
records each as a node of a `Graph`. Complex arithmetic is lowered here to real and imaginary parts,
so everything after sees real values only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from gpuopt.rules.traced import Traced
from gpuopt.tracing.errors import ELEMENTWISE, TraceError, trace_error
from gpuopt.tracing.expr import Expr, Graph
from gpuopt.tracing.printing import format_expr

_ALIASES = {
    "fabs": "absolute",
    "bitwise_and": "logical_and",
    "bitwise_or": "logical_or",
    "invert": "logical_not",
}


class Symbol(NDArrayOperatorsMixin, Traced):
    """An array or a scalar of a rule under trace: its real part, and its imaginary part where it is
    complex.
    """

    __slots__ = ("_graph", "_im", "_re")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, graph: Graph, re: Expr, im: Expr | None = None) -> None:
        self._graph, self._re, self._im = graph, re, im

    @property
    def parts(self) -> tuple[Expr, ...]:
        """The real part, and the imaginary part of a complex value."""
        return (self._re,) if self._im is None else (self._re, self._im)

    @property
    def real(self) -> Symbol:
        return Symbol(self._graph, self._re)

    @property
    def imag(self) -> Symbol:
        return Symbol(self._graph, self._graph.constant(0) if self._im is None else self._im)

    def widened(self) -> Symbol:
        """The same value as a complex one."""
        return Symbol(self._graph, self._re, self.imag._re)

    def conj(self) -> Symbol:
        return Symbol(
            self._graph,
            self._re,
            None if self._im is None else self._graph.node("negative", self._im),
        )

    conjugate = conj

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Symbol:
        if method != "__call__":
            raise trace_error(f"np.{ufunc.__name__}.{method} is not elementwise; {ELEMENTWISE}")
        if kwargs.get("out") is not None:
            raise trace_error(
                "an operator such as += would alter the caller's array: write x = x + y"
            )
        if ufunc is np.invert and (self._re.host or not self._re.boolean):
            raise trace_error("~ is for comparisons of arrays: use np.logical_not")
        return apply(self._graph, _ALIASES.get(ufunc.__name__, ufunc.__name__), inputs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func not in _FUNCTIONS:
            raise trace_error(f"np.{func.__name__} is not elementwise; {ELEMENTWISE}")
        try:
            return _FUNCTIONS[func](self._graph, *args, **kwargs)
        except TypeError as error:
            if isinstance(error, TraceError):
                raise
            written = ", ".join([*("…" for _ in args), *(f"{name}=…" for name in kwargs)])
            raise trace_error(
                f"np.{func.__name__}({written}) is not available in a rule with these arguments"
            ) from None

    def __bool__(self) -> bool:
        if self._re.op == "hyper" and self._im is None:
            return self._re.value not in self._graph.off
        if self._re.op == "input" and self._re.value.kind == "hyper":
            return True
        raise trace_error(
            "a rule may branch on hyperparameters (on a static one, or on whether a float one is "
            "the constant 0), "
            "not on array values or on t: use np.where, np.maximum or np.minimum"
        )

    def __copy__(self) -> Symbol:
        return self

    def __deepcopy__(self, _: Any) -> Symbol:
        return self

    def over_tree(self, kind: str) -> Symbol:
        """The ``"sum"``, ``"mean"`` or ``"max"`` over all arrays."""
        return _reduce(self._graph, kind, self, "tree")

    def uniform(self, key: tuple[Any, ...], stream: int) -> Symbol:
        """Uniform random numbers in (0, 1), one for each element."""
        parts = tuple(lift(self._graph, part).parts[0] for part in key)
        return Symbol(self._graph, self._graph.uniform(parts, stream))

    def sum(self) -> Symbol:
        return _reduce(self._graph, "sum", self)

    def mean(self) -> Symbol:
        return _reduce(self._graph, "mean", self)

    def max(self) -> Symbol:
        return _reduce(self._graph, "max", self)

    def min(self) -> Symbol:
        return _minimum(self._graph, self)

    def all(self) -> Symbol:
        return _all(self._graph, self)

    def any(self) -> Symbol:
        return _any(self._graph, self)

    def _no_number(self, *_: Any) -> NoReturn:
        what = (
            "a hyperparameter or t is a symbol here"
            if self._re.host
            else "an array in a rule is not a single number"
        )
        raise trace_error(
            f"{what}: use np.sqrt, np.abs, np.maximum … instead of float(), math.* or max()"
        )

    def __format__(self, specification: str) -> str:
        return self._no_number() if specification else repr(self)

    def _no_sequence(self, *_: Any) -> NoReturn:
        raise trace_error(
            "a rule sees whole arrays, not their elements: it cannot index, iterate or ask for a "
            "length"
        )

    __float__ = __int__ = __complex__ = __index__ = __round__ = __trunc__ = __array__ = _no_number
    __getitem__ = __setitem__ = __iter__ = __len__ = __contains__ = _no_sequence

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise trace_error(f".{name} of an array is not available in a rule; {ELEMENTWISE}")

    def __repr__(self) -> str:
        return f"<symbol {' + 1j * '.join(map(format_expr, self.parts))}>"


def lift(graph: Graph, x: Any) -> Symbol:
    """The symbol of `x`: a symbol already, or a Python or NumPy number."""
    if isinstance(x, Symbol):
        return x
    if isinstance(x, np.ndarray) and x.ndim == 0:
        x = x.item()
    if isinstance(x, (bool, np.bool_, int, float, np.integer, np.floating)):
        return Symbol(graph, graph.constant(float(x)))
    if isinstance(x, (complex, np.complexfloating)):
        return Symbol(graph, graph.constant(float(x.real)), graph.constant(float(x.imag)))
    raise trace_error(
        "a rule computes with its arguments, hyperparameters and numbers, not with "
        f"{type(x).__name__} {x!r}"
    )


def apply(graph: Graph, name: str, inputs: tuple[Any, ...]) -> Symbol:
    """The symbol of the ufunc `name` applied to `inputs`, complex values lowered to their parts."""
    xs = [lift(graph, x) for x in inputs]
    if name in ("subtract", "negative") and all(x._re.boolean for x in xs):
        raise trace_error(
            f"NumPy has no {name} of truth values: use np.where, np.logical_not, & or |"
        )
    if name == "conjugate":
        return xs[0].conj()
    if name == "positive":
        return xs[0]
    if name in _DERIVED:
        return _DERIVED[name](*xs)  # type: ignore[no-any-return]
    if name == "power":
        return _power(graph, *xs)
    if any(len(x.parts) == 2 for x in xs):
        if name not in _COMPLEX:
            raise trace_error(
                f"np.{name} of complex arrays is not available in a rule: work with x.real and "
                "x.imag, or abs2(x)"
            )
        return _COMPLEX[name](graph, *xs)
    return Symbol(graph, graph.node(name, *(x.parts[0] for x in xs)))


def _power(graph: Graph, x: Symbol, y: Symbol) -> Symbol:
    exponent = y.parts[0]
    if all(part.host for part in (*x.parts, *y.parts)) and len(x.parts) == len(y.parts) == 1:
        return Symbol(graph, graph.node("power", x.parts[0], exponent))
    value = exponent.value if exponent.op == "constant" else None
    if value not in _POWERS:
        raise trace_error(
            "of an array, only the powers x**2, x**0.5, x**1 and x**-1 are available in a rule; "
            "write x * x * x for x**3"
        )
    return lift(graph, _POWERS[value](x))


def _each(name: str) -> Callable[..., Symbol]:
    """An operation on complex values that acts on real and imaginary parts alike (absent parts are
    0).
    """

    def lowered(graph: Graph, *xs: Symbol) -> Symbol:
        return Symbol(
            graph,
            graph.node(name, *(x._re for x in xs)),
            graph.node(name, *(x.imag._re for x in xs)),
        )

    return lowered


def _complex_multiply(graph: Graph, x: Symbol, y: Symbol) -> Symbol:
    a, b, c, d = x.real, x.imag, y.real, y.imag
    if x._im is None:
        re, im = a * c, a * d
    elif y._im is None:
        re, im = a * c, b * c
    else:
        re, im = a * c - b * d, a * d + b * c
    return Symbol(graph, re._re, im._re)


def _complex_divide(graph: Graph, x: Symbol, y: Symbol) -> Symbol:
    if y._im is None:
        return Symbol(graph, (x.real / y)._re, (x.imag / y)._re)
    product, square = x * y.conj(), y.real * y.real + y.imag * y.imag
    return Symbol(graph, (product.real / square)._re, (product.imag / square)._re)


def _complex_sign(graph: Graph, x: Symbol) -> Symbol:
    size = np.abs(x)
    return _where(graph, size == 0, 0j, x / size)


def _isfinite(x: Symbol) -> Any:
    return np.abs(x) < math.inf


def _isinf(x: Symbol) -> Any:
    return np.abs(x) == math.inf


def _complex_equal(graph: Graph, x: Symbol, y: Symbol) -> Symbol:
    return (x.real == y.real) & (x.imag == y.imag)  # type: ignore[no-any-return]


def _where(graph: Graph, condition: Any, x: Any, y: Any) -> Symbol:
    chosen, a, b = lift(graph, condition), lift(graph, x), lift(graph, y)
    mask = chosen if chosen._re.boolean else chosen != 0
    if a._im is None and b._im is None:
        return Symbol(graph, graph.node("where", mask._re, a._re, b._re))
    return Symbol(
        graph,
        graph.node("where", mask._re, a._re, b._re),
        graph.node("where", mask._re, a.imag._re, b.imag._re),
    )


def _clip(
    graph: Graph,
    a: Any,
    a_min: Any = None,
    a_max: Any = None,
    *,
    min: Any = None,  # noqa: A002
    max: Any = None,  # noqa: A002
) -> Any:
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    a = a if low is None else np.maximum(a, low)
    return a if high is None else np.minimum(a, high)


def _reduce(graph: Graph, kind: str, x: Symbol, over: str = "array") -> Symbol:
    if kind == "mean":
        total = _reduce(graph, "sum", x, over)
        if over == "array":
            return total / Symbol(graph, graph.size())  # type: ignore[no-any-return]
        ones = _where(
            graph, x.real == x.real, 1.0, 1.0
        )  # as many as act, of which there may be none
        count = np.maximum(_reduce(graph, "sum", ones, over), 1.0)
        return total / count  # type: ignore[no-any-return]
    if kind == "max" and x._im is not None:
        raise trace_error("complex numbers have no largest one: take the maximum of np.abs(x)")
    return Symbol(graph, *graph.reduce(kind, x.parts, over))


def _minimum(graph: Graph, x: Symbol) -> Symbol:
    return apply(graph, "negative", (_reduce(graph, "max", apply(graph, "negative", (x,))),))


def _any(graph: Graph, x: Symbol) -> Symbol:
    return apply(graph, "not_equal", (_reduce(graph, "max", _where(graph, x, 1.0, 0.0)), 0.0))


def _all(graph: Graph, x: Symbol) -> Symbol:
    return apply(graph, "equal", (_reduce(graph, "max", _where(graph, x, 0.0, 1.0)), 0.0))


def _norm(graph: Graph, x: Symbol) -> Symbol:
    square = x.real * x.real if x._im is None else x.real * x.real + x.imag * x.imag
    return apply(graph, "sqrt", (_reduce(graph, "sum", square),))


_COMPLEX: dict[str, Callable[..., Symbol]] = {
    "add": _each("add"),
    "subtract": _each("subtract"),
    "negative": _each("negative"),
    "multiply": _complex_multiply,
    "divide": _complex_divide,
    "absolute": lambda graph, x: np.sqrt(x.real * x.real + x.imag * x.imag),
    "sign": _complex_sign,
    "equal": _complex_equal,
    "not_equal": lambda graph, x, y: ~_complex_equal(graph, x, y),
}
_POWERS: dict[float, Callable[[Symbol], Any]] = {
    -1.0: lambda x: 1 / x,
    0.5: np.sqrt,
    1.0: lambda x: x,
    2.0: lambda x: x * x,
}
_DERIVED: dict[str, Callable[..., Any]] = {
    "floor_divide": lambda x, y: np.floor(x / y),
    "remainder": lambda x, y: x - y * np.floor(x / y),
    "square": lambda x: x * x,
    "reciprocal": lambda x: 1 / x,
    "isnan": lambda x: x != x,
    "isfinite": lambda x: (
        _isfinite(x.real) if x._im is None else _isfinite(x.real) & _isfinite(x.imag)
    ),
    "isinf": lambda x: _isinf(x.real) if x._im is None else _isinf(x.real) | _isinf(x.imag),
}
_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.where: _where,
    np.sum: lambda graph, x: _reduce(graph, "sum", x),
    np.mean: lambda graph, x: _reduce(graph, "mean", x),
    np.max: lambda graph, x: _reduce(graph, "max", x),
    np.amax: lambda graph, x: _reduce(graph, "max", x),
    np.min: _minimum,
    np.amin: _minimum,
    np.all: _all,
    np.any: _any,
    np.linalg.norm: _norm,
    np.real: lambda graph, x: x.real,
    np.imag: lambda graph, x: x.imag,
    np.iscomplexobj: lambda graph, x: len(x.parts) == 2,
    np.isrealobj: lambda graph, x: len(x.parts) == 1,
    np.clip: _clip,
    np.zeros_like: lambda graph, x: lift(graph, 0.0),
    np.ones_like: lambda graph, x: lift(graph, 1.0),
}
