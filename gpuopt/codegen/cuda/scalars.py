"""From the scalar code of a program to a CUDA kernel: for what depends on reductions, on the
device.

One thread an array computes, in float64, what a kernel takes as scalars. What depends on no
reduction is computed on the host as always, and comes in as arguments. But if the device counts the
steps, it computes everything, so that no argument changes from step to step.
"""

from __future__ import annotations

import functools
from typing import Any, Literal

import numpy as np

from gpuopt.codegen.cuda import tuning
from gpuopt.codegen.cuda.device_values import device_values, results_of
from gpuopt.codegen.cuda.printer import CudaPrinter, identifier
from gpuopt.codegen.cuda.scalar_arguments import ScalarArgument, ScalarSource, StepRecord
from gpuopt.codegen.cuda.source import KernelSource
from gpuopt.codegen.host import compile_host
from gpuopt.tracing.expr import Expr, ReductionKey
from gpuopt.tracing.ops import REDUCTIONS
from gpuopt.tracing.printing import format_expr
from gpuopt.tracing.program import Kernel, UpdateProgram

__all__ = ["count_source", "scalar_source"]


_ARRAYS = ScalarArgument("int64 arrays", None, "arrays")
_RECORD = ScalarArgument("raw int64 steps", np.dtype(np.int64), "record")

_HELD = ("state", "after", "number", "loss")
"""What the device holds: one number for each array, one of a tree of arrays, one of the optimizer.
What that of a tree is ``after`` the step is written beside it.
"""


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
        self.program, self.kept = program, compute
        self.device_counts, self.per_array = device_counts, per_array
        self.rule = identifier(program.name).lower()
        self.lines: list[str] = []
        self.totals: dict[ReductionKey, str] = {}
        self.held: dict[str, dict[Any, str]] = {kind: {} for kind in _HELD}

    def scalars(self, kernel: Kernel) -> ScalarSource:
        results = results_of(kernel)
        ends = (x for s in kernel.scalar_states.values() for x in (s.new, s.acts) if x is not None)
        given = self._made_of([*results, *ends])
        self._keep(kernel, results)
        self._keep_states(kernel)
        inputs = [
            ScalarArgument("raw int32 own", np.dtype(np.int32), "indices"),
            ScalarArgument("raw uint8 active", np.dtype(np.uint8), "active"),
            *self._inputs(len(given)),
            *self._arrays_of("number"),
            *self._arrays_of("loss"),
        ]
        if kernel.scalar_states:
            inputs.append(ScalarArgument("raw uint8 members", np.dtype(np.uint8), "members"))
        outputs = [
            ScalarArgument("raw int64 counts", np.dtype(np.int64), "counts"),
            _RECORD,
            *self._arrays_of("state"),
            *self._arrays_of("after"),
            ScalarArgument(f"raw {self.kept.name} k", self.kept, "scalars"),
        ]
        source = self._source(inputs, outputs, f"gpuopt_{self.rule}_scalars_{self.kept.name}")
        return ScalarSource(
            source, (*inputs, *outputs), compile_host(tuple(given)), len(given), len(results)
        )

    def count(self) -> ScalarSource:
        program, inputs = self.program, list[ScalarArgument]()
        adapted, accepted = program.shared, f"steps[{StepRecord.ACCEPTED:d}]"
        if adapted:
            self._made_of([*adapted.values(), *program.refused.values()])
            new = {name: self.value(expr, "call") for name, expr in adapted.items()}
            old = {name: self.value(expr, "call") for name, expr in program.refused.items()}
            for name in adapted:
                value = f"{accepted} != 0 ? {new[name]} : {old[name]}"
                kept = "float" if name in program.narrow else "double"
                self.lines.append(f"{self._held('number', name)} = ({kept})({value});")
            self.lines = [
                f"if (steps[{StepRecord.ANY_GRADIENT:d}] != 0) {{",
                *(f"  {line}" for line in self.lines),
                "}",
            ]
            inputs = [*self._inputs(0), *self._arrays_of("loss")]
        completed, _, gradient = (f"steps[{offset:d}]" for offset in StepRecord)
        self.lines += [
            f"if ({accepted} != 0) {completed} = {completed} + 1;",
            f"{accepted} = 0;",
            f"{gradient} = 0;",
        ]
        outputs = [_RECORD, *self._arrays_of("number")]
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
        """The lines that compute `results`, and the inputs that the host gives."""
        device = device_values(results, self.device_counts)
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

    def _arrays_of(self, kind: Literal["state", "after", "number", "loss"]) -> list[ScalarArgument]:
        """What of a kind is read or written."""
        held = [(key, name, self._kept(key)) for key, name in self.held[kind].items()]
        return [ScalarArgument(f"raw {kept} {name}", kept, kind, key) for key, name, kept in held]

    def _kept(self, key: Any) -> np.dtype[Any]:
        """The dtype in which the device holds it."""
        return np.dtype(np.float32 if key in self.program.narrow else np.float64)

    def _held(self, kind: str, key: Any) -> str:
        """One of a kind: a state of the array or of its tree, or a number."""
        names = self.held[kind]
        name = names.setdefault(key, f"{kind[0]}{len(names)}")
        return f"{name}[{'own[i]' if kind == 'state' and key.tree is None else '0'}]"

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
            place = self.program.hyper.index(expr.value)
            self.lines.append(f"const double {name} = hyper[{place}];  // {expr.value}")
        elif expr.op in _HELD:
            held = self._held(expr.op, "" if expr.op == "loss" else expr.value)
            self.lines.append(f"const double {name} = {held};  // {format_expr(expr)}")
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
        each = REDUCTIONS[op].op.cuda.format(name, "next", T=self.real)
        nothing = self.literal(REDUCTIONS[op].nothing)
        self.lines += [
            f"double {name} = {nothing};  // {format_expr(expr)}, of all",
            f"#pragma unroll {tuning.LANES_IN_FLIGHT}",
            "for (long long n = 0; n < arrays; ++n) {",
            f"  const double next = {row}[n];",
            f"  {name} = {row}_of[n] ? {each} : {name};",
            "}",
        ]

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

    def _keep_states(self, kernel: Kernel) -> None:
        """Keep the states that are one number, of an array whose step is made and which acts."""
        made = "members[own[i]]" + ("" if kernel.accept is None else " && accepted")
        for key, state in kernel.scalar_states.items():
            acts = "" if state.acts is None else f" && {self.value(state.acts, 'and')}"
            held = self._held("state" if key.tree is None else "after", key)
            self.lines.append(f"if ({made}{acts}) {held} = {self.value(state.new, 'call')};")
