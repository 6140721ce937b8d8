"""minimize in SciPy's shape."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from tests.support.foreign import OnCuda, OnCudaWithGradient, Sparse
from tests.support.problems import bowl, rosenbrock


def test_rosenbrock(xp: Any) -> None:
    x0 = xp.asarray([0.5, 0.7, 0.5])
    before = x0.copy()
    found = go.minimize(rosenbrock, x0, go.Adam(lr=0.1), maxiter=2000, gtol=1e-3)
    assert found.success
    assert found.status == 0
    assert "gtol" in found.message
    assert float(abs(found.x - 1).max()) < 1e-2
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
    ({"bounds": (2.0, np.array([3.0, 1.0]))}, ValueError, "bounds of x: the lower bound 2.0 is above the upper, 1.0"),
    ({"bounds": [0, None]}, TypeError, r"got \[0, None\]: write bounds=\(0, None\)$"),
    ({"bounds": (math.nan, 1.0)}, ValueError, "a lower bound is NaN"),
    ({"bounds": (np.zeros(3), np.ones(3))}, ValueError, r"do not broadcast to x of shape \(2,\)"),
    ({"bounds": (0, 1), "x0": np.ones(2, "complex64")}, TypeError, "bounds need a real x0"),
    ({"bounds": (0, math.nan)}, ValueError, "an upper bound is NaN: use None"),
    ({"bounds": 0.5}, TypeError, r"bounds must be \(lo, hi\), a \(min, max\) pair"),
    ({"bounds": []}, ValueError, "pair for each element of x"),
    ({"bounds": [(0, 1, 2), (0, 1, 2)]}, ValueError, "pair for each element of x"),
    ({"bounds": [(0, "a"), (0, 1)]}, TypeError, "with numbers or None, got"),
    ({"jac": "2-point"}, ValueError, r"got '2-point'; scipy\.optimize\.minimize with method=gpuopt\.scipy_method\(rule\)"),
    ({"maxiter": True}, TypeError, "maxiter"),
    ({"fun": lambda x, a, b: (0.0, x)}, TypeError, r"called as fun\(x\), but takes \(x, a, b\): pass args=\(a, b\)$"),
    ({"fun": lambda x: x, "args": 1.0}, TypeError, r"called as fun\(x, args\[0\]\), but takes \(x\): pass args=\(\)$"),
    ({"fun": lambda: 0.0}, TypeError, r"fun is called as fun\(x\), but takes \(\): give it parameters for x$"),
    ({"fun": lambda x: 0.0, "jac": lambda x, a: x}, TypeError, r"jac\(x\), but takes \(x, a\): pass args=\(a,\)$"),
    ({"maxiter": math.inf}, ValueError, "maxiter must be a whole number of at least 0, got inf"),
    ({"callback": 3}, TypeError, "callback must be callable, not 3"),
    ({"fun": 3}, TypeError, "fun must be callable, got 3"),
    ({"x0": {"a": np.ones(2)}, "fun": lambda x: bowl(x["a"])}, TypeError, r"gradient must be a dict .* pass \{'a': gradient\}"),
    ({"x0": {"a": np.ones(2), "b": None}}, TypeError, r"x0\['b'\] must be an array of numbers, got NoneType: pass np\.zeros"),
    ({"x0": {}}, ValueError, "x0 holds no arrays: there is nothing to minimize"),
    ({"x0": [[1.0], [1.0, 2.0]]}, TypeError, r"got list: for several arrays pass \[np\.asarray\(each\) for each in x0\]"),
    ({"ftol": -1.0}, ValueError, "ftol must be a number >= 0, got -1"),
    ({"patience": 0}, ValueError, "patience must be a whole number of at least 1, got 0"),
    ({"x0": None}, TypeError, "x0 must be an array of numbers, got NoneType"),
    ({"x0": OnCuda()}, TypeError, r"got OnCuda: pass cupy\.asarray\(x0\)$"),
    ({"x0": OnCudaWithGradient()}, TypeError, r"pass cupy\.asarray\(x0\.detach\(\)\)$"),
    ({"x0": Sparse()}, TypeError, r"got Sparse: pass np\.asarray\(x0\.toarray\(\)\)$"),
    ({"fun": lambda x: (1.0, OnCuda())}, TypeError, r"return cupy\.asnumpy\(cupy\.asarray\(gradient\)\)$"),
    ({"fun": lambda x: (1.0, Sparse())}, TypeError, r"return np\.asarray\(gradient\.toarray\(\)\)$"),
    ({"x0": np.array([1, 2], object)}, TypeError, r"pass x0\.astype\(float\)"),
    ({"x0": np.ma.masked_array([1.0, 2.0], [True, False])}, TypeError, r"masked array: pass x0\.filled\(0\.0\)"),
    ({"method": go.Adam}, TypeError, r"method must be a gpuopt\.Rule, .* got type: Adam is a class, so call it, Adam\(\)"),
    ({"method": go.clip}, TypeError, r"got type: a piece works in a chain, as in gpuopt\.chain"),
    ({"method": go.clip(1.0)}, TypeError, r"got clip: a piece works in a chain, as in gpuopt\.chain"),
    ({"method": go.Adam().init(np.zeros(2))}, TypeError, r"got Optimizer: .* so pass optimizer\.rule"),
    (
        {"method": "adam"},
        TypeError,
        r"method must be a gpuopt\.Rule, such as gpuopt\.Adam\(\), .* got str: write gpuopt\.Adam\(\)$",
    ),
    ({"fun": lambda x: ((1.0, x), x)}, TypeError, "it may return the gradient too only with jac=True"),
    ({"fun": bowl, "jac": lambda x: x}, TypeError, "it may return the gradient too only with jac=True"),
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
    arguments = {"fun": bowl, "x0": np.zeros(2), "method": go.GradientDescent(0.1), **options}
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


# Trees


def two_bowls(tree: Any) -> Any:
    """½‖a - 3‖² + ½‖b - (1 + 2j)‖², of the arrays of a nested tree."""
    (first, a), (second, b) = bowl(tree["a"]), bowl(tree["more"][0], 1 + 2j)
    return first + (second if b.dtype.kind != "c" else 0.5 * (b * b.conj()).real.sum()), {"a": a, "more": [b]}


def test_a_tree() -> None:
    x0: Any = {"a": np.zeros((2, 3), "float32"), "more": (np.zeros(2, complex),)}
    found = go.minimize(two_bowls, x0, go.GradientDescent(0.5), gtol=1e-4)
    assert found.success
    assert [type(found.x[key]) for key in found.x] == [type(x0["a"]), tuple]
    assert float(abs(found.x["a"] - 3).max()) < 1e-3
    assert float(abs(found.x["more"][0] - (1 + 2j)).max()) < 1e-3
    assert found.x["a"].dtype == np.float32
    assert found.jac["more"][0].dtype == np.complex128
    assert float(abs(x0["a"]).max()) == 0


def test_numbers_and_lists_in_a_tree() -> None:
    """What is no array yet becomes one, as a single x0 does."""
    found = go.minimize(
        lambda x: (x["a"] ** 2 + x["b"].sum(), {"a": 2 * x["a"], "b": [0, 0]}), {"a": 1, "b": np.ones(2, int)}, QUARTER
    )
    assert (found.x["a"].shape, found.x["b"].dtype) == ((), np.float64)
    assert found.success
    assert go.minimize(bowl, [0, 0], QUARTER).x.shape == (2,)


QUARTER = go.GradientDescent(0.25)


@pytest.mark.parametrize(
    "bounds",
    [
        (None, {"a": 0.5, "b": [9.0, None]}),
        (-9, {"b": [9.0, None], "a": np.array([0.5, 0.5])}),
        SimpleNamespace(lb=-9.0, ub={"a": 0.5, "b": [9.0, 9.0]}),
    ],
)
def test_bounds_of_a_tree(bounds: Any) -> None:
    def fun(x: Any) -> Any:
        return bowl(x["a"])[0] + bowl(x["b"])[0], {"a": bowl(x["a"])[1], "b": bowl(x["b"])[1]}

    found = go.minimize(fun, {"a": np.zeros(2), "b": np.zeros(2)}, QUARTER, bounds=bounds)
    assert found.x["a"].tolist() == [0.5, 0.5]
    assert found.x["b"] == pytest.approx([3.0, 3.0], abs=1e-5)
    assert found.success


@pytest.mark.parametrize(
    ("bounds", "error", "message"),
    [
        (
            [(0, 1)],
            TypeError,
            r"bounds of several arrays must be \(lo, hi\), each a number, None or a tree like x0, got \[\(0, 1\)\]",
        ),
        (({"a": 1.0}, None), ValueError, r"missing: bounds\['b'\]"),
        ((np.zeros(3), None), ValueError, r"do not broadcast to x\['a'\] of shape \(2,\)"),
        ((0, 1), TypeError, r"bounds need a real x0\['b'\], because complex numbers have no order"),
    ],
)
def test_bounds_of_a_tree_that_cannot_be(bounds: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        go.minimize(bowl, {"a": np.zeros(2), "b": np.zeros(2, complex)}, QUARTER, bounds=bounds)


@pytest.mark.parametrize(
    ("gradient", "error", "message"),
    [
        ({"a": np.ones(2)}, ValueError, r"missing: gradient\['b'\]"),
        ({"a": np.ones(2), "b": None}, TypeError, r"the gradient\['b'\] must be an array of numbers, got None"),
        (
            {"a": np.ones(2), "b": np.ones(2)},
            ValueError,
            r"the gradient\['b'\] must have the shape of x\['b'\], \(3,\), got \(2,\)",
        ),
    ],
)
def test_a_gradient_that_does_not_fit_the_tree(gradient: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        go.minimize(lambda x: (1.0, gradient), {"a": np.ones(2), "b": np.ones(3)}, QUARTER)


def test_arrays_for_hyperparameters() -> None:
    """Scales from 0.01 to 5,000: one learning rate for each."""
    scale = np.array([0.01, 1.0, 5000.0])
    found = go.minimize(
        lambda x: (float((((x - 1) * scale) ** 2).sum()), 2 * scale**2 * (x - 1)),
        np.zeros(3),
        go.GradientDescent(),
        hyper={"lr": 0.4 / scale**2},
    )
    assert found.success
    assert found.x == pytest.approx([1.0, 1.0, 1.0], abs=1e-3)


def test_a_master_copy() -> None:
    """Steps too small for float16 count."""
    fun = lambda x: (float(abs(x - 1.5).sum()), np.sign(x - 1.5))  # noqa: E731
    options: dict[str, Any] = {"maxiter": 60, "gtol": 0.0}
    found = go.minimize(fun, np.ones(3, "float16"), go.GradientDescent(2e-4), master=True, **options)
    assert found.x.dtype == np.float16
    assert found.x == pytest.approx([1.012] * 3, abs=1e-3)
    assert go.minimize(fun, np.ones(3, "float16"), go.GradientDescent(2e-4), **options).x.tolist() == [1.0] * 3


def test_bounds_hold_for_a_master_copy() -> None:
    """It would else run away from them, and come back late."""
    values, slopes = iter(range(100, 0, -1)), iter([-1.0] * 20 + [1.0] * 3)
    found = go.minimize(
        lambda x: (next(values), np.full(1, next(slopes), "float16")),
        np.ones(1, "float16"),
        go.GradientDescent(0.1),
        master=True,
        bounds=(None, 1.5),
        maxiter=22,
        check_every=22,
    )
    assert float(found.x[0]) == pytest.approx(1.3, abs=1e-3)


def test_nan_in_one_array_of_a_tree() -> None:
    gradient = {"a": np.ones(2), "b": np.array([np.nan]), "c": np.ones(1)}
    assert go.minimize(lambda x: (1.0, gradient), {key: g * 0 for key, g in gradient.items()}, QUARTER).status == 2
