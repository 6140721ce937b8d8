"""Scalar code on the host: what a program computes once a step, as a Python function in float64."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gpuopt.codegen.wide import HOST
from gpuopt.tracing.expr import Expr, differs, reachable
from gpuopt.tracing.ops import OPS, REDUCTIONS, Op

__all__ = ["LOSS", "RAISED", "Evaluate", "compile_host", "compile_rows"]

Evaluate = Callable[..., tuple[float, ...]]
"""``(t, hyper, totals)`` to numbers: from the step, the hyperparameters, and the results of
reductions and the states that are one number, by their keys.
"""


@functools.lru_cache(maxsize=1024)
def compile_host(scalars: tuple[Expr, ...]) -> Evaluate:
    """The host code: from the step, the hyperparameters and the results of reductions to the
    scalars.

    Python's functions raise where IEEE's give an infinity or NaN. Then everything is computed again
    by functions that give those: both arms of a ``where`` are computed, so 1/0 and log(-1) must not
    raise.
    """
    values = _values(scalars)
    guarded = ["    try:", *(f"    {line}" for line in _statements(values, scalars))]
    guarded += ["    except raised:", "        return again()(t, hyper, totals)"]
    again = functools.partial(_compile_quiet, scalars)
    return _function(guarded, values, raised=RAISED, again=again)


@functools.lru_cache(maxsize=512)
def compile_rows(scalars: tuple[Expr, ...]) -> Callable[..., list[tuple[float, ...]]]:
    """The host code for many arrays, whose own totals and states are lists: to a row of scalars for
    each, or one for all if none depends on them.

    It raises one of `RAISED` where IEEE's functions give an infinity or NaN.
    """
    values, own = _values(scalars), dict[Expr, str]()
    for e in values:
        if not (e.args and not e.reduces) and differs([e]):
            own[e] = _host_code(e)
        elif any(arg in own for arg in e.args) and not e.reduces:
            own[e] = ""
    columns = [e for e in own if own[e]]
    lines = [f"    x{e.index} = {_host_code(e)}" for e in values if e not in own]
    names = "".join(f"x{e.index}, " for e in columns)
    each = f"zip({', '.join(own[e] for e in columns)})" if columns else "[()]"
    lines += ["    rows = []", f"    for {names or '()'} in {each}:"]
    lines += [f"        x{e.index} = {_host_code(e)}" for e in own if not own[e]]
    lines += [f"        rows.append(({''.join(f'x{e.index}, ' for e in scalars)}))"]
    return _function([*lines, "    return rows"], values)  # type: ignore[return-value]


@functools.lru_cache(maxsize=64)
def _compile_quiet(scalars: tuple[Expr, ...]) -> Evaluate:
    """The same, of functions that give IEEE's answers."""
    values = _values(scalars)
    quiet = {op.name: _quiet(op) for op in _called(values)}
    return _function(_statements(values, scalars), values, **quiet)


def _function(lines: list[str], values: list[Expr], **others: Any) -> Evaluate:
    """A function of these lines, which were made from a fixed set of operations.

    They compute `values`. Keys of totals have names in its scope, and so have `others`.
    """
    functions: dict[str, Any] = {op.name: op.host for op in _called(values)}
    keys = {f"key{e.index}": e.value for e in values if e.op in _TOTALS}
    scope = {**HOST, **functions, **keys, **others}
    exec("\n".join(["def evaluate(t, hyper, totals=None):", *lines]), scope)
    return scope.pop("evaluate")  # type: ignore[no-any-return] # whose globals the scope is


def _statements(values: list[Expr], scalars: tuple[Expr, ...]) -> list[str]:
    """A line for each value that the scalars depend on, and one that returns them."""
    lines = [f"    x{e.index} = {_host_code(e)}" for e in values]
    return [*lines, f"    return ({''.join(f'x{e.index}, ' for e in scalars)})"]


def _called(values: list[Expr]) -> list[Op]:
    """The operations among them that are functions."""
    found = (OPS[op] for op in dict.fromkeys(e.op for e in values) if op in OPS)
    return [op for op in found if callable(op.host)]


LOSS = "the loss"
"""The key of the loss of the step, among the hyperparameters that code is given."""


def _values(scalars: tuple[Expr, ...]) -> list[Expr]:
    """The host values that the scalars depend on, in order."""
    found = reachable(scalars, within=lambda expr: not expr.reduces)
    return sorted((expr for expr in found if expr.host), key=lambda expr: expr.index)


def _host_code(expr: Expr) -> str:
    args = [f"x{arg.index}" for arg in expr.args]
    if expr.op in _LEAVES:
        return _LEAVES[expr.op](expr.value)
    if expr.op in _TOTALS:
        return f"totals[key{expr.index}]"
    host = OPS[expr.op].host
    return host.format(*args) if isinstance(host, str) else f"{expr.op}({', '.join(args)})"


RAISED = (ValueError, OverflowError, ZeroDivisionError)


@functools.cache
def _quiet(op: Op) -> Callable[..., float]:
    """An operation's function, or IEEE's answer if it raises."""
    fast: Any = op.host
    general = getattr(np, op.name)

    def quiet(*args: float) -> float:
        try:
            return fast(*args)  # type: ignore[no-any-return]
        except RAISED:
            with np.errstate(all="ignore"):
                return float(general(*map(np.float64, args)))

    return quiet


_LEAVES: dict[str, Callable[[Any], str]] = {
    "constant": lambda value: repr(value) if math.isfinite(value) else f"float('{value}')",
    **dict.fromkeys(["hyper", "number"], lambda name: f"hyper[{name!r}]"),
    "loss": lambda _: f"hyper[{LOSS!r}]",
    "step": lambda _: "float(t)",
}
_TOTALS = ("size", "state", *REDUCTIONS)
