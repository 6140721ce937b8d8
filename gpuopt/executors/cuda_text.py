"""From a `Trace` to the text of a CUDA elementwise kernel; needs neither CuPy nor a GPU.

Every operand is loaded first and every result stored last, so that all loads are in flight together. Arithmetic is in the
compute dtype, scalars included. Names carry endings (``g_in``, ``p_io``, ``m_old``, ``m_new``, ``lr_h``), so a rule's own
names never meet those of C++ or CuPy.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import numpy as np

from gpuopt.dtypes import COMPUTE, state_dtype
from gpuopt.graph import INFIX, Expr, text
from gpuopt.trace import Trace, components

__all__ = ["OPTIONS", "KernelText", "kernel_text"]

OPTIONS = ("--fmad=false",)
"""No contraction of a product and a sum, which would give other bits than a CPU's."""

PREAMBLE = """
// NaN propagates, and of two zeros the second is taken, as NumPy does on a CPU.
template <typename T> __device__ __forceinline__ T largest(T a, T b) { return a > b || a != a ? a : b; }
template <typename T> __device__ __forceinline__ T smallest(T a, T b) { return a < b || a != a ? a : b; }
template <typename T> __device__ __forceinline__ T signum(T a) {
  return a > T(0) ? T(1) : a < T(0) ? T(-1) : a == T(0) ? T(0) : a;
}
"""

_INFIX = INFIX | {"logical_and": "&&", "logical_or": "||"}
_CALLS = {"maximum": "largest", "minimum": "smallest", "sign": "signum"}
_PREFIX = {"negative": "-", "logical_not": "!"}
_CHOICES = ("where", "choose")


@dataclasses.dataclass(frozen=True)
class KernelText:
    """What ``cupy.ElementwiseKernel`` is made from, and the arrays to call it with.

    Attributes
    ----------
    inputs, outputs, body, name : str
        The arguments of ``ElementwiseKernel``; among the inputs are the trace's scalars, in order.
    reads_gradient : bool
        Whether the gradient is the first input.
    arrays : tuple of str
        ``"p"`` and the states, in the order of the outputs.
    dtypes : tuple of dtype or None
        Of each argument, inputs first; None for a scalar.
    """

    inputs: str
    outputs: str
    body: str
    name: str
    reads_gradient: bool
    arrays: tuple[str, ...]
    dtypes: tuple[np.dtype[Any] | None, ...]

    def python(self) -> str:
        """The Python expression that makes the kernel."""
        body = "\n".join(f"    {line}" for line in self.body.splitlines())
        arguments = [f'"{self.inputs}"', f'"{self.outputs}"', f'"""\n{body}\n    """', f'"{self.name}"', f"options={OPTIONS!r}"]
        return "cupy.ElementwiseKernel(\n    " + ",\n    ".join(arguments) + ",\n)"


@functools.lru_cache(maxsize=512)
def kernel_text(trace: Trace, p: np.dtype[Any], g: np.dtype[Any]) -> KernelText:
    """The kernel of `trace` for parameters of dtype `p` and gradients of dtype `g`."""
    return _Writer(trace, p, g).result()


class _Writer:
    def __init__(self, trace: Trace, p: np.dtype[Any], g: np.dtype[Any]) -> None:
        self.trace, self.compute = trace, COMPUTE[p.name]
        self.real = {"float32": "float", "float64": "double"}[self.compute.name]
        self.dtypes = {"p": p, "g": g} | {s.name: state_dtype(self.compute, s.complex) for s in trace.states}
        uses = [arg for op in trace.ops for arg in op.args] + [e for parts in trace.stores.values() for e in parts]
        self.uses = {expr: uses.count(expr) for expr in dict.fromkeys(uses)}
        self.names: dict[Expr, str] = {}
        self.lines: list[str] = []

    def result(self) -> KernelText:
        trace = self.trace
        for number, scalar in enumerate(trace.scalars):
            self.names[scalar] = f"{_ascii(scalar.value)}_h" if scalar.op == "hyper" else f"c{number}"
        comments = [f"// {self.names[s]} = {text(s)}" for s in trace.scalars if s.op != "hyper"]
        read = list(dict.fromkeys(component.partition(".")[0] for component in trace.loads))
        for array in read:
            self._load(array)
        self._compute()
        for array, parts in trace.stores.items():
            self._store(array, parts)
        gradient = [f"{self.dtypes['g'].name} g_in"] if "g" in read else []
        scalars = [f"{self.compute.name} {self.names[s]}" for s in trace.scalars]
        arrays = ("p", *(s.name for s in trace.states))
        outputs = [f"{self.dtypes[array].name} {_ascii(array)}_io" for array in arrays]
        name = f"gpuopt_{_ascii(trace.name).lower()}_{self.dtypes['p'].name}"
        body = "\n".join([*comments, *self.lines])
        dtypes = (*[self.dtypes["g"]] * len(gradient), *[None] * len(scalars), *(self.dtypes[array] for array in arrays))
        return KernelText(", ".join(gradient + scalars), ", ".join(outputs), body, name, bool(gradient), arrays, dtypes)

    def _load(self, array: str) -> None:
        source = f"{_ascii(array)}_{'in' if array == 'g' else 'io'}"
        whole = self.trace.is_complex(array)
        for component, part in zip(components(array, whole), ("real", "imag"), strict=False):
            if component in self.trace.loads:
                value = f"{source}.{part}()" if whole else source
                if self.dtypes[array].name != self.compute.name and not whole:
                    value = f"({self.real}){value}"
                self.lines.append(f"const {self.real} {_component(component, 'old')} = {value};")

    def _compute(self) -> None:
        """A line for each value that is used twice or stored; the others are written where they are used."""
        stored = {e: _component(c, "new") for a, parts in self.trace.stores.items() for c, e in self._pairs(a, parts)}
        for op in self.trace.ops:
            if op in stored or self.uses[op] > 1:
                value = self._formula(op)
                self.names[op] = stored.get(op, f"x{op.index}")
                self.lines.append(f"const {'bool' if op.boolean else self.real} {self.names[op]} = {value};")

    def _pairs(self, array: str, parts: tuple[Expr, ...]) -> list[tuple[str, Expr]]:
        return list(zip(components(array, len(parts) == 2), parts, strict=True))

    def _store(self, array: str, parts: tuple[Expr, ...]) -> None:
        dtype = self.dtypes[array]
        values = [self._value(part) for part in parts]
        if len(values) == 2:
            value = f"complex<{self.real}>({values[0]}, {values[1]})"
        else:
            value = values[0] if dtype == self.compute else f"{dtype.name}({values[0]})"
        self.lines.append(f"{_ascii(array)}_io = {value};")

    def _value(self, expr: Expr, inside: str = "") -> str:
        """How `expr` is written as an operand of the operation `inside`, in brackets where they are needed."""
        if expr in self.names:
            return self.names[expr]
        if expr.op == "input":
            return _component(expr.value, "old")
        if expr.op == "constant":
            return self._literal(expr.value)
        product = expr.op in ("multiply", "divide") and inside in ("add", "subtract")
        plain = product or inside == "call" or not (expr.op in _INFIX or expr.op in _PREFIX or expr.op in _CHOICES)
        return self._formula(expr) if plain else f"({self._formula(expr)})"

    def _formula(self, op: Expr) -> str:
        call = op.op not in _INFIX and op.op not in _PREFIX and op.op not in _CHOICES
        args = [self._value(arg, "call" if call else op.op) for arg in op.args]
        if op.op in _INFIX:
            return f" {_INFIX[op.op]} ".join(args)
        if op.op in _PREFIX:
            return f"{_PREFIX[op.op]}{args[0]}"
        if op.op in _CHOICES:
            condition = args[0] if op.op == "where" else f"{args[0]} != 0"
            return f"{condition} ? {args[1]} : {args[2]}"
        if op.op in _CALLS:
            return f"{_CALLS[op.op]}<{self.real}>({', '.join(args)})"
        name = "fabs" if op.op == "absolute" else op.op
        return f"{name}{'f' if self.real == 'float' else ''}({args[0]})"

    def _literal(self, value: float) -> str:
        with np.errstate(over="ignore"):
            value = float(self.compute.type(value))
        if math.isnan(value):
            return f"({self.real})(0.0 / 0.0)"
        if math.isinf(value):
            return f"({self.real})({'-' if value < 0 else ''}1.0 / 0.0)"
        written = f"{value!r}{'f' if self.real == 'float' else ''}"
        return f"({written})" if math.copysign(1.0, value) < 0 else written


def _component(component: str, age: str) -> str:
    """The name of an array's old or new component: ``m_old``, ``z_new_re``; no state's name can end like that."""
    array, dot, part = component.partition(".")
    return f"{_ascii(array)}_{age}{'_' if dot else ''}{part}"


def _ascii(name: str) -> str:
    """A name of Python as one of C++: β becomes u3b2."""
    return "".join(c if c.isascii() else f"u{ord(c):x}" for c in name.replace(".", "_"))
