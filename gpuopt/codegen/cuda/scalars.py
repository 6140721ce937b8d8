"""From the scalar code of a program to a CUDA kernel: for what depends on reductions, on the
device.

One thread an array computes, in float64, what a kernel takes as scalars. What depends on no
reduction is computed on the host as ever, and comes in as arguments. But if the device counts the
steps, it computes everything, so that no argument changes from step to step.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from gpuopt.codegen.cuda.elementwise import CudaPrinter, KernelSource, identifier
from gpuopt.codegen.host import Evaluate, compile_host
from gpuopt.tracing.expr import Expr, ReductionKey, reachable
from gpuopt.tracing.ops import REDUCTIONS
from gpuopt.tracing.printing import format_expr
from gpuopt.tracing.program import Kernel, UpdateProgram

__all__ = [
    "ScalarArgument",
    "ScalarSource",
    "StepRecord",
    "count_source",
    "needs_scalars",
    "scalar_source",
]


class StepRecord(enum.IntEnum):
    """The offsets in the device's int64 record of steps."""

    COMPLETED = 0
    """How many steps were completed."""
    ACCEPTED = 1
    """Whether the step that is being made was accepted; `count_source` sets it back."""
    ANY_GRADIENT = 2
    """Whether any array has a gradient in it; `count_source` sets it back too."""


ArgumentKind: TypeAlias = Literal[
    "indices",  # of the arrays of the group among those of the optimizer
    "active",  # which arrays of the optimizer have a gradient
    "arrays",  # how many arrays the optimizer has
    "given",  # a number of the host, by its place; or an array with a row of them for each array
    "hyper",  # an array of the hyperparameters
    "total",  # the row of a reduction, by its key: a number for each array of the optimizer
    "total_of",  # which arrays of the optimizer take part in it
    "number",  # a number of the whole optimizer, by its name, in an array
    "counts",  # how often each array of the group was updated
    "record",  # what `StepRecord` says
    "scalars",  # room for what is made: a row for each array of the group
]


class ScalarArgument(NamedTuple):
    """An argument of a kernel of scalars: how it is declared, and what its caller passes there.

    Attributes
    ----------
    declared : str
        The parameter as CuPy takes it.
    dtype : dtype or None
        Of an array; None for a number.
    kind : ArgumentKind
        The meaning of what is passed.
    key : ReductionKey, str, int or None
        Which of that kind, if there are several.
    """

    declared: str
    dtype: np.dtype[Any] | None
    kind: ArgumentKind
    key: ReductionKey | str | int | None = None


_ARRAYS = ScalarArgument("int64 arrays", None, "arrays")
_RECORD = ScalarArgument("raw int64 steps", np.dtype(np.int64), "record")


@dataclasses.dataclass(frozen=True, eq=False)
class ScalarSource:
    """A kernel of scalars, and its signature, by which it is called.

    Attributes
    ----------
    kernel : KernelSource
    arguments : tuple of ScalarArgument
        All of them, in order.
    given : callable
        What the host gives: numbers, from the count, the hyperparameters and None.
    count : int
        How many numbers these are.
    width : int
        How many numbers there are for each array: whether the step is accepted, if that is asked,
        and the scalars.
    """

    kernel: KernelSource
    arguments: tuple[ScalarArgument, ...]
    given: Evaluate
    count: int
    width: int


def _results(kernel: Kernel) -> list[Expr]:
    """Whether the step is accepted, if that is asked, and the scalars."""
    return [*([] if kernel.accept is None else [kernel.accept]), *kernel.scalars]


def _device_values(ends: list[Expr], device_counts: bool) -> list[Expr]:
    """What of `ends`, and of their inputs, needs reductions; with `device_counts`, all of it."""
    found: dict[Expr, bool] = {}
    for expr in sorted(set(reachable(ends, within=lambda e: not e.reduces)), key=lambda e: e.index):
        own = expr.reduces or expr.op == "size" or (device_counts and expr.op != "constant")
        found[expr] = expr.host and (
            own or (not expr.reduces and any(found[arg] for arg in expr.args))
        )
    return [expr for expr, device in found.items() if device]


@functools.lru_cache(maxsize=512)
def needs_scalars(kernel: Kernel, device_counts: bool) -> bool:
    """Whether scalars are made on the device; those of an update also if it may not be made."""
    return bool(_device_values(_results(kernel), device_counts)) or kernel.accept is not None


@functools.lru_cache(maxsize=512)
def scalar_source(
    program: UpdateProgram,
    kernel: Kernel,
    compute: np.dtype[Any],
    device_counts: bool,
    per_array: bool = False,
) -> ScalarSource:
    """The kernel for the scalars of `kernel`, one of those of `program`, kept in the compute dtype.

    Numbers of the host are arguments; or rows in an array if they differ `per_array`. With
    `device_counts` there are none, and the count of an array whose step is accepted grows by one.
    """
    return _ScalarWriter(program, compute, device_counts, per_array).scalars(kernel)


@functools.lru_cache(maxsize=512)
def count_source(program: UpdateProgram) -> ScalarSource:
    """The kernel that comes last, so that all see the same numbers: it counts an accepted step.

    If any array had a gradient, the numbers of the whole optimizer are adapted.
    """
    return _ScalarWriter(program, np.dtype(np.float32), True).count()


class _ScalarWriter(CudaPrinter):
    def __init__(
        self,
        program: UpdateProgram,
        compute: np.dtype[Any],
        device_counts: bool,
        per_array: bool = False,
    ) -> None:
        super().__init__(np.dtype(np.float64))
        self.program, self.kept, self.device_counts, self.per_array = (
            program,
            compute,
            device_counts,
            per_array,
        )
        self.rule = identifier(program.name).lower()
        self.lines: list[str] = []
        self.totals: dict[ReductionKey, str] = {}
        self.numbers: dict[str, str] = {}

    def scalars(self, kernel: Kernel) -> ScalarSource:
        results = _results(kernel)
        given = self._made_of(results)
        self._keep(kernel, results)
        inputs = [
            ScalarArgument("raw int32 own", np.dtype(np.int32), "indices"),
            ScalarArgument("raw uint8 active", np.dtype(np.uint8), "active"),
            *self._inputs(len(given)),
            *self._numbers(),
        ]
        outputs = [
            ScalarArgument("raw int64 counts", np.dtype(np.int64), "counts"),
            _RECORD,
            ScalarArgument(f"raw {self.kept.name} k", self.kept, "scalars"),
        ]
        source = self._source(inputs, outputs, f"gpuopt_{self.rule}_scalars_{self.kept.name}")
        return ScalarSource(
            source, (*inputs, *outputs), compile_host(tuple(given)), len(given), len(results)
        )

    def count(self) -> ScalarSource:
        adapted, inputs = self.program.shared, list[ScalarArgument]()
        if adapted:
            self._made_of(list(adapted.values()))
            self.lines += [
                f"{self._number(name)}[0] = (float)({self.value(expr, 'call')});"
                for name, expr in adapted.items()
            ]
            self.lines = [
                f"if (steps[{StepRecord.ANY_GRADIENT:d}] != 0) {{",
                *(f"  {line}" for line in self.lines),
                "}",
            ]
            inputs = self._inputs(0)
        completed, accepted, gradient = (f"steps[{offset:d}]" for offset in StepRecord)
        self.lines += [
            f"if ({accepted} != 0) {completed} = {completed} + 1;",
            f"{accepted} = 0;",
            f"{gradient} = 0;",
        ]
        outputs = [_RECORD, *self._numbers()]
        source = self._source(
            inputs, outputs, f"gpuopt_{self.rule}_count" if adapted else "gpuopt_count"
        )
        return ScalarSource(source, (*inputs, *outputs), compile_host(()), 0, 0)

    def _source(
        self, inputs: list[ScalarArgument], outputs: list[ScalarArgument], name: str
    ) -> KernelSource:
        """The lines as a kernel with these arguments."""
        declared, written = (
            [(a.declared, a.dtype) for a in arguments] for arguments in (inputs, outputs)
        )
        return KernelSource.of(declared, written, self.lines, name)

    def _made_of(self, results: list[Expr]) -> list[Expr]:
        """Lines for what `results` are made of; what of it the host gives."""
        device = _device_values(results, self.device_counts)
        needed = dict.fromkeys(arg for expr in device if not expr.reduces for arg in expr.args)
        given = [
            e for e in dict.fromkeys([*needed, *results]) if e not in device and e.op != "constant"
        ]
        for number, expr in enumerate(given):
            self.names[expr] = f"h[i * {len(given)} + {number}]" if self.per_array else f"h{number}"
        for expr in device:
            self._value(expr)
        return given

    def _inputs(self, given: int) -> list[ScalarArgument]:
        """How many arrays there are, so many numbers of the host, hyperparameters, and totals."""
        wide = np.dtype(np.float64)
        inputs = [_ARRAYS]
        if self.per_array:
            inputs.append(ScalarArgument("raw float64 h", wide, "given", 0))
        else:
            inputs += [ScalarArgument(f"float64 h{n}", None, "given", n) for n in range(given)]
        if self.device_counts:
            inputs.append(ScalarArgument("raw float64 hyper", wide, "hyper"))
        for key, name in self.totals.items():
            inputs.append(ScalarArgument(f"raw float64 {name}", wide, "total", key))
            inputs.append(
                ScalarArgument(f"raw uint8 {name}_of", np.dtype(np.uint8), "total_of", key)
            )
        return inputs

    def _numbers(self) -> list[ScalarArgument]:
        """The numbers of the whole optimizer that are read or written."""
        real = np.dtype(np.float32)
        return [
            ScalarArgument(f"raw float32 {name}", real, "number", key)
            for key, name in self.numbers.items()
        ]

    def _number(self, key: str) -> str:
        """The parameter of a number of the whole optimizer."""
        return self.numbers.setdefault(key, f"n{len(self.numbers)}")

    def _value(self, expr: Expr) -> None:
        """A line for a value that is made on the device."""
        name = f"x{expr.index}"
        if expr.reduces or expr.op == "size":
            self._total(expr, name)
        elif expr.op == "step":
            self.lines.append(f"const double {name} = (double)(counts[i] + 1);")
        elif expr.op == "completed":
            self.lines.append(f"const double {name} = (double)steps[{StepRecord.COMPLETED:d}];")
        elif expr.op == "hyper":
            self.lines.append(
                f"const double {name} = hyper[{self.program.hyper.index(expr.value)}];  // "
                f"{expr.value}"
            )
        elif expr.op == "number":
            self.lines.append(
                f"const double {name} = (double){self._number(expr.value)}[0];  // {expr.value}"
            )
        else:
            kind = "bool" if expr.boolean else "double"
            self.lines.append(
                f"const {kind} {name} = {self.formula(expr)};  // {format_expr(expr)}"
            )
        self.names[expr] = name

    def _total(self, expr: Expr, name: str) -> None:
        """A total of the array, or of all arrays that have a gradient, added in their order."""
        op, row = expr.op, self.totals.setdefault(expr.value, f"total_{len(self.totals)}")
        if expr.value.scope == "array":
            self.lines.append(f"const double {name} = {row}[own[i]];")
            return
        each = REDUCTIONS[op].op.cuda.format(name, f"{row}[n]", T=self.real)
        self.lines.append(
            f"double {name} = {self.literal(REDUCTIONS[op].nothing)};  // {format_expr(expr)}, of "
            "all"
        )
        self.lines.append(
            f"for (long long n = 0; n < arrays; ++n) {{ if ({row}_of[n]) {name} = {each}; }}"
        )

    def _keep(self, kernel: Kernel, results: list[Expr]) -> None:
        """Keep what was made, and count the step of each array."""
        kind = "float" if self.kept.name == "float32" else "double"
        values = [self.value(expr, "call") for expr in results]
        if kernel.accept is not None:
            self.lines.append(
                f"const bool accepted = active[own[i]] && {self.value(kernel.accept, 'and')};"
            )
            self.lines.append(f"if (active[own[i]]) steps[{StepRecord.ANY_GRADIENT:d}] = 1;")
            self.lines += [
                "if (accepted) {",
                "  counts[i] = counts[i] + 1;",
                f"  steps[{StepRecord.ACCEPTED:d}] = 1;",
                "}",
            ]
            values[0] = "accepted"
        self.lines += [
            f"k[i * {len(values)} + {number}] = ({kind})({value});"
            for number, value in enumerate(values)
        ]
