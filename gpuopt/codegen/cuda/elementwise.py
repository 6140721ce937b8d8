"""From a `Kernel` to the text of a CUDA elementwise kernel; needs neither CuPy nor a GPU.

Every operand is loaded first and every result stored last, so that all loads are in flight
together. Arithmetic is in the compute dtype, scalars included. Names carry endings (``g_in``,
``p_io``, ``m_old``, ``m_new``, ``lr_h``), so a rule's own names never meet those of C++ or CuPy.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from typing import Any

import numpy as np

from gpuopt.arrays.dtypes import COMPUTE
from gpuopt.arrays.random import sequence_of
from gpuopt.codegen.cuda.printer import CudaPrinter, identifier
from gpuopt.codegen.cuda.source import KernelSource
from gpuopt.tracing.expr import Expr
from gpuopt.tracing.operands import GRAD, PARAM, Operand, state
from gpuopt.tracing.printing import READABLE, format_expr
from gpuopt.tracing.program import Kernel

__all__ = [
    "KernelWriter",
    "Others",
    "kernel_source",
]

_PARTS = {"re": "real", "im": "imag"}
"""The method of a complex number that gives a component."""


_DEEP = 40
"""How many operations may be written inside of each other; compilers and Python limit that."""

Others = tuple[tuple[Operand, np.dtype[Any]], ...]
"""Operands and dtypes of the arrays that stand for hyperparameters."""


@functools.lru_cache(maxsize=512)
def kernel_source(
    kernel: Kernel, p: np.dtype[Any], g: np.dtype[Any], others: Others = (), stored: bool = False
) -> KernelSource:
    """The source of `kernel` for parameters of dtype `p`, gradients of dtype `g` and arrays for
    hyperparameters.

    Where its scalars are `stored`, made by a kernel that ran before, they are read from an array
    and not given as arguments; before them stands whether the step is accepted, if that is asked.
    """
    return KernelWriter(kernel, p, g, others, stored).elementwise()


class KernelWriter(CudaPrinter):
    """Writes the statements of array code: loads, operations, stores."""

    def __init__(
        self, kernel: Kernel, p: np.dtype[Any], g: np.dtype[Any], others: Others, stored: bool
    ) -> None:
        super().__init__(COMPUTE[p.name])
        self.kernel, self.stored = kernel, stored
        self.inputs = {GRAD: g, **dict(others)}
        self.dtypes = {PARAM: p, **self.inputs}
        self.dtypes |= {state(s.name): s.dtype(self.compute) for s in kernel.states}
        results = [*kernel.stores.values(), *(reduction.args[0] for reduction in kernel.reductions)]
        self.uses = Counter([*(arg for op in kernel.ops for arg in op.args), *results])
        self.read = list(dict.fromkeys(op.array for op in kernel.loads if op not in kernel.random))
        self.changed = list(dict.fromkeys(operand.array for operand in kernel.stores))
        self.lines: list[str] = []

    def elementwise(self) -> KernelSource:
        kernel = self.kernel
        scalars, comments = self._scalars(first=kernel.accept is not None)
        self._statements()
        if kernel.accept is not None and self.stored:
            self.lines = ["if (k_in[0] != 0) {", *(f"  {line}" for line in self.lines), "}"]
        reads, arrays = self._arrays()
        inputs = [*map(self._declared, reads), *scalars, *self._seeds()]
        if kernel.random:
            inputs.append(("int32 array_number", None))
        lines, outputs = [*comments, *self.lines], [*map(self._declared, arrays)]
        return KernelSource.of(inputs, outputs, lines, self._name(), reads, arrays)

    def _name(self, ending: str = "") -> str:
        return f"gpuopt_{identifier(self.kernel.name).lower()}{ending}_{self.dtypes[PARAM].name}"

    def _arrays(self) -> tuple[tuple[Operand, ...], tuple[Operand, ...]]:
        """The arrays that are only read; and p, with those states that are read or changed."""
        reads = tuple(array for array in self.read if array in self.inputs)
        states = (state(each.name) for each in self.kernel.states)
        return reads, (PARAM, *(x for x in states if x in self.read or x in self.changed))

    def _statements(self) -> None:
        """The lines that load, compute and store an element."""
        for array in self.read:
            self._load(array)
        self._randomize("i")
        self._compute()
        for array in self.changed:
            self._store(array)

    def _seeds(self) -> list[tuple[str, np.dtype[Any] | None]]:
        """A parameter for each part of a seed, so that the text is the same for every seed."""
        return [(f"uint32 seed{number}", None) for number, _ in enumerate(self.kernel.seeds)]

    def _randomize(self, index: str) -> None:
        """A line for each random number."""
        names, keys = itertools.count(), dict[tuple[Expr, ...], str]()
        for operand, (key, stream) in self.kernel.random.items():
            if key not in keys:
                keys[key] = ", ".join(
                    f"seed{next(names)}"
                    if part.op == "constant"
                    else f"(unsigned){self.value(part, 'call')}"
                    for part in key
                )
            place = ", ".join(map(str, ("array_number", *sequence_of(stream), index)))
            call = f"uniform<{self.real}>({keys[key]}, {place})"
            self.lines.append(f"const {self.real} {self.operand(operand, 'old')} = {call};")

    def _declared(self, array: Operand) -> tuple[str, np.dtype[Any] | None]:
        return f"{self.dtypes[array].name} {self._parameter(array)}", self.dtypes[array]

    def _scalars(
        self, first: int = 0, row: str = ""
    ) -> tuple[list[tuple[str, np.dtype[Any] | None]], list[str]]:
        """Name the scalars; the parameters they come by with their dtypes (None for a number), and
        what they are.

        Of those that are stored, the `first` stand behind others, and there may be a `row` of them
        for each array.
        """
        for number, scalar in enumerate(self.kernel.scalars):
            self.names[scalar] = (
                f"{self.unique(scalar, scalar.value)}_h" if scalar.op == "hyper" else f"c{number}"
            )
        comments = [  # but of formulas that name values which are not here
            f"// {self.names[s]} = {format_expr(s)}"
            for s in self.kernel.scalars
            if s.op != "hyper" and all(arg.size <= READABLE for arg in s.args)
        ]
        kind = self.compute.name
        if not self.stored:
            return [(f"{kind} {self.names[s]}", None) for s in self.kernel.scalars], comments
        for number, scalar in enumerate(self.kernel.scalars, start=first):
            self.lines.append(
                f"const {self.real} {self.names[scalar]} = {self._stored(number, row)};"
            )
        return [(f"raw {kind} k_in", self.compute)], comments

    def _stored(self, number: int, row: str) -> str:
        """Where a stored number is; whether the step is accepted comes before the scalars."""
        width = len(self.kernel.scalars) + (self.kernel.accept is not None)
        return f"k_in[{row} * {width} + {number}]" if row else f"k_in[{number}]"

    def _parameter(self, array: Operand) -> str:
        """The name of the kernel's parameter for an array."""
        return f"{self.array(array)}_{'in' if array in self.inputs else 'io'}"

    def _load(self, array: Operand, element: str = "{}") -> None:
        source = element.format(self._parameter(array))
        for operand in self.kernel.loads:
            if operand.array == array:
                value = f"{source}.{_PARTS[operand.component]}()" if operand.component else source
                if self.dtypes[array].name != self.compute.name and not operand.component:
                    value = f"({self.real}){value}"
                self.lines.append(f"const {self.real} {self.operand(operand, 'old')} = {value};")

    def _compute(self) -> None:
        """A line for each value that is used twice or stored, or deep inside of one; the others are
        written where they are used.
        """
        stored = {
            expr: self.operand(operand, "new") for operand, expr in self.kernel.stores.items()
        }
        depth, numbers = dict[Expr, int](), itertools.count()
        for op in self.kernel.ops:
            depth[op] = 1 + max(depth.get(arg, 0) for arg in op.args)
            if op in stored or self.uses[op] > 1 or depth[op] > _DEEP:
                value, depth[op] = self.formula(op), 0
                self.names[op] = stored.get(op) or f"x{next(numbers)}"
                self.lines.append(
                    f"const {'bool' if op.boolean else self.real} {self.names[op]} = {value};"
                )

    def _store(self, array: Operand, index: str = "") -> None:
        dtype, values = self.dtypes[array], self.new(array)
        if len(values) == 2:
            value = f"complex<{self.real}>({values[0]}, {values[1]})"
        else:
            value = values[0] if dtype == self.compute else f"{dtype.name}({values[0]})"
        asks = "" if index else self.asks(array)
        self.lines.append(f"{asks}{self._parameter(array)}{index} = {value};")

    def new(self, array: Operand) -> list[str]:
        """The new value of an array, or of both parts of a complex one."""
        stores = self.kernel.stores.items()
        return [self.value(expr) for operand, expr in stores if operand.array == array]

    def asks(self, array: Operand) -> str:
        """What a store begins with, if the array changes in some steps alone."""
        asked = self.kernel.only_if.get(array)
        return "" if asked is None else f"if ({self.value(asked)} != 0) "
