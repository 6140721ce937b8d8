"""Powers of arrays: how far from the true ones, which special values they have, and the same bits on every executor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.executors.cpu.numpy import NumpyExecutor
from tests.support.executors import only
from tests.support.formulas import Array, beside_numpy, made, run, same

both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
POWER = made(lambda self, t, p, g: g**p)


def bases(dtype: str, rng: np.random.Generator, count: int) -> tuple[Array, Array]:
    """Exponents, and bases of any size and near 1, whose powers are of any size."""
    most, around = np.finfo(dtype).maxexp - 2, np.ldexp(rng.uniform(-0.3, 0.41, count), -rng.integers(0, 20, count))
    x = np.concatenate([np.exp2(rng.uniform(-most, most, count)), 1 + around]).astype(dtype)
    with np.errstate(divide="ignore"):
        y = (rng.uniform(-most, most, x.size) / np.abs(np.log2(x.astype(float)))).astype(dtype)
    return y[np.isfinite(y)], x[np.isfinite(y)]


@both_dtypes
@pytest.mark.skipif(np.finfo(np.longdouble).nmant <= np.finfo(float).nmant, reason="long double is no longer here")
def test_it_is_right_to_a_unit_and_a_half_in_the_last_place(dtype: str, rng: np.random.Generator) -> None:
    y, x = bases(dtype, rng, 10_000)
    found, exact = run(POWER, NumpyExecutor, y, [x])[0], x.astype(np.longdouble) ** y.astype(np.longdouble)
    error = np.abs(found.astype(np.longdouble) - exact) / np.spacing(exact.astype(dtype))
    assert 0.6 < error.max() < 1.5


@both_dtypes
def test_special_values_are_those_of_numpy(dtype: str) -> None:
    info = np.finfo(dtype)
    size: list[Any] = [0.0, 1.0, 0.5, 2.0, 3.0, 1e30, 2**24 + 1, info.tiny, info.smallest_subnormal, np.inf]
    values = np.array([*size, *(-x for x in size), np.nan], dtype)
    x, y = (each.ravel() for each in np.meshgrid(values, values))
    with np.errstate(all="ignore"):
        same(run(POWER, NumpyExecutor, y, [x])[0], x**y, 2)


@only("numba", "cupy")
@both_dtypes
def test_every_executor_has_the_same_bits(dtype: str, executor: str, xp: Any, rng: np.random.Generator) -> None:
    y, x = bases(dtype, rng, 500)
    special = np.array([0.0, -0.0, 1.0, -1.0, 2.0, -3.0, 0.5, np.inf, -np.inf, np.nan], dtype)
    more = [each.ravel() for each in np.meshgrid(special, special)]
    (got,), (wanted,) = beside_numpy(POWER, xp, np.concatenate([y, more[0]]), [np.concatenate([x, more[1]])])
    same(got, wanted)


EXPONENTS: dict[str, Any] = {
    "a number": lambda self, t, p, g: p**1.5, "a negative one": lambda self, t, p, g: p**-0.75,
    "three": lambda self, t, p, g: p**3, "four": lambda self, t, p, g: p**4,
    "a hyperparameter": lambda self, t, p, g: p**self.a,
    "of a truth value": lambda self, t, p, g: (p > 1) ** p,
    "of a number": lambda self, t, p, g: 2.0**p, "the step": lambda self, t, p, g: p**t / (1 - self.b**t),
}  # fmt: skip


@pytest.mark.parametrize("formula", EXPONENTS.values(), ids=EXPONENTS)
def test_either_may_be_a_number(formula: Any, rng: np.random.Generator) -> None:
    x, rule = rng.uniform(0.1, 3, 50), made(formula)
    np.testing.assert_allclose(run(rule, NumpyExecutor, x, [x])[0], formula(rule, 1, x, x), rtol=1e-15)


def test_an_array_in_place_of_a_decay_has_powers() -> None:
    class Corrected(go.Rule):
        beta: go.Decay = 0.9

        def update(self, t: Any, p: Any, g: Any) -> Any:
            return g / (1 - self.beta**t)

    x, beta = np.ones(3), np.array([0.0, 0.5, 0.9])
    opt = Corrected().init(x, hyper={"beta": beta})
    for _ in range(2):
        opt.step(np.ones(3))
    np.testing.assert_allclose(x, 1 / (1 - beta**2), rtol=1e-15)


def test_the_square_of_a_number_is_a_product(rng: np.random.Generator) -> None:
    """Which is the same everywhere: the powers of a GPU, and of a C library, may differ from it in the last digit."""

    class Squared(go.Rule):
        exponent: float = 2.0

        def update(self, t: Any, p: Any, g: Any, largest: Any = 0.0) -> Any:
            return g, largest**self.exponent + self.exponent

    differing = [x for x in rng.uniform(1, 10, 100_000).tolist() if math.pow(x, 2.0) != x * x]
    for x in [1.5, *differing[:5]]:
        opt = Squared().init(np.ones(2))
        opt.load_state_dict(opt.state_dict() | {"state": {"largest": np.array(x)}})
        opt.step(np.ones(2))
        assert opt.state["largest"] == x * x + 2.0


def test_complex_arrays_have_few_powers() -> None:
    x = np.array([1 + 2j])
    for exponent in (2, 3, 4, -1, 1):
        np.testing.assert_allclose(run(made(lambda s, t, p, g, k=exponent: g**k), NumpyExecutor, x, [x])[0], x**exponent)
    for formula in (lambda s, t, p, g: p**1.5, lambda s, t, p, g: p.real**g, lambda s, t, p, g: p.real ** (1 + 2j)):
        with pytest.raises(go.TraceError, match=r"of a complex array, only the powers x\*\*2, x\*\*3"):
            made(formula).init(x)
