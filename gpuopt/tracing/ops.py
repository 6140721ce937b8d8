"""The operations of array and scalar code, each once, and how every backend writes them.

A new function is one line in `OPS`, and a formula in ``tests/tracing/test_operations.py`` that
tries it.
"""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Callable

import numpy as np

__all__ = ["LOGICAL", "OPS", "REDUCTIONS", "STOCHASTIC", "Op", "Reduction", "function"]

STOCHASTIC = {"stochastic_bfloat16": 16, "stochastic_dynamic8": 20}
"""The operations that round at random, and how many bits of a float32 each cuts."""


@dataclasses.dataclass(frozen=True)
class Op:
    """An operation on real values. In its texts ``{0}``, ``{1}``, ``{2}`` stand for the arguments.

    Attributes
    ----------
    name : str
        NumPy's name for it.
    host : str or callable
        Python's expression for float64 scalars; or a function, in whose place NumPy's is called
        where it raises. Empty where the operation is for arrays alone.
    numba : str
        Python's expression for an element, where ``zero`` and ``one`` are of the compute dtype.
        Empty where the operation is for scalars alone.
    cuda : str
        The C++ expression: ``{T}`` is the compute type, ``{f}`` the suffix of its functions.
    numpy : str
        The call that writes the result into ``{out}``, perhaps with ``{scratch}`` of that size.
        Empty where `gpuopt.codegen.numpy` needs more than one call.
    text : str
        The expression in a formula for readers.
    boolean : bool
        Whether the result is a truth value.
    exact : bool
        Whether every backend gives the same bits, which the tests then ask for.
    """

    name: str
    host: str | Callable[..., float]
    numba: str
    cuda: str
    numpy: str
    text: str
    boolean: bool = False
    exact: bool = True

    @property
    def on_arrays(self) -> bool:
        """Whether there is code for arrays."""
        return bool(self.numba)

    @property
    def infix(self) -> bool:
        """Whether a reader sees it between its arguments."""
        return self.text.startswith("{0} ")

    @property
    def call(self) -> bool:
        """Whether C++ writes it as a call, which needs no brackets around it or its arguments."""
        return self.cuda[0] not in "{-!"


def _op(
    name: str,
    arity: int,
    host: str | Callable[..., float],
    numba: str,
    cuda: str,
    *,
    text: str = "",
    numpy: str | None = None,
    boolean: bool = False,
    exact: bool = True,
) -> Op:
    """Describe an operation that NumPy and a reader call by its name."""
    arguments = ", ".join(f"{{{number}}}" for number in range(arity))
    call = f"{name}({arguments}, {{out}})" if numpy is None else numpy
    return Op(name, host, numba, cuda, call, text or f"{name}({arguments})", boolean, exact)


def _infix(
    name: str, sign: str, host: Callable[..., float] | None = None, boolean: bool = False
) -> Op:
    """Describe an operation between two values that Python and C++ write alike."""
    text = f"{{0}} {sign} {{1}}"
    return _op(name, 2, host or text, text, text, text=text, boolean=boolean)


def function(name: str, own: str = "", exact: bool = False) -> Op:
    """Describe a function of ``math`` and C++; `own` is its name there, if not NumPy's."""
    own = own or name
    return _op(name, 1, getattr(math, own), f"math.{own}({{0}})", f"{own}{{f}}({{0}})", exact=exact)


def _whole(function: Callable[[float], float]) -> Callable[[float], float]:
    """Round as NumPy does, which keeps infinities and the sign of zero; ``math`` gives an int."""
    return lambda x: float(function(x))


_OPS = (
    _infix("add", "+"),
    _infix("subtract", "-"),
    _infix("multiply", "*"),
    _infix("divide", "/", host=operator.truediv),
    _infix("less", "<", boolean=True),
    _infix("less_equal", "<=", boolean=True),
    _infix("greater", ">", boolean=True),
    _infix("greater_equal", ">=", boolean=True),
    _infix("equal", "==", boolean=True),
    _infix("not_equal", "!=", boolean=True),
    #                   host          Numba        CUDA
    _op("logical_and", 2, "{0} and {1}", "{0} & {1}", "{0} && {1}", text="{0} & {1}", boolean=True),
    _op("logical_or", 2, "{0} or {1}", "{0} | {1}", "{0} || {1}", text="{0} | {1}", boolean=True),
    _op("logical_not", 1, "not {0}", "not {0}", "!{0}", boolean=True),
    _op("negative", 1, "-{0}", "-{0}", "-{0}", text="-({0})"),
    _op("absolute", 1, "abs({0})", "abs({0})", "fabs{f}({0})"),
    _op("floor", 1, _whole(np.floor), "np.floor({0})", "floor{f}({0})"),
    _op("ceil", 1, _whole(np.ceil), "", "ceil{f}({0})"),
    _op("floor_divide", 2, operator.floordiv, "", "floor_divide<{T}>({0}, {1})", text="{0} // {1}"),
    _op("remainder", 2, operator.mod, "", "remainder_of<{T}>({0}, {1})", text="{0} % {1}"),
    _op("power", 2, math.pow, "", "pow{f}({0}, {1})", text="{0} ** {1}", exact=False),
    function("sqrt", exact=True),
    # See `gpuopt.codegen.roots`.
    _op(
        "cbrt",
        1,
        "cube_root({0})",
        "cube_root({0})",
        "cube_root<{T}>({0})",
        numpy="cbrt({0}, {out}, {scratch})",
    ),
    function("exp"),
    function("expm1"),
    _op("log", 1, math.log, "math.log({0})", "logarithm<{T}>({0})", exact=False),
    function("log1p"),
    function("tanh"),
    function("sin"),
    function("cos"),
    # NaN propagates, and of two zeros the second is taken, as by NumPy's ufuncs; a third
    # positional argument of these two is deprecated there.
    _op(
        "maximum",
        2,
        "{0} if {0} > {1} or {0} != {0} else {1}",
        "{0} if ({0} > {1}) | ({0} != {0}) else {1}",
        "largest<{T}>({0}, {1})",
        numpy="maximum({0}, {1}, out={out})",
    ),
    _op(
        "minimum",
        2,
        "{0} if {0} < {1} or {0} != {0} else {1}",
        "{0} if ({0} < {1}) | ({0} != {0}) else {1}",
        "smallest<{T}>({0}, {1})",
        numpy="minimum({0}, {1}, out={out})",
    ),
    _op(
        "sign",
        1,
        "{0} if {0} != {0} else float(({0} > 0) - ({0} < 0))",
        "one if {0} > zero else (-one if {0} < zero else (zero if {0} == zero else {0}))",
        "signum<{T}>({0})",
    ),
    # Of complex numbers, by the sum of the squares of the parts, and the parts; see
    # `gpuopt.codegen.wide`.
    _op(
        "modulus",
        3,
        "modulus({0}, {1}, {2})",
        "modulus({0}, {1}, {2}, one, large, infinity)",
        "modulus<{T}>({0}, {1}, {2})",
    ),
    _op(
        "direction",
        3,
        "direction({0}, {1}, {2})",
        "direction({0}, {1}, {2}, zero, one, large, infinity)",
        "direction<{T}>({0}, {1}, {2})",
    ),
    _op(
        "quotient",
        5,
        "quotient({0}, {1}, {2}, {3}, {4})",
        "quotient({0}, {1}, {2}, {3}, {4}, zero, one, large, infinity)",
        "quotient<{T}>({0}, {1}, {2}, {3}, {4})",
        numpy="quotient({0}, {1}, {2}, {3}, {4}, {out}, {scratch})",
    ),
    _op("where", 3, "{1} if {0} else {2}", "{1} if {0} else {2}", "{0} ? {1} : {2}", numpy=""),
    # The parts of powers of arrays; see `gpuopt.codegen.digits`.
    _op("upper", 1, "", "upper({0})", "upper_digits({0})"),
    _op("exponent", 1, "", "exponent({0})", "exponent_of({0})"),
    _op("two_to", 1, "", "two_to({0})", "two_to({0})"),
    # A choice between arrays by a scalar; and what is rounded by a random number.
    _op("choose", 3, "", "{1} if {0} != zero else {2}", "{0} != 0 ? {1} : {2}", numpy=""),
    *(
        _op(name, 2, "", f"{name}({{0}}, {{1}})", f"{name}<{{T}}>({{0}}, {{1}})", numpy="")
        for name in STOCHASTIC
    ),
)
OPS = {op.name: op for op in _OPS}
LOGICAL = frozenset({"logical_and", "logical_or", "logical_not"})
"""The operations on truth values."""


@dataclasses.dataclass(frozen=True)
class Reduction:
    """Values of a whole array made one, by an operation on two of them.

    Attributes
    ----------
    op : Op
        The operation; its first argument is what was reduced so far.
    nothing : float
        The result for no values, which changes none.
    cuda : str
        The C++ type that does the same.
    """

    op: Op
    nothing: float
    cuda: str


REDUCTIONS = {
    "sum": Reduction(OPS["add"], 0.0, "Sum"),
    "max": Reduction(OPS["maximum"], -math.inf, "Max"),
}
