"""The arguments of the CPU executors' generated functions: which arrays, in which order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from gpuopt.arrays.random import sequence_of
from gpuopt.tracing.expr import Expr
from gpuopt.tracing.operands import Operand, result
from gpuopt.tracing.program import Kernel

__all__ = ["PAIR", "TileCode", "Whole", "changes", "constants", "sequences", "wholes"]


PAIR = "p"
"""What the names of scratch and scalars for pairs begin with."""


class Whole(NamedTuple):
    """An array that a function reads or writes as it is stored; of a complex one, some part."""

    array: Operand
    complex: bool
    read: bool
    written: bool


@dataclasses.dataclass(frozen=True, eq=False)
class TileCode:
    """A generated function, and what to call it with: arrays, scratch and scalars, in this order.

    Attributes
    ----------
    function : callable
        Updates flat arrays of the compute dtype in place; a complex one is a pair for each element.
    arrays : tuple of Whole
        What to pass first.
    scratch : tuple of str
        What comes next: ``w0`` is an array of the compute dtype, ``b0`` one of bool, ``pw0`` and
        ``pb0`` are pairs of these.
    again : tuple of int
        Which of the scalars come again behind all of them: in pairs, if they are arrays.
    work : float
        What its calls cost an element of float32, in nanoseconds.
    source : str
        The function's text.
    """

    function: Callable[..., None]
    arrays: tuple[Whole, ...]
    scratch: tuple[str, ...]
    again: tuple[int, ...]
    work: float
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


def wholes(kernel: Kernel, results: bool = True) -> tuple[Whole, ...]:
    """Every array that is read or changes, in a fixed order; with or without a stage's results."""
    found: dict[Operand, Whole] = {}
    changed = changes(kernel)
    for operand in dict.fromkeys([*kernel.loads, *changed]):
        array, written = operand.array, operand in changed
        read = operand in kernel.loads or array in kernel.only_if  # what is not written is kept
        if not (results or read):
            continue
        before = found.get(array, Whole(array, bool(operand.component), False, False))
        found[array] = Whole(array, before.complex, before.read or read, before.written or written)
    return tuple(found.values())


def sequences(kernel: Kernel) -> dict[Operand, Operand]:
    """For each array of random numbers the first one from the same sequence."""
    first: dict[Any, Operand] = {}
    return {
        operand: first.setdefault((key, sequence_of(stream)[0]), operand)
        for operand, (key, stream) in kernel.random.items()
    }


def constants(kernel: Kernel) -> tuple[Expr, ...]:
    """The numbers that the array code uses, each once."""
    operands = [arg for op in kernel.ops for arg in op.args] + list(changes(kernel).values())
    return tuple(dict.fromkeys(expr for expr in operands if expr.op == "constant"))
