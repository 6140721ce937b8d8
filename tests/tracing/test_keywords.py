"""What a call says is traced or refused: no keyword of NumPy's functions is dropped in silence."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.tracing.functions import _FUNCTIONS
from gpuopt.tracing.ops import OPS
from gpuopt.tracing.trace import trace

P, G = np.array([0.5, -1.0, 2.0]), np.array([4.0, 1.0, 9.0])
UFUNCS: set[Any] = {
    *(found for name in OPS if isinstance(found := getattr(np, name, None), np.ufunc)),
    np.fabs, np.square, np.reciprocal, np.isnan, np.isfinite, np.isinf, np.conjugate, np.positive, np.floor_divide,
    np.remainder, np.bitwise_and, np.bitwise_or, np.invert,
}  # fmt: skip
KEYWORDS: dict[str, Any] = {
    "where": np.array([True, False, True]), "dtype": np.float64, "casting": "unsafe", "out": np.zeros(3), "axis": 0,
    "order": "Z", "subok": 1, "signature": "d->d", "keepdims": True, "initial": 1.0, "ord": 1, "shape": (3,), "device": "cpu",
}  # fmt: skip


def traced(formula: Callable[..., Any]) -> None:
    class Made(go.Rule):
        lr: go.NonNegative = 0.1

        def update(self, t: Any, p: Any, g: Any) -> Any:
            return p + 0.0 * formula(p, g)

    trace(Made())


def result(formula: Callable[[Any, Any], Any]) -> Any:
    class Made(go.Rule):
        lr: go.NonNegative = 0.1

        def update(self, t: Any, p: Any, g: Any) -> Any:
            return 0.0 * p + formula(p, g)

    x = P.copy()
    Made().init(x).step(G)
    return x


@pytest.mark.parametrize("ufunc", sorted(UFUNCS, key=str))
def test_a_keyword_of_a_ufunc_is_refused(ufunc: Any) -> None:
    for keyword in ("where", "dtype", "casting", "out", "order", "subok", "signature"):
        given = {keyword: KEYWORDS[keyword]}
        with pytest.raises(go.TraceError, match=rf"np\.{ufunc.__name__}\(…, {keyword}=…\) is not available in a rule: \w+"):
            traced(lambda p, g, given=given: ufunc(*(p, g)[: ufunc.nin], **given))


@pytest.mark.parametrize("function", _FUNCTIONS)
def test_a_keyword_of_a_function_is_refused(function: Any) -> None:
    name = f"{function.__module__.replace('numpy', 'np')}.{function.__name__}".replace(".", r"\.")
    if function is np.where:
        return  # it has none
    for keyword in inspect.signature(function).parameters:
        if keyword in KEYWORDS:
            with pytest.raises(go.TraceError, match=rf"{name}\(…, {keyword}=…\) is not available in a rule: \w+"):
                traced(lambda p, g, keyword=keyword: function(g, **{keyword: KEYWORDS[keyword]}))


@pytest.mark.parametrize("method", ["sum", "mean", "max", "min", "all", "any"])
def test_a_keyword_of_a_method_is_refused(method: str) -> None:
    function = getattr(np.ndarray, method)
    for keyword in ("axis", "dtype", "out", "keepdims", "initial", "where"):
        with pytest.raises(go.TraceError, match=rf"np\.{method}\(…, {keyword}=…\) is not available in a rule: \w+"):
            traced(lambda p, g, keyword=keyword: getattr(g, method)(**{keyword: KEYWORDS[keyword]}))
    with pytest.raises(go.TraceError, match=r"axis=…"):
        traced(lambda p, g: getattr(g, method)(0))
    assert getattr(G, method)() == function(G)


def _altered(x: Any) -> Any:
    x[0] = 1.0
    return x


def _added_in_place(x: Any, y: Any) -> Any:
    x += y
    return x


def _squared_in_place(x: Any) -> Any:
    x **= 2
    return x


REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "positional out": (lambda p, g: np.add(p, g, p), r"np\.add\(…, out=…\).*write x = np\.add\(…\), or x = x \+ y"),
    "+=": (_added_in_place, r"write x = np\.add\(…\), or x = x \+ y"),
    "**=": (lambda p, g: _squared_in_place(p), r"write x = np\.power\(…\)"),
    "positional axis": (lambda p, g: np.max(g, 0), r"np\.max\(…, axis=…\)"),
    "np.where of one": (lambda p, g: np.where(g > 0), r"np\.where\(…\) is not available in a rule with these arguments"),
    "reduce": (lambda p, g: np.add.reduce(g), r"np\.add\.reduce is not elementwise"),
    "outer": (np.multiply.outer, r"np\.multiply\.outer is not elementwise"),
    "accumulate": (lambda p, g: np.add.accumulate(g), r"np\.add\.accumulate is not elementwise"),
    "at": (lambda p, g: np.add.at(p, 0, g), r"np\.add\.at is not elementwise"),
    "a list": (lambda p, g: np.sum([p, g]), r"leave np\.array and np\.asarray out"),
    "np.asarray": (lambda p, g: np.asarray(g, dtype="f8"), r"leave np\.array and np\.asarray out"),
    "another ufunc": (lambda p, g: np.frompyfunc(abs, 1, 1)(g), r"abs \(vectorized\) is not a function of NumPy"),
    "astype": (lambda p, g: g.astype("f8"), r"leave \.astype out"),
    "reshape": (lambda p, g: g.reshape(-1), r"\.reshape of an array is not available"),
    "norm": (lambda p, g: np.linalg.norm(g, 1), r"np\.linalg\.norm\(…, ord=…\).*np\.sum\(np\.abs\(x\)\)"),
    "index": (lambda p, g: g[0], r"cannot index.*@gpuopt\.whole_array"), "mask": (lambda p, g: g[g > 0], r"cannot index"),
    "assignment": (lambda p, g: _altered(g), r"cannot index"), "len": (lambda p, g: len(g), r"ask for a length"),
    "iteration": (lambda p, g: list(g), r"iterate"), "reversed": (lambda p, g: list(reversed(g)), r"iterate"),
    "bool": (lambda p, g: bool(g), r"np\.where"), "float": (lambda p, g: float(g), r"instead of float\(\)"),
    "int": (lambda p, g: int(g), r"instead of float\(\)"), "math": (lambda p, g: math.sqrt(g), r"math\.\*"),
    "round": (lambda p, g: round(g), r"np\.maximum"), "max": (max, r"np\.maximum"),
    "@": (lambda p, g: p @ g, r"np\.matmul of arrays.*@gpuopt\.whole_array"), "divmod": (divmod, r"np\.divmod of arrays"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_traced_is_refused(name: str) -> None:
    formula, message = REFUSED[name]
    with pytest.raises(go.TraceError, match=message):
        traced(formula)


NEUTRAL: dict[str, Callable[[Any, Any], Any]] = {
    "ufunc": lambda p, g: np.add(p, g, where=True, dtype=None, casting="same_kind", out=None, order="K", subok=True),
    "order": lambda p, g: np.sqrt(g, order="C"),
    "positional out": lambda p, g: np.multiply(p, g, None),
    "sum": lambda p, g: np.sum(g, axis=None, dtype=None, out=None, keepdims=False, where=True),
    "positional": lambda p, g: np.max(g, None, None, False),
    "method": lambda p, g: g.mean(axis=None) + g.min() + g.max(None),
    "norm": lambda p, g: np.linalg.norm(g, None),
    "clip": lambda p, g: np.clip(g, min=2.0, max=None) + g.clip(None, 3.0) + np.clip(g, a_min=0.1, a_max=5.0, out=None),
    "copy": lambda p, g: g.copy() + np.copy(p, order="C"),
    "like": lambda p, g: np.ones_like(g, dtype=None, order="K", subok=True, shape=None),
    "keyword": lambda p, g: np.sum(a=g),
}


@pytest.mark.parametrize("name", NEUTRAL)
def test_a_keyword_that_changes_nothing_is_taken(name: str) -> None:
    np.testing.assert_allclose(result(NEUTRAL[name]), np.broadcast_to(NEUTRAL[name](P, G), 3), rtol=1e-15)
