"""What the text of a Numba loop begins with: how it reaches arrays as they are stored.

A loop gets addresses instead of arrays: fewer types to compile for. So a float16 is 16 bits that it
widens itself, and a complex number is a pair.
"""

from __future__ import annotations

import textwrap
from typing import Any, NamedTuple

import numpy as np

from gpuopt.arrays.random import FIRST, GOLDEN, SECOND
from gpuopt.codegen.digits import DIGITS, digits_in_numba
from gpuopt.codegen.numba_intrinsics import END, head
from gpuopt.codegen.roots import cube_root_in_numba
from gpuopt.codegen.tile import changes
from gpuopt.codegen.wide import NUMBA, TILE
from gpuopt.tracing.operands import Operand
from gpuopt.tracing.ops import STOCHASTIC
from gpuopt.tracing.program import Kernel

__all__ = ["HEAD", "Stored", "drawing", "header"]

HEAD = 4
"""What a table begins with: how many runs there are, the address of the first scalar, how many
bytes the scalars of one run come after those of the run before, and what is added to the address of
the gradient. For each run follow the number of its elements, the address where each array has the
first of them (that of the gradient is added to what the table begins with), and the address of the
row of each reduction.
"""


class Stored(NamedTuple):
    """How an array lies in memory, if it is not in the compute dtype without gaps.

    Attributes
    ----------
    array : Operand
    kind : str
        ``"float16"``, ``"bfloat16"``, ``"drawn"`` for random bits that lie nowhere, or empty.
    step : int
        An element comes so many after the one before.
    """

    array: Operand
    kind: str
    step: int


_ROUNDING = """def stochastic_{stored}(a, u):
    return to_{stored}_by(a, np.uint32(np.int32(u * np.float32(65536))))


def to_{stored}_by(a, word):
    bits = np.float32(a).view(np.uint32) + {word}
    return np.uint32(bits & np.uint32({mask})).view(np.float32) if a == a else a


"""
_DRAWN = """golden, first, second = map(np.uint64, ({golden}, {first}, {second}))
scale, half = np.{real}({scale}), np.{real}({half})


def mixed(z):
    z = (z ^ (z >> types.uint64(30))) * first
    z = (z ^ (z >> types.uint64(27))) * second
    return z ^ (z >> types.uint64(31))


def word(z, before):
    return np.uint32((z >> types.uint64(48 - before)) & types.uint64(65535))


def drawn(z, before):
    digits = (z << types.uint64(before)) >> types.uint64({cut})
    return np.{real}(types.{whole}(digits)) * scale + half


"""
_CONVERSION = """@intrinsic
def {name}(context, {argument}):
    def generate(context, builder, signature, arguments):
        ({argument},), whole = arguments, ir.IntType(32)
{lines}

    return types.{result}(types.{taken}), generate


"""
_CONVERSIONS = {
    "from_float16": """
return builder.fpext(builder.bitcast(bits, ir.HalfType()), ir.FloatType())
""",
    "to_float16": """
return builder.bitcast(builder.fptrunc(number, ir.HalfType()), ir.IntType(16))
""",
    # Those set a bit of a signaling NaN, as arithmetic does. As in NumPy, these do not.
    "from_float16 as it is": """
number = builder.fpext(builder.bitcast(bits, ir.HalfType()), ir.FloatType())
digits = builder.shl(builder.sext(bits, whole), whole(13))
nan = builder.bitcast(builder.or_(digits, whole(0x7F800000)), ir.FloatType())
return builder.select(builder.fcmp_unordered("uno", number, number), nan, number)
""",
    "to_float16 as it is": """
half = ir.IntType(16)
short = builder.bitcast(builder.fptrunc(number, ir.HalfType()), half)
bits = builder.bitcast(number, whole)
sign = builder.and_(builder.lshr(bits, whole(16)), whole(0x8000))
digits = builder.lshr(builder.and_(bits, whole(0x7FFFFF)), whole(13))
digits = builder.select(builder.icmp_unsigned("==", digits, whole(0)), whole(1), digits)
nan = builder.trunc(builder.or_(builder.or_(sign, whole(0x7C00)), digits), half)
return builder.select(builder.fcmp_unordered("uno", number, number), nan, short)
""",
    # The first half of a float32. A NaN loses its digits, as in ml_dtypes.
    "from_bfloat16": """
return builder.bitcast(builder.shl(builder.zext(bits, whole), whole(16)), ir.FloatType())
""",
    "to_bfloat16": """
bits = builder.bitcast(number, whole)
odd = builder.and_(builder.lshr(bits, whole(16)), whole(1))
even = builder.add(builder.add(bits, whole(0x7FFF)), odd)
nan = builder.or_(builder.and_(bits, whole(0x80000000)), whole(0x7FC00000))
rounded = builder.select(builder.fcmp_unordered("uno", number, number), nan, even)
return builder.trunc(builder.lshr(rounded, whole(16)), ir.IntType(16))
""",
}
"""LLVM's instructions for them: to compile a function of Python for each would take longer."""


def _conversions(kind: str, moves: bool) -> str:
    """The functions that widen and round numbers of 16 bits of that kind."""
    text = ""
    for name, argument, taken, result in (
        (f"from_{kind}", "bits", "uint16", "float32"),
        (f"to_{kind}", "number", "float32", "uint16"),
    ):
        text_of = f"{name} as it is" if moves and kind == "float16" else name
        lines = textwrap.indent(_CONVERSIONS[text_of].strip(), " " * 8)
        parts = {"name": name, "argument": argument, "taken": taken, "result": result}
        text += _CONVERSION.format(lines=lines, **parts)
    return text


def _rounding(op: str) -> str:
    """The functions that round by random bits."""
    cut = STOCHASTIC[op]
    word = f"(word << np.uint32({cut - 16}))" if cut > 16 else "word"
    stored = op.removeprefix("stochastic_")
    return _ROUNDING.format(stored=stored, word=word, mask=2**32 - 2**cut)


_MOVES = frozenset({"where", "choose", "maximum", "minimum", "negative", "absolute", "sign"})


def moves(kernel: Kernel) -> bool:
    """Whether a new value may be an old one on which there was no arithmetic."""
    moved = {arg for op in kernel.ops for arg in op.args if arg.op == "input"}
    for op in kernel.ops:
        if op.op in _MOVES and not moved.isdisjoint(op.args):
            moved.add(op)
    return any(expr.op == "input" or expr in moved for expr in changes(kernel).values())


def drawing(dtype: np.dtype[Any]) -> str:
    """The functions that do what `gpuopt.arrays.random.fill` does, for an element of that dtype."""
    digits = np.finfo(dtype).nmant
    parts = {"golden": GOLDEN, "first": FIRST, "second": SECOND, "cut": 64 - digits}
    scale, half = 2.0**-digits, 2.0 ** -(digits + 1)
    whole = f"int{8 * dtype.itemsize}"
    return _DRAWN.format(**parts, scale=scale, half=half, whole=whole, real=dtype.name)


def header(kernel: Kernel, dtype: np.dtype[Any], stored: tuple[Stored, ...]) -> str:
    """The beginning of the module: those functions that it needs and Numba lacks."""
    used, kinds = {op.op for op in kernel.ops}, {each.kind for each in stored}
    return (
        head(dtype)
        + "".join(_conversions(kind, moves(kernel)) for kind in sorted(kinds - {"", "drawn"}))
        + END
        + (drawing(dtype) if "drawn" in kinds else "")
        + "".join(_rounding(name) for name in STOCHASTIC if name in used)
        + (NUMBA if used & TILE.keys() - {"cbrt"} else "")
        + (cube_root_in_numba(dtype) if "cbrt" in used else "")
        + (digits_in_numba(dtype) if used & DIGITS.keys() else "")
    )
