"""A rule as a method of scipy.optimize.minimize does what SciPy documents, and what its own methods do."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from tests.support.problems import bowl, rosenbrock

optimize = pytest.importorskip("scipy.optimize")
METHOD = go.scipy_method(go.Adam(lr=0.02))
QUICK = go.scipy_method(go.GradientDescent(0.5))


def value(x: Any, centre: Any = 3.0) -> Any:
    return bowl(x, centre)[0]


def gradient(x: Any, centre: Any = 3.0) -> Any:
    return bowl(x, centre)[1]


def solve(method: Any = QUICK, x0: Any = (0.0, 0.0), jac: Any = gradient, fun: Any = value, **options: Any) -> Any:
    return optimize.minimize(fun, x0, jac=jac, method=method, **options)


def warned(method: Any, **options: Any) -> list[tuple[type[Warning], str]]:
    """The category and the text of each warning, without the method's name; they are of this file."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        solve(method, **options)
    assert {warning.filename for warning in found} <= {__file__}
    return [(warning.category, str(warning.message).replace("BFGS", repr(go.GradientDescent(0.5)))) for warning in found]


def test_rosenbrock() -> None:
    found = solve(METHOD, [-1.2, 1.0], True, rosenbrock, options={"maxiter": 20_000, "gtol": 1e-5})
    assert type(found) is optimize.OptimizeResult
    assert (found.success, found.status) == (True, 0)
    assert found.x == pytest.approx([1, 1], abs=1e-4)
    assert found.nfev == found.njev == found.nit + 1
    assert found.fun == rosenbrock(found.x)[0]


def test_a_rule_is_needed() -> None:
    with pytest.raises(TypeError, match=r"method must be a gpuopt\.Rule, .* got str: write gpuopt\.Adam\(\)"):
        go.scipy_method("adam")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"Adam is a class, so call it, Adam\(\)"):
        go.scipy_method(go.Adam)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["CG", "L-BFGS-B", QUICK])
@pytest.mark.parametrize("args", [1.0, (1.0,), [1.0, 2.0]])
def test_args(method: Any, args: Any) -> None:
    found = solve(method, args=args, fun=lambda x, c: value(x, np.asarray(c)), jac=lambda x, c: gradient(x, np.asarray(c)))
    assert found.x == pytest.approx([1.0, 1.0 if np.ndim(args) == 0 or len(args) == 1 else 2.0], abs=1e-5)


@pytest.mark.parametrize("method", ["BFGS", "L-BFGS-B", QUICK])
@pytest.mark.parametrize("jac", [True, gradient, None])
def test_a_function_may_alter_x_and_return_an_array_of_one(method: Any, jac: Any) -> None:
    def alters(x: Any) -> Any:
        x -= 3.0
        return np.array([0.5 * x @ x]), x

    fun = alters if jac is True else lambda x: alters(x)[0]
    found = solve(method, jac=jac and (jac if jac is True else lambda x: alters(x)[1]), fun=fun)
    assert found.x == pytest.approx([3.0, 3.0], abs=1e-5)
    assert isinstance(found.fun, float)


# Bounds

BOUNDS = {
    "pairs": [(-1, 0), (2, 3)],
    "a pair of lists": ([-1, 0], [2, 3]),
    "a pair of tuples": ((-1, 0), (2, 3)),
    "rows": np.array([[-1, 0], [2, 3]]),
    "a pair of arrays": (np.array([-1, 0]), np.array([2, 3])),
    "none": [(None, 0), (-5, None)],
    "one pair for all": [(-1, 0.5)],
    "infinite": [(-np.inf, 0), (2, np.inf)],
    "arrays of one": [(np.array([-1.0]), np.array([0.0])), (2, 3)],
    "fixed": [(1, 1), (2, 2.5)],
    "all fixed": [(1, 1), (2, 2)],
    "bounds": optimize.Bounds([-1, 2], [0, 3]),
    "bounds of one side": optimize.Bounds(ub=[0, 3]),
    "bounds of numbers": optimize.Bounds(-1, 2),
    "bounds of one": optimize.Bounds([-1], [2]),
}


@pytest.mark.parametrize("form", BOUNDS)
@pytest.mark.parametrize("jac", [gradient, None])
def test_bounds_are_read_as_scipy_reads_them(form: str, jac: Any) -> None:
    """And an x0 out of bounds is moved to them, as by L-BFGS-B and TNC."""

    def within(x: Any) -> Any:
        assert jac is not None or form == "fixed" or (ours is None) or bool((box.lb <= x).all() and (x <= box.ub).all())
        return value(x)

    bounds, ours = BOUNDS[form], None
    box = bounds if isinstance(bounds, optimize.Bounds) else optimize.Bounds(*_limits(bounds))
    right = solve("L-BFGS-B", [8.0, -8.0], jac, bounds=bounds)
    for ours in (QUICK, METHOD):
        found = solve(ours, [8.0, -8.0], jac, within, bounds=bounds, options={"maxiter": 3000})
        assert found.x == pytest.approx(right.x, abs=1e-4)
        assert found.success


def _limits(pairs: Any) -> Any:
    low, high = zip(*pairs, strict=True)
    sides = ((low, -np.inf), (high, np.inf))
    return [np.array([none if bound is None else float(np.squeeze(bound)) for bound in side]) for side, none in sides]


@pytest.mark.parametrize(
    "bounds", [[], [(0, 1)] * 3, [(0, 1, 2)] * 2, [(1, 0)] * 2, optimize.Bounds([0] * 3, 1), optimize.Bounds(1, 0)]
)
@pytest.mark.parametrize("method", ["L-BFGS-B", "TNC", QUICK])
def test_bounds_that_cannot_be(bounds: Any, method: Any) -> None:
    with pytest.raises(ValueError):
        solve(method, bounds=bounds)


# Gradients


@pytest.mark.parametrize("jac", [None, False, "2-point", "3-point", "cs", "no scheme"])
def test_without_a_gradient(jac: Any) -> None:
    """SciPy gives a callable method None for each of these."""
    found = solve(jac=jac)
    assert found.success
    assert found.x == pytest.approx([3.0, 3.0], abs=1e-5)
    assert (found.nfev, found.njev) == (3 * (found.nit + 1), found.nit + 1)


@pytest.mark.parametrize("jac", [None, "2-point", "3-point", "cs"])
@pytest.mark.parametrize("bounds", [None, [(0.5, None), (None, 0.25)]])
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_differences_are_those_of_scipy(jac: Any, bounds: Any, dtype: str) -> None:
    def fun(x: Any) -> Any:
        return np.exp(x[0]) * x[1] ** 3

    x0 = np.array([0.5, 0.25], dtype)
    found = QUICK(fun, x0, jac=jac, bounds=bounds, maxiter=0)
    method, stop = ("BFGS", "maxiter") if bounds is None else ("TNC", "maxfun")
    right = solve(method, x0 if bounds is None else x0.astype("f8"), jac, fun, bounds=bounds, options={stop: 0, "eps": 2**-26})
    coarse = dtype == "f4" and bounds is not None
    assert found.jac == pytest.approx(right.jac, rel=5e-3 if coarse else 1e-5 if dtype == "f4" else 1e-12)
    assert (found.nfev, found.njev) == ((5 if jac == "3-point" else 3), 1)


def test_the_steps_of_differences() -> None:
    points: list[float] = []

    def fun(x: Any) -> Any:
        points.append(float(x[0]))
        return value(x)

    solve(jac=None, x0=[1.0], fun=fun, options={"maxiter": 0, "eps": 0.25})
    QUICK(fun, [2.0], jac="2-point", maxiter=0, finite_diff_rel_step=0.25)
    assert points == [1.0, 1.25, 2.0, 2.5]


def test_differences_need_real_numbers() -> None:
    with pytest.raises(TypeError, match="finite differences need a real x0: pass the gradient as jac"):
        solve(x0=[1j], jac=None)
    with pytest.raises(TypeError, match="fun must return a single real number"):
        solve(jac=None, fun=lambda x: x)


# What a first-order rule has no use for


@pytest.mark.parametrize(
    "options",
    [
        {"hess": lambda x: np.eye(2)},
        {"hessp": lambda x, p: p},
        {"constraints": {"type": "eq", "fun": value}},
        {"constraints": [{"type": "eq", "fun": value}]},
        {"constraints": optimize.LinearConstraint([[1, 1]], 0, 1)},
        {"constraints": ()},
        {"constraints": []},
        {"constraints": {}},
        {"hess": None, "hessp": None},
        {"options": {"ftolx": 1}},
        {"options": {"ftolx": 1, "wide": None}},
        {"options": {"disp": False, "eps": 1e-8, "finite_diff_rel_step": None}},
        {"tol": 1e-3},
    ],
)
def test_warnings_are_those_of_bfgs(options: dict[str, Any]) -> None:
    assert warned(QUICK, **options) == warned("BFGS", **options)


def test_tol_stands_for_gtol() -> None:
    assert solve(tol=1e-3).nit == solve(options={"gtol": 1e-3}).nit < solve().nit
    assert solve(tol=1e-3, options={"gtol": 1e-6}).nit == solve().nit
    assert solve("BFGS", tol=1e-3, options={"gtol": 1e-6}).nit == solve("BFGS").nit


@pytest.mark.parametrize("maxiter", [0, 2, 2.0, 1000, None])
def test_disp(maxiter: Any, capsys: pytest.CaptureFixture[str]) -> None:
    printed, failed = [], maxiter in (0, 2)
    for method in (METHOD if failed else QUICK, "CG"):
        options = {"disp": True, "maxiter": maxiter}
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            result = solve(method, [-1.2, 1.0] if failed else [0.0, 0.0], True, rosenbrock if failed else bowl, options=options)
        assert [(w.category, str(w.message)) for w in found] == ([(optimize.OptimizeWarning, result.message)] if failed else [])
        assert method == "CG" or all(w.filename == __file__ for w in found)
        lines = capsys.readouterr().out.splitlines()
        assert failed or lines[0] == result.message
        printed.append([line.partition(":")[0] for line in lines if ":" in line and line.startswith(" ")])
        assert lines[-4] == f"         Current function value: {result.fun:f}"
        assert lines[-3:] == [
            f"         Iterations: {result.nit}",
            f"         Function evaluations: {result.nfev}",
            f"         Gradient evaluations: {result.njev}",
        ]
    assert printed[0] == printed[1]


def test_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    for options in ({}, {"disp": False}, {"disp": 0}, {"maxiter": 1}):
        assert warned(QUICK, options=options) == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("method", ["CG", "BFGS", METHOD])
@pytest.mark.parametrize("maxiter", [0, 2])
def test_the_end_of_iterations(method: Any, maxiter: int) -> None:
    found = solve(method, [-1.2, 1.0], True, rosenbrock, options={"maxiter": maxiter})
    assert (found.nit, found.status, found.success) == (maxiter, 1, False)
    assert found.fun <= rosenbrock(np.array([-1.2, 1.0]))[0]
    if maxiter == 0:
        assert found.x.tolist() == [-1.2, 1.0]
        assert (found.nfev, found.njev) == (1, 1)


# Callbacks


@pytest.mark.parametrize("method", ["CG", "BFGS", "L-BFGS-B", METHOD])
@pytest.mark.parametrize("options", [{}, {"check_every": 7}])
def test_a_callback_is_called_after_every_iteration(method: Any, options: dict[str, Any]) -> None:
    points: list[Any] = []
    results: list[Any] = []

    def by_result(intermediate_result: Any) -> None:
        assert type(intermediate_result) is optimize.OptimizeResult
        results.append(optimize.OptimizeResult(intermediate_result, x=intermediate_result.x.copy()))

    options = {"maxiter": 15, **(options if callable(method) else {})}
    for callback in (points.append, by_result):
        found = solve(method, [-1.2, 1.0], True, rosenbrock, callback=callback, options=options)
    assert len(points) == len(results) == found.nit
    assert all(np.array_equal(x, result.x) for x, result in zip(points, results, strict=True))
    assert all(result.fun == rosenbrock(result.x)[0] for result in results)
    assert points[0].tolist() != [-1.2, 1.0]


def test_the_last_iteration_is_one_of_them() -> None:
    points: list[Any] = []
    for method in ("CG", QUICK):
        found = solve(method, callback=points.append)
        assert found.success
        assert np.array_equal(points[-1], found.x)
        points.clear()
        assert solve(method, [3.0, 3.0], callback=points.append).nit == len(points) == 0


@pytest.mark.parametrize("answer", [True, 1, "yes", np.ones(2), (1,), False, None])
@pytest.mark.parametrize("method", ["CG", "L-BFGS-B", METHOD])
def test_what_a_callback_returns_is_of_no_use(method: Any, answer: Any) -> None:
    for callback in (lambda xk: answer, lambda intermediate_result: answer):
        found = solve(method, [-1.2, 1.0], True, rosenbrock, callback=callback, options={"maxiter": 4})
        assert (found.nit, found.status) == (4, 1)


@pytest.mark.parametrize("method", ["CG", "L-BFGS-B", METHOD])
def test_two_parameters(method: Any) -> None:
    """Only a callback that takes an intermediate result alone gets one."""
    seen = []

    def callback(xk: Any, intermediate_result: Any = None) -> None:
        seen.append((xk.shape, intermediate_result))

    solve(method, [-1.2, 1.0], True, rosenbrock, callback=callback, options={"maxiter": 2})
    assert seen == [((2,), None)] * 2


@pytest.mark.parametrize("method", ["CG", "L-BFGS-B", METHOD])
@pytest.mark.parametrize("newer", [False, True])
def test_stop_iteration(method: Any, newer: bool) -> None:
    points = []

    def by_x(xk: Any) -> None:
        points.append(xk.copy())
        xk[:] = 99.0
        if len(points) == 3:
            raise StopIteration

    def by_result(intermediate_result: Any) -> None:
        by_x(intermediate_result.x.copy())

    found = solve(method, [-1.2, 1.0], True, rosenbrock, callback=by_result if newer else by_x)
    assert (found.nit, found.status, found.success) == (3, 99, False)
    assert found.message == "`callback` raised `StopIteration`."
    assert np.array_equal(found.x, points[-1])
    assert found.fun == rosenbrock(found.x)[0]


def test_a_callback_that_is_none() -> None:
    with pytest.raises(TypeError, match="callback must be callable, not 3"):
        solve(callback=3)


# In the hands of others


def test_of_basinhopping_and_annealing() -> None:
    use = {"method": METHOD, "options": {"maxiter": 2000}}
    assert optimize.basinhopping(value, [0.0, 0.0], niter=2, minimizer_kwargs=use).x == pytest.approx([3, 3], abs=1e-3)
    found = optimize.dual_annealing(value, [(0, 5), (0, 5)], maxiter=2, minimizer_kwargs=use)
    assert found.x == pytest.approx([3, 3], abs=1e-3)


def test_any_name_of_an_option() -> None:
    """What SciPy may hand a method one day is warned of, whatever it is called."""
    for name in ("rule", "workers", "copy", "master"):
        assert warned(QUICK, options={name: 1}) == [(optimize.OptimizeWarning, f"Unknown solver options: {name}")]


def test_an_interrupt_has_the_best_point() -> None:
    def interrupt(xk: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        solve(callback=interrupt)
    assert caught.value.result.x.tolist() == [1.5, 1.5]  # type: ignore[attr-defined]
