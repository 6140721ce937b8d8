"""Values as formulas for a reader: `format_expr`; and texts in a notebook."""

from __future__ import annotations

import html

from gpuopt.tracing.expr import Expr
from gpuopt.tracing.ops import OPS

__all__ = ["READABLE", "Printed", "format_expr"]

READABLE = 30
"""How many operations and leaves a formula may have that is written inside another one."""


class Printed:
    """What a notebook shows as its text, with all spaces."""

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def format_expr(expr: Expr, nested: bool = False, readable: int = READABLE) -> str:
    """Write the formula of `expr` for a reader.

    A value of more than `readable` operations and leaves is called by its name, ``x12``, as the
    generated code calls it: formulas share values, and written out they double with each line.
    """
    if not expr.args:
        return _format_leaf(expr)
    op = OPS.get(expr.op)
    infix = op is not None and op.infix
    args = [
        f"x{arg.index}" if arg.args and arg.size > readable else format_expr(arg, infix, readable)
        for arg in expr.args
    ]
    written = op.text.format(*args) if op is not None else f"{expr.op}({', '.join(args)})"
    return f"({written})" if nested and infix else written


def _format_leaf(expr: Expr) -> str:
    if expr.op == "constant":
        return f"{expr.value:g}" if float(f"{expr.value:g}") == expr.value else repr(expr.value)
    if expr.op == "size":
        return str(expr.value.name)
    return expr.op if expr.op == "loss" else str(expr.value)
