"""From the scalar code of a `Trace` to the text of a CUDA kernel, for what depends on reductions and so stays on the device.

One thread an array computes, in float64, what the trace takes as scalars. What depends on no reduction is computed on the host
as ever, and comes in as arguments; but where the device counts the steps, it computes everything, so that no argument changes
from step to step.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from gpuopt.executors.cuda_text import Formulas, KernelText
from gpuopt.expr import NOTHING, Expr, Total, reachable, text
from gpuopt.host_code import Evaluate, compiled
from gpuopt.trace import Trace

__all__ = ["COUNT", "ScalarText", "needs_scalars", "scalar_text"]

COUNT = KernelText.of(
    [],
    [("raw int64 steps", np.dtype(np.int64))],
    ["if (steps[1] != 0) steps[0] = steps[0] + 1;", "steps[1] = 0;"],
    "gpuopt_count",
)
"""Counts the step if any array's was accepted; it comes last, so that all the others see the same count."""


@dataclasses.dataclass(frozen=True, eq=False)
class ScalarText:
    """The kernel, and what to call it with.

    Attributes
    ----------
    kernel : KernelText
    given : callable
        What the host gives: numbers, from the count, the hyperparameters and None.
    totals : tuple of Total
        The rows of the table of totals that are read, in the order of the arguments; each with which arrays it is of.
    width : int
        How many numbers there are for each array: whether the step is accepted, if that is asked, and the scalars.
    """

    kernel: KernelText
    given: Evaluate
    totals: tuple[Total, ...]
    width: int


def _device_values(trace: Trace, counted: bool) -> list[Expr]:
    """What of a trace's scalars depends on reductions; where the device has `counted` the steps, all but constants."""
    ends = [*trace.scalars, *([] if trace.accept is None else [trace.accept])]
    found: dict[Expr, bool] = {}
    for expr in sorted(set(reachable(ends, within=lambda e: not e.reduces)), key=lambda e: e.index):
        own = expr.reduces or expr.op == "size" or (counted and expr.op != "constant")
        found[expr] = expr.host and (own or (not expr.reduces and any(found[arg] for arg in expr.args)))
    return [expr for expr, device in found.items() if device]


@functools.lru_cache(maxsize=512)
def needs_scalars(trace: Trace, counted: bool) -> bool:
    """Whether the scalars of a trace are made on the device; those of an update also where it may not be made."""
    return bool(_device_values(trace, counted)) or trace.accept is not None


@functools.lru_cache(maxsize=512)
def scalar_text(trace: Trace, compute: np.dtype[Any], counted: bool) -> ScalarText:
    """The kernel for the scalars of `trace`, kept in the dtype computed in.

    It takes: the index of each array of the group, which arrays have a gradient, how many there are; numbers of the host or,
    with `counted`, the hyperparameters in an array; rows of totals, and of which arrays each is; the counts; how many steps
    were completed, and whether this one is accepted; and room for the numbers made. With `counted`, the count of an array
    whose step is accepted grows by one.
    """
    return _ScalarWriter(trace, compute, counted).result()


class _ScalarWriter(Formulas):
    def __init__(self, trace: Trace, compute: np.dtype[Any], counted: bool) -> None:
        super().__init__(np.dtype(np.float64))
        self.trace, self.kept, self.counted = trace, compute, counted
        self.lines: list[str] = []
        self.totals: dict[Total, str] = {}

    def result(self) -> ScalarText:
        trace, device = self.trace, _device_values(self.trace, self.counted)
        results = [*([] if trace.accept is None else [trace.accept]), *trace.scalars]
        needed = dict.fromkeys(arg for expr in device if not expr.reduces for arg in expr.args)
        given = [e for e in dict.fromkeys([*needed, *results]) if e not in device and e.op != "constant"]
        for number, expr in enumerate(given):
            self.names[expr] = f"h{number}"
        for expr in device:
            self._value(expr)
        self._results(results)
        inputs: list[tuple[str, Any]] = [("raw int32 own", np.dtype(np.int32)), ("raw uint8 active", np.dtype(np.uint8))]
        inputs += [("int64 arrays", None), *((f"float64 h{n}", None) for n in range(len(given)))]
        inputs += [("raw float64 hyper", np.dtype(np.float64))] * self.counted
        for name in self.totals.values():
            inputs += [(f"raw float64 {name}", np.dtype(np.float64)), (f"raw uint8 {name}_of", np.dtype(np.uint8))]
        outputs: list[tuple[str, Any]] = [(f"raw int64 {name}", np.dtype(np.int64)) for name in ("counts", "steps")]
        outputs.append((f"raw {self.kept.name} k", self.kept))
        name = f"gpuopt_{self.trace.name.lower()}_scalars_{self.kept.name}"
        kernel = KernelText.of(inputs, outputs, self.lines, name)
        return ScalarText(kernel, compiled(tuple(given)), tuple(self.totals), len(results))

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
            self.lines.append(f"const double {name} = hyper[{self.trace.hyper.index(expr.value)}];  // {expr.value}")
        else:
            kind = "bool" if expr.boolean else "double"
            self.lines.append(f"const {kind} {name} = {self.formula(expr)};  // {text(expr)}")
        self.names[expr] = name

    def _total(self, expr: Expr, name: str) -> None:
        """A total of the array, or of all arrays that have a gradient, added in their order."""
        op, row = expr.op, self.totals.setdefault(expr.value, f"total_{len(self.totals)}")
        if expr.value.over == "array":
            self.lines.append(f"const double {name} = {row}[own[i]];")
            return
        add = "largest<double>({0}, {1})" if op == "max" else "{0} + {1}"
        each = add.format(name, f"{row}[n]")
        self.lines.append(f"double {name} = {self.literal(NOTHING[op])};  // {text(expr)}, of all")
        self.lines.append(f"for (long long n = 0; n < arrays; ++n) {{ if ({row}_of[n]) {name} = {each}; }}")

    def _results(self, results: list[Expr]) -> None:
        """Keep what was made, and count the step."""
        kind = "float" if self.kept.name == "float32" else "double"
        values = [self.value(expr, "call") for expr in results]
        if self.trace.accept is not None:
            values[0] = "accepted"
            self.lines.append(f"const bool accepted = active[own[i]] && {self.value(self.trace.accept, 'and')};")
            self.lines += ["if (accepted) {", "  counts[i] = counts[i] + 1;", "  steps[1] = 1;", "}"]
        self.lines += [f"k[i * {len(values)} + {number}] = ({kind})({value});" for number, value in enumerate(values)]
