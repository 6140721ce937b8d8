"""The arguments of the CPU executors' generated functions: which arrays, in which order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

from gpuopt.tracing.expr import Expr
from gpuopt.tracing.operands import Operand, result
from gpuopt.tracing.program import Kernel

__all__ = ["PARTS", "Place", "TileCode", "Whole", "changes", "constants", "places", "wholes"]


PARTS = {"re": "real", "im": "imag", "": ""}
"""The attribute of a complex array that is a component."""


class Place(NamedTuple):
    """An operand that a function reads or writes: `part` of an array, or all of it where that is
    empty.
    """

    array: Operand
    operand: Operand
    part: str
    read: bool
    written: bool


class Whole(NamedTuple):
    """An array that a function reads or writes as it is stored; of a complex one, some part."""

    array: Operand
    complex: bool
    read: bool
    written: bool


@dataclasses.dataclass(frozen=True, eq=False)
class TileCode:
    """A generated function, and what to call it with: places, scratch, masks, scalars, in this
    order.

    Attributes
    ----------
    function : callable
        Updates flat arrays of the compute dtype in place.
    places : tuple of Place
        What to pass first.
    scratch, masks : int
        How many arrays of the compute dtype, and of bool, come next.
    source : str
        The function's text.
    """

    function: Callable[..., None]
    places: tuple[Place, ...]
    scratch: int
    masks: int
    source: str


def changes(kernel: Kernel) -> dict[Operand, Expr]:
    """The new value of each operand that changes; in a stage, the values that each reduction
    takes.
    """
    if kernel.reductions:
        return {
            result(number): reduction.args[0] for number, reduction in enumerate(kernel.reductions)
        }
    return {
        op: expr
        for op, expr in kernel.stores.items()
        if not (expr.op == "input" and expr.value == op)
    }


def places(kernel: Kernel) -> tuple[Place, ...]:
    """Every operand that is read or changes, in a fixed order."""
    changed = changes(kernel)
    return tuple(
        Place(
            operand.array,
            operand,
            PARTS[operand.component],
            operand in kernel.loads,
            operand in changed,
        )
        for operand in dict.fromkeys([*kernel.loads, *changed])
    )


def wholes(kernel: Kernel, results: bool = True) -> tuple[Whole, ...]:
    """Every array that is read or changes, in a fixed order; with or without a stage's results."""
    found: dict[Operand, Whole] = {}
    for array, _, part, read, written in places(kernel):
        if not (results or read):
            continue
        before = found.get(array, Whole(array, bool(part), False, False))
        found[array] = Whole(array, bool(part), before.read or read, before.written or written)
    return tuple(found.values())


def constants(kernel: Kernel) -> tuple[Expr, ...]:
    """The numbers that the array code uses, each once."""
    operands = [arg for op in kernel.ops for arg in op.args] + list(changes(kernel).values())
    return tuple(dict.fromkeys(expr for expr in operands if expr.op == "constant"))
