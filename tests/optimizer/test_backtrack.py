"""`gpuopt.backtrack`: steps after which the loss rose are taken back, and the rate falls."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from tests.support.executors import only
from tests.support.optimizers import everything
from tests.support.refusals import refused, table
from tests.support.variants import on_host

NAN, INF = math.nan, math.inf


@pytest.fixture(autouse=True)
def _loss() -> None:
    """Nothing is given to a step without a loss here."""


def rosenbrock(x: Any) -> tuple[Any, Any]:
    """Over both halves of a vector."""
    a, b = x[:5], x[5:]
    off, g = b - a * a, 0.0 * x
    g[5:], g[:5] = 200 * off, -400 * off * a - 2 * (1 - a)
    return (100 * off * off + (1 - a) ** 2).sum(), g


def by_hand(x: Any, lr: float, count: int) -> tuple[Any, float, int]:
    """The same with Adam, in a plain loop; the rate in the end, and the steps that were not taken back."""
    m, v, t, rate, last, kept = 0.0 * x, 0.0 * x, 0, 1.0, -INF, (x, 0.0 * x)
    for _ in range(count):
        loss, g = rosenbrock(x)
        if last > -INF and not loss <= last:
            (x, v), m, t, last, rate = kept, 0.0 * m, t - 1, -INF, rate * 0.5
            continue
        kept, t, now = (x, v), t + 1, lr * rate
        rate = min(1.0, 1.05 * rate) if last > -INF else rate
        last = -INF if math.isnan(loss) else loss
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        x = x - now * m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return x, rate, t


def test_it_is_the_plain_loop(xp: Any) -> None:
    """With a rate 100 times too large it converges, and without it Adam wanders about."""
    start = np.tile([-1.2, 0.5, 2.0, -0.3, 1.5], 2)
    x, lost = xp.array(start), xp.array(start)
    opt, other = go.chain(go.backtrack(), go.Adam(3.0)).init(x), go.Adam(3.0).init(lost)
    count = 3000 if xp is np else 60
    for _ in range(count):
        loss, g = rosenbrock(x)
        opt.step(g, loss)
        other.step(rosenbrock(lost)[1])
    exact, rate, steps = by_hand(start, 3.0, count)
    assert steps < opt.t == count
    np.testing.assert_allclose(on_host(x), exact, rtol=1e-7)
    assert float(opt.numbers["backtrack.rate"]) == pytest.approx(rate)
    assert int(opt.state["backtrack_steps"]) == steps
    if xp is np:
        assert float(rosenbrock(x)[0]) < 1e-5
        assert float(rosenbrock(lost)[0]) > 10


RULES = [
    (go.chain(go.RMSProp(0.1, centered=True, momentum=0.5), go.bounds(-1.0, 1.0)), "b", "float64", NAN),
    (go.chain(go.NAdam(0.1), go.average()), "m", "float16", 9.0),  # a number of each array, and a mean of all steps
    (go.AcceleratedGradient(0.1), "", "complex64", INF),  # its state begins as the parameter, with a number of all arrays
    (
        go.chain(go.skip_nonfinite(), go.partition({"0": go.Adam(0.1, amsgrad=True), "*": go.AggMo(0.1)})),
        "m v[",
        "float32",
        NAN,
    ),
    (go.Muon(0.1), "m", "float32", 9.0),
]


@only("numpy", "numba")
@pytest.mark.parametrize(("rule", "momentum", "dtype", "bad"), RULES, ids=lambda value: getattr(value, "outline", ""))
def test_parameters_and_states_return_bit_for_bit(rule: Any, momentum: str, dtype: str, bad: float, xp: Any) -> None:
    """After the first step, and after a later one; but momentum begins anew."""
    check_return(rule, momentum, dtype, bad, xp)


@only("cupy")
def test_they_return_on_a_gpu(xp: Any) -> None:
    check_return(*RULES[1], xp)


def check_return(rule: Any, momentum: str, dtype: str, bad: float, xp: Any) -> None:
    params = [xp.asarray(np.linspace(-0.9, 0.9, 6).reshape(2, 3), dtype), xp.asarray(np.full((2, 2), 0.5), dtype)]
    opt = go.chain(go.backtrack(growth=1.0), rule).init(params)
    for losses in ([5.0], [4.0, 3.0]):
        for loss in losses:
            before = held(opt, momentum)
            opt.step([0.3 * p for p in params], loss=loss)
        opt.step([NAN * p for p in params], loss=bad)
        after = held(opt, momentum)
        assert after[1] <= {0}
        assert after[0] == before[0]
        if len(losses) == 1:
            assert all((x == p).all() for x, p in zip(opt.evaluation(), params, strict=True))
    assert (float(opt.numbers["backtrack.rate"]), opt.t) == (0.25, 5)


def held(opt: Any, momentum: str) -> tuple[dict[str, Any], set[Any]]:
    """All that is not for backtracking alone; and the numbers in momentum."""
    found, numbers = {"p": [on_host(p).tobytes() for p in opt.params]}, set[Any]()
    for name, values in opt.state.items():
        own = [on_host(value) for value in values if value is not None]
        if not name.startswith("backtrack") and name.startswith(tuple(momentum.split())):
            numbers |= {x for value in own for x in value.flat}
        elif not name.startswith("backtrack_before"):
            found[name] = [value.tobytes() for value in own]
    return found, numbers


@only("numpy", "numba")
def test_what_comes_after_is_what_would_have_come_at_half_the_rate(xp: Any) -> None:
    x, y = xp.asarray([1.0, -2.0]), xp.asarray([1.0, -2.0])
    opt = go.chain(go.backtrack(), go.AdaGrad(0.4)).init(x)
    opt.step(x, loss=1.0)
    opt.step(x, loss=2.0)
    opt.step(x, loss=3.0)  # of the point before, which is not judged again
    plain = go.AdaGrad(0.2).init(y)
    plain.step(y)
    assert x.tolist() == y.tolist()
    assert opt.state["s"].tolist() == plain.state["s"].tolist()


@only("numpy", "numba")
@pytest.mark.parametrize("loss", [2.0, NAN])
def test_a_first_step_and_one_that_follows_a_return_are_not_judged(loss: float, xp: Any) -> None:
    x = xp.ones(2)
    opt = go.chain(go.backtrack(), go.SGD(0.5)).init(x)
    for value, left in ((loss, 0.5), (1.0, 0.25), (INF, 0.5), (7.0, 0.375)):
        opt.step(x, loss=value)
        assert x.tolist() == [left] * 2, value
        if math.isnan(loss):  # nothing is known of the point
            return


@only("numpy", "numba")
def test_factor_and_growth(xp: Any) -> None:
    x = xp.ones(1)
    opt = go.chain(go.backtrack(0.1, growth=4.0), go.SGD(0.0)).init(x)
    rates = []
    for loss in (1.0, 2.0, 1.0, 1.0, 0.5, 0.4):
        opt.step(x, loss=loss)
        rates.append(float(opt.numbers["backtrack.rate"]))
    np.testing.assert_allclose(rates, [1.0, 0.1, 0.1, 0.4, 1.0, 1.0])


def gated() -> Any:
    return go.chain(go.backtrack(), go.accumulate(2), go.Adam()).init(np.ones(2))


def missing() -> Any:
    opt = go.chain(go.backtrack(), go.Adam()).init([np.ones(2), np.ones(2)])
    opt.step([np.ones(2), None], loss=1.0)


@table(
    ("no loss", lambda: go.chain(go.backtrack(), go.SGD()).init(np.ones(2)).step(np.ones(2)), ValueError, ("reads the loss",)),
    ("no gradient", missing, ValueError, ("backtrack takes back a step of all arrays", "zeros in place of None")),
    ("a gate", gated, go.TraceError, ("backtrack takes back", "accumulate makes one in some steps only")),
    ("a buffer", lambda: go.chain(go.backtrack(), go.SM3()).init(np.ones(2)), go.TraceError, ("buffer", "'v'", "Adam")),
    ("no lr", lambda: go.chain(go.backtrack(), go.COCOB()).init(np.ones(2)), go.TraceError, ("COCOB has none",)),
    ("twice", lambda: go.chain(go.backtrack(), go.backtrack(), go.SGD()).init(np.ones(2)), go.TraceError, ("and so does",)),
    ("rows", lambda: go.chain(go.backtrack(), go.SGD()).init(np.ones(2), rows="*"), ValueError, ("rows", "go.partition")),
    ("a factor of 1", lambda: go.backtrack(1.0), ValueError, ("factor must be a number between 0 and 1, got 1.0",)),
    ("a growth below 1", lambda: go.backtrack(growth=0.9), ValueError, ("growth must be a finite number >= 1",)),
)
def test_refusals(action: Callable[[], Any], error: type[Exception], words: tuple[str, ...]) -> None:
    refused(action, error, words)


def test_the_momentum_of_a_rule_is_a_state_of_it() -> None:
    class Mine(go.SGD):
        momentum_states = ("speed",)

    with pytest.raises(go.TraceError, match=r"Mine\.momentum_states names 'speed', which is not a state of update: it has"):
        go.chain(go.backtrack(), Mine()).init(np.ones(2))


@only("numpy", "numba")
def test_numbers_may_change_between_steps(xp: Any) -> None:
    """A decay, too, from which on the sum of the weights is kept."""
    x = xp.ones(2)
    opt = go.chain(go.backtrack(), go.Adam(0.1)).init(x)
    for loss in (3.0, 4.0, 3.0):
        opt.step(x, loss=loss)
    opt.rule = opt.rule.replace({"beta1": 0.5, "backtrack.factor": 0.25})
    for loss in (2.0, 3.0):
        opt.step(x, loss=loss)
    assert float(opt.numbers["backtrack.rate"]) == pytest.approx(0.525 * 0.25)


@only("numpy", "numba")
def test_minimize_goes_on_from_the_point_before(xp: Any) -> None:
    """Also where the function is no number; `fit` does, too."""

    def fun(x: Any) -> Any:
        with np.errstate(all="ignore"):
            return xp.log(x).sum() + (1 / x).sum(), 1 / x - 1 / x**2

    found = go.minimize(fun, xp.full(3, 2.0), go.chain(go.backtrack(), go.SGD(30.0)), maxiter=200, check_every=1)
    assert found.success
    np.testing.assert_allclose(on_host(found.x), 1.0, atol=1e-5)
    x = xp.full(3, 2.0)
    history = go.fit(lambda x, _: fun(x), x, xp.zeros(1), go.chain(go.backtrack(), go.SGD(30.0)), batch_size=None, epochs=100)
    assert np.isnan(history.loss).any()
    np.testing.assert_allclose(on_host(x), 1.0, atol=1e-5)


@pytest.mark.gpu
def test_a_graph_decides_by_itself(some_gpu: None) -> None:
    import cupy

    def loss_and_grad(x: Any) -> Any:
        return (x @ x) / 2, x.copy()

    x, y = cupy.asarray([3.0, -4.0]), cupy.asarray([3.0, -4.0])
    rule = go.chain(go.backtrack(), go.Adam(30.0))
    opt, plain = rule.init(x, capturable=True), rule.init(y)
    step = go.graph(loss_and_grad, opt)
    for _ in range(12):
        step()
        loss, g = loss_and_grad(y)
        plain.step(g, loss)
    assert everything(opt)[:2] == everything(plain)[:2]
    assert float(opt.numbers["backtrack.rate"]) < 1
