"""Methods that call the function themselves: how well they do, what they take, and what they refuse."""

from __future__ import annotations

import copy
import inspect
import itertools
import math
import pickle
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays.tree import TreeSpec
from gpuopt.training.line_search.flat import Problem
from gpuopt.training.line_search.method import State
from gpuopt.training.objective import Objective
from tests.support.problems import STANDARD, bowl, phase_retrieval, rosenbrock
from tests.support.variants import on_host

METHODS = [
    go.LBFGS(),
    go.NonlinearCG(),
    go.NonlinearCG("polak-ribiere"),
    go.NonlinearCG("dai-yuan"),
    go.ProximalGradient(),
]
SEARCHES = METHODS[:-1]


def test_lbfgs_needs_hardly_more_calls_than_scipys() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    ours = theirs = 0
    for name, (fun, x0) in STANDARD.items():
        options = {"gtol": 1e-8, "ftol": 0.0, "maxiter": 5000, "maxfun": 50_000}
        right = optimize.minimize(fun, x0, jac=True, method="L-BFGS-B", options=options)
        found = go.minimize(fun, x0, go.LBFGS(), gtol=1e-8, maxiter=5000)
        assert found.success, name
        assert found.fun == pytest.approx(right.fun, abs=1e-6), name
        ours, theirs = ours + found.nfev, theirs + right.nfev
    assert ours <= 1.1 * theirs


@pytest.mark.parametrize("method", SEARCHES, ids=repr)
def test_standard_problems(method: Any) -> None:
    """Also where rounding hides any descent of the value, before gtol is reached."""
    for name, (fun, x0) in STANDARD.items():
        if "100" not in name and name != "quadratic":
            assert go.minimize(fun, x0, method, gtol=1e-7, maxiter=1000).success, name


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_complex_problem(method: Any) -> None:
    """And it is the problem of twice as many real numbers, to the last bit."""
    fun, start, distance = phase_retrieval()
    found = go.minimize(fun, start, method, gtol=1e-8)
    assert found.success
    assert distance(found.x) < 1e-9

    def of_pairs(x: Any) -> Any:
        value, gradient = fun(x.view(complex))
        return value, gradient.view(float)

    pairs = go.minimize(of_pairs, start.view(float), method, gtol=0.0, maxiter=found.nit)
    assert pairs.nfev == found.nfev
    assert np.array_equal(pairs.x, found.x.view(float))


def of_tree(tree: Any) -> Any:
    """Rosenbrock's function of two arrays, and a bowl of a complex one."""
    a, (b, z) = tree["a"], tree["rest"]
    value, slopes = rosenbrock(np.concatenate([a.ravel(), b.astype(float)]))
    far = z - (1 + 2j)
    return value + (far * far.conj()).real.sum(), {"a": slopes[:4].reshape(2, 2), "rest": [slopes[4:], 2 * far]}


@pytest.mark.parametrize("method", METHODS[:2], ids=repr)
def test_a_tree(method: Any) -> None:
    x0: Any = {"rest": (np.zeros(2, "f4"), np.zeros((1, 2), "c8")), "a": np.asfortranarray(np.full((2, 2), -0.5))}
    found = go.minimize(of_tree, x0, method, gtol=1e-3)
    assert found.success
    assert [leaf.dtype for leaf in (found.x["a"], *found.x["rest"])] == ["f8", "f4", "c8"]
    assert isinstance(found.x["rest"], tuple)
    assert list(found.jac) == ["rest", "a"]
    assert np.allclose(found.x["a"], 1.0, atol=1e-2)
    assert np.allclose(found.x["rest"][1], 1 + 2j, atol=1e-3)
    assert x0["a"][0, 0] == -0.5


@pytest.mark.parametrize(
    "method", [go.LBFGS(), go.ProximalGradient(prox=lambda x, step: x.clip(None, 2.0))], ids=["LBFGS", "prox"]
)
def test_arrays_on_any_device(method: Any, xp: Any) -> None:
    steep = xp.asarray([1.0, 30.0, 5.0], "float32")
    found = go.minimize(
        lambda x: ((steep * (x - 3) ** 2).sum(), 2 * steep * (x - 3)), xp.zeros(3, "float32"), method, gtol=1e-4
    )
    assert found.success
    assert type(found.x) is type(steep)
    assert on_host(found.x) == pytest.approx([3.0] * 3 if method == go.LBFGS() else [2.0] * 3, abs=1e-3)


@pytest.mark.parametrize("method", SEARCHES, ids=repr)
def test_float32_ends_where_rounding_hides_the_descent(method: Any) -> None:
    exact, _ = STANDARD["logistic"]

    def fun(x: Any) -> Any:
        value, gradient = exact(x)
        return np.float32(value), gradient.astype("f4")

    found = go.minimize(fun, np.zeros(20, "f4"), method, gtol=1e-12)
    assert (found.status, found.success) == (4, False)
    assert "rounding of the value ends the descent, or the gradient is wrong" in found.message
    assert abs(exact(found.x.astype(float))[1]).max() < 1e-4
    assert found.nfev < 300


def barrier(x: Any) -> Any:
    """Not finite below 0, and steep just above."""
    with np.errstate(all="ignore"):
        return float((x - np.log(x)).sum()), 1 - 1 / x


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_what_is_not_finite_is_too_far(method: Any) -> None:
    found = go.minimize(barrier, np.array([0.1, 3.0]), method, gtol=1e-5)
    assert found.success
    assert found.x == pytest.approx([1.0, 1.0], abs=1e-4)


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_start_that_is_not_finite(method: Any, value: float) -> None:
    found = go.minimize(lambda x: (value, x + np.nan), np.ones(2), method)
    assert (found.status, found.nit) == (2, 0)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_gradient_that_leads_nowhere(method: Any) -> None:
    """With the wrong sign, or where every way is up."""
    found = go.minimize(lambda x: (x @ x, -2 * x), np.ones(2), method, maxiter=50)
    assert not found.success
    if method != go.ProximalGradient():
        assert (found.status, found.x.tolist()) == (4, [1.0, 1.0])


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_it_is_at_the_minimum(method: Any) -> None:
    assert go.minimize(bowl, np.full(2, 3.0), method).nit == 0
    assert go.minimize(lambda x: (1.0, x), np.zeros((0, 2)), method).success


def test_every_iteration_is_a_check() -> None:
    seen: list[Any] = []
    found = go.minimize(rosenbrock, np.array([-1.2, 1.0]), go.LBFGS(), callback=seen.append)
    states = list(go.iterate(rosenbrock, np.array([-1.2, 1.0]), go.LBFGS(), check_every=7))
    assert len(seen) == len(states) == found.nit + 1
    assert np.array_equal(states[-1].x, found.x)
    assert "opt" not in states[0]
    assert all(after.fun < before.fun for before, after in itertools.pairwise(states[:-1]))


def test_a_memory_ends() -> None:
    fun, x0 = STANDARD["Rosenbrock in 10 dimensions"]
    calls = [go.minimize(fun, x0, go.LBFGS(memory), gtol=1e-8).nfev for memory in (1, 3, 100)]
    assert len(set(calls)) == 3
    assert calls[0] > calls[2]


def test_what_misleads_is_forgotten() -> None:
    """A pair by which the function is concave leads up: the gradient's way is taken then."""
    spec = TreeSpec(np.zeros(2), "x0")
    problem = Problem(Objective(bowl, True, (), spec, True), spec)
    start = problem.at(np.zeros(2))
    wrong = (np.ones(2), -np.ones(2), -0.5)
    for method, memory in (
        (go.LBFGS(), (wrong,)),
        (go.NonlinearCG("dai-yuan"), (start._replace(gradient=np.ones(2)), np.ones(2))),
    ):
        after = method.advance(problem, State(start, memory))
        assert after is not None
        assert after.point.value < start.value


def test_a_result_is_the_callers() -> None:
    states = go.iterate(rosenbrock, np.array([-1.2, 1.0]), go.LBFGS())
    right = go.minimize(rosenbrock, np.array([-1.2, 1.0]), go.LBFGS())
    for state in states:
        state.x[:] = state.jac[:] = 99.0
    assert (state.nit, state.nfev, state.fun) == (right.nit, right.nfev, right.fun)


def test_a_plateau() -> None:
    found = go.minimize(rosenbrock, np.array([-1.2, 1.0]), go.LBFGS(), ftol=1e-3, gtol=0.0)
    assert (found.status, found.success) == (3, True)
    assert found.nit < 40


def test_an_interrupt_has_the_point() -> None:
    calls: list[Any] = []

    def fun(x: Any) -> Any:
        calls.append(x)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return rosenbrock(x)

    with pytest.raises(KeyboardInterrupt) as caught:
        go.minimize(fun, np.array([-1.2, 1.0]), go.LBFGS())
    found: Any = caught.value.result  # type: ignore[attr-defined]
    assert (found.status, found.fun) == (98, rosenbrock(found.x)[0])


def test_a_function_may_alter_x() -> None:
    def alters(x: Any) -> Any:
        value, gradient = rosenbrock(x)
        x[:] = 99.0
        return value, gradient

    for method in METHODS[:2]:
        right = go.minimize(rosenbrock, np.array([-1.2, 1.0]), method)
        assert go.minimize(alters, np.array([-1.2, 1.0]), method).nfev == right.nfev


def test_scipy_takes_them_too() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    found = optimize.minimize(rosenbrock, [-1.2, 1.0], jac=True, method=go.scipy_method(go.LBFGS()))
    assert found.success
    assert found.nfev < 60


@pytest.mark.parametrize("method", [go.LBFGS, go.NonlinearCG, go.ProximalGradient])
def test_they_print_and_compare(method: Any) -> None:
    assert eval(repr(method()), vars(go)) == method()


# What is refused

X = np.ones(2)
loose: Any = go
REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "bounds": (
        lambda: loose.minimize(bowl, X, loose.LBFGS(), bounds=(0, 1)),
        ValueError,
        r"takes no bounds: .* gpuopt\.ProximalGradient\(prox=",
    ),
    "hyper": (lambda: loose.minimize(bowl, X, loose.LBFGS(), hyper={"lr": X}), ValueError, r"takes no hyper: use a rule"),
    "master": (lambda: loose.minimize(bowl, X, loose.LBFGS(), master=True), ValueError, "takes no master"),
    "memory": (lambda: loose.LBFGS(0), ValueError, "memory must be a whole number of at least 1, got 0"),
    "beta": (
        lambda: loose.NonlinearCG("fletcher"),
        ValueError,
        "one of 'hager-zhang', 'polak-ribiere', 'dai-yuan', got 'fletcher'",
    ),
    "step": (lambda: loose.ProximalGradient(step=0.0), ValueError, r"step must be a number > 0, got 0\.0"),
    "no step": (lambda: loose.ProximalGradient(search=False), ValueError, "needs the step size: give step=1/L"),
    "init": (lambda: loose.LBFGS().init(X), AttributeError, r"so write gpuopt\.minimize\(fun, x, gpuopt\.LBFGS\(\)\)"),
    "optimizer": (lambda: loose.Optimizer(loose.NonlinearCG(), X), TypeError, r"minimize\(fun, x, gpuopt\.NonlinearCG\(\)\)"),
    "chain": (lambda: loose.chain(loose.clip(1.0), loose.LBFGS()), TypeError, r"minimize\(fun, x, gpuopt\.LBFGS\(\)\)"),
    "partition": (lambda: loose.partition({"*": loose.LBFGS()}), TypeError, r"minimize\(fun, x, gpuopt\.LBFGS\(\)\)"),
    "fit": (
        lambda: loose.fit(lambda p, d: (0.0, p), X, np.ones((64, 1)), loose.LBFGS()),
        TypeError,
        r"minimize\(fun, x, gpuopt\.LBFGS",
    ),
    "class": (lambda: loose.minimize(bowl, X, loose.LBFGS), TypeError, r"minimize\(fun, x, gpuopt\.LBFGS\(\)\)"),
    "text": (
        lambda: loose.minimize(bowl, X, "L-BFGS-B"),
        TypeError,
        r"got str: write gpuopt\.LBFGS\(\)",
    ),
    "rule as text": (lambda: loose.minimize(bowl, X, "adam"), TypeError, r"got str: write gpuopt\.Adam\(\)"),
    "other text": (
        lambda: loose.minimize(bowl, X, "simplex"),
        TypeError,
        r"got str: write gpuopt\.Adam\(\), or another of dir\(gpuopt\)",
    ),
    "dtype": (lambda: loose.minimize(bowl, {}, loose.LBFGS()), ValueError, "x0 holds no arrays"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    action, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        action()


class Short(go.LBFGS):
    def __init__(self, *, steps: int) -> None:
        super().__init__(memory=steps)


def test_a_subclass_has_arguments_of_its_own() -> None:
    found = go.minimize(bowl, np.ones(2), Short(steps=2))
    assert found.success
    assert copy.deepcopy(Short(steps=2)) == pickle.loads(pickle.dumps(Short(steps=2))) == Short(steps=2)
    assert list(inspect.signature(type("Plain", (go.LBFGS,), {})).parameters) == ["memory"]
