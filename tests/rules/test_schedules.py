"""Schedules: their values at the edges and between, what they refuse, and that a rule follows them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt import schedules
from gpuopt.schedules import (
    Constant,
    Cosine,
    Debiased,
    Exponential,
    InverseSquareRoot,
    Joined,
    OneCycle,
    Piecewise,
    Polynomial,
    Schedule,
    Step,
    WarmUp,
)

# A schedule, and its exact values at some steps; the edges are among them.
VALUES: list[tuple[Schedule, dict[int, float]]] = [
    (Constant(0.5), {0: 0.5, 10**9: 0.5}),
    (Step(1.0, every=10, factor=0.5), {0: 1.0, 9: 1.0, 10: 0.5, 19: 0.5, 20: 0.25}),
    (Exponential(2.0, 0.25, steps=2), {0: 2.0, 1: 1.0, 2: 0.5, 4: 0.125}),
    (Polynomial(1.0, 10), {0: 1.0, 5: 0.5, 10: 0.0, 11: 0.0}),
    (Polynomial(0.3, 10, end=0.1, power=2.0), {0: 0.3, 5: 0.1 + 0.2 * 0.25, 10: 0.1, 99: 0.1}),
    (Cosine(0.3, 10, end=0.1), {0: 0.3, 5: 0.2, 10: 0.1, 11: 0.1}),
    (Debiased(0.3, 0.75), {0: 0.6, 1: 0.3 / 0.4375**0.5, 999: 0.3}),
    (Debiased(0.3, 0.75, power=0.5), {0: 0.15, 1: 0.3 * 0.4375**0.5, 999: 0.3}),
    (InverseSquareRoot(1.0, 4), {0: 1.0, 4: 1.0, 16: 0.5, 64: 0.25}),
    (WarmUp(0.8, 4), {0: 0.0, 1: 0.2, 3: 0.6000000000000001, 4: 0.8, 5: 0.8}),
    (WarmUp(Cosine(0.8, 10), 4, start=0.4), {0: 0.4, 2: 0.6000000000000001, 4: 0.8, 9: 0.4, 14: 0.0}),
    (Piecewise((3.0, 2.0, 1.0), (5, 8)), {0: 3.0, 4: 3.0, 5: 2.0, 7: 2.0, 8: 1.0, 99: 1.0}),
    (Joined((Constant(1.0), Polynomial(1.0, 4)), (3,)), {0: 1.0, 2: 1.0, 3: 1.0, 5: 0.5, 7: 0.0, 8: 0.0}),
    (OneCycle(1.0, 10), {0: 0.04, 2: 1.0, 9: 0.04 / 1e4, 20: 0.04 / 1e4}),
]
every_schedule = pytest.mark.parametrize(("schedule", "values"), VALUES, ids=[repr(schedule) for schedule, _ in VALUES])


def test_a_name_that_is_spelled_otherwise() -> None:
    loose: Any = go.schedules
    for name in ("Cosin", "cosine", "WarmUpp", "Onecycle"):
        with pytest.raises(AttributeError, match=rf"no attribute '{name}'; write gpuopt\.schedules\.(Cosine|WarmUp|OneCycle)$"):
            getattr(loose, name)
    with pytest.raises(AttributeError, match="no attribute 'LambdaLR'; it has Constant, Cosine,"):
        loose.LambdaLR  # noqa: B018


def test_every_schedule_is_tested() -> None:
    public = {getattr(schedules, name) for name in schedules.__all__} - {Schedule}
    assert public == {type(schedule) for schedule, _ in VALUES}


@every_schedule
def test_values(schedule: Schedule, values: dict[int, float]) -> None:
    for step, value in values.items():
        assert schedule(step) == pytest.approx(value, rel=1e-15, abs=1e-16), step
        assert type(schedule(step)) is float
    assert schedule(0) == values[0]


@every_schedule
def test_repr_and_comparison(schedule: Schedule, values: dict[int, float]) -> None:
    again = eval(repr(schedule), vars(go))
    assert again == schedule
    assert hash(again) == hash(schedule)
    assert eval(repr(go.Adam(lr=schedule)), vars(go)) == go.Adam(lr=schedule)
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.value = 1.0  # type: ignore[attr-defined]


@every_schedule
def test_plot(schedule: Schedule, values: dict[int, float]) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    axes = schedule.plot(12, figure.add_subplot())
    drawn = axes.lines[0].get_ydata()
    assert np.asarray(drawn).tolist() == [schedule(step) for step in range(12)]


def test_plot_makes_its_own_axes_in_the_style_of_pictures() -> None:
    pytest.importorskip("matplotlib").use("agg")
    import matplotlib.pyplot as plt

    plt.close("all")  # or it would draw into what another test left
    axes = Cosine(1.0, 5).plot(5)
    assert (axes.lines[0].get_color(), axes.lines[0].get_linewidth()) == ("#0072B2", 1.8)
    assert Cosine(1.0, 5).plot(5) is axes  # the current ones
    plt.close("all")


def test_a_rule_follows_its_schedule() -> None:
    """The first step sees 0 completed steps."""
    opt = go.GradientDescent(lr=Piecewise([1.0, 0.5], [2])).init(np.zeros(1))
    seen = []
    for _ in range(4):
        before = opt.params[0]
        opt.step(np.ones(1))
        seen.append(before - opt.params[0])
    assert seen == [1.0, 1.0, 0.5, 0.5]


loose: Any = go.schedules
"""What type checkers refuse is called by this name."""

REFUSED: list[tuple[Any, type[Exception], str]] = [
    (lambda: Constant(math.nan), ValueError, r"schedules.Constant: value must be a finite number, got nan"),
    (lambda: loose.Constant("1"), TypeError, r"value must be a finite number, got '1'"),
    (lambda: Constant(True), TypeError, "got True"),
    (lambda: Step(1.0, every=0), ValueError, r"every must be a whole number of at least 1, got 0"),
    (lambda: loose.Step(1.0, every=1.5), ValueError, r"every must be a whole number of at least 1, got 1.5"),
    (lambda: Exponential(1.0, 0.0), ValueError, r"factor must be > 0, got 0.0"),
    (lambda: Polynomial(1.0, 5, power=0), ValueError, r"power must be > 0"),
    (lambda: Cosine(1.0, -3), ValueError, r"steps must be a whole number of at least 1, got -3"),
    (lambda: loose.WarmUp("fast", 3), TypeError, r"then must be a finite number, got 'fast'"),
    (lambda: Piecewise([1, 2, 3], [5, 5]), ValueError, r"boundaries must increase, got \(5, 5\)"),
    (lambda: Piecewise([1, 2], [5, 6]), ValueError, r"2 values need 1 boundaries, got 2"),
    (lambda: loose.Joined([Constant(1), 0.5], [3]), TypeError, r"0.5 is not a schedule; a number is schedules.Constant\(0.5\)"),
    (lambda: OneCycle(1.0, 3), ValueError, r"must lie after step 0"),
    (lambda: OneCycle(1.0, 10, rise=0), ValueError, r"rise must be > 0"),
    (lambda: Cosine(1.0, 5).plot(0), ValueError, r"steps of plot"),
]


@pytest.mark.parametrize(("make", "error", "message"), REFUSED)
def test_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_steps_may_be_whole_floats() -> None:
    assert loose.WarmUp(1.0, steps=0.1 * 1000) == WarmUp(1.0, steps=100)
    assert repr(loose.Cosine(0.1, 1e3)) == "schedules.Cosine(value=0.1, steps=1000, end=0.0)"
    assert loose.Piecewise([1, 2], [5.0]).boundaries == (5,)


def test_boundaries_and_values_may_be_anything_that_is_iterated() -> None:
    assert loose.Piecewise((v for v in (1, 2)), iter([5])) == Piecewise([1, 2], [5])
    assert loose.Piecewise(np.array([1.0, 2.0]), {5: None}.keys())(6) == 2


def steps_down(step: Any) -> Any:
    return np.where(step < 1, 0.5, 0.25)


ARRAYS: dict[str, Any] = {
    "where": steps_down,
    "joined": Joined((steps_down, Constant(1.0)), (2,)),
    "warm-up": WarmUp(steps_down, 1, start=0.5),
    "a constant": lambda step: np.array(0.5),
    "an integer": lambda step: np.array(1),
    "a scalar": lambda step: np.float32(0.5),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_a_0d_array_is_a_number(name: str, executor: str, xp: Any) -> None:
    """On a device the schedule is traced."""
    schedule, x = ARRAYS[name], xp.zeros(1)
    opt = go.chain(go.skip_nonfinite(), go.SGD(schedule)).init(x)
    for _ in range(2):
        opt.step(xp.ones(1))
    assert float(x[0]) == -sum(float(np.squeeze(schedule(step))) for step in range(2))


@pytest.mark.parametrize(
    "value", [np.ones(2), np.ones(1), np.array(True), np.array(0.1 + 0j), np.array("0.1"), np.array(0.1, object), [0.1], None]
)
def test_what_is_no_number(value: Any) -> None:
    """Nor is an array a hyperparameter without a schedule."""
    with pytest.raises(
        TypeError, match=r"GradientDescent: lr must be a finite number >= 0, got .* from its schedule at step 0, <func"
    ):
        go.SGD(lambda step: value).init(np.zeros(1))
    with pytest.raises(TypeError, match=r"lr must be a finite number >= 0 or a schedule"):
        go.SGD(np.array(0.1))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "schedule",
    [
        Exponential(1e-8, 1e10),
        Step(1e-8, every=1, factor=1e10),
        WarmUp(Exponential(1e-8, 1e10), 2),
        Joined((Constant(0.1), Exponential(1e-8, 1e10)), (2,)),
        lambda step: 1e-8 * 1e10**step,
        lambda step: 10 ** (10 * step) if step > 30 else 0.1,
    ],
)
def test_a_schedule_that_grows_beyond_all_floats(schedule: Any) -> None:
    """The step says which, and changes nothing."""
    x = np.zeros(1)
    opt = go.SGD(schedule).init(x)

    def until_refused() -> None:
        while opt.t < 40:
            opt.step(np.zeros(1))

    with pytest.raises(ValueError, match=r"GradientDescent: lr must be a finite number >= 0, got ") as caught:
        until_refused()
    assert str(caught.value).endswith(f" from its schedule at step {opt.t}, {schedule!r}")
    assert opt.t > 30
    opt.rule = go.SGD(0.5)
    opt.step(np.ones(1))
    assert x[0] == -0.5
