"""How long NumPy's calls take: what threads are chosen by, and whether complex numbers are taken in
pairs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from gpuopt.codegen.wide import TILE
from gpuopt.tracing.expr import Expr
from gpuopt.tracing.ops import LOGICAL, OPS, STOCHASTIC
from gpuopt.tracing.program import Kernel

__all__ = ["NARROW", "nanoseconds", "work"]

_COST = {
    **dict.fromkeys(LOGICAL, 0.03),
    "multiply": 0.07,
    "divide": 0.12,
    **dict.fromkeys(("maximum", "minimum"), 0.15),
    "sqrt": 0.35,
    "sign": 0.6,
    "where": 1.0,
    **{op.name: 3.0 for op in OPS.values() if not op.exact},
    **dict.fromkeys(TILE, 1.5),
    "two_to": 0.4,
    **dict.fromkeys(STOCHASTIC, 3.0),
}
"""Nanoseconds an element, on one thread of an EPYC (Zen 4, AVX-512) with NumPy 2.4.6, in tiles of
131,072 float32. They are rounded: what they decide needs no more.
"""
_OTHERS = 0.1
_STRIDED = 0.3
"""What each second element of an array costs, read or written, beside all of them."""
_NOISE, _FOLD = 20.0, 0.2
"""The same of a random number, and of a value that is reduced."""
NARROW = 2.0
"""The same of a number of 16 bits, read or written."""


def nanoseconds(ops: Iterable[Expr], pairs: Collection[Expr]) -> float:
    """Add up what the steps cost an element; `pairs` are two numbers each."""
    total = 0.0
    for op in ops:
        strided = 2 if op.op == "join" else sum(arg.op == "view" for arg in op.args)
        total += _STRIDED * strided
        total += _COST.get(op.op, _OTHERS) * (2 if op in pairs else 1)
    return total


def work(kernel: Kernel, ops: Iterable[Expr], pairs: Collection[Expr]) -> float:
    """Add up what a kernel costs an element, with what is done before and after its steps."""
    extra = _NOISE * len(kernel.random) + _FOLD * len(kernel.reductions)
    return nanoseconds(ops, pairs) + extra
