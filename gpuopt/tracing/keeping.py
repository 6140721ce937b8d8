"""Arrays that change in some steps only, such as a copy of the first parameters: `kept_unless`.

In all other steps such an array need be neither read nor stored.
"""

from __future__ import annotations

from collections.abc import Mapping

from gpuopt.tracing.expr import Expr, Graph
from gpuopt.tracing.operands import Operand
from gpuopt.tracing.symbols import Symbol

__all__ = ["kept_unless"]


def kept_unless(
    graph: Graph, values: Mapping[Operand, Symbol]
) -> tuple[dict[Operand, Symbol], dict[Operand, Expr]]:
    """The new values of arrays; of one that a number chooses between such a value and the old one,
    the former, and in the second result the truth value with which the array takes it.
    """
    changed, only_if = dict[Operand, Symbol](), dict[Operand, Expr]()
    for array, value in values.items():
        places = array.components(len(value.parts) == 2)
        old = tuple(graph.leaf("input", place) for place in places)
        new, asked = _split(graph, value.parts, old)
        changed[array] = Symbol(graph, *new)
        if asked.op != "constant":
            only_if[array] = asked
    return changed, only_if


def _split(
    graph: Graph, new: tuple[Expr, ...], old: tuple[Expr, ...]
) -> tuple[tuple[Expr, ...], Expr]:
    """A value where it is another than the old one, and when it is; there it may be anything."""
    if new == old:
        return old, graph.constant(False)
    asked = new[0].args[0] if new[0].op == "choose" else None
    if asked is None or any(part.op != "choose" or part.args[0] is not asked for part in new):
        return new, graph.constant(True)
    _, *sides = zip(*(part.args for part in new), strict=True)
    (one, here), (other, there) = (_split(graph, side, old) for side in sides)
    if other == old:
        return one, asked if here.value is True else graph.node("logical_and", asked, here)
    if one == old:
        asked = graph.node("logical_not", asked)
        return other, asked if there.value is True else graph.node("logical_and", asked, there)
    if here.value is there.value is True:
        return new, here
    pairs = zip(one, other, strict=True)
    value = tuple(graph.node("where", asked, *pair) for pair in pairs)
    return value, graph.node("where", asked, here, there)
