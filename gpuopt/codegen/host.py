"""Scalar code on the host: what a program computes once a step, as a Python function in float64."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from gpuopt.tracing.expr import INFIX, REDUCTIONS, Expr, ReductionKey, format_expr, reachable

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
    scope: dict[str, Any] = {**_HOST, "ReductionKey": ReductionKey}
    exec(source, scope)  # the text is made above from a fixed set of operations
    return scope["evaluate"]  # type: ignore[no-any-return]


def _host_code(expr: Expr) -> str:
    args = [f"x{arg.index}" for arg in expr.args]
    if expr.op in _LEAVES:
        return _LEAVES[expr.op](expr.value)
    if expr.op == "where":
        return f"{args[1]} if {args[0]} else {args[2]}"
    if expr.op in _OPERATORS:
        return f" {_OPERATORS[expr.op]} ".join(args) if len(args) > 1 else f"{_OPERATORS[expr.op]}{args[0]}"
    return f"{expr.op}({', '.join(args)})"


def _quiet(fast: Callable[..., float], general: Callable[..., Any]) -> Callable[..., float]:
    """`fast`, or IEEE's answer where it raises: both arms of a where are evaluated, so 1/0 and log(-1) are no errors."""

    def quiet(*args: float) -> float:
        try:
            return fast(*args)
        except (ValueError, OverflowError, ZeroDivisionError):
            with np.errstate(all="ignore"):
                return float(general(*map(np.float64, args)))

    return quiet


def _sign(x: float) -> float:
    return x if x != x else float((x > 0) - (x < 0))


def _numpy(name: str) -> Callable[..., float]:
    function = getattr(np, name)
    return lambda x: float(function(x))


_OPERATORS = {op: sign for op, sign in INFIX.items() if op != "divide"}  # Python's / raises where IEEE's does not
_OPERATORS |= {"negative": "-", "logical_and": "and", "logical_or": "or", "logical_not": "not "}
_LEAVES: dict[str, Callable[[Any], str]] = {
    "constant": lambda value: repr(value) if math.isfinite(value) else f"float('{value}')",
    **dict.fromkeys(["hyper", "number"], lambda name: f"hyper[{name!r}]"),
    "step": lambda _: "float(t)",
    **dict.fromkeys(["size", *REDUCTIONS], lambda total: f"totals[{total!r}]"),
}
_HOST: dict[str, Callable[..., float]] = {
    **{
        name: _quiet(getattr(math, name), getattr(np, name))
        for name in ("sqrt", "exp", "expm1", "log", "log1p", "tanh", "sin", "cos")
    },
    "floor": _numpy("floor"),
    "ceil": _numpy("ceil"),
    "power": _quiet(math.pow, np.power),
    "divide": _quiet(operator.truediv, np.divide),
    "absolute": abs,
    "maximum": lambda a, b: a if a > b or a != a else b,
    "minimum": lambda a, b: a if a < b or a != a else b,
    "sign": _sign,
}
