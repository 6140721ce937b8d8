"""From a `Kernel` to the text of one loop over flat arrays, whose functions Numba compiles; needs
no Numba itself.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from gpuopt.arrays.random import FIRST, GOLDEN, SECOND
from gpuopt.codegen.order import LANES, REDUCTION_CHUNK
from gpuopt.codegen.tile import changes, constants, places
from gpuopt.codegen.wide import LARGE, NUMBA, TILE
from gpuopt.tracing.expr import Expr
from gpuopt.tracing.operands import PARAM, Operand
from gpuopt.tracing.ops import OPS, REDUCTIONS
from gpuopt.tracing.program import Kernel

__all__ = ["fill_source", "fold_source", "loop_source"]

_HEADER = '''"""A loop that gpuopt generated for one rule."""

import math

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic
def elements(context, address, like):
    """The pointer to elements like those of an array."""
    pointer = types.CPointer(like.dtype)

    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(pointer))

    return pointer(address, like), generate


'''
_ROUNDING = """def stochastic_bfloat16(a, u):
    bits = np.float32(a).view(np.uint32) + np.uint32(np.int32(u * np.float32(65536)))
    return np.uint32(bits & np.uint32(0xFFFF0000)).view(np.float32) if a == a else a


"""
_LOOP = """def loop({arguments}k):
{scalars}
    for i in range({size}):
{body}


def pack({packed}k, addresses, ends):
    start = 0
    for j in range(addresses.size):
        p = numba.carray(elements(addresses[j], k), ends[j] - start)
        loop({sliced}k)
        start = ends[j]
"""
_FOLD = """def chunk({arguments}k, {rows}):
{scalars}
    whole = {size} // {lanes}
    for lane in range(min({size}, {lanes})):
        i = lane
{body}
{first}
    for row in range(1, whole):
        for lane in range({lanes}):
            i = row * {lanes} + lane
{inner}
{again}
    if whole:
        for lane in range({size} - whole * {lanes}):
            i = whole * {lanes} + lane
{inner}
{again}


def fold({arguments}k, {rows}):
    for n in range(r0.shape[0]):
        start, stop = n * {chunk}, min((n + 1) * {chunk}, {size})
        chunk({sliced}k, {row})
"""
_FILL = """def fill(run, start, index):
    scale, half = run.dtype.type({scale}), run.dtype.type({half})
    for i in range(run.size):
        z = start + (index[i] + types.uint64(1)) * types.uint64({golden})
        z = (z ^ (z >> types.uint64(30))) * types.uint64({first})
        z = (z ^ (z >> types.uint64(27))) * types.uint64({second})
        z = z ^ (z >> types.uint64(31))
        run[i] = run.dtype.type(types.{whole}(z >> types.uint64({cut}))) * scale + half
"""


@functools.lru_cache(maxsize=512)
def loop_source(kernel: Kernel) -> str:
    """Write the module with the loop that runs `kernel` on flat arrays, and the one over a pack."""
    arrays = {place.operand: f"a{number}" for number, place in enumerate(places(kernel))}
    names, scalars, body = _statements(kernel, arrays)
    body += [f"{arrays[operand]}[i] = {names[expr]}" for operand, expr in changes(kernel).items()]
    parts = {
        "arguments": "".join(f"{name}, " for name in arrays.values()),
        "size": next((f"{name}.size" for name in arrays.values()), "0"),
        "scalars": "\n".join(scalars),
        "body": "\n".join(f"        {line}" for line in body or ["pass"]),
        "packed": "".join(f"{name}, " for operand, name in arrays.items() if operand != PARAM),
        "sliced": "".join(
            "p, " if operand == PARAM else f"{name}[start : ends[j]], "
            for operand, name in arrays.items()
        ),
    }
    return _header(kernel) + _LOOP.format(**parts)


@functools.lru_cache(maxsize=512)
def fold_source(stage: Kernel) -> str:
    """Write the module with the function that folds a tile, in the order of
    `gpuopt.executors.fold`.
    """
    arrays = {operand: f"a{number}" for number, operand in enumerate(stage.loads)}
    names, scalars, body = _statements(stage, arrays)
    rows = [f"r{number}" for number in range(len(stage.reductions))]
    values = [names[reduction.args[0]] for reduction in stage.reductions]
    adds = [REDUCTIONS[reduction.op].op.numba for reduction in stage.reductions]
    sums = [
        f"{row}[lane] = {add.format(f'{row}[lane]', value)}"
        for row, value, add in zip(rows, values, adds, strict=True)
    ]
    first = [f"{row}[lane] = {value}" for row, value in zip(rows, values, strict=True)]
    parts = {
        "arguments": "".join(f"{name}, " for name in arrays.values()),
        "rows": ", ".join(rows),
        "row": ", ".join(f"{row}[n]" for row in rows),
        "size": "a0.size",
        "scalars": "\n".join(scalars),
        "body": _indented(body, 8),
        "inner": _indented(body, 12),
        "first": _indented(first, 8),
        "again": _indented(sums, 12),
        "sliced": "".join(f"{name}[start:stop], " for name in arrays.values()),
    }
    return _header(stage) + _FOLD.format(**parts, lanes=LANES, chunk=REDUCTION_CHUNK)


def fill_source(dtype: np.dtype[Any]) -> str:
    """Write the module with the function that does what `gpuopt.arrays.random.fill` does, for runs
    of that dtype.
    """
    digits = np.finfo(dtype).nmant
    parts = {
        "golden": GOLDEN,
        "first": FIRST,
        "second": SECOND,
        "cut": 64 - digits,
        "whole": f"int{8 * dtype.itemsize}",
    }
    return _HEADER + _FILL.format(**parts, scale=2.0**-digits, half=2.0 ** -(digits + 1))


def _header(kernel: Kernel) -> str:
    """What the module begins with: what is needed of functions that Numba has not."""
    used = {op.op for op in kernel.ops}
    return (
        _HEADER
        + (_ROUNDING if "stochastic_bfloat16" in used else "")
        + (NUMBA if used & TILE.keys() else "")
    )


def _indented(lines: list[str], by: int) -> str:
    return "\n".join(" " * by + line for line in lines)


def _statements(
    kernel: Kernel, arrays: dict[Operand, str]
) -> tuple[dict[Expr, str], list[str], list[str]]:
    """Names of all values; and the lines that give the scalars, and those that load element i and
    compute with it.

    No constant stands in them, so that another constant is not another text to compile.
    """
    names: dict[Expr, str] = {}
    scalars = ["    zero, one = k.dtype.type(0), k.dtype.type(1)"]
    if any(op.op in TILE for op in kernel.ops):
        scalars += [
            f"    large = k.dtype.type({LARGE[4]!r} if k.itemsize == 4 else {LARGE[8]!r})",
            "    infinity = k.dtype.type(math.inf)",
        ]
    for number, expr in enumerate([*kernel.scalars, *constants(kernel)]):
        names[expr] = f"k{number}"
        scalars.append(f"    k{number} = k[{number}]")
    old = {operand: f"o{number}" for number, operand in enumerate(arrays)}
    names |= {leaf: old[leaf.value] for leaf in _inputs(kernel)}
    body = [f"{old[operand]} = {arrays[operand]}[i]" for operand in kernel.loads]
    for number, op in enumerate(kernel.ops):
        args = [names[arg] for arg in op.args]
        names[op] = f"x{number}"
        body.append(f"{names[op]} = {OPS[op.op].numba.format(*args)}")
    return names, scalars, body


def _inputs(kernel: Kernel) -> set[Expr]:
    """The operands that are read, as expressions."""
    used = [arg for op in kernel.ops for arg in op.args] + list(changes(kernel).values())
    return {expr for expr in used if expr.op == "input"}
