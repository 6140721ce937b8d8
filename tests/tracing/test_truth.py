"""Truth values mean what they mean in NumPy, or are refused: in arithmetic, in choices and in reductions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpuopt as go
from gpuopt.tracing.trace import trace
from tests.support.examples import examples
from tests.support.executors import running_on
from tests.support.variants import on_host

P, G = np.array([0.5, -1.0, 0.0, 2.0, -0.0, 3.0]), np.array([4.0, 1.0, -1.0, 0.0, -2.0, 3.0])
Formula = Callable[..., Any]
LEAVES: dict[str, Formula] = {
    "p>0": lambda p, g: p > 0, "g>p": lambda p, g: g > p, "p": lambda p, g: p, "2": lambda p, g: 2, "True": lambda p, g: True,
    "any": lambda p, g: np.max(g) > 5, "p==0": lambda p, g: p == 0,
}  # fmt: skip
UNARY: dict[str, Formula] = {
    "-": lambda x: -x, "+": lambda x: +x, "~": lambda x: ~x, "abs": np.abs, "fabs": np.fabs, "sign": np.sign,
    "square": np.square, "reciprocal": np.reciprocal, "**2": lambda x: x**2, "**1": lambda x: x**1, "**-1": lambda x: x**-1,
    "conj": np.conj, "cbrt": np.cbrt,
    "not": np.logical_not, "isnan": np.isnan, "isfinite": np.isfinite, "exp": np.exp, "tanh": np.tanh,
    "real": np.real, "imag": np.imag, "zeros_like": np.zeros_like, "ones_like": np.ones_like,
    "sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min, "any": np.any, "all": np.all,
    "norm": np.linalg.norm, "clip": lambda x: np.clip(x, False, True),
}  # fmt: skip
BINARY: dict[str, Formula] = {
    "+": lambda x, y: x + y, "-": lambda x, y: x - y, "*": lambda x, y: x * y, "/": lambda x, y: x / y,
    "//": lambda x, y: x // y, "%": lambda x, y: x % y, "&": lambda x, y: x & y, "|": lambda x, y: x | y,
    "^": lambda x, y: x ^ y, "<": lambda x, y: x < y, ">=": lambda x, y: x >= y, "==": lambda x, y: x == y,
    "!=": lambda x, y: x != y, "maximum": np.maximum, "minimum": np.minimum, "and": np.logical_and, "or": np.logical_or,
    "xor": np.logical_xor,
    "where": lambda x, y: np.where(x > 0, x, y),
}  # fmt: skip


class Made(go.Rule):
    """A rule whose `formulas` of p and g are its states; p stays what it is."""

    lr: go.NonNegative = 0.1

    def update(self, t: Any, p: Any, g: Any) -> Any:
        raise NotImplementedError


def made(*formulas: Formula) -> go.Rule:
    def update(self: go.Rule, t: Any, p: Any, g: Any, *_: Any) -> Any:
        return p, *(0.0 * p + formula(p, g) for formula in formulas)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    first = [inspect.Parameter(name, kind) for name in ("self", "t", "p", "g")]
    rest = [inspect.Parameter(f"s{n}", kind, default=0.0) for n in range(len(formulas))]
    update.__signature__ = inspect.Signature(first + rest)  # type: ignore[attr-defined]
    rule: go.Rule = type("Made", (Made,), {"update": update, "__module__": __name__})()
    return rule


def assert_like_numpy(formulas: dict[str, Formula], xp: Any = np) -> None:
    """Assert that formulas of p and g, in arrays of `xp`, give what NumPy gives."""
    opt = made(*formulas.values()).init(xp.array(P))
    opt.step(xp.asarray(G))
    for n, (name, formula) in enumerate(formulas.items()):
        with np.errstate(all="ignore"):
            wanted = np.broadcast_to(0.0 * P + formula(P, G), P.shape)
        np.testing.assert_allclose(on_host(opt.state[f"s{n}"]), wanted, rtol=1e-14, atol=0, err_msg=name)


def is_traced(formula: Formula) -> bool:
    try:
        trace(made(formula))
    except go.TraceError:
        return False
    return True


def of_one(operation: Formula, x: Formula) -> Formula:
    return lambda p, g: operation(x(p, g))


def of_two(operation: Formula, x: Formula, y: Formula) -> Formula:
    return lambda p, g: operation(x(p, g), y(p, g))


ARRAYS = {name: leaf for name, leaf in LEAVES.items() if name not in ("True", "2")}
ONE = {f"{name}({x})": of_one(f, ARRAYS[x]) for name, f in UNARY.items() for x in ARRAYS}
TWO = {f"{x} {name} {y}": of_two(f, LEAVES[x], LEAVES[y]) for name, f in BINARY.items() for x in LEAVES for y in LEAVES}


def test_every_operation_means_what_numpy_means() -> None:
    found = {name: f for name, f in {**ONE, **TWO}.items() if is_traced(f)}
    assert len(found) > 800
    with running_on("numpy"):
        for start in range(0, len(found), 100):
            assert_like_numpy(dict(list(found.items())[start : start + 100]))


NESTED: dict[str, Formula] = {
    "a choice": lambda p, g: np.where(p > 0, g > p, p == 0) + (p >= 0),
    "a choice by a number": lambda p, g: np.where(np.max(g) > 1, g > p, p == 0) + (p >= 0),
    "the largest": lambda p, g: np.max(g > p) + (p >= 0),
    "the least": lambda p, g: np.min(g > -9) + (p >= 0),
    "all": lambda p, g: np.all(g > -9) + (p >= 0),
    "parts": lambda p, g: (p >= 0).real + (p >= 0).imag + np.ones_like(p > 0),
    "numbers": lambda p, g: np.square(p > 0) + (g > p) * 1 + (p > 0) / (g > -9),
    "a square root": lambda p, g: np.sqrt((g > -1) + (g > 0)),
}


@pytest.mark.parametrize("name", NESTED)
def test_what_is_made_of_truth_values(name: str) -> None:
    assert_like_numpy({name: NESTED[name]})


def test_on_every_executor(executor: str, xp: Any) -> None:
    pairs = [("p>0", "g>p"), ("p>0", "any"), ("g>p", "p")]
    chosen = {f"{x} {name} {y}": TWO[f"{x} {name} {y}"] for name in BINARY for x, y in pairs}
    chosen |= {f"{name}(p>0)": ONE[f"{name}(p>0)"] for name in UNARY}
    assert_like_numpy({name: f for name, f in chosen.items() if is_traced(f)}, xp)


REFUSED = [
    "-(p>0)", "+(p>0)", "sign(p>0)", "~(p)", "~(any)", "reciprocal(p>0)", "**-1(p>0)", "exp(p>0)", "p>0 - g>p", "any + any",
    "p>0 // g>p", "p>0 % 2", "p & 2", "2 | p>0", "p>0 ^ p",
]  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    """With a remedy that works."""
    with pytest.raises(go.TraceError, match=r"np\.where\(mask, 1\.0, 0\.0\)|np\.logical_\w+"):
        trace(made({**ONE, **TWO}[name]))


@pytest.mark.parametrize("formula", [lambda t: t & 1, lambda t: t | 2, lambda t: t ^ 1, lambda t: ~t], ids=["&", "|", "^", "~"])
def test_bits_of_numbers_are_no_truth_values(formula: Any) -> None:
    """``t & 1`` is 1 in every other step."""

    class Counting(go.Rule):
        lr: go.NonNegative = 0.1

        def update(self, t: Any, p: Any, g: Any) -> Any:
            return p + formula(t)

    with pytest.raises(go.TraceError, match="is for truth values such as x > 0, not for numbers"):
        trace(Counting())


EXPRESSION = st.recursive(
    st.sampled_from(list(ARRAYS)),
    lambda inner: st.tuples(st.sampled_from(list(UNARY)), inner) | st.tuples(st.sampled_from(list(BINARY)), inner, inner),
    max_leaves=6,
)
INEXACT = {"exp", "tanh", "cbrt", "**2", "square", "conj", "**1", "fabs", "//", "%"}
"""What NumPy computes of truth values in int8 or float16, whose arithmetic then is another; a test above has them."""


def value(expression: Any, p: Any, g: Any) -> Any:
    if isinstance(expression, str):
        return LEAVES[expression](p, g)
    name, *parts = expression
    values = [value(part, p, g) for part in parts]
    return (UNARY if len(values) == 1 else BINARY)[name](*values)


def operations(expression: Any) -> set[str]:
    return set() if isinstance(expression, str) else {expression[0]}.union(*map(operations, expression[1:]))


@examples(200)
@given(expression=EXPRESSION.filter(lambda found: not operations(found) & INEXACT))
def test_random_expressions_mean_what_numpy_means(expression: Any) -> None:
    def formula(p: Any, g: Any) -> Any:
        return value(expression, p, g)

    with running_on("numpy"):
        if is_traced(formula):
            assert_like_numpy({str(expression): formula})


def test_of_no_elements_all_hold_and_none_does() -> None:
    class Asks(go.GradientPiece):
        def accept(self, t: Any, p: Any, g: Any) -> Any:
            return np.all(np.isfinite(g)) & np.logical_not(np.any(g > 5))

        def update(self, t: Any, p: Any, g: Any) -> Any:
            return g

    x, empty = np.ones(2), np.ones(0)
    opt = go.chain(Asks(), go.SGD(0.5)).init([x, empty])
    opt.step([np.ones(2), empty])
    assert x[0] == 0.5
