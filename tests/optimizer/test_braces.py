"""What a user gives may hold braces and percent signs: it is quoted in messages, and never taken for a pattern of one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays.dtypes import named as named_dtype
from gpuopt.tracing.trace import trace
from tests.support.refusals import refused

ODD = ("{0}", "{}", "{", "}}", "{a!r}", "{0[x]}", "%s", "%(a)d", "%")
loose: Any = go


class Odd:
    """A value, or a schedule of wrong values, whose repr has braces."""

    def __init__(self, text: str, gives: Any = -1.0) -> None:
        self._text, self._gives = text, gives

    def __repr__(self) -> str:
        return self._text


class Schedule(Odd):
    def __call__(self, step: int) -> Any:
        return self._gives


def named(text: str) -> Any:
    """A rule whose class has such a name."""

    def update(self: Any, t: Any, p: Any, g: Any, m: Any = 0.0) -> Any:
        m = 0.5 * m + g
        return p - self.lr * m, m

    body = {"__annotations__": {"lr": go.NonNegative}, "lr": 0.1, "update": update, "__module__": __name__}
    return type(f"A{text}", (go.Rule,), body)


ARRAY = np.ones(2)
ENTRIES: dict[str, Callable[[str], Any]] = {
    "value": lambda text: loose.Adam(lr=Odd(text)),
    "value in a dict": lambda text: loose.Adam(lr={text: 1.0}),
    "value of a piece": lambda text: loose.clip(Odd(text)),
    "schedule": lambda text: go.Adam(lr=Schedule(text)).init(ARRAY),
    "schedule of no number": lambda text: go.Adam(lr=Schedule(text, text)).init(ARRAY),
    "switch": lambda text: loose.Adam(amsgrad=text),
    "class": lambda text: named(text)(-1.0),
    "piece": lambda text: loose.chain(Odd(text), go.Adam()),
    "rule of a partition": lambda text: go.partition({text: loose.clip}),
    "partition": lambda text: go.partition({text: go.Adam()}, by=lambda path, array: text + text).init(ARRAY),
    "key of params": lambda text: loose.Adam().init({text: "a"}),
    "key of params twice": lambda text: go.Adam().init({text: ARRAY, text + "a": ARRAY}),
    "type of params": lambda text: go.Adam().init(type(text, (), {})()),
    "key of grads": lambda text: go.Adam().init({text: ARRAY}).step({"w": ARRAY}),
    "shape of grads": lambda text: go.Adam().init({text: ARRAY}).step({text: np.ones(3)}),
    "key of hyper": lambda text: go.Adam().init(ARRAY, hyper={text: ARRAY}),
    "values of hyper": lambda text: go.Adam().init({text: ARRAY}, hyper={"lr": {text: -ARRAY}}),
    "option of init": lambda text: loose.Adam().init(ARRAY, master=text),
    "rule of an optimizer": lambda text: setattr(go.Adam().init(ARRAY), "rule", Odd(text)),
    "state dict": lambda text: go.Adam().init(ARRAY).load_state_dict({**go.Adam().init(ARRAY).state_dict(), "rule": text}),
    "replace": lambda text: go.chain(go.Adam()).replace({text: 1.0}),
    "function": lambda text: loose.minimize(Odd(text), ARRAY, go.Adam()),
    "method": lambda text: loose.fit(Odd(text), ARRAY, np.ones((2, 2)), go.Adam()),
    "seed": lambda text: loose.fit(lambda p, x: (0.0, p), ARRAY, np.ones((4, 2)), go.Adam(), 2, seed=Odd(text)),
    "backend": loose.use,
    "dtype": named_dtype,
}


@pytest.fixture(autouse=True)
def _quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("text", ODD)
def test_text_of_a_user_is_quoted_as_it_is(entry: str, text: str) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)) as caught:
        ENTRIES[entry](text)
    assert text in str(caught.value)


@pytest.mark.parametrize("text", ODD)
def test_keys_and_names_may_hold_it(text: str, executor: str, xp: Any) -> None:
    """It trains as under any other name, and resumes."""
    found = []
    for key, rule in ((text, named(text)(0.5)), ("w", named("")(0.5))):
        params = {key: xp.ones(3)}
        opt = go.partition({f"{key[:0]}*": go.chain(go.clip_norm(1.0), rule)}).init(params)
        opt.step({key: xp.ones(3)})
        opt.load_state_dict(opt.state_dict())
        opt.step({key: xp.ones(3)})
        assert repr(opt)
        assert str(trace(rule))
        found.append(params[key].tobytes())
    assert found[0] == found[1]


def test_a_schedule_that_is_right_may_have_any_repr() -> None:
    opt = go.Adam(lr=Schedule("{0}", 0.1)).init(ARRAY.copy())
    opt.step(ARRAY)
    refused(lambda: setattr(opt, "rule", go.Adam(lr=Schedule("{0}", -0.1))), ValueError, ("got -0.1", "{0}"))
