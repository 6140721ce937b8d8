"""A minimization in a loop of the caller."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from tests.support.problems import bowl, kink

HALF = go.GradientDescent(0.5)


@pytest.mark.parametrize("check_every", [1, 3])
@pytest.mark.parametrize("stop", [{"maxiter": 7}, {"gtol": 0.1}, {"patience": 2, "gtol": 0.0}])
def test_the_last_state_is_what_minimize_returns(check_every: int, stop: Any) -> None:
    seen: list[Any] = []
    options = {"check_every": check_every, **stop}
    right = go.minimize(kink, np.full(4, 0.05), go.Adam(0.5), callback=lambda x: seen.append(x.copy()), **options)
    states = list(go.iterate(kink, np.full(4, 0.05), go.Adam(0.5), **options))
    *during, last = states
    assert {name: last[name] for name in right if name not in ("x", "jac")} == {
        name: value for name, value in right.items() if name not in ("x", "jac")
    }
    assert np.array_equal(last.x, right.x)
    assert np.array_equal(last.jac, right.jac)
    assert [state.status for state in during] == [-1] * len(during)
    assert [state.nit for state in during] == [check_every * k for k in range(len(during))]
    assert all(state.nfev == state.nit + 1 for state in states)
    assert all(np.array_equal(state.x, x) for state, x in zip(during, seen, strict=False))
    assert all(state.optimality == abs(kink(state.x)[1]).max() for state in during)


def test_a_state_is_the_callers() -> None:
    """Altering it alters nothing, and later states leave it alone."""
    right = go.minimize(bowl, np.zeros(2), HALF, maxiter=3)
    for state in go.iterate(bowl, np.zeros(2), HALF, maxiter=3):
        state.x[...] = 99.0
        state.jac[...] = 99.0
    assert (state.nit, state.fun) == (3, right.fun)


def test_another_rule_on_the_way() -> None:
    for state in go.iterate(bowl, np.zeros(2), go.GradientDescent(1.9)):
        if state.nit == 4:
            state.opt.rule = dataclasses.replace(state.opt.rule, lr=1.0)
    assert (state.nit, state.success, state.opt.t) == (5, True, 5)


def test_it_may_be_left() -> None:
    calls: list[Any] = []

    def fun(x: Any) -> Any:
        calls.append(x)
        return bowl(x)

    states = go.iterate(fun, np.zeros(2), HALF)
    assert not calls
    for state in states:
        if state.fun < 1.0:
            break
    assert len(calls) == state.nfev
    states.close()  # type: ignore[attr-defined]
    assert list(states) == []


def test_what_is_refused_is_refused_at_the_call() -> None:
    with pytest.raises(ValueError, match="maxiter must be"):
        go.iterate(bowl, np.zeros(2), HALF, maxiter=-1)
    with pytest.raises(
        TypeError, match=r"iterate has no argument 'max_iter'; it has fun, x0, method, jac, args, bounds, .*maxiter, "
    ):
        go.iterate(bowl, np.zeros(2), HALF, max_iter=3)  # type: ignore[call-overload]


def test_an_interrupt_has_the_best_point() -> None:
    calls: list[Any] = []

    def fun(x: Any) -> Any:
        calls.append(x)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return bowl(x)

    with pytest.raises(KeyboardInterrupt) as caught:
        list(go.iterate(fun, np.zeros(2), HALF))
    assert caught.value.result.nfev == 3  # type: ignore[attr-defined]


# Plateaus


def values(*found: float) -> Any:
    """A function with these values, one after another, whose gradient never ends."""
    left = iter(found)
    return lambda x: (next(left), np.ones(1))


@pytest.mark.parametrize(
    ("found", "options", "nit", "status"),
    [
        ((9, 8, 7, 7, 7, 7), {"patience": 2}, 4, 3),
        ((9, 8, 7, 8, 7, 6, 7, 8, 5, 4), {"patience": 3, "maxiter": 9}, 9, 1),
        ((9, 8, 7, 8, 7, 6, 7, 8, 5, 4), {"patience": 2}, 4, 3),
        ((9, 8, 7.9, 7.8, 7.7), {"patience": 2, "ftol": 0.1}, 3, 3),
        ((9, 8, 7.5, 7.1, 6.9, 6.3), {"patience": 2, "ftol": 0.1, "maxiter": 5}, 5, 1),
        ((0.5, 0.46, 0.42, 0.3), {"patience": 2, "ftol": 0.1}, 2, 3),
        ((-1e3, -1e3 - 1, -1e3 - 2), {"patience": 2, "ftol": 0.01}, 2, 3),
        ([5.0] * 200, {"ftol": 1e-9}, 100, 3),
        ([5.0] * 200, {"maxiter": 150}, 150, 1),
        ([5.0] * 200, {"patience": 7, "check_every": 5}, 10, 3),
        ((np.inf, np.inf), {"patience": 1}, 0, 2),
    ],
)
def test_a_plateau(found: Any, options: Any, nit: int, status: int) -> None:
    options = {"check_every": 1, **options}
    ended = go.minimize(values(*found), np.zeros(1), go.GradientDescent(1.0), **options)
    assert (ended.nit, ended.status, ended.success) == (nit, status, status == 3)
