"""A damaged state dict: what it says is loaded, or it is refused with the place, and nothing has changed."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gpuopt as go
from tests.support.executors import running_on
from tests.support.optimizers import everything, gradients
from tests.support.refusals import INF, NAN, refused, table

BF16 = pytest.importorskip("ml_dtypes").bfloat16
RULE = go.chain(
    go.LossScale(8.0, interval=3),
    go.partition({"w": go.chain(go.accumulate(2), go.Adam(0.1, beta1=go.schedules.WarmUp(0.9, 4))), "*": go.Momentum(0.2)}),
    go.average(0.5),
)


def optimizer(steps: int, rule: Any = RULE) -> Any:
    params = {"w": np.ones((2, 3), BF16), "rest": [np.ones(4), np.ones((), "f4")]}
    arrays = {"w": None, "rest": [np.array([0.1, 0.2, 0.3, 0.4]), None]}
    opt = rule.init(params, hyper={"lr": arrays}, master=True)
    for step in range(steps):
        opt.step(gradients(params, step))
    return opt


def places(tree: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, child in entries:
        yield (*above, key)
        yield from places(child, (*above, key))


def replaced(tree: Any, place: tuple[Any, ...], value: Any) -> Any:
    """The same with another value there; without that entry if the value is `GONE`."""
    key, *rest = place
    inner = replaced(tree[key], tuple(rest), value) if rest else value
    if isinstance(tree, dict):
        return {k: inner if k == key else v for k, v in tree.items() if k != key or inner is not GONE}
    return [inner if k == key else v for k, v in enumerate(tree) if k != key or inner is not GONE]


GONE: Any = object()
with running_on("numpy"):  # when tests are collected, nothing is compiled
    SAVED = optimizer(3).state_dict()
PLACES = list(places(SAVED))
LATER = [("precision", "state_dtype")]
"""What earlier dicts do not have."""
VALUES: list[Any] = [
    GONE, None, True, False, -1, 0, 1, 2, 3, 0.5, NAN, INF, -INF, 10**400, 1e39, 1e-50, 1j, "", "x", b"x", [], [1], {},
    {"x": 1}, (), set(), object(), abs, lambda step: 0.1, np.ones(3), np.ones(()), np.float64(0.5), np.int64(2),
    np.datetime64(0, "s"), np.ma.masked_array(np.ones(4)), np.array([1, "x"], object), 2**53, go.Adam(), go.Adam,
]  # fmt: skip


DAMAGES = ["NaN", "masked", "swapped bytes", "dtype", "shape"]


def damaged(value: Any, how: str) -> Any:
    """Another array in the place of one."""
    if how == "NaN":
        return np.full_like(value, np.nan)
    if how == "masked":
        return np.ma.masked_array(value)
    if how == "swapped bytes":
        return value.astype(value.dtype.newbyteorder())
    return value.astype("f2") if how == "dtype" else value[None]


@settings(max_examples=300, deadline=None)
@given(
    place=st.sampled_from(PLACES),
    value=st.one_of(
        st.sampled_from(VALUES), st.sampled_from(["NaN", "masked", "swapped bytes", "dtype", "shape"]), st.floats()
    ),
)
def test_any_damage(place: tuple[Any, ...], value: Any) -> None:
    here: Any = SAVED
    for key in place:
        here = here[key]
    if isinstance(here, np.ndarray) and isinstance(value, str) and value not in ("", "x"):
        value = damaged(here, value)
    with running_on("numpy"):
        opt = optimizer(1)
        given_dict = replaced(SAVED, place, value)
        before = everything(opt)
        message = ""
        try:
            opt.load_state_dict(given_dict)
        except (TypeError, ValueError) as error:
            message = str(error)
        if message:
            assert everything(opt) == before
            assert "state_dict" in message
        else:
            again = opt.state_dict()
            again["state"] = {name: again["state"][name] for name in given_dict["state"]}  # a decay may have begun to vary
            for key in ("hyper", "t", "counts", "state"):
                np.testing.assert_equal(again[key], given_dict[key])
            assert again["numbers"] == {name: np.float32(number) for name, number in given_dict["numbers"].items()}


@pytest.mark.parametrize("place", [p for p in PLACES if p not in LATER], ids=lambda place: "/".join(map(str, place)))
def test_whatever_is_missing_is_refused(place: tuple[Any, ...]) -> None:
    opt = optimizer(1)
    before = everything(opt)
    with pytest.raises((TypeError, ValueError)):
        opt.load_state_dict(replaced(SAVED, place, GONE))
    assert everything(opt) == before


def test_an_early_dict_has_no_classes_schedules_and_arrays() -> None:
    opt = optimizer(1)
    opt.load_state_dict({key: value for key, value in SAVED.items() if key not in ("classes", "schedules", "arrays")})
    np.testing.assert_equal(opt.state_dict(), SAVED | {"rule": repr(opt.rule)})


class Adam(go.Rule):
    """Another one of the name, with states of the same names."""

    lr: go.NonNegative = 0.01

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0, v: Any = 0.0) -> Any:
        return p - self.lr * g, m + g, v + g


def number(name: str, value: Any) -> Any:
    return {"numbers": {"LossScale.scale": 8.0, "LossScale.good": 1.0, f"LossScale.{name}": value}}


@table(
    *[
        (f"scale {value}", number("scale", value), ValueError, ("['LossScale.scale'] must be a finite number >= 1",))
        for value in (NAN, INF, -INF, -1.0, 0.0, 1e-45, 0.5)
    ],
    *[
        (f"a scale beyond {n}", number("scale", value), ValueError, ("['LossScale.scale'] must be a number that float32",))
        for n, value in (("float32", 1e39), ("float64", 10**400))
    ],
    *[
        (f"good {value}", number("good", value), ValueError, ("['LossScale.good'] must be a whole number", repr(value)))
        for value in (NAN, -5.0, 0.5, 1e30)
    ],
    (
        "a masked array",
        {"state": SAVED["state"] | {"average_mean": {"w": np.ma.masked_array(np.ones((2, 3), "f4")), "rest": [None, None]}}},
        ValueError,
        ("state_dict['state']['average_mean']['w'] must be an array float32 (2, 3), got MaskedArray",),
    ),
    ("a callable", {"hyper": SAVED["hyper"] | {"*/lr": abs}}, TypeError, ("state_dict['hyper']['*/lr'] must be a number",)),
    ("a range", {"hyper": SAVED["hyper"] | {"*/lr": -1.0}}, ValueError, ("state_dict['hyper']: Momentum: lr", "-1.0")),
    ("no arrays", {"arrays": {}}, ValueError, ("a number for 'lr' of params['rest'][0]", "this one has an array", "hyper=")),
    ("steps", {"t": 2**53}, ValueError, ("t must be a whole number of steps, below 2**53", str(2**53))),
    ("version", {"version": True}, TypeError, ("state_dict['version'] must be a whole number, got True",)),
    ("classes", {"classes": ["gpuopt:Adam"]}, ValueError, ("of the classes gpuopt:Adam, this optimizer's", "gpuopt:average")),
)
def test_refusals(action: Any, error: type[Exception], words: tuple[str, ...]) -> None:
    opt = optimizer(1)
    before = everything(opt)
    refused(lambda: opt.load_state_dict(SAVED | action), error, words)
    assert everything(opt) == before


def test_arrays_for_hyperparameters_are_told() -> None:
    """Those that are missing and those that are new are refused, where another option of `init` is."""
    rate = np.array([0.0, 1e-3])
    plain, with_arrays = go.Adam(0.1).init(np.zeros(2)), go.Adam(0.1).init(np.zeros(2), hyper={"lr": rate})
    assert with_arrays.state_dict()["arrays"] == {"lr": True}
    for one, other, words in ((plain, with_arrays, "a number for 'lr'"), (with_arrays, plain, "an array for 'lr'")):
        refused(lambda one=one, other=other: other.load_state_dict(one.state_dict()), ValueError, (words, "pass the same"))  # type: ignore[misc]
    again = go.Adam(0.2).init(np.zeros(2), hyper={"lr": rate})
    again.load_state_dict(with_arrays.state_dict())
    assert again.rule == go.Adam(0.1)


def test_another_class_of_the_same_name() -> None:
    """Unless it was in the script that ran, and is in a module by now; what is refused can be set right by hand."""
    theirs, ours = go.Adam(0.1).init(np.ones(2)), Adam(0.2).init(np.ones(2))
    saved = theirs.state_dict() | {"hyper": {"lr": 0.1}}
    refused(lambda: ours.load_state_dict(saved), ValueError, ("classes gpuopt:Adam, this", "set state_dict['classes'] = ["))
    ours.load_state_dict(saved | {"classes": ours.state_dict()["classes"]})
    ours.load_state_dict(saved | {"classes": ["__main__:Adam"]})
    assert ours.rule.lr == 0.1


def test_arrays_of_its_own_state_are_refused() -> None:
    """In another order, or in part: they would be read when they are overwritten."""
    opt = go.Adam(0.1).init([np.ones(3), np.ones(3)])
    opt.step([np.arange(3.0), np.arange(3.0) + 5])
    before = everything(opt)
    m, v = opt.state["m"], opt.state["v"]
    for state in ({"m": v, "v": m}, {"m": m[::-1], "v": v}, {"m": m, "v": [v[0][::-1], v[1]]}):
        saved = opt.state_dict() | {"state": state}
        refused(lambda saved=saved: opt.load_state_dict(saved), ValueError, ("shares memory with opt.state[", "pass a copy"))  # type: ignore[misc]
        assert everything(opt) == before
    saved["state"] = copy.deepcopy({"m": v, "v": m})
    opt.load_state_dict(saved)
    assert [a.tolist() for a in opt.state["m"]] == [a.tolist() for a in saved["state"]["m"]]
