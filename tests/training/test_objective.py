"""The function to minimize: what it is given, and what it may return."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from tests.support.problems import bowl


class Shares:
    """½‖x - 1‖²: value and gradient share the residual of the last x, which is kept as it was given."""

    last: Any = None

    def residual(self, x: Any) -> Any:
        if self.last is None or not np.array_equal(x, self.last):
            self.last, self.kept = x, x - 1.0
        return self.kept

    def value(self, x: Any) -> float:
        return 0.5 * float((self.residual(x) ** 2).sum())


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_function_may_keep_and_alter_x(order: Any) -> None:
    problem, path = Shares(), []
    found = go.minimize(problem.value, np.zeros(2), go.GradientDescent(0.5), jac=problem.residual)
    assert found.success
    assert found.x == pytest.approx([1.0, 1.0], abs=1e-5)

    def keeps(x: Any) -> Any:
        path.append(x)
        return (x * x).sum(), 2 * x

    go.minimize(keeps, np.ones(1), go.GradientDescent(0.25), maxiter=3)
    assert [float(x[0]) for x in path] == [1.0, 0.5, 0.25, 0.125]

    def alters(x: Any) -> Any:
        assert x.flags[f"{order}_CONTIGUOUS"]
        x -= 1.0
        return 0.5 * (x * x).sum(), x

    for jac in (True, lambda x: alters(x)[1]):
        fun = alters if jac is True else lambda x: alters(x)[0]
        found = go.minimize(fun, np.zeros((2, 3), order=order), go.GradientDescent(0.5), jac=jac)
        assert np.allclose(found.x, 1.0)
        assert np.array_equal(found.jac, found.x - 1.0)


def test_x_itself_where_it_is_asked_for() -> None:
    given = []

    def keeps(x: Any) -> Any:
        given.append(x)
        return bowl(x)

    go.minimize(keeps, np.zeros(2), go.GradientDescent(0.5), copy=False, maxiter=3)
    assert all(x is given[0] for x in given)


def test_a_buffer_for_the_gradient() -> None:
    buffer = np.empty(2)

    def fun(x: Any) -> Any:
        buffer[:] = x - 3.0
        return 0.5 * float(buffer @ buffer), buffer

    found = go.minimize(fun, np.zeros(2), go.GradientDescent(1.9), maxiter=5)
    assert np.array_equal(found.jac, found.x - 3.0)
    assert found.jac is not buffer


@pytest.mark.parametrize(
    "as_value",
    [float, np.float32, np.asarray, np.atleast_1d, np.atleast_2d, lambda v: [float(v)], lambda v: np.asarray([v], object)],
)
@pytest.mark.parametrize("separate", [False, True])
def test_forms_of_a_value(as_value: Any, separate: bool) -> None:
    def fun(x: Any) -> Any:
        value, gradient = bowl(x)
        return as_value(value) if separate else (as_value(value), gradient)

    jac: Any = (lambda x: bowl(x)[1]) if separate else True
    found = go.minimize(fun, np.zeros(2), go.GradientDescent(0.5), jac=jac)
    assert found.success
    assert type(found.fun) is float
    assert found.fun == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    "as_gradient",
    [
        list,
        tuple,
        lambda g: g.astype("f4"),
        lambda g: g.astype(np.longdouble),
        lambda g: g.astype(">f8"),
        lambda g: np.broadcast_to(g[:1], g.shape),
    ],
)
def test_forms_of_a_gradient(as_gradient: Any) -> None:
    found = go.minimize(lambda x: (bowl(x)[0], as_gradient(x - 3.0)), np.zeros(2), go.GradientDescent(0.5))
    assert found.success
    assert found.x == pytest.approx([3.0, 3.0], abs=1e-5)


def test_integers_and_single_numbers_as_gradients() -> None:
    found = go.minimize(lambda x: (np.array([x.sum()]), np.array([1, 0])), [2, 2], go.GradientDescent(0.5), maxiter=2)
    assert found.x.tolist() == [1.0, 2.0]
    found = go.minimize(lambda x: (x[0] ** 2, 2 * x[0]), [1], go.GradientDescent(0.25), maxiter=2)
    assert (found.x.tolist(), found.jac.tolist()) == ([0.25], [0.5])
    found = go.minimize(lambda x: (x**2, [2 * x]), 1, go.GradientDescent(0.25), maxiter=2)
    assert (found.x.shape, float(found.x)) == ((), 0.25)
    found = go.minimize(lambda z: (np.abs(z) ** 2, 2 * z.real), 1 + 0j, go.GradientDescent(0.25), maxiter=2)
    assert (found.x.dtype, complex(found.x)) == (np.complex128, 0.25)


@pytest.mark.parametrize("args", [2.0, (2.0,), np.float64(2.0)])
def test_one_argument_needs_no_tuple(args: Any) -> None:
    assert go.minimize(bowl, np.zeros(2), go.GradientDescent(0.5), args=args).x == pytest.approx([2.0, 2.0], abs=1e-5)


def test_a_list_is_one_argument() -> None:
    found = go.minimize(lambda x, c: bowl(x, np.asarray(c)), np.zeros(2), go.GradientDescent(0.5), args=[1.0, 2.0])  # type: ignore[call-overload]
    assert found.x == pytest.approx([1.0, 2.0], abs=1e-5)


def test_a_gradient_of_the_other_library(monkeypatch: pytest.MonkeyPatch) -> None:
    class OnDevice(np.ndarray):
        pass

    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(ndarray=OnDevice, __name__="cupy"))
    with pytest.raises(TypeError, match=r"is a cupy array, x a numpy array: return cupy\.asnumpy\(gradient\)"):
        go.minimize(lambda x: (1.0, x.view(OnDevice)), np.zeros(2), go.Adam())


MASKED = np.ma.masked_array([100.0, 1.0], [True, False])


def test_a_mask_is_never_ignored() -> None:
    """What it hides would count."""
    x: Any = np.ones(2)
    with pytest.raises(TypeError, match=r"gradient is a masked array: use its .filled\(0\), such as gradient.filled\(0\)"):
        go.minimize(lambda x: (x @ x, MASKED), x, go.LBFGS())
    with pytest.raises(TypeError, match="gradient is a masked array"):
        go.check_gradient(lambda x: (x @ x, MASKED), x)
    for value in (MASKED[:1], MASKED[0], np.ma.array(5.0, mask=True)):
        with pytest.raises(TypeError, match="fun must return a single real number"):
            go.minimize(lambda x, value=value: (value, x), x, go.SGD())
    for limits, remedy in (((MASKED, None), r"lo.filled\(-np.inf\)"), ((None, MASKED), r"hi.filled\(np.inf\)")):
        with pytest.raises(TypeError, match=f"is a masked array: use its .*, such as {remedy}"):
            go.minimize(lambda x: (x @ x, 2 * x), x, go.SGD(), bounds=limits)
    opt = go.SGD().init(np.ones((3, 2)), rows="*")
    with pytest.raises(TypeError, match=r"index is a masked array: use its .compressed\(\), such as index.compressed\(\)"):
        opt.step(go.rows(np.ma.array([0, 1], mask=[False, True]), np.ones((1, 2))))
