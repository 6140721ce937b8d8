"""Symbols: what a rule's ``update`` computes with while it is traced.

A `Symbol` stands for an array or a host scalar. It answers to NumPy's operators and functions and
records each as a node of a `Graph`; `gpuopt.tracing.ufuncs` and `gpuopt.tracing.functions` say what
they mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from gpuopt.rules.given_loss import give_loss
from gpuopt.rules.hooks import has_hook
from gpuopt.rules.traced import Traced
from gpuopt.tracing.calls import Fixed, Output, record
from gpuopt.tracing.complexes import Parts, imaginary
from gpuopt.tracing.errors import ELEMENTWISE, trace_error
from gpuopt.tracing.expr import Expr, Graph
from gpuopt.tracing.functions import call_function, reduced
from gpuopt.tracing.printing import format_expr
from gpuopt.tracing.ufuncs import apply, call_ufunc, parts_of

__all__ = ["Symbol", "always", "bind_loss", "bind_scale", "called_with", "lift", "step_between"]

_REMEDIES = {
    "astype": "a rule computes in float32 or float64, as its arrays ask for: leave .astype out",
    "dtype": "a rule computes in float32 or float64, as its arrays ask for",
}
"""What to write in place of an attribute of arrays; others are not elementwise."""


def _method(function: Any) -> Callable[..., Any]:
    """A method of arrays that is one of NumPy's functions."""

    def method(self: Symbol, *args: Any, **keywords: Any) -> Any:
        return self._called(function, (self, *args), keywords)

    return method


class Symbol(NDArrayOperatorsMixin, Traced):
    """An array or a scalar of a rule under trace: its real part, and its imaginary part where it is
    complex.
    """

    __slots__ = ("_graph", "made", "parts")
    __hash__ = None  # type: ignore[assignment]
    parts: Parts
    made: Output | None
    """The call of a function of whole arrays that gives it, if one does."""

    def __init__(self, graph: Graph, *parts: Expr, made: Output | None = None) -> None:
        self._graph, self.parts, self.made = graph, parts, made

    @property
    def real(self) -> Symbol:
        return Symbol(self._graph, self.parts[0])

    @property
    def imag(self) -> Symbol:
        return Symbol(self._graph, imaginary(self._graph, self.parts))

    @property
    def size(self) -> Symbol:
        return self._dimension("size")

    @property
    def ndim(self) -> Symbol:
        return self._dimension("ndim")

    @property
    def shape(self) -> Shape:
        return Shape(self)

    def _dimension(self, name: str) -> Symbol:
        """A number of the shape of arrays; all symbols that are not numbers have that of the
        parameter.
        """
        if self.parts[0].host:
            raise trace_error(f".{name} of a number: write p.{name} for that of the parameter")
        return Symbol(self._graph, self._graph.dimension(name))

    def widened(self) -> Symbol:
        """The same value as a complex one."""
        return Symbol(self._graph, self.parts[0], imaginary(self._graph, self.parts))

    def conj(self) -> Symbol:
        return Symbol(self._graph, *apply(self._graph, "conjugate", self.parts))

    conjugate = conj

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Symbol:
        return Symbol(self._graph, *call_ufunc(self._graph, ufunc, method, inputs, keywords))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return self._called(func, args, kwargs)

    def _called(self, function: Any, args: Any, keywords: Any) -> Any:
        value = call_function(self._graph, function, args, keywords)
        return value if isinstance(value, bool) else Symbol(self._graph, *value)

    def __bool__(self) -> bool:
        first, *imaginary_part = self.parts
        if first.op == "hyper" and not imaginary_part:
            return first.value not in self._graph.off
        if first.op == "input" and first.value.kind == "hyper":
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
        return Symbol(self._graph, *reduced(self._graph, kind, self.parts, "tree"))

    def weights(self, beta: Any, t: Any) -> Symbol | None:
        """The sum of the weights of this moving average; None where it is ``1 - beta**t``."""
        graph = self._graph
        (decay, *imaginary), (count, *_) = lift(graph, beta).parts, lift(graph, t).parts
        total = (
            None if imaginary or graph.weights is None else graph.weights.total(graph, decay, count)
        )
        return None if total is None else Symbol(graph, total)

    def uniform(self, key: tuple[Any, ...], stream: int) -> Symbol:
        """Uniform random numbers in (0, 1), one for each element."""
        numbers = tuple(parts_of(self._graph, number)[0] for number in key)
        return Symbol(self._graph, self._graph.uniform(numbers, stream))

    def given_to(self, function: Any, args: list[Any], keywords: tuple[str, ...]) -> Any:
        return called_with(self._graph, function, args, keywords)

    sum, mean = _method(np.sum), _method(np.mean)
    max, min = _method(np.max), _method(np.min)
    all, any = _method(np.all), _method(np.any)
    clip, copy = _method(np.clip), _method(np.copy)

    def _no_number(self, *_: Any, **__: Any) -> NoReturn:
        what = (
            "a hyperparameter or t is a symbol here"
            if self.parts[0].host
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
            "length; a function that it calls can, marked by @gpuopt.whole_array"
        )

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise trace_error(
            "a rule is traced on symbols, which no array can hold: leave np.array and np.asarray "
            "out, and write np.maximum(x, y) or x + y in place of a function of a list of values"
        )

    __float__ = __int__ = __complex__ = __index__ = __round__ = __trunc__ = _no_number
    __getitem__ = __setitem__ = __delitem__ = _no_sequence
    __iter__ = __len__ = __contains__ = __reversed__ = _no_sequence

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise trace_error(
            f".{name} of an array is not available in a rule; {_REMEDIES.get(name, ELEMENTWISE)}"
        )

    def __repr__(self) -> str:
        return f"<symbol {' + 1j * '.join(map(format_expr, self.parts))}>"


class Shape:
    """The shape of arrays, of which only entries are known, and these as numbers."""

    def __init__(self, array: Symbol) -> None:
        self._array = array

    def __getitem__(self, axis: Any) -> Symbol:
        if not isinstance(axis, int):
            self._no_tuple()
        return self._array._dimension(f"shape[{axis}]")

    def _no_tuple(self, *_: Any) -> NoReturn:
        raise trace_error(
            "a rule is for arrays of any shape, so p.shape has no length here: write p.shape[0], "
            "p.shape[-1], p.ndim or p.size"
        )

    __iter__ = __len__ = __eq__ = __contains__ = __array__ = _no_tuple
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:  # np.zeros(p.shape) shows it in an error of its own
        return "p.shape, whose entries alone a rule can read: write np.zeros_like(p)"


def called_with(graph: Graph, function: Any, args: list[Any], keywords: tuple[str, ...]) -> Any:
    """The symbols of what a function of whole arrays gives."""
    given = [arg.made or arg.parts if isinstance(arg, Traced) else Fixed(arg) for arg in args]
    call, found = record(graph, function, given, keywords), []
    for output in call.outputs:
        components = output.place.components(call.complex)
        leaves = (graph.leaf("input", component) for component in components)
        found.append(Symbol(graph, *leaves, made=output))
    return found[0] if len(found) == 1 else tuple(found)


def lift(graph: Graph, x: Any) -> Symbol:
    """The symbol of `x`: a symbol already, or a Python or NumPy number."""
    return x if isinstance(x, Symbol) else Symbol(graph, *parts_of(graph, x))


def always(graph: Graph) -> Symbol:
    """A truth value that holds."""
    zero = graph.constant(0)
    return Symbol(graph, graph.node("equal", zero, zero))


def bind_loss(graph: Graph, formula: Any) -> None:
    """Let a formula read the loss of the step as a symbol, which knows who reads it."""
    reader = type(formula).__name__  # for the formula holds what it is given
    give_loss(formula, lambda: Symbol(graph, graph.leaf("loss", reader)))


def bind_scale(graph: Graph, formula: Any, t: Symbol, states: list[Any]) -> None:
    """Let pieces behind a rule read what it multiplied a gradient by, after its update. A piece
    that changes the step makes that unknown.
    """
    if formula._gives == "step":
        vars(formula.rule)["scale"] = None
    elif has_hook(formula, "scale"):
        vars(formula)["scale"] = lift(graph, formula.scale(t, *states))


def step_between(p: Symbol, new: Symbol) -> Symbol:
    """What was subtracted from `p` for the new value: just that, where it was made so."""
    steps = [
        after.args[1]
        for before, after in zip(p.parts, new.parts, strict=False)
        if after.op == "subtract" and after.args[0] is before and not after.args[1].host
    ]
    difference: Any = p
    return Symbol(p._graph, *steps) if len(steps) == len(new.parts) else difference - new
