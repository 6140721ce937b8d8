"""From expressions to C++: names, literals and formulas, in a floating-point type."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import numpy as np

from gpuopt.tracing.expr import Expr
from gpuopt.tracing.operands import Operand
from gpuopt.tracing.ops import OPS

__all__ = ["TYPES", "CudaPrinter", "identifier"]

TYPES = {
    "bool": "bool",
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
    "int64": "long long",
    "uint8": "unsigned char",
    "uint16": "unsigned short",
    "uint32": "unsigned",
    "uint64": "unsigned long long",
    "float16": "float16",
    "bfloat16": "bfloat16",
    "float32": "float",
    "float64": "double",
    "complex64": "complex<float>",
    "complex128": "complex<double>",
}
"""The types of elements."""


class CudaPrinter:
    """Writes expressions in C++, in a floating-point type; `names` are those that have a name
    already.
    """

    def __init__(self, compute: np.dtype[Any]) -> None:
        self.compute, self.real = compute, {"float32": "float", "float64": "double"}[compute.name]
        self.names: dict[Expr, str] = {}
        self._unique: dict[tuple[str, Hashable], str] = {}

    def unique(self, key: Expr | Operand, name: str) -> str:
        """An identifier that stands for `key`, made of `name`: another one than those of its
        kind.
        """
        kind = type(key).__name__
        if (kind, key) not in self._unique:
            taken = {own for (other, _), own in self._unique.items() if other == kind}
            found = identifier(name)
            while found in taken:
                found += "_"
            self._unique[kind, key] = found
        return self._unique[kind, key]

    def array(self, array: Operand) -> str:
        """The beginning of all names that have to do with an array."""
        prefix = {"hyper": "hyper_", "random": "uniform_", "made": "made_"}.get(array.kind, "")
        return self.unique(array, prefix + array.name)

    def operand(self, operand: Operand, age: str) -> str:
        """The name of an old or new operand: ``m_old``, ``z_new_re``; no array's name can end like
        that.
        """
        return f"{self.array(operand.array)}_{age}{operand.component and '_'}{operand.component}"

    def value(self, expr: Expr, inside: str = "") -> str:
        """How `expr` is written as an operand of the operation `inside`, in brackets where they are
        needed.
        """
        if expr in self.names:
            return self.names[expr]
        if expr.op == "input":
            return self.operand(expr.value, "old")
        if expr.op == "constant":
            return self.literal(expr.value)
        product = expr.op in ("multiply", "divide") and inside in ("add", "subtract")
        plain = product or inside == "call" or OPS[expr.op].call
        return self.formula(expr) if plain else f"({self.formula(expr)})"

    def formula(self, expr: Expr) -> str:
        """Write the operation of `expr`, whose arguments may have names."""
        op = OPS[expr.op]
        args = (self.value(arg, "call" if op.call else op.name) for arg in expr.args)
        return op.cuda.format(*args, T=self.real, f="f" if self.real == "float" else "")

    def literal(self, value: float) -> str:
        with np.errstate(over="ignore"):
            value = float(self.compute.type(value))
        if math.isnan(value):
            return f"({self.real})(0.0 / 0.0)"
        if math.isinf(value):
            return f"({self.real})({'-' if value < 0 else ''}1.0 / 0.0)"
        written = f"{value!r}{'f' if self.real == 'float' else ''}"
        return f"({written})" if math.copysign(1.0, value) < 0 else written


def identifier(name: str) -> str:
    """A name of Python, or of several with dots between, as one of C++: β becomes u3b2."""
    plain = name.replace(".", "__")
    return "".join(
        c if c.isascii() and (c.isalnum() or c == "_") else f"u{ord(c):x}" for c in plain
    )
