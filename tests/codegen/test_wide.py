"""Modulus, direction and quotient of complex numbers over the whole range of exponents."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gpuopt.codegen.host import compile_host
from gpuopt.executors.cpu.numpy import NumpyExecutor
from gpuopt.tracing.trace import trace
from tests.support.executors import only
from tests.support.formulas import WIDE, Array, all_at_once, beside_numpy, joined, made, parts, run, same

both_complex = pytest.mark.parametrize("dtype", ["complex64", "complex128"])


def of_any_size(dtype: str, rng: np.random.Generator) -> Array:
    """Complex numbers of all exponents, their parts of nearly the same one or of another."""
    info = np.finfo(dtype)
    low, high = int(np.log2(info.smallest_subnormal)), info.maxexp
    exponent = rng.integers(low, high, 1003)
    others = np.where(rng.random(1003) < 0.5, exponent + rng.integers(-3, 4, 1003), rng.integers(low, high, 1003))
    with np.errstate(all="ignore"):
        re, im = (np.ldexp(rng.normal(size=1003).astype(info.dtype), e) for e in (exponent, np.minimum(others, high - 2)))
    return joined(re, im, dtype=dtype)


def beyond(formula: Callable[[Any, Any], Any], x: Array, y: Array) -> Array:
    """The formula in numbers of a larger range and precision; NaN where those are none."""
    with np.errstate(all="ignore"):
        return np.asarray(formula(x.astype(np.clongdouble), y.astype(np.clongdouble)))


@both_complex
@pytest.mark.skipif(np.finfo(np.longdouble).maxexp <= np.finfo(float).maxexp, reason="long double is no larger here")
def test_wide_operations_of_all_exponents(dtype: str, rng: np.random.Generator) -> None:
    x, y, real = of_any_size(dtype, rng), of_any_size(dtype, rng), np.finfo(dtype)
    for name, formula in WIDE.items():
        got = run(made(lambda self, t, p, g, f=formula: f(p, g)), NumpyExecutor, x, [y])[0]
        exact = beyond(formula if name != "sign" else lambda x, y: np.where(x == 0, 0, x / np.abs(x)), x, y)
        with np.errstate(all="ignore"):
            size = np.abs(exact).astype(real.dtype)
            kept = np.isfinite(size) & np.isfinite(got)
            near = np.abs(got - exact) <= 4 * np.spacing(size)
        assert np.all(near[kept]), name
        assert np.mean(kept) > 0.6, name
        np.testing.assert_array_equal(np.isfinite(got)[size < real.max / 4], True, err_msg=name)


@both_complex
def test_wide_operations_of_special_values_are_those_of_numpy(dtype: str) -> None:
    real = np.finfo(dtype).dtype.type
    ends = [0.0, -0.0, 1.0, -2.0, 1e-30, math.inf, -math.inf, math.nan]
    a, b, c, d = (x.ravel().astype(real) for x in np.meshgrid(ends, ends, ends, ends))
    x, y = joined(a, b, dtype=dtype), joined(c, d, dtype=dtype)
    for name in ("abs", "sign", "x/y", "1/x"):
        got = run(made(lambda self, t, p, g, f=WIDE[name]: f(p, g)), NumpyExecutor, x, [y])[0]
        with np.errstate(all="ignore"):
            wanted = np.asarray(WIDE[name](x, y)).astype(dtype)
        np.testing.assert_allclose(got.real, wanted.real, rtol=8 * float(np.finfo(dtype).eps), err_msg=name)
        np.testing.assert_allclose(got.imag, wanted.imag, rtol=8 * float(np.finfo(dtype).eps), err_msg=name)


@both_complex
def test_wide_operations_of_ordinary_numbers_keep_their_bits(dtype: str, rng: np.random.Generator) -> None:
    """No scaling shows in them."""
    a, b, c, d = (rng.normal(size=1003).astype(np.finfo(dtype).dtype) for _ in range(4))
    square, x, y = c * c + d * d, joined(a, b, dtype=dtype), joined(c, d, dtype=dtype)
    plainly = {
        "x/y": ((a * c + b * d) / square, (b * c - a * d) / square),
        "abs": (np.sqrt(a * a + b * b), 0),
        "sign": (a / np.sqrt(a * a + b * b), b / np.sqrt(a * a + b * b)),
    }
    for name, parts_of_it in plainly.items():
        got = run(made(lambda self, t, p, g, f=WIDE[name]: f(p, g)), NumpyExecutor, x, [y])[0]
        same(got, joined(*parts_of_it, dtype=dtype), what=name)


@only("numba", "cupy")
@both_complex
def test_wide_operations_of_others(dtype: str, rng: np.random.Generator, executor: str, xp: Any) -> None:
    a, b, c, d = parts(dtype, rng)
    x, y = (np.concatenate([of_any_size(dtype, rng), joined(*each, dtype=dtype)]) for each in ((a, b), (c, d)))
    for name, got, wanted in zip(["p", *WIDE], *beside_numpy(all_at_once(WIDE), xp, x, [y]), strict=True):
        same(got, wanted, what=name)


@pytest.mark.parametrize("exponent", [-1060, -600, 0, 600, 1020])
def test_wide_operations_of_numbers(exponent: int) -> None:
    """As the host computes them, with a scalar of each dtype."""
    big = 2.0**exponent
    traced = trace(made(lambda self, t, p, g, s: (p, np.abs(np.abs(self.a * 3j) * 1j + 4 * self.a) / self.a), "s"), True)
    (value,) = compile_host(traced.update.scalars)(1, {"a": big, "b": 1.0})
    assert value == 5.0
    for formula, expected in {
        "quotient": (lambda a: ((1 + 1j) * a / (2j * a)).imag, -0.5),
        "sign": (lambda a: np.sign(3j * a).imag, 1),
    }.values():
        (value,) = compile_host(trace(made(lambda self, t, p, g, s, f=formula: (p, f(self.a)), "s")).update.scalars)(
            1, {"a": big, "b": 1.0}
        )
        assert value == expected
