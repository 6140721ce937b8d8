"""Truth values in arithmetic, as NumPy has them: their sum is "or", their product "and"."""

from __future__ import annotations

from typing import NoReturn

from gpuopt.tracing.complexes import Parts
from gpuopt.tracing.errors import trace_error
from gpuopt.tracing.expr import Graph
from gpuopt.tracing.ops import OPS

__all__ = ["of_truth_values"]

_LOGICAL = {
    "add": "logical_or",
    "maximum": "logical_or",
    "multiply": "logical_and",
    "minimum": "logical_and",
    **dict.fromkeys(["absolute", "floor", "ceil"], "itself"),
}
"""What gives a truth value of truth values, by what it is."""
_NUMBERS = frozenset({"square", "power", "conjugate", "fabs", "sqrt", "cbrt", "divide"})
"""What gives a number of truth values."""
_SIGNS = {"bitwise_and": "&", "bitwise_or": "|", "bitwise_xor": "^", "invert": "~"}
_UNKNOWN = frozenset({"subtract", "negative", "positive", "sign"})
_INTEGER = frozenset({"floor_divide", "remainder", "reciprocal"})
_HALF = frozenset(name for name, op in OPS.items() if op.on_arrays and not op.exact)
"""The transcendental functions, which NumPy computes in float16."""
_REMEDY = "write np.where(mask, 1.0, 0.0) for the number"


def of_truth_values(
    graph: Graph, name: str, xs: tuple[Parts, ...]
) -> tuple[str, tuple[Parts, ...]]:
    """The function that NumPy means by the ufunc `name` where some of `xs` are truth values, and
    its arguments.

    Raises
    ------
    TraceError
        Where NumPy refuses, or counts in integers or in float16, as no rule does.
    """
    truth = [x[0].boolean for x in xs]
    if name in _SIGNS:
        return _bitwise(graph, name, xs, all(truth))
    if any(truth):
        _check(graph, name, xs)
    if not all(truth):
        return name, xs
    if name in _NUMBERS:
        return name, tuple((graph.number(x[0]),) for x in xs)
    return _LOGICAL.get(name, name), xs


def _check(graph: Graph, name: str, xs: tuple[Parts, ...]) -> None:
    """Refuse what has another meaning for truth values than for the numbers 1 and 0."""
    first, *others = (x[0] for x in xs)
    if name in _INTEGER or (name == "power" and first.boolean and others[0].value == -1):
        _refuse(name, "computes it in integers")
    if name in _HALF:
        _refuse(name, "computes it in float16")
    if not all(x.boolean for x in (first, *others)):
        return
    if name in _UNKNOWN:
        _refuse(name, "does not define it")
    if name == "add" and first.host and others[0].host:
        graph.refuse(
            "the sum of two truth values of numbers is 2 in Python and True in NumPy: write "
            "np.where(mask, 1.0, 0.0) for each, or np.logical_or",
            first,
            others[0],
        )


def _bitwise(
    graph: Graph, name: str, xs: tuple[Parts, ...], truth: bool
) -> tuple[str, tuple[Parts, ...]]:
    """The logical function in place of a bitwise one: of truth values they are alike."""
    logical = "logical_not" if name == "invert" else name.replace("bitwise", "logical")
    if not truth:
        raise trace_error(
            f"{_SIGNS[name]} is for truth values such as x > 0, not for numbers: write "
            f"np.{logical}(x != 0{'' if name == 'invert' else ', y != 0'})"
        )
    if name == "invert" and xs[0][0].host:
        graph.refuse("~ is for comparisons of arrays: use np.logical_not", xs[0][0])
    return logical, xs


def _refuse(name: str, how: str) -> NoReturn:
    raise trace_error(
        f"np.{name} of truth values is not available in a rule, because NumPy {how}: {_REMEDY}, or "
        "use np.logical_not, & or |"
    )
