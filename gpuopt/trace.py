"""A rule run once on symbols gives a `Trace`: straight-line array code, and scalar code for the host.

The array code is a list of real operations on the components of arrays; every executor runs that list. The scalar code
is plain Python in float64, evaluated once a step; its results enter the array code as arguments, so a new learning rate
never means a new kernel.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import math
import numbers
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from gpuopt.graph import INFIX, Expr, Graph, TraceError, text
from gpuopt.symbols import Symbol, lift

__all__ = ["State", "Trace", "TraceError", "trace"]


@dataclasses.dataclass(frozen=True)
class State:
    """One array of a rule's state: its name, the value it starts at, and whether it is complex."""

    name: str
    initial: float | None
    complex: bool


@dataclasses.dataclass(frozen=True, eq=False)
class Trace:
    """The update of one rule, for real or for complex parameters.

    Attributes
    ----------
    name : str
        The rule's class.
    complex : bool
        Whether parameter and gradient are complex.
    states : tuple of State
        The state that is read or changed; other state is not listed.
    loads : tuple of str
        The components read: ``"p"``, or ``"p.re"`` and ``"p.im"`` of a complex array.
    ops : tuple of Expr
        The array operations, in order.
    stores : dict
        New value of each array that changes, by its name: a tuple of one component, or two.
    scalars : tuple of Expr
        The host values that the array code takes as arguments (constants are not among them).
    """

    name: str
    complex: bool
    states: tuple[State, ...]
    loads: tuple[str, ...]
    ops: tuple[Expr, ...]
    stores: dict[str, tuple[Expr, ...]]
    scalars: tuple[Expr, ...]
    evaluate: Callable[[int, dict[str, float]], tuple[float, ...]]

    def is_complex(self, array: str) -> bool:
        """Whether the array of that name (``"p"``, ``"g"`` or a state) is complex."""
        return self.complex if array in ("p", "g") else next(s.complex for s in self.states if s.name == array)


def components(array: str, is_complex: bool) -> tuple[str, ...]:
    """The names of an array's real components."""
    return (f"{array}.re", f"{array}.im") if is_complex else (array,)


def trace(rule: Any, is_complex: bool = False) -> Trace:
    """Run the ``update`` of `rule` on symbols.

    Parameters
    ----------
    rule : Rule
        Its static hyperparameters, and which of its float ones are the constant 0, decide the result; the values of
        the others do not. Results are cached by that.
    is_complex : bool
        Whether parameter and gradient are complex.

    Raises
    ------
    TraceError
        Where ``update`` is not elementwise; the message names the line and the remedy.
    """
    fields = {field.name: getattr(rule, field.name) for field in dataclasses.fields(rule)}
    dynamic = {name for name in rule._ranges if fields[name] is not None}
    off = frozenset(name for name in dynamic if fields[name] == 0.0)
    static = tuple((name, type(value), value) for name, value in fields.items() if name not in dynamic)
    bare = copy.copy(rule)
    for name in dynamic:  # the cache must not keep a schedule alive, nor what it refers to
        object.__setattr__(bare, name, 0.0)
    return _traced(_Structure(bare, (type(rule), static, off, is_complex)), off, is_complex)


class _Structure:
    """A rule that compares by what decides its trace."""

    def __init__(self, rule: Any, key: tuple[Any, ...]) -> None:
        self.rule, self.key = rule, key

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Structure) and self.key == other.key


@functools.lru_cache(maxsize=512)
def _traced(structure: _Structure, off: frozenset[str], is_complex: bool) -> Trace:
    rule = structure.rule
    names = state_names(rule)
    found: frozenset[str] = frozenset()
    while True:  # a state is complex where the rule makes it so: begin with real ones, until nothing changes
        graph = Graph(off)
        results = _run(rule, graph, names, is_complex, found)
        seen = frozenset(name for name in names if len(results[name].parts) == 2) | found
        if seen == found:
            return _assemble(type(rule).__name__, graph, names, results, is_complex, found)
        found = seen


def state_names(rule: Any) -> dict[str, float | None]:
    """The rule's states and their initial values (None where ``start`` gives them), from the signature of ``update``."""
    name = type(rule).__name__
    _, *parameters = inspect.signature(type(rule).update).parameters.values()
    if [p.name for p in parameters[:3]] != ["t", "p", "g"]:
        raise TraceError(f"{name}.update must begin with (self, t, p, g), got {inspect.signature(type(rule).update)}")
    states: dict[str, float | None] = {}
    for parameter in parameters[3:]:
        initial = parameter.default
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
            raise TraceError(f"{name}.update: state {parameter} must be an ordinary parameter")
        if hasattr(rule, "start"):
            states[parameter.name] = None
        elif isinstance(initial, (int, float)) and not isinstance(initial, bool):
            states[parameter.name] = float(initial)
        else:
            raise TraceError(f"{name}.update: state {parameter.name} needs a number to start at, as in {parameter.name}=0.0")
    return states


def _run(rule: Any, graph: Graph, names: Iterable[str], is_complex: bool, found: frozenset[str]) -> dict[str, Symbol]:
    """Call ``update`` (and ``start``) on symbols; the new value of p and of every state, by name."""
    stand_in = copy.copy(rule)
    for name in rule._ranges:
        if getattr(rule, name) is not None:
            object.__setattr__(stand_in, name, Symbol(graph, graph.leaf("hyper", name)))

    def array(name: str, as_complex: bool) -> Symbol:
        re, *im = (graph.leaf("input", part) for part in components(name, as_complex))
        return Symbol(graph, re, *im)

    names = list(names)
    t, p, g = Symbol(graph, graph.leaf("step", "t")), array("p", is_complex), array("g", is_complex)
    new = _named(rule, graph, "update", ["p", *names], stand_in.update(t, p, g, *(array(n, n in found) for n in names)))
    if len(new["p"].parts) == 2 and not is_complex:
        raise TraceError(f"{type(rule).__name__}.update gives a complex parameter for a real one: take its .real")
    widened = set(found) | ({"p"} if is_complex else set())
    if hasattr(rule, "start"):
        first = _named(rule, graph, "start", names, stand_in.start(p))
        widened |= {name for name, value in first.items() if len(value.parts) == 2}
    return {name: value.widened() if name in widened else value for name, value in new.items()}


def _named(rule: Any, graph: Graph, method: str, names: list[str], result: Any) -> dict[str, Symbol]:
    """The values that a method returned, by name."""
    values = result if isinstance(result, (tuple, list)) else (result,)
    what = f"{type(rule).__name__}.{method} must return ({', '.join(names)})"
    if result is None:
        raise TraceError(f"{what}; it returned None: is a return missing?")
    if len(values) != len(names):
        raise TraceError(f"{what}, {len(names)} values; it returned {len(values)}")
    for name, value in zip(names, values, strict=True):
        if not isinstance(value, Symbol) and not isinstance(value, (numbers.Number, np.generic)):
            raise TraceError(f"{what}; for {name} it returned {type(value).__name__} {value!r}")
    return {name: lift(graph, value) for name, value in zip(names, values, strict=True)}


def _assemble(
    name: str, graph: Graph, names: dict[str, float | None], results: dict[str, Symbol], is_complex: bool, found: frozenset[str]
) -> Trace:
    """Keep what is read or changed, and put it in order."""

    def own(array: str) -> tuple[Expr, ...]:
        return tuple(graph.leaf("input", part) for part in components(array, is_complex if array == "p" else array in found))

    stores = {array: value.parts for array, value in results.items() if value.parts != own(array)}
    live = sorted(set(_reachable(part for parts in stores.values() for part in parts)), key=lambda expr: expr.index)
    ops = tuple(expr for expr in live if expr.args and not expr.host)
    outer = dict.fromkeys(arg for op in ops for arg in op.args if arg.host)
    outer |= dict.fromkeys(part for parts in stores.values() for part in parts if part.host)
    scalars = tuple(expr for expr in outer if expr.op != "constant")
    loads = tuple(expr.value for expr in live if expr.op == "input")
    read = {component.partition(".")[0] for component in loads}
    states = tuple(State(s, initial, s in found) for s, initial in names.items() if s in read or s in stores)
    return Trace(name, is_complex, states, loads, ops, stores, scalars, _compile(scalars))


def _reachable(roots: Iterable[Expr]) -> Iterator[Expr]:
    waiting, seen = list(roots), set()
    while waiting:
        expr = waiting.pop()
        if expr not in seen:
            seen.add(expr)
            yield expr
            waiting += expr.args


def _compile(scalars: tuple[Expr, ...]) -> Callable[[int, dict[str, float]], tuple[float, ...]]:
    """The host code: a Python function from the step and the hyperparameters to the scalars."""
    order = sorted(set(_reachable(scalars)), key=lambda expr: expr.index)
    lines = [f"    x{e.index} = {_host_code(e)}  # {text(e)}" for e in order]
    source = "\n".join(["def evaluate(t, hyper):", *lines, f"    return ({''.join(f'x{e.index}, ' for e in scalars)})"])
    scope: dict[str, Any] = dict(_HOST)
    exec(source, scope)  # the text is made above from a fixed set of operations
    return scope["evaluate"]  # type: ignore[no-any-return]


def _host_code(expr: Expr) -> str:
    args = [f"x{arg.index}" for arg in expr.args]
    if expr.op == "constant":
        return repr(expr.value) if math.isfinite(expr.value) else f"float('{expr.value}')"
    if expr.op == "hyper":
        return f"hyper[{expr.value!r}]"
    if expr.op == "step":
        return "float(t)"
    if expr.op == "where":
        return f"{args[1]} if {args[0]} else {args[2]}"
    if expr.op in _OPERATORS:
        return f" {_OPERATORS[expr.op]} ".join(args) if len(args) > 1 else f"{_OPERATORS[expr.op]}{args[0]}"
    return f"{expr.op}({', '.join(args)})"


def _quiet(fast: Callable[..., float], general: Callable[..., Any]) -> Callable[..., float]:
    """`fast`, or IEEE's answer where it raises: both arms of a where are evaluated, so 1/0 and log(-1) are no errors."""

    def quiet(*args: float) -> float:
        try:
            return fast(*args)
        except (ValueError, OverflowError, ZeroDivisionError):
            with np.errstate(all="ignore"):
                return float(general(*map(np.float64, args)))

    return quiet


def _sign(x: float) -> float:
    return x if x != x else float((x > 0) - (x < 0))


def _numpy(name: str) -> Callable[..., float]:
    function = getattr(np, name)
    return lambda x: float(function(x))


_OPERATORS = {op: sign for op, sign in INFIX.items() if op != "divide"}  # Python's / raises where IEEE's does not
_OPERATORS |= {"negative": "-", "logical_and": "and", "logical_or": "or", "logical_not": "not "}
_HOST: dict[str, Callable[..., float]] = {
    **{
        name: _quiet(getattr(math, name), getattr(np, name))
        for name in ("sqrt", "exp", "expm1", "log", "log1p", "tanh", "sin", "cos")
    },
    "floor": _numpy("floor"),
    "ceil": _numpy("ceil"),
    "power": _quiet(math.pow, np.power),
    "divide": _quiet(operator.truediv, np.divide),
    "absolute": abs,
    "maximum": lambda a, b: a if a > b or a != a else b,
    "minimum": lambda a, b: a if a < b or a != a else b,
    "sign": _sign,
}
