"""From a `Kernel` to the text of one loop over flat arrays, whose functions Numba compiles; needs
no Numba itself.
"""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Iterable
from typing import Any

import numpy as np

from gpuopt.arrays.random import sequence_of
from gpuopt.codegen.alike import between
from gpuopt.codegen.numba_header import HEAD, Stored, header
from gpuopt.codegen.numba_intrinsics import PART
from gpuopt.codegen.numba_texts import FOLD, LOOP, RUNS, STRIPS
from gpuopt.codegen.order import LANES, ROWS
from gpuopt.codegen.tile import changes, constants, sequences, wholes
from gpuopt.tracing.expr import Expr, reachable
from gpuopt.tracing.operands import GRAD, Operand
from gpuopt.tracing.ops import OPS, REDUCTIONS, STOCHASTIC
from gpuopt.tracing.program import Kernel

__all__ = ["fold_source", "loop_source"]


@functools.lru_cache(maxsize=512)
def loop_source(kernel: Kernel, dtype: np.dtype[Any], stored: tuple[Stored, ...] = ()) -> str:
    """Write the module with the loop that runs `kernel`, computing in `dtype`, on runs of arrays
    as they are stored.
    """
    text = _Text(kernel, stored)
    return header(kernel, dtype, stored) + RUNS.format(**text.parts("loop")) + text.loop()


@functools.lru_cache(maxsize=512)
def fold_source(stage: Kernel, dtype: np.dtype[Any], stored: tuple[Stored, ...] = ()) -> str:
    """Write the module with the function that folds runs of at most a chunk, each into a row, in
    the order of `gpuopt.executors.fold`.
    """
    text, first, again = _Text(stage, stored, folds=True), [], []
    body = text.values([reduction.args[0] for reduction in stage.reductions])
    for number, reduction in enumerate(stage.reductions):
        row, value = f"r{number}[lane]", text.names[reduction.args[0]]
        first.append(f"{row} = {value}")
        again.append(f"{row} = {REDUCTIONS[reduction.op].op.numba.format(row, value)}")
    parts = {
        "fetches": _indented(text.fetches(body, "fetch_early", "(first + start)"), 20),
        "begin": _indented(body + first, 12),
        "row": _indented(body + again, 20),
        "rest": _indented(body + again, 16),
    }
    runs = RUNS.format(**text.parts("fold"))
    return (
        header(stage, dtype, stored)
        + runs
        + FOLD.format(**parts, lanes=LANES, part=PART, whole=ROWS)
    )


def _indented(lines: list[str], by: int) -> str:
    return "\n".join(" " * by + line for line in lines or ["pass"])


class _Text:
    """The lines of a kernel's loop.

    No constant stands in them, so that another constant is not another text to compile.

    Attributes
    ----------
    names : dict
        The names of all values.
    """

    def __init__(self, kernel: Kernel, stored: tuple[Stored, ...], folds: bool = False) -> None:
        self._kernel = kernel
        self._rows = len(kernel.reductions) if folds else 0
        arrays = wholes(kernel, results=not folds)
        self._arrays = {whole.array: f"a{number}" for number, whole in enumerate(arrays)}
        self._pairs = {whole.array for whole in arrays if whole.complex}
        self._stored = {each.array: each for each in stored}
        scalars = [*kernel.scalars, *constants(kernel)]
        self.names: dict[Expr, str] = {expr: f"k{number}" for number, expr in enumerate(scalars)}
        self._scalars = [f"k{number} = k[{number}]" for number in range(len(scalars))]
        self._between = None if stored else between(kernel)
        self._asks = dict[Operand, str]()

    def loop(self) -> str:
        """The loop over the elements of a run; where arrays change in some steps alone, two.

        Where a loop itself decides about a store, LLVM takes its elements one by one.
        """
        new, only_if = changes(self._kernel), self._kernel.only_if
        asked = {array: f"{self.names[expr]} != zero" for array, expr in only_if.items()}
        if not asked:
            return self._loop(new)
        conditions = [*dict.fromkeys(asked.values())]
        if len(conditions) > 1:
            self._asks = {array: f"if {condition}: " for array, condition in asked.items()}
        always = {at: expr for at, expr in new.items() if at.array not in asked}
        rare, usual = (textwrap.indent(self._loop(each), " " * 4) for each in (new, always))
        return f"        if {' or '.join(conditions)}:\n{rare}        else:\n{usual}"

    def _loop(self, new: dict[Operand, Expr]) -> str:
        """The loop that gives operands their new values."""
        if self._between is None:
            lines = self.values(new.values()) + self._stores(new)
            return self._whole("size", lines)
        first = {at: expr for at, expr in new.items() if at.component == "re"}
        alone = {at: expr for at, expr in new.items() if not at.component}
        values, parts = list[str](), list[str]()
        if alone or self._between:
            values = self.values([*alone.values(), *self._between]) + self._stores(alone)
        for number, value in enumerate(self._between):
            values.append(f"b{number}[at] = b{number}[at + 1] = {self.names[value]}")
            parts.append(f"v{number} = b{number}[at]")
            self.names[value] = f"v{number}"
        parts += self.values(first.values(), alike=True) + self._stores(first, alike=True)
        if not values:
            return self._whole("2 * size", parts)
        return STRIPS.format(values=_indented(values, 16), parts=_indented(parts, 16))

    def _whole(self, size: str, lines: list[str]) -> str:
        """The loop of these lines over all of a run; `size` says how often."""
        fetches = self.fetches(lines, "fetch", "first", alike=self._between is not None)
        parts = {"inner": _indented(lines, 16), "body": _indented(lines, 12)}
        return LOOP.format(size=size, fetches=_indented(fetches, 12), **parts)

    def fetches(self, body: list[str], function: str, start: str, alike: bool = False) -> list[str]:
        """The lines that fetch what `body` reads and writes soon after `start`.

        By itself a core fetches some arrays too late, above all where much is computed of them.
        """
        lines = []
        for array, name in self._arrays.items():
            if any(f"{name}[" in line for line in body):
                width = self._step(array) * (2 if array in self._pairs and not alike else 1)
                place = start if width == 1 else f"{width} * {start}"
                lines += [f"{function}({name}, {place} + {n * PART})" for n in range(width)]
        return lines

    def values(self, taken: Iterable[Expr], alike: bool = False) -> list[str]:
        """The lines that compute `taken`, from what they load.

        With `alike` i counts both parts of complex arrays, and one is computed as the other.
        """
        given = self._between if alike and self._between else ()
        needed = set(reachable(taken, within=lambda expr: not expr.host and expr not in given))
        needed = needed.difference(given)
        lines = list[str]()
        for number, operand in enumerate(self._kernel.loads):
            for leaf in (expr for expr in needed if expr.op == "input" and expr.value == operand):
                self.names[leaf] = f"o{number}"
                if self._kind(operand) == "drawn":
                    lines += self._draw(operand, f"o{number}", lines)
                else:
                    lines.append(f"o{number} = {self._load(operand, alike)}")
        ops = (op for op in self._kernel.ops if op in needed)
        for number, op in enumerate(ops):
            self.names[op] = f"{'y' if alike else 'x'}{number}"
            lines.append(f"{self.names[op]} = {self._text(op)}")
        return lines

    def _draw(self, operand: Operand, name: str, before: list[str]) -> list[str]:
        """The lines that draw 16 bits to round by; those of one sequence come from one value.

        A loop, and a fold, too, goes from each element to the next, and so do sequences.
        """
        stream, at = self._kernel.random[operand][1], self._arrays[sequences(self._kernel)[operand]]
        lines = [f"{at} += golden", f"z{at} = mixed({at})"]
        found = f"{name} = word(z{at}, {sequence_of(stream)[1]})"
        return [found] if lines[-1] in before else [*lines, found]

    def _text(self, op: Expr) -> str:
        """What computes a value."""
        args = [self.names[arg] for arg in op.args]
        if op.op in STOCHASTIC and self._kind(op.args[1].value) == "drawn":
            return f"to_{op.op.removeprefix('stochastic_')}_by({args[0]}, {args[1]})"
        return OPS[op.op].numba.format(*args)

    def _stores(self, new: dict[Operand, Expr], alike: bool = False) -> list[str]:
        """The lines that give operands their new values."""
        return [
            f"{self._asks.get(operand.array, '')}{self._at(operand, alike)} = "
            f"{self._rounded(operand, self.names[expr])}"
            for operand, expr in new.items()
        ]

    def _kind(self, array: Operand) -> str:
        return self._stored[array].kind if array in self._stored else ""

    def _step(self, array: Operand) -> int:
        return self._stored[array].step if array in self._stored else 1

    def _at(self, operand: Operand, alike: bool) -> str:
        """Where element i of an operand is."""
        array = operand.array
        step = self._step(array)
        if operand.component and not alike:
            return f"{self._arrays[array]}[{2 * step} * i + {int(operand.component == 'im')}]"
        return f"{self._arrays[array]}[{step} * i]" if step > 1 else f"{self._arrays[array]}[i]"

    def _load(self, operand: Operand, alike: bool) -> str:
        kind, at = self._kind(operand.array), self._at(operand, alike)
        return f"from_{kind}({at})" if kind else at

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
            found = {"": "real", "drawn": "types.uint64"}.get(self._kind(array), "short")
            lines.append(f"a{number} = {found}({address})")
        first = 1 + len(self._arrays)
        lines += [f"r{n} = real(table[row + {first + n}])" for n in range(self._rows)]
        width = 1 + len(lines) - len(self._scalars)
        lines += [f"b{n} = room()" for n in range(len(self._between or ()))]
        parts = {"name": name, "head": HEAD, "width": width}
        return {**parts, "arguments": _indented(lines, 8)}
