"""Problems to try a method with: their gradients, minima and arrays."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt import problems
from gpuopt.arrays.tree import leaves
from tests.support.variants import on_host

NAMES = sorted(set(problems.__all__) - {"Problem", "Examples"})


def made(name: str, **given: Any) -> Any:
    return getattr(problems, name)(**given)


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_right_and_the_minimum_is_one(name: str) -> None:
    problem = made(name, xp=np)
    assert go.check_gradient(problem, problem.x0).ok
    value, gradient = problem.fun(problem.solution)
    assert value == pytest.approx(problem.minimum, abs=1e-25)
    assert problem.fun(problem.x0)[0] > problem.minimum + 0.1
    if problem.bounds is None:  # else it is at the end of an interval
        assert max(abs(g).max() for g in leaves(gradient)) < 1e-12


@pytest.mark.parametrize("name", NAMES)
def test_a_line_search_finds_it(name: str) -> None:
    problem = made(name, xp=np)
    method = go.SGD(1.0) if problem.bounds else go.LBFGS()
    maxiter = 1500 if name != "Network" else 300
    found = go.minimize(problem, problem.x0, method, gtol=1e-8, maxiter=maxiter, bounds=problem.bounds)
    most = 0.01 * problem.fun(problem.x0)[0] if name == "Network" else 1e-10
    assert -1e-10 < found.fun - problem.minimum < most


@pytest.mark.parametrize("name", NAMES)
def test_arrays_are_new_and_of_its_precision(name: str) -> None:
    problem = made(name, dtype="float32", xp=np)
    value, gradient = problem.fun(problem.x0)
    for one, other in zip(leaves(problem.x0), leaves(problem.x0), strict=True):
        assert not np.shares_memory(one, other)
    kinds = {x.dtype for x in (*leaves(problem.x0), *leaves(problem.solution), *leaves(gradient))}
    assert kinds == {np.dtype("complex64" if name == "PhaseRetrieval" else "float32")}
    assert value.dtype == np.float32
    assert eval(repr(problem), vars(problems)).minimum == problem.minimum


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_call_says_what_to_type(name: str) -> None:
    with pytest.raises(TypeError, match=rf"^problems\.{name} has no argument 'sizes'; it has .*xp, dtype"):
        made(name, sizes=3)
    with pytest.raises(TypeError, match=rf"^problems\.{name}: too many positional arguments; write ") as caught:
        getattr(problems, name)(*range(9))
    assert type(eval(str(caught.value).partition("; write ")[2], {"gpuopt": go})).__name__ == name


class Wide(problems.Quadratic):
    def __init__(self, *, logarithm: float) -> None:
        super().__init__(size=3, condition=10**logarithm)


@dataclasses.dataclass(frozen=True)
class Steep(problems.Rosenbrock):
    factor: dataclasses.InitVar[int] = 1

    def __post_init__(self, factor: int) -> None:
        super().__post_init__()
        object.__setattr__(self, "size", factor * self.size)


def test_a_subclass_has_arguments_of_its_own() -> None:
    assert Wide(logarithm=2.0).condition == 100
    assert copy.deepcopy(Wide(logarithm=2.0)) == pickle.loads(pickle.dumps(Wide(logarithm=2.0))) == Wide(logarithm=2.0)
    assert Steep(factor=2).size == dataclasses.replace(Steep(), factor=2).size == 4
    assert list(inspect.signature(problems.Problem).parameters) == ["xp", "dtype"]
    assert list(inspect.signature(type("Plain", (problems.Rosenbrock,), {})).parameters) == ["size", "xp", "dtype"]


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["Beale", "PhaseRetrieval"])
def test_it_computes_with_cupy(name: str) -> None:
    import cupy

    here, there = made(name, xp=np), made(name, xp=cupy)
    value, gradient = there.fun(there.x0)
    assert isinstance(value, cupy.ndarray)
    np.testing.assert_allclose(on_host(value), here.fun(here.x0)[0], rtol=1e-12)
    np.testing.assert_allclose(on_host(gradient), here.fun(here.x0)[1], rtol=1e-10)
    np.testing.assert_allclose(on_host(there.solution), here.solution, rtol=1e-12)


def test_what_cannot_be_a_problem_is_refused() -> None:
    with pytest.raises(ValueError, match="dtype must be 'float32' or 'float64', got 'float16'"):
        problems.Booth(dtype="float16")
    with pytest.raises(ValueError, match="large must be a number above 2, got 2"):
        problems.Reddi(2.0)
    with pytest.raises(TypeError, match="xp must be the module numpy or cupy, got 'cupy': write import cupy, and pass xp=cupy"):
        problems.Booth(xp="cupy")
    for size, error in ((0, ValueError), ("a", TypeError), (2.0, TypeError)):
        with pytest.raises(error, match="size must be a whole number of at least 1, got"):
            problems.Quadratic(size)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_a_problem_in_a_pickle_and_a_copy(name: str) -> None:
    problem = made(name, xp=np)
    value = problem(problem.x0)[0]  # which makes what it is made of
    for other in (pickle.loads(pickle.dumps(problem)), copy.deepcopy(problem)):
        assert other == problem
        assert other.xp is np
        assert other(problem.x0)[0] == value


def test_examples_are_called_with_batches() -> None:
    problem = made("LogisticRegression", xp=np)
    x = problem.x0
    history = go.fit(problem, x, problem.data, go.Adam(0.1), epochs=20)
    assert history.loss[-1] < 0.5
    assert problem(x)[0] == problem.fun(x)[0] != problem(x, *(array[:5] for array in problem.data))[0]


def test_a_problem_is_made_of_the_chosen_library() -> None:
    assert problems.Booth().xp is go.xp()
