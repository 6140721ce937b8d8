"""From a `Kernel` to one Python function of NumPy calls that write into given arrays.

The function updates its arrays in place: an operation writes where its result belongs as soon as
the old value there is needed no longer, and into scratch until then. It allocates nothing.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Collection
from typing import Any

import numpy as np

from gpuopt.codegen.digits import DIGITS
from gpuopt.codegen.pairs import Steps, paired
from gpuopt.codegen.passes import work
from gpuopt.codegen.schedule import arguments, misses, orders
from gpuopt.codegen.tile import PAIR, TileCode, constants, wholes
from gpuopt.codegen.wide import TILE
from gpuopt.tracing.expr import Expr
from gpuopt.tracing.operands import Operand
from gpuopt.tracing.ops import OPS, STOCHASTIC
from gpuopt.tracing.printing import format_expr
from gpuopt.tracing.program import Kernel

__all__ = ["may_share", "tile_code"]


def may_share(a: Operand, b: Operand) -> bool:
    """Tell whether two operands may be the same memory: a gradient may be its parameter."""
    return a == b or {a.kind, b.kind} == {"param", "grad"}


@functools.lru_cache(maxsize=512)
def tile_code(kernel: Kernel) -> TileCode:
    """Generate the function that runs `kernel` on one tile.

    Its calls are in the order in which they miss the cache least; in the formula's, if that is one.
    """
    ways = [_Writer(kernel, steps) for steps in orders(paired(kernel))]
    writer = min(ways, key=lambda way: (len(way.lines), misses(way.lines)))
    scratch = tuple(name for names in writer.buffers.scratch.values() for name in names)
    scalars = [f"k{number}" for number in range(len(kernel.scalars) + len(constants(kernel)))]
    again = tuple(sorted(writer.again, key=scalars.index))
    names = [*writer.arrays.values(), *scratch, *scalars, *(PAIR + name for name in again)]
    comments = [f"# {name} is {operand}" for operand, name in writer.arrays.items()]
    comments += [f"# {writer.where[expr]} = {format_expr(expr)}" for expr in kernel.scalars]
    body = [f"    {line}" for line in [*comments, *(writer.lines or ["pass"])]]
    source = "\n".join([f"def update({', '.join(names)}):  # {kernel.name}", *body, ""])
    scope: dict[str, Any] = {name: getattr(np, name) for name in OPS if hasattr(np, name)}
    scope |= {"copyto": np.copyto, **_ROUNDING, **TILE, **DIGITS}
    exec(source, scope)  # the text is made here from a fixed set of calls
    update = scope.pop("update")  # whose globals the scope is: it must not hold its owner
    order = tuple(map(scalars.index, again))
    return TileCode(update, wholes(kernel), scratch, order, writer.work, source)


class _Buffers:
    """Finds a buffer for each value by a linear scan: it is kept until the last step that reads it.

    Buffers are the arrays of a kernel, and scratch: ``w0``, ``w1`` … of the compute dtype, and
    ``b0``, ``b1`` … for truth values; ``pw0`` … and ``pb0`` … for pairs of these.

    Parameters
    ----------
    arrays : dict
        The name of the buffer of each operand.
    results : dict
        The new values of those that change. The others are never written.
    last : dict
        The step that reads a value last. A result is read after all steps.
    end : int
        The number of steps.
    """

    def __init__(
        self,
        arrays: dict[Operand, str],
        results: dict[Operand, Expr],
        last: dict[Expr, int],
        end: int,
    ) -> None:
        self._last, self._end = last, end
        self._homes = [(expr, arrays[operand]) for operand, expr in results.items()]
        self._busy = dict.fromkeys(arrays.values(), sys.maxsize)
        """The last step in which the content of each buffer is needed."""
        old = [(expr.value, step) for expr, step in last.items() if expr.op == "input"]
        for operand in results:
            steps = (step for other, step in old if may_share(operand, other))
            self._busy[arrays[operand]] = max(steps, default=-1)
        self.scratch: dict[str, list[str]] = {}

    def place(
        self, expr: Expr, of: str, step: int, operands: list[str], barred: Collection[str]
    ) -> str:
        """The buffer for the value that a step computes from what lies in `operands`.

        A result goes home if it can. Another value takes the place of an operand that is needed
        no longer; scratch is taken where neither is possible, or the buffer is `barred`. It is
        `of` pairs, or not.
        """
        if expr.boolean:
            return self.take(of + "b", self._last[expr], step, barred)
        wanted = [name for result, name in self._homes if result is expr]
        if self._last[expr] < self._end:
            wanted += operands
        for name in wanted:
            if self._busy.get(name, sys.maxsize) <= step and name not in barred:
                self._busy[name] = self._last[expr]
                return name
        return self.take(of + "w", self._last[expr], step, barred)

    def take(self, kind: str, until: int, step: int, barred: Collection[str] = ()) -> str:
        """A scratch buffer of that kind, the first that is free; a new one if none is."""
        names = self.scratch.setdefault(kind, [])
        free = (name for name in names if self._busy[name] <= step and name not in barred)
        name = next(free, f"{kind}{len(names)}")
        if name not in self._busy:
            names.append(name)
        self._busy[name] = until
        return name


class _Writer:
    """Writes the calls of a kernel.

    Attributes
    ----------
    arrays : dict
        The name of each operand's array.
    where : dict
        Where each value is: in an array, in scratch, or a scalar.
    lines : list of str
        The calls.
    again : set of str
        The scalars that meet pairs; where they are arrays, they are needed in pairs.
    work : float
        What the calls cost.
    """

    def __init__(self, kernel: Kernel, steps: Steps) -> None:
        ops, results, self._pairs = steps
        self.work = work(kernel, ops, self._pairs)
        arrays = wholes(kernel)
        self.arrays = {whole.array: f"a{number}" for number, whole in enumerate(arrays)}
        # A new value that is some array's old one is copied first, before that array may change.
        old = dict.fromkeys(expr for expr in results.values() if expr.op == "input")
        copies = {expr: Expr(-1 - number, "copy", (expr,)) for number, expr in enumerate(old)}
        self._pairs = self._pairs | {copies[expr] for expr in self._pairs & old.keys()}
        results = {operand: copies.get(expr, expr) for operand, expr in results.items()}
        order = [*copies.values(), *ops]
        last = {arg: step for step, op in enumerate(order) for arg in arguments(op)}
        last |= dict.fromkeys(results.values(), len(order))
        always = {array: expr for array, expr in results.items() if array not in kernel.only_if}
        self.buffers = _Buffers(self.arrays, always, last, len(order))
        self.again: set[str] = set()
        complexes = {whole.array for whole in arrays if whole.complex}
        scalars = [*kernel.scalars, *constants(kernel)]
        self.where = {expr: f"k{number}" for number, expr in enumerate(scalars)}
        self.where |= {expr: self.arrays[expr.value] for expr in last if expr.op == "input"}
        asked = {array: f"if {self.where[x]}: " for array, x in kernel.only_if.items()}
        rare = {expr: asked[a] for a, expr in results.items() if a in asked and expr.op == "copy"}
        rare = {expr: text for expr, text in rare.items() if expr not in always.values()}
        self.lines = [
            rare.get(op, "") + line
            for step, op in enumerate(order)
            for line in self._calls(step, op)
        ]
        for array, name in self.arrays.items():
            if array in results and self.where[results[array]] != name:
                of = PAIR if array in complexes else ""
                value = self._name(results[array], of)
                self.lines.append(f"{asked.get(array, '')}copyto({name}, {value})")

    def _name(self, arg: Expr, of: str) -> str:
        """What a call of pairs, or of other values, names an argument."""
        if arg.op == "view":
            return f"{self.where[arg.args[0]]}[{arg.value}::2]"
        if of and arg.host:
            self.again.add(self.where[arg])
            return PAIR + self.where[arg]
        return self.where[arg]

    def _calls(self, step: int, op: Expr) -> list[str]:
        """The calls that compute one value."""
        of = PAIR if op in self._pairs else ""
        operands = [self._name(arg, "" if op.op == "join" else of) for arg in op.args]
        numbers = [self.where[arg] for arg in op.args if self._may_become(arg, op)]
        out = self.where[op] = self.buffers.place(op, of, step, numbers, self._read_late(op))
        if op.op == "where":
            mask, a, b = operands
            others = [f"copyto({out}, {b})"] if out != b else []
            return [*others, f"copyto({out}, {a}, where={mask})"]
        if op.op == "choose":
            return [f"copyto({out}, {operands[1]} if {operands[0]} else {operands[2]})"]
        if op.op in ("copy", "join"):
            parts = [out] if op.op == "copy" else [f"{out}[0::2]", f"{out}[1::2]"]
            return [f"copyto({part}, {x})" for part, x in zip(parts, operands, strict=True)]
        if op.op in STOCHASTIC:
            mask = self.buffers.take("b", step, step)
            return [f"{op.op}({', '.join([*operands, out, mask])})"]
        call = OPS[op.op].numpy
        if "{scratch}" in call:
            scratch = self.buffers.take("w", step, step, {*operands, out})
            return [call.format(*operands, out=out, scratch=scratch)]
        return [call.format(*operands, out=out)]

    def _may_become(self, arg: Expr, op: Expr) -> bool:
        """Whether a result may take the place of an argument, which has as many elements."""
        return not arg.boolean and arg.op != "view" and (arg in self._pairs) == (op in self._pairs)

    def _read_late(self, op: Expr) -> set[str]:
        """The buffers that are read after the result was begun, so that it cannot lie there."""
        late: tuple[Expr, ...] = ()
        if op.op in (*STOCHASTIC, "quotient", "cbrt"):
            late = op.args
        elif op.op in TILE:
            late = op.args[1:]
        elif op.op == "where" and op.args[1] is not op.args[2]:
            late = op.args[1:2]
        found = {self.where[arg] for arg in late}
        for arg in late:
            if arg.op == "input":
                found |= {
                    name for operand, name in self.arrays.items() if may_share(operand, arg.value)
                }
        return found


def _stochastic(cut: int, x: Any, u: Any, out: Any, mask: Any) -> None:
    """Add random bits to those for which there is no room, then `cut` these; NaN stays."""
    whole = out.view(np.uint32)
    np.multiply(u, out.dtype.type(65536), out=out)
    np.copyto(whole, out, casting="unsafe")
    if cut > 16:
        np.left_shift(whole, np.uint32(cut - 16), out=whole)
    np.add(whole, x.view(np.uint32), out=whole)
    np.bitwise_and(whole, np.uint32(2**32 - 2**cut), out=whole)
    np.not_equal(x, x, out=mask)
    np.copyto(out, x, where=mask)


_ROUNDING = {name: functools.partial(_stochastic, cut) for name, cut in STOCHASTIC.items()}
