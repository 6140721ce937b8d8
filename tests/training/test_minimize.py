"""minimize in SciPy's shape, and as one of SciPy's methods."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import gpuopt as go


def rosenbrock(x: Any) -> tuple[Any, Any]:
    a, b = x[1:] - x[:-1] ** 2, 1 - x[:-1]
    g = 0 * x
    g[:-1] = -400 * x[:-1] * a - 2 * b
    g[1:] += 200 * a
    return (100 * a**2 + b**2).sum(), g


def bowl(x: Any, centre: Any = 3.0) -> tuple[Any, Any]:
    return 0.5 * ((x - centre) ** 2).sum(), x - centre


def test_rosenbrock(xp: Any) -> None:
    x0 = xp.asarray([-1.2, 1.0, 0.5])
    before = x0.copy()
    found = go.minimize(rosenbrock, x0, go.Adam(lr=0.02), maxiter=20_000, gtol=1e-5)
    assert found.success
    assert found.status == 0
    assert "gtol" in found.message
    assert float(abs(found.x - 1).max()) < 1e-4
    assert found.nfev == found.nit + 1
    assert found.fun == pytest.approx(float(rosenbrock(found.x)[0]))
    assert bool((x0 == before).all())
    assert type(found.x) is type(x0)


def test_the_end_of_iterations() -> None:
    found = go.minimize(bowl, np.zeros((2, 3), "float32"), go.GradientDescent(0.1), maxiter=7)
    assert (found.nit, found.nfev, found.status, found.success) == (7, 8, 1, False)
    assert found.x.dtype == np.float32
    assert np.allclose(found.x, 3 * (1 - 0.9**7))
    assert go.minimize(bowl, [1, 2], go.GradientDescent(0.1), maxiter=0).x.tolist() == [1.0, 2.0]


def test_arguments_and_a_separate_gradient() -> None:
    found = go.minimize(
        lambda x, c: bowl(x, c)[0], np.zeros(2), go.GradientDescent(0.5), jac=lambda x, c: bowl(x, c)[1], args=(-2.0,)
    )
    assert np.allclose(found.x, -2)


@pytest.mark.parametrize(
    "bounds",
    [
        (-1.0, np.array([0.5, 9.0])),
        [(-1, 0.5), (None, 9)],
        ((-1, 0.5), (None, 9)),
        (None, np.array([0.5, math.inf])),
    ],
)
def test_bounds(bounds: Any) -> None:
    found = go.minimize(bowl, np.array([-5.0, 8.0]), go.Adam(lr=0.1), bounds=bounds, maxiter=3000)
    assert found.success
    assert found.x == pytest.approx([0.5, 3.0], abs=1e-5)


def test_scipys_bounds() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    found = go.minimize(bowl, np.zeros(2), go.GradientDescent(0.5), bounds=optimize.Bounds([-1, 4], [2, 5]))
    assert found.x.tolist() == [2.0, 4.0]
    assert found.success


def test_a_value_that_is_not_finite() -> None:
    """The best x before it is returned."""
    calls: list[Any] = []

    def breaks(x: Any) -> tuple[Any, Any]:
        calls.append(x.copy())
        return (math.nan if len(calls) > 12 else bowl(x)[0]), bowl(x)[1]

    found = go.minimize(breaks, np.zeros(2), go.GradientDescent(0.1), check_every=5)
    assert (found.status, found.success) == (2, False)
    assert np.array_equal(found.x, calls[10])
    assert math.isfinite(found.fun)
    assert go.minimize(lambda x: (math.inf, x), np.ones(2), go.Adam()).status == 2
    assert go.minimize(lambda x: (0.0, x * math.nan), np.ones(2), go.Adam()).status == 2


@pytest.mark.parametrize("how", ["true", "stop iteration", "intermediate result"])
def test_callback(how: str) -> None:
    seen = []

    def by_x(x: Any) -> bool:
        seen.append(x.copy())
        if how == "stop iteration" and len(seen) == 3:
            raise StopIteration
        return len(seen) == 3

    def by_result(intermediate_result: Any) -> bool:
        return by_x(intermediate_result.x)

    callback = by_result if how == "intermediate result" else by_x
    found = go.minimize(bowl, np.zeros(2), go.GradientDescent(0.1), callback=callback, check_every=4)
    assert (found.nit, found.status, len(seen)) == (8, 99, 3)
    assert np.array_equal(found.x, seen[-1])


REFUSED = [
    ({"maxiter": -1}, ValueError, "maxiter must be a whole number of at least 0, got -1"),
    ({"maxiter": 1.5}, ValueError, "maxiter"),
    ({"check_every": 0}, ValueError, "check_every must be a whole number of at least 1, got 0"),
    ({"gtol": math.nan}, ValueError, "gtol must be a number >= 0, got nan"),
    ({"jac": None}, ValueError, "jac must be True"),
    ({"x0": np.array(["a"])}, TypeError, "x0 must be an array of numbers, got dtype <U1"),
    ({"fun": lambda x: 1.0}, TypeError, r"fun must return \(value, gradient\), got float"),
    ({"fun": lambda x: (x, x)}, TypeError, "fun must return a single real number"),
    ({"fun": lambda x: (1.0, np.ones(3))}, ValueError, "shape"),
    ({"bounds": [(0, 1)]}, ValueError, r"pair for each of the 2 elements of x, got 1"),
    ({"bounds": (2.0, 1.0)}, ValueError, "a lower bound is above its upper bound"),
    ({"bounds": (math.nan, 1.0)}, ValueError, "a lower bound is NaN"),
    ({"bounds": (np.zeros(3), np.ones(3))}, ValueError, r"do not broadcast to x of shape \(2,\)"),
    ({"bounds": (0, 1), "x0": np.ones(2, "complex64")}, TypeError, "bounds need a real x0"),
]


@pytest.mark.parametrize(("options", "error", "message"), REFUSED)
def test_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments = {"fun": bowl, "x0": np.zeros(2), **options}
    with pytest.raises(error, match=message):
        go.minimize(rule=go.GradientDescent(0.1), **arguments)


def test_an_error_of_the_function_propagates() -> None:
    def breaks(x: Any) -> Any:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        go.minimize(breaks, np.zeros(2), go.Adam())


def test_as_a_method_of_scipy() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    method = go.scipy_method(go.Adam(lr=0.02))
    options = {"maxiter": 20_000, "gtol": 1e-5}
    found = optimize.minimize(rosenbrock, [-1.2, 1.0], jac=True, method=method, options=options)
    assert found.success
    assert found.x == pytest.approx([1, 1], abs=1e-4)
    bounded = optimize.minimize(bowl, np.zeros(2), jac=True, method=method, bounds=[(0, 1), (0, 9)], tol=1e-5)
    assert bounded.x == pytest.approx([1, 3], abs=1e-3)
    with pytest.raises(ValueError, match="needs the gradient"):
        optimize.minimize(lambda x: x @ x, np.ones(2), method=method)
    with pytest.raises(TypeError, match=r"rule must be a gpuopt.Rule"):
        go.scipy_method("adam")  # type: ignore[arg-type]


def test_the_result() -> None:
    found = go.minimize(bowl, np.zeros(2), go.GradientDescent(0.5))
    assert found["x"] is found.x
    assert set(dir(found)) == {"x", "fun", "jac", "nit", "nfev", "success", "status", "message"}
    assert "success: True" in repr(found)
    with pytest.raises(AttributeError):
        getattr(found, "hess")  # noqa: B009
