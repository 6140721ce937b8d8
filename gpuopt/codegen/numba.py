"""From a `Kernel` to the text of one loop over flat arrays, whose functions Numba compiles; needs
no Numba itself.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from gpuopt.arrays.random import FIRST, GOLDEN, SECOND
from gpuopt.codegen.numba_header import END, HEAD, Stored, head, header
from gpuopt.codegen.order import LANES
from gpuopt.codegen.tile import changes, constants, wholes
from gpuopt.tracing.expr import Expr, reachable
from gpuopt.tracing.operands import GRAD, Operand
from gpuopt.tracing.ops import OPS, REDUCTIONS
from gpuopt.tracing.program import Kernel

__all__ = ["fill_source", "fold_source", "loop_source"]

_RUNS = """def {name}(g, table, thread):
    table, gradient = whole(table), address_of(g) + whole(table)[3]
    for j in range(table[0]):
        row = {head} + j * {width}
        size = {size}
        k = real(table[1] + j * table[2])
{arguments}
"""
_LOOP = """        for i in range(size):
{body}
"""
_FOLD = """        rows = size // {lanes}
        for lane in range(min(size, {lanes})):
            i = lane
{body}
{first}
        for n in range(1, rows):
            for lane in range({lanes}):
                i = n * {lanes} + lane
{inner}
{again}
        if rows:
            for lane in range(size - rows * {lanes}):
                i = rows * {lanes} + lane
{inner}
{again}
"""
_FILL = """def fill(run, start, index):
    scale, half = run.dtype.type({scale}), run.dtype.type({half})
    for i in range(run.size):
        z = start + (index[i] + types.uint64(1)) * types.uint64({golden})
        z = (z ^ (z >> types.uint64(30))) * types.uint64({first})
        z = (z ^ (z >> types.uint64(27))) * types.uint64({second})
        z = z ^ (z >> types.uint64(31))
        run[i] = run.dtype.type(types.{whole}(z >> types.uint64({cut}))) * scale + half
"""


@functools.lru_cache(maxsize=512)
def loop_source(kernel: Kernel, dtype: np.dtype[Any], stored: tuple[Stored, ...] = ()) -> str:
    """Write the module with the loop that runs `kernel`, computing in `dtype`, on runs of arrays
    as they are stored.
    """
    text = _Text(kernel, stored)
    body = text.body + text.stores(changes(kernel))
    runs = _RUNS.format(**text.parts("loop"))
    return header(kernel, dtype, stored) + runs + _LOOP.format(body=_indented(body, 12))


@functools.lru_cache(maxsize=512)
def fold_source(stage: Kernel, dtype: np.dtype[Any], stored: tuple[Stored, ...] = ()) -> str:
    """Write the module with the function that folds runs of at most a chunk, each into a row, in
    the order of `gpuopt.executors.fold`.
    """
    text, first, again = _Text(stage, stored, folds=True), [], []
    for number, reduction in enumerate(stage.reductions):
        row, value = f"r{number}[lane]", text.names[reduction.args[0]]
        first.append(f"{row} = {value}")
        again.append(f"{row} = {REDUCTIONS[reduction.op].op.numba.format(row, value)}")
    parts = {
        "body": _indented(text.body, 12),
        "inner": _indented(text.body, 16),
        "first": _indented(first, 12),
        "again": _indented(again, 16),
    }
    runs = _RUNS.format(**text.parts("fold"))
    return header(stage, dtype, stored) + runs + _FOLD.format(**parts, lanes=LANES)


def fill_source(dtype: np.dtype[Any]) -> str:
    """Write the module with the function that does what `gpuopt.arrays.random.fill` does, for runs
    of that dtype.
    """
    digits = np.finfo(dtype).nmant
    parts = {
        "golden": GOLDEN,
        "first": FIRST,
        "second": SECOND,
        "cut": 64 - digits,
        "whole": f"int{8 * dtype.itemsize}",
    }
    return head(dtype) + END + _FILL.format(**parts, scale=2.0**-digits, half=2.0 ** -(digits + 1))


def _indented(lines: list[str], by: int) -> str:
    return "\n".join(" " * by + line for line in lines or ["pass"])


class _Text:
    """The lines of a kernel's loop.

    No constant stands in them, so that another constant is not another text to compile.

    Attributes
    ----------
    names : dict
        The names of all values.
    body : list of str
        What loads element i and computes with it.
    """

    def __init__(self, kernel: Kernel, stored: tuple[Stored, ...], folds: bool = False) -> None:
        self._rows = len(kernel.reductions) if folds else 0
        self._paired = not stored and _is_paired(kernel)
        """Whether both components are computed alike, each element a number by itself."""
        arrays = [whole.array for whole in wholes(kernel, results=not folds)]
        self._arrays = {array: f"a{number}" for number, array in enumerate(arrays)}
        self._stored = {each.array: each for each in stored}
        scalars = [*kernel.scalars, *constants(kernel)]
        self.names: dict[Expr, str] = {expr: f"k{number}" for number, expr in enumerate(scalars)}
        self._scalars = [f"k{number} = k[{number}]" for number in range(len(scalars))]
        old = {operand: f"o{number}" for number, operand in enumerate(kernel.loads)}
        self.names |= {leaf: old[leaf.value] for leaf in _inputs(kernel)}
        self.body = [f"{name} = {self._load(at)}" for at, name in old.items() if self._takes(at)]
        taken = [new for at, new in changes(kernel).items() if self._takes(at)]
        needed = set(reachable(taken, within=lambda expr: not expr.host))
        for number, op in enumerate(op for op in kernel.ops if op in needed):
            args = [self.names[arg] for arg in op.args]
            self.names[op] = f"x{number}"
            self.body.append(f"x{number} = {OPS[op.op].numba.format(*args)}")

    def _takes(self, operand: Operand) -> bool:
        """Whether the text is about that operand: of pairs that are alike, about the first."""
        return not (self._paired and operand.component == "im")

    def _kind(self, array: Operand) -> str:
        return self._stored[array].kind if array in self._stored else ""

    def _at(self, operand: Operand) -> str:
        """Where element i of an operand is."""
        array = operand.array
        step = self._stored[array].step if array in self._stored else 1
        if operand.component and not self._paired:
            return f"{self._arrays[array]}[{2 * step} * i + {int(operand.component == 'im')}]"
        return f"{self._arrays[array]}[{step} * i]" if step > 1 else f"{self._arrays[array]}[i]"

    def _load(self, operand: Operand) -> str:
        kind, at = self._kind(operand.array), self._at(operand)
        return f"from_{kind}({at})" if kind else at

    def stores(self, new: dict[Operand, Expr]) -> list[str]:
        """The lines that give operands their new values."""
        return [
            f"{self._at(operand)} = {self._rounded(operand, self.names[expr])}"
            for operand, expr in new.items()
            if self._takes(operand)
        ]

    def _rounded(self, operand: Operand, value: str) -> str:
        kind = self._kind(operand.array)
        return f"to_{kind}({value})" if kind else value

    def parts(self, name: str) -> dict[str, Any]:
        """What a function of runs begins with."""
        lines = list(self._scalars)
        for number, array in enumerate(self._arrays):
            address = f"table[row + {1 + number}]"
            if array == GRAD:
                address = f"gradient + {address}"
            lines.append(f"a{number} = {'short' if self._kind(array) else 'real'}({address})")
        first = 1 + len(self._arrays)
        lines += [f"r{n} = real(table[row + {first + n}])" for n in range(self._rows)]
        width = 1 + len(lines) - len(self._scalars)
        size = "2 * table[row]" if self._paired else "table[row]"
        parts = {"name": name, "head": HEAD, "width": width, "size": size}
        return {**parts, "arguments": _indented(lines, 8)}


def _is_paired(kernel: Kernel) -> bool:
    """Whether the components of all arrays are computed alike, neither from the other."""
    new = changes(kernel)
    waiting = [
        (expr, new.get(operand._replace(component="im")))
        for operand, expr in new.items()
        if operand.component == "re"
    ]
    known: dict[Expr, Expr | None] = {}
    if not new or 2 * len(waiting) != len(new):
        return False
    while waiting:
        a, b = waiting.pop()
        if a in known or b is None or a.host or a.op != b.op:
            if b is not (a if a.host else known.get(a)):
                return False
        elif a.op == "input":
            if a.value.component != "re" or b.value != a.value._replace(component="im"):
                return False
        else:
            waiting += zip(a.args, b.args, strict=True)
        known[a] = b
    return True


def _inputs(kernel: Kernel) -> set[Expr]:
    """The operands that are read, as expressions."""
    used = [arg for op in kernel.ops for arg in op.args] + list(changes(kernel).values())
    return {expr for expr in used if expr.op == "input"}
