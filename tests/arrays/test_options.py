"""Numbers and flags of every public call: what is no number is a TypeError, a number out of range a ValueError."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuopt as go

loose: Any = go
"""What type checkers refuse is called by this name."""
x, data, losses = np.ones(2), np.ones((80, 2)), [1.0, 0.5]


def fun(x: Any) -> Any:
    return float(x @ x), 2 * x


def fit(**options: Any) -> Any:
    return go.fit(lambda p, batch: fun(p), x.copy(), data, go.SGD(), **{"epochs": 1, "validation": data, **options})


def minimize(**options: Any) -> Any:
    return go.minimize(fun, x, go.SGD(), **{"maxiter": 1, **options})


def animate(**options: Any) -> Any:
    return go.plot.animate(go.plot.compare(losses), **options)


WHOLE: dict[str, Callable[[Any], Any]] = {
    "memory": lambda v: go.LBFGS(memory=v),
    "every": lambda v: go.Checkpointer("folder", every=v),
    "keep": lambda v: go.Checkpointer("folder", keep=v),
    "batch_size": lambda v: fit(batch_size=v),
    "epochs": lambda v: fit(epochs=v),
    "patience": lambda v: fit(patience=v),
    "patience of minimize": lambda v: minimize(patience=v),
    "maxiter": lambda v: minimize(maxiter=v),
    "check_every": lambda v: minimize(check_every=v),
    "directions": lambda v: go.check_gradient(fun, x, directions=v),
    "size": go.problems.Rosenbrock,
    "smooth": lambda v: go.plot.compare(losses, smooth=v),
    "steps": lambda v: go.plot.schedule(0.1, v),
    "frames": lambda v: animate(frames=v),
    "columns": lambda v: go.plot.images(data, columns=v),
}
NUMBER: dict[str, Callable[[Any], Any]] = {
    "step": lambda v: go.ProximalGradient(step=v),
    "min_delta": lambda v: fit(patience=1, min_delta=v),
    "gtol": lambda v: minimize(gtol=v),
    "ftol": lambda v: minimize(ftol=v),
    "seconds": lambda v: animate(seconds=v),
    "seconds of live": lambda v: go.plot.live(seconds=v),
}
FLAG: dict[str, Callable[[Any], Any]] = {
    "accelerate": lambda v: go.ProximalGradient(accelerate=v),
    "search": lambda v: go.ProximalGradient(step=0.1, search=v),
    "shuffle": lambda v: fit(shuffle=v),
    "progress": lambda v: fit(progress=v),
    "capturable": lambda v: go.SGD().init(x.copy(), capturable=v),
    "master": lambda v: go.SGD().init(x.copy(), master=v),
}
PAIR: dict[str, Callable[[Any], Any]] = {
    "xlim": lambda v: go.plot.compare(losses, xlim=v),
    "xlim of contours": lambda v: go.plot.contours(fun, xlim=v, ylim=(0, 1)),
    "ylim": lambda v: go.plot.contours(fun, xlim=(0, 1), ylim=v),
    "limits": lambda v: go.plot.images(data, limits=v),
}
WRONG = [
    *((name, call, wrong, TypeError) for name, call in {**WHOLE, **NUMBER, **FLAG, **PAIR}.items() for wrong in ("x", {1: 2})),
    *((name, call, True, TypeError) for name, call in {**WHOLE, **NUMBER, **PAIR}.items()),
    *((name, call, 1.5, (TypeError, ValueError)) for name, call in {**WHOLE, **FLAG, **PAIR}.items()),
    *((name, call, -1, ValueError) for name, call in {**WHOLE, **NUMBER}.items()),
    *((name, call, np.nan, (TypeError, ValueError)) for name, call in {**WHOLE, **NUMBER, **FLAG}.items()),
    *((name, call, (0, wrong), ValueError) for name, call in PAIR.items() for wrong in (np.nan, np.inf, 0)),
]


@pytest.mark.parametrize(
    ("name", "call", "wrong", "error"), WRONG, ids=lambda value: str(value) if isinstance(value, str) else ""
)
def test_a_wrong_option_is_refused_by_name(name: str, call: Any, wrong: Any, error: Any) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(error, match=rf"{name.partition(' ')[0]}( \(.*\))? must be .*, got "):
        call(wrong)


LONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: loose.Adam({"w": np.eye(99)}), "got {'w': array([[1., 0., 0., ..., 0., 0., 0.], [0.,"),
    (
        lambda: fit(epochs=np.eye(99)),
        "epochs must be a whole number of at least 0, got array([[1., 0., 0., ..., 0., 0., 0.], [",
    ),
    (lambda: minimize(gtol=np.eye(99)), "gtol must be a number >= 0, got array([[1., 0., 0., ..., 0., 0., 0.], ["),
    (lambda: minimize(bounds=np.eye(99)), "or a scipy.optimize.Bounds, got array([[1., 0., 0., ..., 0., 0., 0.], ["),
    (lambda: loose.minimize(np.eye(99), x, go.SGD()), "fun must be callable, got array([[1., 0., 0., ..., 0., 0., 0.], ["),
    (lambda: loose.fit(np.eye(99), fun, data, go.SGD()), "loss_and_grad must be callable, not array([[1., 0., 0., ..., 0.,"),
    (lambda: loose.plot.compare({"a": go.minimize(fun, np.ones(99), go.SGD())}), "losses of shape (updates,), got x: array(["),
    (lambda: go.plot.live(loose.minimize(fun, np.ones(99), go.SGD())), "seconds must be a number >= 0, got x: array(["),
]


@pytest.mark.parametrize(("call", "part"), LONG)
def test_a_long_value_is_one_line_without_its_middle(call: Callable[[], Any], part: str) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises((TypeError, ValueError)) as error:
        call()
    said = str(error.value)
    assert part in said
    assert " … " in said
    assert len(said.splitlines()) == 1
    assert len(said) < 500


def test_a_callback_that_was_not_made() -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(
        TypeError, match=r"got History\(.*; a call of live makes a callback: write callback=gpuopt\.plot\.live\(\)$"
    ):
        fit(callback=go.plot.live)


def test_whole_numbers_may_be_numpys_and_those_of_scipy_floats() -> None:
    assert go.LBFGS(memory=np.int64(3)).memory == 3  # type: ignore[arg-type]
    assert minimize(maxiter=2.0, gtol=0, check_every=np.int32(1)).nit == 2
    assert fit(batch_size=np.int16(40), epochs=np.uint8(2)).steps == 4


@pytest.mark.parametrize(
    "call",
    [
        lambda: minimize(gtol=np.inf, ftol=np.inf),
        lambda: go.plot.live(seconds=np.inf),
        lambda: loose.Checkpointer("folder", every=1e3, keep=2.0),
        lambda: json.dumps(loose.LBFGS(memory=np.int64(3)).memory),
    ],
)
def test_what_is_right(call: Callable[[], Any]) -> None:
    call()
