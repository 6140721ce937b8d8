"""The best point, whatever ends a minimization, and what its callback is given."""

from __future__ import annotations

import math
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from tests.support.problems import bowl, kink

ENDS: dict[str, tuple[int, dict[str, Any]]] = {
    "maxiter": (1, {"maxiter": 7}),
    "gtol": (0, {"gtol": 1e-2}),
    "callback": (99, {"callback": lambda intermediate_result: intermediate_result.nit == 6}),
    "value": (2, {}),
    "gradient": (2, {}),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("check_every", [1, 2, 3])
def test_the_best_point_however_it_ends(end: str, check_every: int) -> None:
    status, options = ENDS[end]
    path = []

    def fun(x: Any) -> Any:
        path.append(x)
        value, gradient = kink(x)
        if len(path) > 5:
            value = math.nan if end == "value" else value
            gradient = {"gradient": math.inf, "gtol": 1e-3}.get(end, 1.0) * gradient
        return value, gradient

    found = go.minimize(fun, np.full(4, 0.05), go.Adam(0.5), check_every=check_every, **options)
    best = min(path[:5] if end == "value" else path, key=lambda x: float(kink(x)[0]))
    assert found.status == status
    assert found.fun == kink(best)[0]
    assert np.array_equal(found.x, best)
    assert np.array_equal(found.jac, kink(best)[1])
    assert found.nfev == found.njev == len(path) == found.nit + 1


def test_an_infinity_between_two_checks_is_no_best() -> None:
    values = iter([3.0, 2.0, -np.inf, np.inf, 2.5])
    found = go.minimize(lambda x: (next(values), np.ones(1)), np.zeros(1), go.GradientDescent(1.0), maxiter=4)
    assert (found.fun, found.x.tolist(), found.status) == (2.0, [-1.0], 1)


def test_the_latest_of_equal_values() -> None:
    found = go.minimize(lambda x: (0.0, np.ones(1)), np.zeros(1), go.GradientDescent(1.0), maxiter=3)
    assert found.x.tolist() == [-3.0]


@pytest.mark.parametrize("where", ["fun", "callback"])
def test_an_interrupt_has_the_best_point(where: str) -> None:
    calls = []

    def fun(x: Any) -> Any:
        calls.append(x)
        if where == "fun" and len(calls) == 8:
            raise KeyboardInterrupt
        return kink(x)

    def callback(x: Any) -> None:
        if where == "callback" and len(calls) == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        go.minimize(fun, np.full(4, 0.05), go.Adam(0.5), callback=callback, check_every=1)
    found: Any = caught.value.result  # type: ignore[attr-defined]
    assert found.fun == min(float(kink(x)[0]) for x in calls[:7])
    assert found.fun == kink(found.x)[0]
    assert (found.status, found.success, found.nfev) == (98, False, 7)
    assert "sys.last_value.result.x" in caught.value.__notes__[0]


def test_an_interrupt_before_anything_was_found() -> None:
    def fun(x: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        go.minimize(fun, np.zeros(2), go.Adam())
    assert not hasattr(caught.value, "result")


def test_a_value_on_a_gpu_is_read_at_checks_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []

    class OnDevice(np.ndarray):
        def item(self, *where: Any) -> Any:
            reads.append(len(path))
            return super().item(*where)

        def __float__(self) -> float:
            raise AssertionError("read")

    path: list[Any] = []

    def fun(x: Any) -> Any:
        path.append(x)
        return np.atleast_1d(bowl(x)[0]).view(OnDevice), x - 3.0

    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(ndarray=OnDevice, __name__="cupy"))
    found = go.minimize(fun, np.zeros(2), go.GradientDescent(0.1), maxiter=7, check_every=3)
    assert reads == [1, 4, 7, 8]
    assert type(found.fun) is float
    assert found.fun == bowl(found.x)[0]


def test_a_value_that_is_not_finite() -> None:
    """The best x is returned, at a check or between two."""
    calls: list[Any] = []

    def breaks(x: Any) -> tuple[Any, Any]:
        calls.append(x.copy())
        return (math.nan if len(calls) > 12 else bowl(x)[0]), bowl(x)[1]

    found = go.minimize(breaks, np.zeros(2), go.GradientDescent(0.1), check_every=5)
    assert (found.status, found.success) == (2, False)
    assert np.array_equal(found.x, calls[11])
    assert math.isfinite(found.fun)
    assert go.minimize(lambda x: (math.inf, x), np.ones(2), go.Adam()).status == 2
    assert go.minimize(lambda x: (0.0, x * math.nan), np.ones(2), go.Adam()).status == 2


def test_a_small_gradient_at_a_large_x() -> None:
    """x - (x - gradient) is 0 there."""
    fun = lambda x: (0.5 * float(x[0]), np.full(1, 0.5))  # noqa: E731
    for bounds in (None, (-1e300, None)):
        assert go.minimize(fun, np.full(1, 1e17), go.GradientDescent(1.0), bounds=bounds, maxiter=3).status == 1


# Callbacks


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


def test_a_callback_may_keep_and_alter_what_it_is_given() -> None:
    kept: list[Any] = []

    def by_x(x: Any) -> None:
        kept.append(x.copy())
        x[:] = 99.0

    def by_result(intermediate_result: Any) -> None:
        by_x(intermediate_result.x)
        intermediate_result.jac[:] = 99.0

    for callback in (by_x, by_result):
        kept.clear()
        found = go.minimize(bowl, np.zeros(2), go.GradientDescent(0.5), callback=callback, check_every=1, maxiter=4)
        assert np.array_equal(found.x, kept[-1])
        assert np.array_equal(found.jac, kept[-1] - 3.0)


@pytest.mark.parametrize("answer", [1, "yes", [0], np.ones(2), np.array([True]), object(), None, False, np.False_])
def test_an_answer_that_does_not_stop(answer: Any) -> None:
    assert go.minimize(bowl, np.zeros(2), go.GradientDescent(0.1), maxiter=20, callback=lambda x: answer).nit == 20


@pytest.mark.parametrize("answer", [True, np.True_, np.array(True)])
def test_an_answer_that_stops(answer: Any) -> None:
    found = go.minimize(bowl, np.zeros(2), go.GradientDescent(0.1), callback=lambda x: answer)
    assert (found.nit, found.status) == (0, 99)


def test_the_signature_of_a_callback() -> None:
    """A result goes where `intermediate_result` is all that is taken; a function without a signature takes x."""
    seen: list[Any] = []

    def by_x(xk: Any, intermediate_result: Any = None) -> None:
        seen.append((xk.shape, intermediate_result))

    options: dict[str, Any] = {"maxiter": 3, "check_every": 1}
    go.minimize(bowl, np.zeros(2), go.GradientDescent(0.1), callback=by_x, **options)
    assert seen == [((2,), None)] * 4
    go.minimize(bowl, np.zeros(2), go.GradientDescent(0.1), callback=seen.append, **options)
    assert seen[-1].shape == (2,)
    assert go.minimize(bowl, np.zeros(2), go.GradientDescent(0.1), callback=max, **options).nit == 3


def test_the_last_check_calls_the_callback_too() -> None:
    seen: list[Any] = []
    found = go.minimize(bowl, np.zeros(2), go.GradientDescent(0.5), callback=seen.append, check_every=1)
    assert found.success
    assert len(seen) == found.nit + 1
