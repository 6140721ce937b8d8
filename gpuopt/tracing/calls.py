"""Calls of functions of whole arrays in a traced formula: what each gets, and what it gives.

A call cuts the array code: what it gets is made before, and what needs its results comes after.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from gpuopt.rules.whole_arrays import WholeArrayFunction
from gpuopt.tracing.complexes import Parts
from gpuopt.tracing.errors import trace_error
from gpuopt.tracing.expr import Expr, Graph, reachable
from gpuopt.tracing.operands import Operand, state
from gpuopt.tracing.printing import format_expr

__all__ = ["Array", "Call", "Fixed", "Held", "Number", "Output", "record"]


class Array(NamedTuple):
    """An argument that is an array.

    Attributes
    ----------
    place : Operand
        Where it lies when the function is called.
    values : tuple of Expr
        What is stored there before: its components. There are none if it lies there anyway.
    """

    place: Operand
    values: Parts = ()


class Number(NamedTuple):
    """An argument that is a number of the step."""

    value: Expr


class Held(NamedTuple):
    """An argument that is a buffer as it was before the step."""

    name: str


class Fixed(NamedTuple):
    """An argument that is the same in all steps."""

    value: Any


class Output(NamedTuple):
    """One of the results of a call, which may be an argument of another."""

    call: Call
    number: int

    @property
    def place(self) -> Operand:
        """The operand that it is in a formula."""
        return Operand("made", f"{self.call.name}[{self.number}]")


Argument: TypeAlias = Array | Number | Held | Fixed | Output


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """A call of a function of whole arrays.

    Attributes
    ----------
    name : str
        The function's name, and which call of the update it is.
    function : WholeArrayFunction
    index : int
        Values of the graph from that index on are made after it.
    args : tuple
        What it gets.
    keywords : tuple of str
        The names by which it gets the last of them.
    complex : bool
        Whether its results are complex in a formula, as an argument is.
    """

    name: str
    function: WholeArrayFunction
    index: int
    args: tuple[Argument, ...]
    keywords: tuple[str, ...]
    complex: bool

    @property
    def needs(self) -> list[Expr]:
        """The values that it gets."""
        arrays = [part for arg in self.args if isinstance(arg, Array) for part in arg.values]
        return [*arrays, *(arg.value for arg in self.args if isinstance(arg, Number))]

    @property
    def after(self) -> list[Call]:
        """The calls whose results it gets."""
        return [arg.call for arg in self.args if isinstance(arg, Output)]

    @property
    def outputs(self) -> list[Output]:
        return [Output(self, number) for number in range(self.function.outputs)]

    def __str__(self) -> str:
        """The call, for readers."""
        return f"{self.name} of {', '.join(map(_named, self.args))}"


def record(
    graph: Graph,
    function: WholeArrayFunction,
    args: Sequence[Parts | Held | Output | Fixed],
    keywords: tuple[str, ...] = (),
) -> Call:
    """A call of `function`; values among its arguments are given by their components."""
    name = f"{function.name}({1 + len({output.call for output in graph.outputs.values()})})"
    found: list[Argument] = []
    for number, arg in enumerate(args, start=1):
        if isinstance(arg, (Held, Output, Fixed)):
            found.append(arg)
        elif all(part.host for part in arg):
            if len(arg) > 1:
                raise trace_error(f"{function.name}: argument {number} is a complex number")
            found.append(Number(graph.number(arg[0])))
        elif named := _hyper_arrays(arg):
            raise trace_error(
                f"{function.name} gets a number made of {' and '.join(named)}, in whose place "
                "hyper= has an array: give each array a number of its own, by gpuopt.partition"
            )
        else:
            found.append(_array(graph, arg, f"{name} argument {number}"))
    if all(isinstance(arg, (Number, Fixed)) for arg in found):
        graph.refuse(
            f"{function.name} is a function of whole arrays, and was called with numbers alone: "
            "pass it an array, or leave @gpuopt.whole_array out",
            *(arg.value for arg in found if isinstance(arg, Number)),
        )
    is_complex = any(len(arg) == 2 for arg in args if type(arg) is tuple)
    is_complex = is_complex or any(a.call.complex for a in found if isinstance(a, Output))
    index = graph.leaf("call", name).index
    call = Call(name, function, index, tuple(found), keywords, is_complex)
    graph.outputs |= {output.place: output for output in call.outputs}
    return call


def _hyper_arrays(parts: Parts) -> list[str]:
    """The hyperparameters that an array is computed from, if it depends on nothing else."""
    places = {expr.value for expr in reachable(parts) if expr.op == "input"}
    alone = all(place.kind == "hyper" for place in places)
    return sorted(place.name for place in places) if alone else []


def _array(graph: Graph, parts: Parts, name: str) -> Array | Output:
    """An array as an argument; one that is in memory is not stored once more."""
    first = parts[0]
    if first.op == "input" and first.value.kind != "random":
        whole = first.value.array
        leaves = tuple(graph.leaf("input", each) for each in whole.components(len(parts) == 2))
        if parts == leaves:
            return graph.outputs.get(whole) or Array(whole)
    return Array(state(name), tuple(map(graph.number, parts)))


def _named(arg: Argument) -> str:
    """An argument, for readers."""
    if isinstance(arg, Array):
        return f"{arg.place}"
    if isinstance(arg, Number):
        return format_expr(arg.value)
    return str(arg.place) if isinstance(arg, Output) else f"{arg[0]}"
