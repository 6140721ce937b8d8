"""Scalar code on the host: what a program computes once a step, as a Python function in float64."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gpuopt.tracing.expr import Expr, ReductionKey, format_expr, reachable
from gpuopt.tracing.ops import OPS, REDUCTIONS, Op

__all__ = ["Evaluate", "compile_host"]

Evaluate = Callable[..., tuple[float, ...]]
"""``(t, hyper, totals)`` to numbers: from the step, the hyperparameters and the results of reductions."""


@functools.lru_cache(maxsize=1024)
def compile_host(scalars: tuple[Expr, ...]) -> Evaluate:
    """The host code: a Python function from the step, the hyperparameters and the results of reductions to the scalars."""
    order = sorted(set(reachable(scalars, within=lambda expr: not expr.reduces)), key=lambda expr: expr.index)
    order = [expr for expr in order if expr.host]
    lines = [f"    x{e.index} = {_host_code(e)}  # {format_expr(e)}" for e in order]
    source = "\n".join(
        ["def evaluate(t, hyper, totals=None):", *lines, f"    return ({''.join(f'x{e.index}, ' for e in scalars)})"]
    )
    called = [OPS[e.op] for e in order if e.op in OPS and callable(OPS[e.op].host)]
    scope: dict[str, Any] = {op.name: _function(op) for op in called} | {"ReductionKey": ReductionKey}
    exec(source, scope)  # the text is made above from a fixed set of operations
    return scope["evaluate"]  # type: ignore[no-any-return]


def _host_code(expr: Expr) -> str:
    args = [f"x{arg.index}" for arg in expr.args]
    if expr.op in _LEAVES:
        return _LEAVES[expr.op](expr.value)
    host = OPS[expr.op].host
    return host.format(*args) if isinstance(host, str) else f"{expr.op}({', '.join(args)})"


@functools.cache
def _function(op: Op) -> Callable[..., float]:
    """An operation's function, or IEEE's answer where it raises: both arms of a where are computed, even log(-1)."""
    fast: Any = op.host
    general = getattr(np, op.name)

    def quiet(*args: float) -> float:
        try:
            return fast(*args)  # type: ignore[no-any-return]
        except (ValueError, OverflowError, ZeroDivisionError):
            with np.errstate(all="ignore"):
                return float(general(*map(np.float64, args)))

    return quiet


_LEAVES: dict[str, Callable[[Any], str]] = {
    "constant": lambda value: repr(value) if math.isfinite(value) else f"float('{value}')",
    **dict.fromkeys(["hyper", "number"], lambda name: f"hyper[{name!r}]"),
    "step": lambda _: "float(t)",
    **dict.fromkeys(["size", *REDUCTIONS], lambda total: f"totals[{total!r}]"),
}
