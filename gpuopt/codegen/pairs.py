"""The operations on complex arrays in pairs, for NumPy: one call for real and imaginary parts.

A complex array is also a real one of twice as many elements. An operation that treats both parts
alike is one pass over that. An operation on single parts reads every second element of it. Other
values that meet a pair are joined into one.
"""

from __future__ import annotations

import collections
from typing import Any, NamedTuple

from gpuopt.codegen.passes import nanoseconds
from gpuopt.codegen.tile import changes
from gpuopt.codegen.wide import TILE
from gpuopt.tracing.expr import Expr
from gpuopt.tracing.operands import Operand
from gpuopt.tracing.ops import OPS
from gpuopt.tracing.program import Kernel

__all__ = ["Steps", "paired"]

_STRIDED = frozenset({"add", "subtract", "multiply", "divide"})
"""The operations for which a value that is read once is not copied out of its pair before."""


class Steps(NamedTuple):
    """What a kernel computes, in order.

    Its operations are those of `OPS`, and ``join``, which makes a pair of two values, and ``copy``.
    An argument may be a ``view``: a part of a pair, where it lies.

    Attributes
    ----------
    ops : list of Expr
    results : dict
        The new values of the arrays that change.
    pairs : set of Expr
        Which values are pairs.
    """

    ops: list[Expr]
    results: dict[Operand, Expr]
    pairs: set[Expr]


def paired(kernel: Kernel) -> Steps:
    """Make steps of a kernel; without complex arrays they are its operations.

    Where so much must be joined and taken apart that pairs cost more than they save, real and
    imaginary parts are computed one by one.
    """
    ways = [
        _Pairing(kernel, pairs).steps for pairs in ((True, False) if kernel.complex else (False,))
    ]
    return min(ways, key=lambda steps: nanoseconds(steps.ops, steps.pairs))


class _Pairing:
    """Writes twins as one step, in place of the first of the two.

    All that it needs comes before: pairs that it depends on are in place of the first of their
    twins, too, and other values are joined only if they are older than both.
    """

    def __init__(self, kernel: Kernel, pairs: bool) -> None:
        self.steps = Steps([], {}, set())
        self._new: dict[Expr, Expr] = {}
        """What stands for a value, or for a pair, by the first of the two."""
        self._part: dict[Expr, tuple[Expr, int]] = {}
        """Of a value that is part of a pair: the first of the two, and which part it is."""
        self._extra: dict[Any, Expr] = {}
        self._made = 0
        changed = changes(kernel)
        asked = [*changed.values(), *kernel.stores.values()]
        self._find_arrays([*(arg for op in kernel.ops for arg in op.args), *asked])
        twins = self._twins(kernel.ops) if pairs else {}
        alone = [op for op in kernel.ops if op not in self._part]
        self._readers = collections.Counter(arg for op in alone for arg in dict.fromkeys(op.args))
        for op in kernel.ops:
            if op in twins:
                re, im = (op, twins[op])[:: -1 if self._part[op][1] else 1]
                self._new[op] = self._step(op.op, *map(self._both, re.args, im.args), pair=True)
            elif op not in self._part:
                args = [self._argument(op, arg) for arg in op.args]
                self._new[op] = self._step(op.op, *args, value=op.value)
        for operand, expr in changed.items():
            if operand.component:
                re, im = (kernel.stores[part] for part in operand.array.components(True))
                self.steps.results[operand.array] = self._both(re, im)
            else:
                self.steps.results[operand] = self._one(expr)

    def _find_arrays(self, values: list[Expr]) -> None:
        """Let the components that are read be parts of their arrays."""
        arrays = dict[Operand, Expr]()
        for expr in values:
            if expr.op == "input" and expr.value.component:
                first = arrays.setdefault(expr.value.array, expr)
                if first is expr:
                    self._new[expr] = self._value("input", value=expr.value.array)
                    self.steps.pairs.add(self._new[expr])
                self._part[expr] = first, int(expr.value.component == "im")

    def _twins(self, ops: tuple[Expr, ...]) -> dict[Expr, Expr]:
        """The operations that have a twin, each with it: the first of the two first."""
        twins, waiting = dict[Expr, Expr](), dict[Any, list[Expr]]()
        at = {op: number for number, op in enumerate(ops)}
        for op in ops:
            sides = {self._part[arg][1] for arg in op.args if arg in self._part}
            if len(sides) != 1 or op.op in TILE or not OPS[op.op].exact:
                continue
            (side,) = sides
            likeness = op.op, *map(self._likeness, op.args)
            others = waiting.get((1 - side, likeness))
            joined = [arg for arg in op.args if arg not in self._part]
            if others and all(at.get(arg, -1) < at[others[0]] for arg in joined):
                first = others.pop(0)
                twins[first] = op
                self._part[first], self._part[op] = (first, 1 - side), (first, side)
            else:
                waiting.setdefault((side, likeness), []).append(op)
        return twins

    def _likeness(self, arg: Expr) -> Expr | bool:
        """What an argument and that of a twin have in common: their pair, that they are one number,
        or that they are arrays.
        """
        if arg in self._part:
            return self._part[arg][0]
        return arg if arg.host else arg.boolean

    def _argument(self, op: Expr, arg: Expr) -> Expr:
        """An argument of an operation that has no twin."""
        if arg in self._part and op.op in _STRIDED and self._readers[arg] == 1:
            return self._view(arg)
        return self._one(arg)

    def _one(self, expr: Expr) -> Expr:
        """A value by itself, copied if it is part of a pair."""
        if expr not in self._part:
            return self._new.get(expr, expr)
        if expr not in self._extra:
            self._extra[expr] = self._step("copy", self._view(expr), value=expr.boolean or None)
        return self._extra[expr]

    def _both(self, re: Expr, im: Expr) -> Expr:
        """The pair of two values, joined if they are none yet; or the number that both are."""
        if re is im and re.host:
            return re
        first, second = self._part.get(re), self._part.get(im)
        if first and second and (first[0], 0, 1) == (second[0], first[1], second[1]):
            return self._new[first[0]]
        if (re, im) not in self._extra:
            args, value = map(self._one, (re, im)), re.boolean or None
            self._extra[re, im] = self._step("join", *args, value=value, pair=True)
        return self._extra[re, im]

    def _view(self, expr: Expr) -> Expr:
        pair, part = self._part[expr]
        return self._value("view", self._new[pair], value=part)

    def _value(self, op: str, *args: Expr, value: Any = None) -> Expr:
        """A value of the steps alone; True tells truth values."""
        self._made += 1
        return Expr(-self._made, op, args, value)

    def _step(self, op: str, *args: Expr, value: Any = None, pair: bool = False) -> Expr:
        made = self._value(op, *args, value=value)
        self.steps.ops.append(made)
        if pair:
            self.steps.pairs.add(made)
        return made
