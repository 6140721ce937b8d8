"""minimize in SciPy's shape."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from tests.support.foreign import OnCuda, OnCudaWithGradient, Sparse
from tests.support.problems import bowl, rosenbrock


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
    ({"bounds": (0, math.nan)}, ValueError, "an upper bound is NaN; use None"),
    ({"bounds": 0.5}, TypeError, r"bounds must be \(lo, hi\), a \(min, max\) pair"),
    ({"bounds": []}, ValueError, "pair for each element of x"),
    ({"bounds": [(0, 1, 2), (0, 1, 2)]}, ValueError, "pair for each element of x"),
    ({"bounds": [(0, "a"), (0, 1)]}, TypeError, "with numbers or None, got"),
    ({"jac": "2-point"}, ValueError, r"got '2-point'; scipy\.optimize\.minimize with method=gpuopt\.scipy_method\(rule\)"),
    ({"maxiter": True}, ValueError, "maxiter"),
    ({"maxiter": math.inf}, ValueError, "maxiter must be a whole number of at least 0, got inf"),
    ({"callback": 3}, TypeError, "callback must be callable, not 3"),
    ({"fun": 3}, TypeError, "fun must be callable, got 3"),
    ({"x0": {"a": np.ones(2)}}, TypeError, r"got dict: .* make opt = rule\.init\(x0\) and call opt\.step"),
    ({"x0": [np.ones(2), np.ones(3)]}, TypeError, r"got list: minimize takes one array"),
    ({"x0": None}, TypeError, "x0 must be an array of numbers, got NoneType"),
    ({"x0": OnCuda()}, TypeError, r"got OnCuda: pass cupy\.asarray\(x0\)$"),
    ({"x0": OnCudaWithGradient()}, TypeError, r"pass cupy\.asarray\(x0\.detach\(\)\)$"),
    ({"x0": Sparse()}, TypeError, r"got Sparse: pass np\.asarray\(x0\.toarray\(\)\)$"),
    ({"fun": lambda x: (1.0, OnCuda())}, TypeError, r"return cupy\.asnumpy\(cupy\.asarray\(gradient\)\)$"),
    ({"fun": lambda x: (1.0, Sparse())}, TypeError, r"return np\.asarray\(gradient\.toarray\(\)\)$"),
    ({"x0": np.array([1, 2], object)}, TypeError, r"pass x0\.astype\(float\)"),
    ({"x0": np.ma.masked_array([1.0, 2.0], [True, False])}, TypeError, r"masked array: pass x0\.filled\(0\.0\)"),
    ({"rule": go.Adam}, TypeError, r"rule must be a gpuopt\.Rule, .* got type: Adam is a class, so call it, Adam\(\)"),
    ({"rule": go.clip}, TypeError, r"got type: a piece works in a chain, as in gpuopt\.chain"),
    ({"rule": go.clip(1.0)}, TypeError, r"got clip: a piece works in a chain, as in gpuopt\.chain"),
    ({"rule": go.Adam().init(np.zeros(2))}, TypeError, r"got Optimizer: .* so pass optimizer\.rule"),
    ({"rule": "adam"}, TypeError, r"rule must be a gpuopt\.Rule, such as gpuopt\.Adam\(\), got str$"),
    ({"fun": lambda x: ((1.0, x), x)}, TypeError, "it returns more only with jac=True"),
    ({"fun": bowl, "jac": lambda x: x}, TypeError, "it returns more only with jac=True"),
    ({"fun": lambda x: (1.0 + 0j, x)}, TypeError, r"got \(1\+0j\): return np\.real\(value\)"),
    ({"fun": lambda x: ("1", x)}, TypeError, "single real number, got '1'"),
    ({"fun": lambda x: (None, x)}, TypeError, "single real number, got None"),
    ({"fun": lambda x: (10**400, x)}, TypeError, "single real number, got 1000"),
    ({"fun": lambda x: (1.0, None)}, TypeError, "the gradient must be an array of numbers, got None$"),
    ({"fun": lambda x: (1.0, [None, 1.0])}, TypeError, r"the gradient must be an array of numbers, got \[None, 1\.0\]"),
    ({"fun": lambda x: (1.0, [[1.0], [1.0, 2.0]])}, TypeError, "the gradient must be an array of numbers"),
    ({"fun": lambda x: (1.0, x.astype(object))}, TypeError, r"return gradient\.astype\(float\)"),
    ({"fun": lambda x: (1.0, [1j, 0])}, TypeError, r"but x is real: return np\.real\(gradient\)"),
    ({"fun": lambda x: (1.0, [[1], [2]])}, ValueError, r"got \(2, 1\): return np\.reshape\(gradient, \(2,\)\)"),
]


@pytest.mark.parametrize(("options", "error", "message"), REFUSED)
def test_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments = {"fun": bowl, "x0": np.zeros(2), "rule": go.GradientDescent(0.1), **options}
    with pytest.raises(error, match=message):
        go.minimize(**arguments)


def test_an_error_of_the_function_propagates() -> None:
    def breaks(x: Any) -> Any:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        go.minimize(breaks, np.zeros(2), go.Adam())


def test_the_result() -> None:
    found = go.minimize(bowl, np.zeros(2), go.GradientDescent(0.5))
    assert found["x"] is found.x
    assert set(dir(found)) == {"x", "fun", "jac", "nit", "nfev", "njev", "success", "status", "message"}
    assert "success: True" in repr(found)
    with pytest.raises(AttributeError):
        getattr(found, "hess")  # noqa: B009
    found.note = "mine"  # type: ignore[attr-defined]
    assert found["note"] == "mine"
    del found.note  # type: ignore[attr-defined]
    assert "note" not in found


def test_a_class_is_to_be_called_with_what_it_needs() -> None:
    class Needy(go.Rule):
        lr: go.Hyper

        def update(self, t: Any, p: Any, g: Any) -> Any:
            return p - self.lr * g

    with pytest.raises(TypeError, match=r"Needy is a class, so call it, Needy\(lr=1\.0\)"):
        go.minimize(bowl, np.zeros(2), Needy)  # type: ignore[call-overload]


def test_a_count_that_is_written_as_a_float() -> None:
    assert go.minimize(bowl, np.zeros(2), go.GradientDescent(0.1), maxiter=1e1).nit == 10  # type: ignore[call-overload]


def test_an_array_without_elements() -> None:
    found = go.minimize(lambda x: (0.0, x), np.zeros((0, 3)), go.Adam(), bounds=(0, 1))
    assert (found.x.shape, found.status) == ((0, 3), 0)
