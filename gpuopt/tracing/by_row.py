"""A program whose numbers that depend on the count are arrays, for rows that count apart."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import NamedTuple

from gpuopt.tracing.expr import Expr, reachable
from gpuopt.tracing.operands import Operand, hyper_array
from gpuopt.tracing.program import Kernel, UpdateProgram

__all__ = ["ByRow", "by_row"]


class ByRow(NamedTuple):
    """A program for rows that count apart.

    Attributes
    ----------
    program : UpdateProgram
        It reads an array in place of each number that depends on the count.
    operands : tuple of Operand
        These arrays.
    numbers : tuple of Expr
        What they hold: a number for each row.
    """

    program: UpdateProgram
    operands: tuple[Operand, ...]
    numbers: tuple[Expr, ...]


@functools.lru_cache(maxsize=128)
def by_row(program: UpdateProgram) -> ByRow:
    """The same update, for rows each of which may have another count."""
    kernel = program.update
    numbers = tuple(scalar for scalar in kernel.scalars if _counts(scalar))
    operands = tuple(hyper_array(f"row_{n}") for n in range(len(numbers)))
    changed = _Rewriting(kernel, dict(zip(numbers, operands, strict=True))).kernel
    return ByRow(dataclasses.replace(program, update=changed), operands, numbers)


def _counts(expr: Expr) -> bool:
    """Whether a number depends on the count of updates."""
    return any(leaf.op == "step" for leaf in reachable([expr]))


class _Rewriting:
    """A kernel with arrays in place of some of its numbers."""

    def __init__(self, kernel: Kernel, operands: dict[Expr, Operand]) -> None:
        self._free = itertools.count(1 + max(map(_last, [*kernel.ops, *kernel.ends]), default=0))
        self._new = {old: self._made("input", value=at) for old, at in operands.items()}
        self._zero = self._made("constant", value=0.0, host=True)
        self._ops: list[Expr] = []
        for op in kernel.ops:
            self._add(op, set(operands))
        stores = {at: self._new.get(expr, expr) for at, expr in kernel.stores.items()}
        only_if = {at: asked for at, asked in kernel.only_if.items() if asked not in operands}
        inputs = {at: self._made("input", value=at) for at in stores if self._keeps(at, kernel)}
        inputs |= {expr.value: expr for expr in _inputs(kernel) if expr.value in inputs}
        for at, old in inputs.items():
            chosen = self._chosen(self._new[kernel.only_if[at.array]])
            stores[at] = self._made("where", chosen, stores[at], old)
            self._ops.append(stores[at])
        self.kernel = dataclasses.replace(
            kernel,
            loads=tuple(dict.fromkeys((*kernel.loads, *inputs, *operands.values()))),
            ops=tuple(self._ops),
            stores=stores,
            only_if=only_if,
            scalars=tuple(scalar for scalar in kernel.scalars if scalar not in operands),
        )

    def _keeps(self, at: Operand, kernel: Kernel) -> bool:
        """Whether some rows keep what an operand holds."""
        return kernel.only_if.get(at.array) in self._new

    def _chosen(self, number: Expr) -> Expr:
        """The truth values of an array of numbers."""
        self._ops.append(chosen := self._made("not_equal", number, self._zero))
        return chosen

    def _add(self, op: Expr, moving: set[Expr]) -> None:
        args = [self._new.get(arg, arg) for arg in op.args]
        if op.op == "choose" and op.args[0] in moving:  # its number is an array of truth values now
            self._new[op] = self._made("where", self._chosen(args[0]), *args[1:])
        elif tuple(args) != op.args:
            self._new[op] = self._made(op.op, *args, value=op.value)
        self._ops.append(self._new.get(op, op))

    def _made(self, op: str, *args: Expr, value: object = None, host: bool = False) -> Expr:
        return Expr(next(self._free), op, args, value, host)


def _inputs(kernel: Kernel) -> list[Expr]:
    """The arrays that are read, as values."""
    return [expr for expr in reachable(kernel.ops) if expr.op == "input"]


def _last(expr: Expr) -> int:
    """The largest number of the values that a value depends on."""
    return max(each.index for each in reachable([expr]))
