"""The cube root: how far from the true one, and the same bits on every executor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpuopt.codegen.host import compile_host
from gpuopt.codegen.roots import cube_root_of_number
from gpuopt.executors.cpu.numpy import NumpyExecutor
from gpuopt.tracing.trace import trace
from tests.support.executors import only
from tests.support.formulas import Array, beside_numpy, made, run, same

both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
CUBE_ROOT = made(lambda self, t, p, g: np.cbrt(g))


def of_any_size(dtype: str, rng: np.random.Generator, normal: bool = False) -> Array:
    """Numbers of all exponents and of either sign; with `normal`, none that a GPU flushes to zero."""
    info = np.finfo(dtype)
    low = info.minexp if normal else int(np.log2(info.smallest_subnormal))
    exponents = np.repeat(np.arange(low, info.maxexp), 50)
    with np.errstate(all="ignore"):
        x = np.ldexp(rng.uniform(1, 2, exponents.size) * rng.choice([-1, 1], exponents.size), exponents)
        return np.asarray(x, dtype)


@both_dtypes
@pytest.mark.skipif(np.finfo(np.longdouble).nmant <= np.finfo(float).nmant, reason="long double is no longer here")
def test_it_is_right_to_less_than_a_unit_in_the_last_place(dtype: str, rng: np.random.Generator) -> None:
    dense = np.linspace(1, 8, 100_001).astype(dtype)  # all that a mantissa and three exponents may be
    for x in (of_any_size(dtype, rng), dense):
        found, exact = run(CUBE_ROOT, NumpyExecutor, x, [x])[0], np.cbrt(x.astype(np.longdouble))
        kept = x != 0
        error = np.abs(found.astype(np.longdouble) - exact)[kept] / np.spacing(np.abs(exact[kept]).astype(dtype))
        assert error.max() < 0.74


@both_dtypes
def test_special_values_and_cubes(dtype: str) -> None:
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, 8.0, -27.0, 2.0**-30, -(2.0**60)], dtype)
    wanted = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, 2.0, -3.0, 2.0**-10, -(2.0**20)], dtype)
    for kept in (slice(None), slice(5, None), slice(4, None), slice(2, 4)):  # with and without what is computed anew
        same(run(CUBE_ROOT, NumpyExecutor, x[kept], [x[kept]])[0], wanted[kept])


@only("numba", "cupy")
@both_dtypes
def test_every_executor_has_the_same_bits(dtype: str, executor: str, xp: Any, rng: np.random.Generator) -> None:
    x = of_any_size(dtype, rng, normal=dtype == "float32")
    x = np.concatenate([x, np.array([0.0, -0.0, np.inf, -np.inf, np.nan], dtype)])
    (got,), (wanted,) = beside_numpy(CUBE_ROOT, xp, x, [x])
    same(got, wanted)


def test_numbers_have_the_bits_of_arrays(rng: np.random.Generator) -> None:
    x = of_any_size("float64", rng)[::37]
    found = run(CUBE_ROOT, NumpyExecutor, x, [x])[0]
    same(np.array([cube_root_of_number(float(one)) for one in x]), found)
    scalars = trace(made(lambda self, t, p, g: p + np.cbrt(t))).update.scalars
    assert compile_host(scalars)(27, {}) == (3.0,)


def test_it_stays_where_other_arrays_lie(rng: np.random.Generator) -> None:
    """The argument is read until the end, so the result lies elsewhere: also where it is the parameter itself."""
    rule = made(lambda self, t, p, g: np.cbrt(p) + p)
    x = rng.normal(size=1000)
    same(run(rule, NumpyExecutor, x, [x])[0], run(CUBE_ROOT, NumpyExecutor, x, [x])[0] + x)
