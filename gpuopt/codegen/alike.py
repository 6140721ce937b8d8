"""Whether the real and the imaginary part of complex arrays are computed alike, and from what."""

from __future__ import annotations

from gpuopt.codegen.tile import changes
from gpuopt.tracing.expr import Expr
from gpuopt.tracing.program import Kernel

__all__ = ["between"]


def between(kernel: Kernel) -> list[Expr] | None:
    """The values of an element that both parts of complex arrays are computed from, in order.

    Complex Adam divides both parts by one root. Without such values each part is a number by
    itself. None if the parts are not computed alike, or no complex array changes.
    """
    new = changes(kernel)
    waiting = [
        (expr, new.get(operand._replace(component="im")))
        for operand, expr in new.items()
        if operand.component == "re"
    ]
    twins, values = dict[Expr, Expr | None](), dict[Expr, None]()
    if not waiting:
        return None
    while waiting:
        a, b = waiting.pop()
        if a is b:
            if not a.host:
                values[a] = None
        elif b is None or a.host or a.op != b.op or twins.get(a, b) is not b:
            return None
        elif a.op == "input":
            if a.value.component != "re" or b.value != a.value._replace(component="im"):
                return None
        elif a not in twins:
            waiting += zip(a.args, b.args, strict=True)
        twins[a] = b
    return None if any(value.boolean for value in values) else list(values)
