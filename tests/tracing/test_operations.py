"""Every operation that a rule may use, alone and in random formulas: NumPy itself and every executor agree.

Rules are made here from one formula each and run on special values: zeros, subnormal and huge numbers, infinities, NaN.
Exact operations agree in every bit; exp, log, tanh … to a few units in the last place.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuopt.codegen.host import compile_host
from gpuopt.executors.cpu.numpy import NumpyExecutor
from gpuopt.rules import Rule, abs2
from gpuopt.tracing import ops
from gpuopt.tracing.errors import TraceError
from gpuopt.tracing.expr import StateKey, reachable
from gpuopt.tracing.ops import OPS, STOCHASTIC
from gpuopt.tracing.trace import trace
from tests.support.examples import examples
from tests.support.executors import only
from tests.support.formulas import (
    WIDE,
    Array,
    Formulas,
    all_at_once,
    beside_numpy,
    joined,
    made,
    pairs,
    parts,
    plain,
    run,
    same,
    special,
)
from tests.support.variants import on_host

both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
both_complex = pytest.mark.parametrize("dtype", ["complex64", "complex128"])


FORMULAS: Formulas = {
    "x+y": lambda x, y: x + y, "x-y": lambda x, y: x - y, "x*y": lambda x, y: x * y, "x/y": lambda x, y: x / y,
    "1+x": lambda x, y: 1 + x, "1-x": lambda x, y: 1 - x, "2*x": lambda x, y: 2 * x, "1/x": lambda x, y: 1 / x,
    "x+1": lambda x, y: x + 1, "x-1": lambda x, y: x - 1, "x*3": lambda x, y: x * 3, "x/3": lambda x, y: x / 3,
    "x+x": lambda x, y: x + x, "x-x": lambda x, y: x - x, "x/x": lambda x, y: x / x,
    "-x": lambda x, y: -x, "+x": lambda x, y: +x, "abs": lambda x, y: abs(x), "np.abs": lambda x, y: np.abs(x),
    "fabs": lambda x, y: np.fabs(x), "sqrt": lambda x, y: np.sqrt(x), "cbrt": lambda x, y: np.cbrt(x),
    "square": lambda x, y: np.square(x),
    "reciprocal": lambda x, y: np.reciprocal(x), "sign": lambda x, y: np.sign(x), "conj": lambda x, y: np.conj(x),
    "x**2": lambda x, y: x**2, "x**1": lambda x, y: x**1, "x**.5": lambda x, y: x**0.5, "x**-1": lambda x, y: x**-1,
    "floor": lambda x, y: np.floor(x),
    "maximum": np.maximum, "maximum(x,0)": lambda x, y: np.maximum(x, 0.0),
    "maximum(0,x)": lambda x, y: np.maximum(0.0, x), "maximum(x,-0)": lambda x, y: np.maximum(x, -0.0),
    "minimum": np.minimum, "minimum(x,0)": lambda x, y: np.minimum(x, 0.0),
    "minimum(0,x)": lambda x, y: np.minimum(0.0, x), "minimum(x,-0)": lambda x, y: np.minimum(x, -0.0),
    "clip": lambda x, y: np.clip(x, -1.0, np.abs(y) + 0.1), "clip(.1,1)": lambda x, y: np.clip(x, 0.1, 1.0),
    "real": lambda x, y: np.real(x) + x.real, "imag": lambda x, y: np.imag(x) + x.imag,
    "zeros": lambda x, y: np.zeros_like(x), "ones": lambda x, y: np.ones_like(x),
    "<": lambda x, y: np.where(x < y, x, y), "<=": lambda x, y: np.where(x <= y, x, y),
    ">": lambda x, y: np.where(x > y, x, y), ">=": lambda x, y: np.where(x >= y, x, y),
    "==": lambda x, y: np.where(x == y, x, 7.0), "!=": lambda x, y: np.where(x != y, y, 7.0),
    "0<x": lambda x, y: np.where(0 < x, 2.0, y), "x>=0": lambda x, y: np.where(x >= 0, -x, x),  # noqa: SIM300
    "bool": lambda x, y: x < y, "bool*y": lambda x, y: (x > 0) * y, "1-bool": lambda x, y: 1.0 - (x == y) * 1.0,
    "&": lambda x, y: np.where((x > 0) & (y > 0), x, 2.0), "|": lambda x, y: np.where((x > 0) | (y > 0), x, 2.0),
    "~": lambda x, y: np.where(~(x > y), x, y), "& ~|": lambda x, y: np.where(~((x > 0) & ~(y > 0) | (x < -1)), x, y),
    "logical_and": lambda x, y: np.where(np.logical_and(x, y), x, 2.0),
    "logical_or": lambda x, y: np.where(np.logical_or(x, y > 0), x, 2.0),
    "logical_not": lambda x, y: np.where(np.logical_not(x), 2.0, x),
    "where(x)": lambda x, y: np.where(x, x, y), "where(1)": lambda x, y: np.where(x > 0, 1.0, -0.0),
    "isnan": lambda x, y: np.where(np.isnan(x), y, x), "isinf": lambda x, y: np.where(np.isinf(x), y, x),
    "isfinite": lambda x, y: np.where(np.isfinite(x), x, 0.0),
    "huge": lambda x, y: np.where(x > y, x * 1e300, 1e300), "small": lambda x, y: np.where(x > y, y * 1e-300, -1e-300),
    "third": lambda x, y: x * (1 / 3) + 1e-7, "-0": lambda x, y: np.where(x > y, -0.0, x),
    "inf": lambda x, y: np.where(x > y, math.inf, -math.inf), "nan": lambda x, y: np.where(x > y, math.nan, y + math.inf),
    "brackets": lambda x, y: x - (y - (x - 2)) - (x / (y / x)) * np.negative(-x) / (x * (y * 3)),
    "sums": lambda x, y: x - (y + x) + (y + (x + 0.1)) - (x - y), "products": lambda x, y: x * (y * x) / (y / (x / 3)),
    "nested": lambda x, y: np.maximum(np.where(x > y, -x, y), np.abs(np.where(y > 0, x - y, -(x + y)))),
    "exp": lambda x, y: np.exp(x), "expm1": lambda x, y: np.expm1(x), "log": lambda x, y: np.log(x),
    "log1p": lambda x, y: np.log1p(x), "tanh": lambda x, y: np.tanh(x), "sin": lambda x, y: np.sin(x),
    "cos": lambda x, y: np.cos(x),
}  # fmt: skip
HOST: Formulas = {
    "power": np.power, "//": lambda x, y: x // y, "%": lambda x, y: x % y,
    "ceil": lambda x, y: np.ceil(x),
    "and": np.logical_and, "or": np.logical_or,
}  # fmt: skip
# ~ of what Python compares is -1 or -2, so scalars of a rule have np.logical_not alone.
OF_SCALARS = {name: formula for name, formula in FORMULAS.items() if "~" not in name} | HOST


def is_exact(formula: Callable[[Any, Any], Any]) -> bool:
    """Whether the table of operations promises the same bits everywhere for all that a formula does."""
    ops = trace(made(lambda self, t, p, g: formula(p, g))).update.ops
    return all(OPS[op.op].exact for op in ops)


EXACT = {name: formula for name, formula in FORMULAS.items() if is_exact(formula)}
ROUNDED = {name: formula for name, formula in FORMULAS.items() if name not in EXACT}

OWN = {"cbrt"}
"""What has the same bits everywhere, but not NumPy's: it is written here."""


@both_dtypes
@pytest.mark.parametrize("name", FORMULAS)
def test_numpy_executor_equals_numpy(name: str, dtype: str) -> None:
    formula, (x, y) = FORMULAS[name], pairs(dtype)
    rule = made(lambda self, t, p, g: formula(p, g))
    (wanted,) = plain(rule, 1, [x, y])
    for pieces in (1, len(x) // 17, len(x) // 3, len(x)):  # vector bodies and scalar tails: of 441, 17, 3 elements and one
        same(
            run(rule, NumpyExecutor, x, [y], pieces)[0],
            wanted,
            4 * (name in ROUNDED or name in OWN),
            f"{name}, {pieces} pieces",
        )


@only("numba", "cupy")
@both_dtypes
@pytest.mark.parametrize("formulas", [EXACT, ROUNDED], ids=["exact", "rounded"])
def test_others_equal_numpy_executor(formulas: Formulas, dtype: str, executor: str, xp: Any) -> None:
    rule, (x, y) = all_at_once(formulas), pairs(dtype)
    for name, got, wanted in zip(["p", *formulas], *beside_numpy(rule, xp, x, [y]), strict=True):
        same(got, wanted, 4 * (formulas is ROUNDED), name)


def test_quotients_and_remainders_of_totals(executor: str, xp: Any) -> None:
    """As Python rounds them down, also where the device computes scalars: 1 // 0.1 is 9."""
    rule = made(lambda self, t, p, g, q, r: (p, np.sum(p) // np.sum(g), np.sum(p) % np.sum(g)), "q", "r")
    chosen = [x for x in [*special("float64"), 0.3, -0.1, 7.0, -5.5] if x != 0 or not np.signbit(x)]  # a sum of -0 is 0
    x, y = ([np.array([value]) for row in each for value in row] for each in np.meshgrid(chosen, chosen))
    opt = rule.init([xp.array(one) for one in x])
    opt.step(list(map(xp.asarray, y)))
    with np.errstate(all="ignore"):
        for number, (one, other) in enumerate(zip(x, y, strict=True)):
            same(on_host(opt.state["q"][number]), one // other, what=f"{one} // {other}")
            same(on_host(opt.state["r"][number]), one % other, what=f"{one} % {other}")


@pytest.mark.parametrize("name", OF_SCALARS)
def test_scalar_code_equals_numpy(name: str) -> None:
    formula = OF_SCALARS[name]
    traced = trace(made(lambda self, t, p, g, s: (p, formula(self.a, self.b)), "s", numbers=True))
    x, y = pairs("float64")
    with np.errstate(all="ignore"):
        wanted = np.array([formula(*pair) for pair in zip(x, y, strict=True)], float)
    stored = traced.update.scalar_states[StateKey("s")].new
    ulps = 0 if all(OPS[e.op].exact for e in reachable([stored]) if e.args) and name not in OWN else 4
    values = [compile_host((stored,))(1, {"a": float(a), "b": float(b)}) for a, b in zip(x, y, strict=True)]
    same(np.array(values, float).ravel(), wanted, ulps, name)


def test_every_operation_is_tried() -> None:
    array = [trace(made(lambda self, t, p, g, f=f: f(p, g))) for f in FORMULAS.values()]
    array.append(trace(all_at_once(WIDE), True))
    array.append(trace(made(lambda self, t, p, g: g**p)))  # see test_powers
    tried = {op.op for traced in array for op in traced.update.ops} | {"choose", *STOCHASTIC}
    assert tried == {name for name, op in OPS.items() if op.on_arrays}
    host = [trace(made(lambda self, t, p, g, f=f: p + f(self.a, self.b))) for f in OF_SCALARS.values()]
    host += [trace(made(lambda self, t, p, g, f=f: p + np.real(f(self.a * 1j, self.b * 1j + self.a)))) for f in WIDE.values()]
    seen = {expr.op for traced in host for expr in reachable(traced.update.scalars)}
    assert seen - {"constant", "hyper"} == {name for name, op in OPS.items() if op.host}


@only("numba", "cupy")
def test_a_new_operation_is_one_line(executor: str, xp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = made(lambda self, t, p, g: np.arctan(g) * np.arctan(self.a))
    with pytest.raises(TraceError, match=r"np\.arctan of arrays is not available in a rule"):
        trace(rule)
    monkeypatch.setitem(OPS, "arctan", ops.function("arctan", "atan"))
    x, y = values("float32", 2)
    (wanted,) = plain(rule, 1, [x, y])
    same(run(rule, NumpyExecutor, x, [y])[0], wanted, 4)
    (got,), (wanted,) = beside_numpy(rule, xp, x, [y])
    same(got, wanted, 4)


def _choose(mask: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    return np.where(mask, a, c), np.where(mask, b, d)


COMPLEX: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any, Any, Any], Any]]] = {
    "x+y": (lambda x, y: x + y, lambda a, b, c, d: (a + c, b + d)),
    "x-y": (lambda x, y: x - y, lambda a, b, c, d: (a - c, b - d)),
    "x*y": (lambda x, y: x * y, lambda a, b, c, d: (a * c - b * d, a * d + b * c)),
    "-x": (lambda x, y: -x, lambda a, b, c, d: (-a, -b)),
    "conj": (lambda x, y: np.conj(x), lambda a, b, c, d: (a, -b)),
    "abs2": (lambda x, y: abs2(x), lambda a, b, c, d: (a * a + b * b, 0)),
    "x+1": (lambda x, y: x + 1, lambda a, b, c, d: (a + 1, b + 0)),
    "1-x": (lambda x, y: 1 - x, lambda a, b, c, d: (1 - a, 0 - b)),
    "x*2": (lambda x, y: x * 2, lambda a, b, c, d: (2 * a, 2 * b)),
    "x/3": (lambda x, y: x / 3, lambda a, b, c, d: (a / 3, b / 3)),
    "x*2j": (lambda x, y: x * 2j, lambda a, b, c, d: (a * 0 - b * 2, a * 2 + b * 0)),
    "x**2": (lambda x, y: x**2, lambda a, b, c, d: (a * a - b * b, a * b + b * a)),
    "real*y": (lambda x, y: x.real * y, lambda a, b, c, d: (a * c, a * d)),
    "x/imag": (lambda x, y: x / y.imag, lambda a, b, c, d: (a / d, b / d)),
    "==": (lambda x, y: np.where(x == y, x, 1j), lambda a, b, c, d: _choose((a == c) & (b == d), a, b, 0, 1)),
    "!=": (lambda x, y: np.where(x != y, x, 1j), lambda a, b, c, d: _choose((a != c) | (b != d), a, b, 0, 1)),
    "where(x)": (lambda x, y: np.where(x, x, y), lambda a, b, c, d: _choose((a != 0) | (b != 0), a, b, c, d)),
    "where": (lambda x, y: np.where(x.real > y.real, x.imag, y), lambda a, b, c, d: _choose(a > c, b, 0, c, d)),
    "isnan": (lambda x, y: np.isnan(x) * 1.0, lambda a, b, c, d: (np.isnan(a) | np.isnan(b), 0)),
    "isinf": (lambda x, y: np.isinf(x) * 1.0, lambda a, b, c, d: (np.isinf(a) | np.isinf(b), 0)),
    "isfinite": (lambda x, y: np.isfinite(x) * 1.0, lambda a, b, c, d: (np.isfinite(a) & np.isfinite(b), 0)),
}


ALL_COMPLEX = all_at_once({name: formula for name, (formula, _) in COMPLEX.items()})


@only("numba", "cupy")
@both_complex
def test_complex_operations_of_others(dtype: str, rng: np.random.Generator, executor: str, xp: Any) -> None:
    a, b, c, d = parts(dtype, rng)
    x, y = joined(a, b, dtype=dtype), joined(c, d, dtype=dtype)
    for name, got, wanted in zip(["p", *COMPLEX], *beside_numpy(ALL_COMPLEX, xp, x, [y]), strict=True):
        same(got, wanted, what=name)


@both_complex
def test_complex_operations_are_those_of_real_and_imaginary_parts(dtype: str, rng: np.random.Generator) -> None:
    a, b, c, d = parts(dtype, rng)
    x, y = joined(a, b, dtype=dtype), joined(c, d, dtype=dtype)
    together = run(ALL_COMPLEX, NumpyExecutor, x, [y])
    for number, (name, (formula, lowered)) in enumerate(COMPLEX.items(), start=1):
        with np.errstate(all="ignore"):
            wanted = joined(*lowered(a, b, c, d), dtype=dtype)
        rule = made(lambda self, t, p, g, f=formula: f(p, g))
        same(run(rule, NumpyExecutor, x, [y], 59)[0], wanted, what=name)
        same(together[number].astype(dtype), wanted, what=name)


@both_complex
def test_complex_operations_of_ordinary_numbers_equal_numpy(dtype: str, rng: np.random.Generator) -> None:
    x, y = joined(*rng.normal(size=(2, 1003)), dtype=dtype), joined(*rng.normal(size=(2, 1003)), dtype=dtype)
    for name, formula in {**{name: formula for name, (formula, _) in COMPLEX.items()}, **WIDE}.items():
        (got,) = run(made(lambda self, t, p, g, f=formula: f(p, g)), NumpyExecutor, x, [y])
        wanted = formula(x, y)
        assert np.all(np.abs(got - wanted) <= 4 * np.finfo(dtype).eps * np.abs(wanted)), name


NAMES = "pgab"


def check(formula: Callable[..., Any], dtype: str, what: Any, steps: int = 2) -> None:
    """Run a rule with states a and b, whose results may be each other's old values, and compare bits with NumPy itself.

    Once with other gradients, and once with the parameter as its own gradient.
    """
    rng = np.random.default_rng(7)
    p, *others = rng.choice([*special(np.finfo(dtype).dtype.name), *rng.normal(size=40)], (steps + 1, 67)).astype(dtype)
    if dtype.startswith("complex"):
        p, *others = (joined(x.real, x.real[::-1], dtype=dtype) for x in (p, *others))
    rule = made(formula, "a", "b")
    names = ["p", *(s.name for s in trace(rule, p.dtype.kind == "c").states)]
    for gradients in (others, [None] * steps):
        wanted = [p, np.full(67, 0.25, dtype), np.full(67, 0.5, dtype)]
        for t, g in enumerate(gradients, start=1):
            wanted = plain(rule, t, [wanted[0], wanted[0] if g is None else g, *wanted[1:]])
        expected = dict(zip("pab", wanted, strict=True))
        for name, got in zip(names, run(rule, NumpyExecutor, p, gradients), strict=True):
            same(got.astype(dtype), expected[name], what=f"{name} of {what}")


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_every_assignment_of_old_values(dtype: str) -> None:
    for chosen in itertools.product(range(4), repeat=3):
        check(lambda self, t, *old, c=chosen: tuple(old[i] for i in c), dtype, [NAMES[i] for i in chosen])


@pytest.mark.parametrize("target", range(3))
def test_operations_on_values_they_replace(target: int) -> None:
    for name, f in {**BINARY, "where": np.where}.items():
        for i, j, k in itertools.product(range(4), range(4), range(4 if name == "where" else 1)):

            def formula(self: Any, t: Any, *old: Any, f: Any = f, ijk: Any = (i, j, k), n: str = name) -> Any:
                x, y, z = (old[m] for m in ijk)
                new = [old[0], old[2], old[3]]
                new[target] = np.where(x > 0.3, y, z) if n == "where" else f(x, y)
                return tuple(new)

            check(formula, "float32", (name, NAMES[i], NAMES[j], NAMES[k]))


BINARY: Formulas = {
    "add": lambda x, y: x + y, "subtract": lambda x, y: x - y, "multiply": lambda x, y: x * y, "divide": lambda x, y: x / y,
    "maximum": np.maximum, "minimum": np.minimum,
}  # fmt: skip
IN_PLACE: dict[str, Callable[..., Any]] = {
    "nothing": lambda self, t, p, g, a, b: (p, a, b),
    "one value twice": lambda self, t, p, g, a, b: (a + g, a + g, b),
    "one value thrice": lambda self, t, p, g, a, b: (a * b, a * b, a * b),
    "constants": lambda self, t, p, g, a, b: (p, 1.5, -0.0),
    "scalars": lambda self, t, p, g, a, b: (self.a * t, t, self.b),
    "truth": lambda self, t, p, g, a, b: (p < g, (t > 1) * 1.0, a != b),
    "choose": lambda self, t, p, g, a, b: (np.where(t > 2, a, p), np.where(t > 1, a, b), np.where(t < 2, b, a)),
    "choose own": lambda self, t, p, g, a, b: (p, np.where(t > 3, a + g, a), np.where(self.b > 0, g, b)),
    "choose scalars": lambda self, t, p, g, a, b: (np.where(t > 3, self.a, p), np.where(t > 2, 1, a), np.where(t > 1, 2, b)),
    "scalar mask": lambda self, t, p, g, a, b: (np.where((p > g) & (t > 2), a, p), np.where((t > 2) | (g > 0), b, a), b),
    "where own": lambda self, t, p, g, a, b: (np.where(p > 0, p, g), np.where(a > g, g, a), np.where(g > 0, b + g, b)),
    "where all": lambda self, t, p, g, a, b: (np.where(p, p, p), np.where(a, b, a), np.where(a, a, b)),
    "where nested": lambda self, t, p, g, a, b: (np.where(p > a, np.where(a > g, p, a), np.where(g > b, b, p)), p, a),
    "old and new": lambda self, t, p, g, a, b: (p - (a + g) * b, b + p, (a + g) / (b + p)),
    "crosswise": lambda self, t, p, g, a, b: (a - p, b - a, p - b),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_results_in_place(name: str) -> None:
    for dtype in ("float32", "float64"):
        check(IN_PLACE[name], dtype, name, steps=5)


@only("numba", "cupy")
def test_names_never_meet(executor: str, xp: Any, rng: np.random.Generator) -> None:
    names = ["m", "m_re", "m_old", "m_new", "m_re_old", "c0", "x3", "i", "n", "float", "β", "lr_h", "a", "b"]
    rule = made(lambda self, t, p, g, m, *rest: (p - self.a * g, m + g * t, *(r + g.real for r in rest)), *names)
    p, g = joined(*rng.normal(size=(2, 50)), dtype="complex64"), joined(*rng.normal(size=(2, 50)), dtype="complex64")
    for got, wanted in zip(*beside_numpy(rule, xp, p, [g, g]), strict=True):
        same(got, wanted)


@only("numba", "cupy")
def test_others_in_place(rng: np.random.Generator, executor: str, xp: Any) -> None:
    states = [f"s{i}" for i in range(2 * len(IN_PLACE))]

    def formula(self: Any, t: Any, p: Any, g: Any, *old: Any) -> Any:
        new = [f(self, t, p, g, *old[2 * n : 2 * n + 2]) for n, f in enumerate(IN_PLACE.values())]
        return sum((first * 0.1 for first, _, _ in new), start=p), *itertools.chain(*(rest for _, *rest in new))

    p, *gradients = rng.choice([*special("float32"), *rng.normal(size=100)], (6, 500)).astype("float32")
    rule = made(formula, *states)
    for number, (x, y) in enumerate(zip(*beside_numpy(rule, xp, p, gradients), strict=True)):
        same(x, y, what=f"array {number}")


# ---- Random formulas: a list of instructions, each of which appends a value made of earlier ones.

UNARY: dict[str, Callable[[Any], Any]] = {f.__name__: f for f in (np.negative, np.abs, np.sqrt, np.sign, np.square)}
MASK: Formulas = {
    "<": lambda x, y: x < y, ">=": lambda x, y: x >= y, "==": lambda x, y: x == y, "!=": lambda x, y: x != y,
}  # fmt: skip
LOGICAL: Formulas = {"&": np.logical_and, "|": np.logical_or, "~": lambda x, y: np.logical_not(x)}
SCALAR: Formulas = {"scalar+": lambda x, y: x + y, "scalar-": lambda x, y: x - y, "scalar*": lambda x, y: x * y}
INSTRUCTIONS = [*BINARY, *BINARY, *UNARY, *MASK, *LOGICAL, *SCALAR, "scale", "shift", "where", "where", "choose", "after"]
NUMBER = st.integers(0, 50)
PROGRAM = st.tuples(
    st.lists(st.tuples(st.sampled_from(INSTRUCTIONS), NUMBER, NUMBER, NUMBER), min_size=1, max_size=25),
    st.tuples(NUMBER, NUMBER, NUMBER),
)


def calculate(program: Any, settle: Callable[[Any], Any], self: Any, t: Any, *old: Any) -> tuple[Any, ...]:
    """Follow the program on arrays or symbols; `settle` gives what NumPy computed the dtype of the arrays."""
    arrays, scalars, masks, switches = list(reversed(old)), [self.a, self.b, t, 1.0, -0.5], [old[0] > old[1]], [t > 1]
    scaled: set[int] = set()  # products with a scalar: another scalar would be multiplied into the first, on the host
    lists = {**dict.fromkeys(MASK | LOGICAL, masks), **dict.fromkeys(SCALAR, scalars), "after": switches}
    for name, i, j, k in program[0]:
        x, y, s = (values[-1 - n % len(values)] for values, n in ((arrays, i), (arrays, j), (scalars, k)))
        mask, other = masks[-1 - k % len(masks)], masks[-1 - i % len(masks)]
        if name in BINARY:
            value = BINARY[name](x, y)
        elif name in UNARY:
            value = UNARY[name](x)
        elif name in MASK:
            value = MASK[name](x, s if j % 3 == 0 else y)
        elif name in LOGICAL:
            value = LOGICAL[name](mask, switches[-1] if j % 5 == 0 else other)
        elif name in SCALAR:
            value = SCALAR[name](s, scalars[-1 - i % len(scalars)])
        elif name == "scale":
            value = s + x if id(x) in scaled else s * x
        elif name == "shift":
            value = (s - x, x - s, s / x, np.maximum(x, s))[j % 4]
        elif name == "after":
            value = s < scalars[-1 - i % len(scalars)]
        else:
            condition = mask if name == "where" else switches[-1 - k % len(switches)]
            value = np.where(condition, x, (y, s, y)[i % 3])
        if name not in SCALAR and name != "after":
            value = settle(value)
        if name == "scale" or (name in ("where", "choose") and {id(x), id(y)} & scaled):
            scaled.add(id(value))
        lists.get(name, arrays).append(value)
    return tuple(arrays[-1 - n % len(arrays)] for n in program[1])


def random_rule(program: Any) -> Rule:
    return made(lambda self, t, *old: calculate(program, lambda x: x, self, t, *old), "a", "b")


def values(dtype: str, number: int) -> list[Array]:
    """Arrays of ordinary and special values."""
    rng = np.random.default_rng(11)
    return list(rng.choice([*special(dtype), *rng.normal(size=60)], (number, 67)).astype(dtype))


@examples(250)
@given(program=PROGRAM, dtype=st.sampled_from(["float32", "float64"]), gradient_is_parameter=st.booleans())
def test_random_formulas(program: Any, dtype: str, gradient_is_parameter: bool) -> None:
    p, *gradients = values(dtype, 4)
    rule, wanted = random_rule(program), [p, np.full(67, 0.25, dtype), np.full(67, 0.5, dtype)]
    got = run(rule, NumpyExecutor, p, [None] * 3 if gradient_is_parameter else gradients)
    for t, g in enumerate(gradients, start=1):
        old = (wanted[0], wanted[0] if gradient_is_parameter else g, *wanted[1:])
        with np.errstate(all="ignore"):
            wanted = list(calculate(program, lambda x: x.astype(dtype if x.dtype.kind == "f" else bool), rule, float(t), *old))
    expected = dict(zip("pab", wanted, strict=True))
    for name, value in zip(["p", *(s.name for s in trace(rule).states)], got, strict=True):
        same(value, expected[name], what=name)


@only("numba", "cupy")
@examples(5)
@given(program=PROGRAM, dtype=st.sampled_from(["float32", "float64"]))
def test_random_formulas_of_others(program: Any, dtype: str, executor: str, xp: Any) -> None:
    rule, (p, *gradients) = random_rule(program), values(dtype, 4)
    for got, wanted in zip(*beside_numpy(rule, xp, p, gradients), strict=True):
        same(got, wanted)
