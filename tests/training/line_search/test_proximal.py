"""The proximal gradient method: what it finds, and what a prox may be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuopt as go
from tests.support.problems import bowl

RNG = np.random.default_rng(0)
A = RNG.normal(size=(30, 60))
B = A[:, :4] @ np.array([3.0, -2.0, 1.0, 4.0]) + 0.01 * RNG.normal(size=30)
L = float(np.linalg.norm(A, 2) ** 2)


def lasso(x: Any) -> Any:
    r = A.astype(x.dtype) @ x - B.astype(x.dtype)
    return r @ r / 2, A.astype(x.dtype).T @ r


def soft(x: Any, step: float) -> Any:
    return np.sign(x) * np.maximum(abs(x) - step, 0)


def optimality(x: Any) -> float:
    """Of ``lasso(x) + ‖x‖₁``: how far a subgradient is from 0."""
    g = lasso(x)[1]
    return float(np.where(x != 0, abs(g + np.sign(x)), np.maximum(abs(g) - 1, 0)).max())


@pytest.mark.parametrize(
    ("options", "most"),
    [({}, 120), ({"step": 1 / L, "search": False}, 180), ({"accelerate": False}, 600), ({"step": 100 / L}, 120)],
)
def test_the_lasso(options: Any, most: int) -> None:
    found = go.minimize(lasso, np.zeros(60), go.ProximalGradient(prox=soft, **options), gtol=1e-7, maxiter=5000)
    assert found.success
    assert found.nit < most
    assert optimality(found.x) < 1e-6
    assert found.fun == pytest.approx(lasso(found.x)[0])
    assert found.nfev <= 2 * found.nit + 40


def test_rounding_halves_no_step() -> None:
    """Values far from 0, whose differences rounding makes: the step size stays that of the gradient."""

    def far(x: Any) -> Any:
        value, gradient = lasso(x)
        return 1e6 + value, gradient

    found = go.minimize(far, np.zeros(60), go.ProximalGradient(prox=soft, accelerate=False), gtol=1e-7)
    assert found.success
    assert found.nfev < 600


def test_float32() -> None:
    found = go.minimize(lasso, np.zeros(60, "f4"), go.ProximalGradient(prox=soft), gtol=2e-3)
    assert found.success
    assert found.x.dtype == np.float32
    assert optimality(found.x.astype(float)) < 1e-2


def test_it_is_at_the_minimum() -> None:
    x = go.minimize(lasso, np.zeros(60), go.ProximalGradient(prox=soft), gtol=1e-8).x
    assert go.minimize(lasso, x, go.ProximalGradient(prox=soft)).nit == 0


class Box:
    """An object with a prox, as a piece has one."""

    def prox(self, x: Any, step: float) -> Any:
        return {key: np.clip(array, 0.0, 1.0) for key, array in x.items()} if isinstance(x, dict) else np.clip(x, 0.0, 1.0)


def two(x: Any) -> Any:
    (a, slope_a), (b, slope_b) = bowl(x["a"]), bowl(x["b"])
    return a + b, {"a": slope_a, "b": slope_b}


@pytest.mark.parametrize(
    ("prox", "a", "b"),
    [
        (Box(), 1.0, 1.0),
        ({"b": Box(), "a": None}, 3.0, 1.0),
        (go.l1(1.0), 2.0, 2.0),
        ({"a": go.bounds(0.0, 0.5), "b": go.l1(0.5)}, 0.5, 2.5),
        ({"a": lambda x, step: np.minimum(x, 2.0), "b": Box()}, 2.0, 1.0),
        (lambda x, step: {"b": x["b"], "a": np.minimum(x["a"], 2.0)}, 2.0, 3.0),
    ],
)
def test_forms_of_a_prox(prox: Any, a: float, b: float) -> None:
    found = go.minimize(two, {"a": np.zeros(2), "b": np.zeros((1, 3))}, go.ProximalGradient(prox=prox), maxiter=200)
    assert found.x["a"] == pytest.approx([a, a], abs=1e-5)
    assert found.x["b"].ravel() == pytest.approx([b] * 3, abs=1e-5)


@pytest.mark.parametrize(
    ("prox", "error", "message"),
    [
        (3, TypeError, r"prox must be a function prox\(x, step\), .*gpuopt\.l1\(0\.1\).*, got 3$"),
        (go.l1, TypeError, r"prox must be a function .*, got <class"),
        ({"a": None, "b": 3}, TypeError, r"prox must be .*, got 3 for x0\['b'\]"),
        ({"a": None}, ValueError, r"missing: prox\['b'\]"),
        (lambda x, step: x["a"], TypeError, r"prox must be a dict with the keys \['a', 'b'\]"),
        (
            {"a": lambda x, step: 0.0, "b": None},
            TypeError,
            r"prox must return an array like x\['a'\], ndarray of shape \(2,\), got float",
        ),
        (
            {"a": None, "b": lambda x, step: x + 1j},
            TypeError,
            r"prox returned a complex array for the real x\['b'\]: return np\.real",
        ),
    ],
)
def test_a_prox_that_cannot_be(prox: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        go.minimize(two, {"a": np.zeros(2), "b": np.zeros(3)}, go.ProximalGradient(prox=prox))


def test_complex_sparsity() -> None:
    """|z| shrinks, its phase stays: the prox of the modulus, in the real inner product."""
    centre = np.array([3 + 4j, 0.1j])

    def shrink(z: Any, step: float) -> Any:
        return z * np.maximum(1 - step / np.maximum(abs(z), 1e-30), 0)

    found = go.minimize(
        lambda z: (float((abs(z - centre) ** 2).sum()) / 2, z - centre), np.zeros(2, complex), go.ProximalGradient(prox=shrink)
    )
    assert found.x == pytest.approx(centre * [0.8, 0.0], abs=1e-6)
