"""From the scalar code of a program to the text of a CUDA kernel, for what depends on reductions and so stays on the device.

One thread an array computes, in float64, what a kernel takes as scalars. What depends on no reduction is computed on the host
as ever, and comes in as arguments; but where the device counts the steps, it computes everything, so that no argument changes
from step to step.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from gpuopt.codegen.cuda.elementwise import CudaPrinter, KernelSource, ascii_name
from gpuopt.codegen.host import Evaluate, compile_host
from gpuopt.tracing.expr import Expr, ReductionKey, format_expr, reachable
from gpuopt.tracing.ops import REDUCTIONS
from gpuopt.tracing.program import Kernel, UpdateProgram

__all__ = ["ScalarSource", "count_source", "needs_scalars", "scalar_source"]

_Argument = tuple[str, np.dtype[Any] | None]
_STEPS: _Argument = ("raw int64 steps", np.dtype(np.int64))


@dataclasses.dataclass(frozen=True, eq=False)
class ScalarSource:
    """The kernel, and what to call it with.

    Attributes
    ----------
    kernel : KernelSource
    given : callable
        What the host gives: numbers, from the count, the hyperparameters and None.
    count : int
        How many numbers these are.
    totals : tuple of ReductionKey
        The rows of the table of totals that are read, in the order of the arguments; each with which arrays it is of.
    numbers : tuple of str
        The numbers of the whole optimizer that are read or written, in the order of the arguments.
    width : int
        How many numbers there are for each array: whether the step is accepted, if that is asked, and the scalars.
    """

    kernel: KernelSource
    given: Evaluate
    count: int
    totals: tuple[ReductionKey, ...]
    numbers: tuple[str, ...]
    width: int


def _results(kernel: Kernel) -> list[Expr]:
    """Whether the step is accepted, if that is asked, and the scalars."""
    return [*([] if kernel.accept is None else [kernel.accept]), *kernel.scalars]


def _device_values(ends: list[Expr], device_counts: bool) -> list[Expr]:
    """What of `ends`, and of what they are made of, needs reductions; with `device_counts`, all of it."""
    found: dict[Expr, bool] = {}
    for expr in sorted(set(reachable(ends, within=lambda e: not e.reduces)), key=lambda e: e.index):
        own = expr.reduces or expr.op == "size" or (device_counts and expr.op != "constant")
        found[expr] = expr.host and (own or (not expr.reduces and any(found[arg] for arg in expr.args)))
    return [expr for expr, device in found.items() if device]


@functools.lru_cache(maxsize=512)
def needs_scalars(kernel: Kernel, device_counts: bool) -> bool:
    """Whether the scalars of a kernel are made on the device; those of an update also where it may not be made."""
    return bool(_device_values(_results(kernel), device_counts)) or kernel.accept is not None


@functools.lru_cache(maxsize=512)
def scalar_source(
    program: UpdateProgram, kernel: Kernel, compute: np.dtype[Any], device_counts: bool, per_array: bool = False
) -> ScalarSource:
    """The kernel for the scalars of `kernel`, one of those of `program`, kept in the dtype computed in.

    It takes: the index of each array of the group, which arrays have a gradient, how many there are; numbers of the host
    (if `per_array`, a row of them for each array) or, with `device_counts`, the hyperparameters in an array; rows of totals,
    and of which arrays each is; numbers of the whole optimizer; the counts, and the steps (see `count_source`); and room for
    what is made.
    With `device_counts`, the count of an array whose step is accepted grows by one.
    """
    return _ScalarWriter(program, compute, device_counts, per_array).scalars(kernel)


@functools.lru_cache(maxsize=512)
def count_source(program: UpdateProgram) -> ScalarSource:
    """The kernel that comes last, so that all others see the same count and numbers: it counts a step that was accepted.

    Of the steps it takes: how many were completed; whether this one was accepted, which it sets back; and whether any
    array had a gradient, which it sets back too. If so, the numbers of the whole optimizer are adapted.
    """
    return _ScalarWriter(program, np.dtype(np.float32), True).count()


class _ScalarWriter(CudaPrinter):
    def __init__(self, program: UpdateProgram, compute: np.dtype[Any], device_counts: bool, per_array: bool = False) -> None:
        super().__init__(np.dtype(np.float64))
        self.program, self.kept, self.device_counts, self.per_array = program, compute, device_counts, per_array
        self.rule = ascii_name(program.name).lower()
        self.lines: list[str] = []
        self.totals: dict[ReductionKey, str] = {}
        self.numbers: dict[str, str] = {}

    def scalars(self, kernel: Kernel) -> ScalarSource:
        results = _results(kernel)
        given = self._made_of(results)
        numbers: list[_Argument] = [(f"float64 h{n}", None) for n in range(len(given))]
        self._keep(kernel, results)
        inputs: list[_Argument] = [("raw int32 own", np.dtype(np.int32)), ("raw uint8 active", np.dtype(np.uint8))]
        inputs += self._inputs([("raw float64 h", np.dtype(np.float64))] if self.per_array else numbers)
        inputs += [(f"raw float32 {name}", np.dtype(np.float32)) for name in self.numbers.values()]
        outputs: list[_Argument] = [("raw int64 counts", np.dtype(np.int64)), _STEPS, (f"raw {self.kept.name} k", self.kept)]
        source = KernelSource.of(inputs, outputs, self.lines, f"gpuopt_{self.rule}_scalars_{self.kept.name}")
        return ScalarSource(
            source, compile_host(tuple(given)), len(given), tuple(self.totals), tuple(self.numbers), len(results)
        )

    def count(self) -> ScalarSource:
        adapted, inputs = self.program.shared, list[_Argument]()
        if adapted:
            self._made_of(list(adapted.values()))
            self.lines += [
                f"{self.numbers.setdefault(name, f'n{len(self.numbers)}')}[0] = (float)({self.value(expr, 'call')});"
                for name, expr in adapted.items()
            ]
            self.lines = ["if (steps[2] != 0) {", *(f"  {line}" for line in self.lines), "}"]
            inputs = self._inputs([])
        self.lines += ["if (steps[1] != 0) steps[0] = steps[0] + 1;", "steps[1] = 0;", "steps[2] = 0;"]
        outputs = [_STEPS, *((f"raw float32 {name}", np.dtype(np.float32)) for name in self.numbers.values())]
        source = KernelSource.of(inputs, outputs, self.lines, f"gpuopt_{self.rule}_count" if adapted else "gpuopt_count")
        return ScalarSource(source, compile_host(()), 0, tuple(self.totals), tuple(self.numbers), 0)

    def _made_of(self, results: list[Expr]) -> list[Expr]:
        """Lines for what `results` are made of; what of it the host gives."""
        device = _device_values(results, self.device_counts)
        needed = dict.fromkeys(arg for expr in device if not expr.reduces for arg in expr.args)
        given = [e for e in dict.fromkeys([*needed, *results]) if e not in device and e.op != "constant"]
        for number, expr in enumerate(given):
            self.names[expr] = f"h[i * {len(given)} + {number}]" if self.per_array else f"h{number}"
        for expr in device:
            self._value(expr)
        return given

    def _inputs(self, given: list[_Argument]) -> list[_Argument]:
        """How many arrays there are, numbers of the host or hyperparameters, and totals."""
        inputs: list[_Argument] = [("int64 arrays", None), *given]
        if self.device_counts:
            inputs.append(("raw float64 hyper", np.dtype(np.float64)))
        for name in self.totals.values():
            inputs += [(f"raw float64 {name}", np.dtype(np.float64)), (f"raw uint8 {name}_of", np.dtype(np.uint8))]
        return inputs

    def _value(self, expr: Expr) -> None:
        """A line for a value that is made on the device."""
        name = f"x{expr.index}"
        if expr.reduces or expr.op == "size":
            self._total(expr, name)
        elif expr.op == "step":
            self.lines.append(f"const double {name} = (double)(counts[i] + 1);")
        elif expr.op == "completed":
            self.lines.append(f"const double {name} = (double)steps[0];")
        elif expr.op == "hyper":
            self.lines.append(f"const double {name} = hyper[{self.program.hyper.index(expr.value)}];  // {expr.value}")
        elif expr.op == "number":
            here = self.numbers.setdefault(expr.value, f"n{len(self.numbers)}")
            self.lines.append(f"const double {name} = (double){here}[0];  // {expr.value}")
        else:
            kind = "bool" if expr.boolean else "double"
            self.lines.append(f"const {kind} {name} = {self.formula(expr)};  // {format_expr(expr)}")
        self.names[expr] = name

    def _total(self, expr: Expr, name: str) -> None:
        """A total of the array, or of all arrays that have a gradient, added in their order."""
        op, row = expr.op, self.totals.setdefault(expr.value, f"total_{len(self.totals)}")
        if expr.value.scope == "array":
            self.lines.append(f"const double {name} = {row}[own[i]];")
            return
        each = REDUCTIONS[op].op.cuda.format(name, f"{row}[n]", T=self.real)
        self.lines.append(f"double {name} = {self.literal(REDUCTIONS[op].nothing)};  // {format_expr(expr)}, of all")
        self.lines.append(f"for (long long n = 0; n < arrays; ++n) {{ if ({row}_of[n]) {name} = {each}; }}")

    def _keep(self, kernel: Kernel, results: list[Expr]) -> None:
        """Keep what was made, and count the step of each array."""
        kind = "float" if self.kept.name == "float32" else "double"
        values = [self.value(expr, "call") for expr in results]
        if kernel.accept is not None:
            self.lines.append(f"const bool accepted = active[own[i]] && {self.value(kernel.accept, 'and')};")
            self.lines.append("if (active[own[i]]) steps[2] = 1;")
            self.lines += ["if (accepted) {", "  counts[i] = counts[i] + 1;", "  steps[1] = 1;", "}"]
            values[0] = "accepted"
        self.lines += [f"k[i * {len(values)} + {number}] = ({kind})({value});" for number, value in enumerate(values)]
