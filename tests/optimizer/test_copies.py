"""Optimizers that go on with arrays of another size, or elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuopt as go
from tests.support.executors import only
from tests.support.variants import bits, on_host, sample

RULES: dict[str, Any] = {
    "Adam": go.Adam(0.1),
    "a number of each array": go.NAdam(0.1),
    "a chain": go.chain(go.clip_norm(1.0), go.Momentum(0.1), go.average(0.9)),
}


def grads(xp: Any, like: Any, step: int) -> Any:
    rng = np.random.default_rng(step)
    return {name: xp.asarray(sample(rng, x.shape, x.dtype.name)) for name, x in like.items()}


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize("name", RULES)
def test_crop_go_on_pad_go_on(name: str, dtype: str, executor: str, xp: Any, rng: np.random.Generator) -> None:
    """The same as done by hand: a new optimizer, whose state is put into its state dict."""
    rule, inside = RULES[name], (slice(1, 4), slice(None, 2))
    params = {"object": xp.array(sample(rng, (5, 4), dtype)), "probe": xp.array(sample(rng, (3,), dtype))}
    opt = rule.init(params)
    other = rule.init({name: x.copy() for name, x in params.items()})
    moves: list[Any] = [lambda a: a[inside], lambda a: xp.pad(a, 2)]
    for number, move in enumerate(moves):
        for each in (opt, other):
            each.step(grads(xp, each.params, number))
        opt = opt.resized({"object": move})
        saved = other.state_dict()
        made = {"object": move(other.params["object"]).copy(), "probe": other.params["probe"]}
        for tree in saved["state"].values():
            tree["object"] = move(tree["object"]) if tree["object"].ndim else tree["object"]
        other = rule.init(made)
        other.load_state_dict(saved)
        for each in (opt, other):
            each.step(grads(xp, each.params, 10 + number))
    assert opt.params["probe"] is params["probe"]
    assert (opt.t, opt.counts) == (4, {"object": 4, "probe": 4})
    pairs = [(opt.params, other.params), *((opt.state[name], other.state[name]) for name in opt.state)]
    for one, two in pairs:
        for key in one:
            np.testing.assert_array_equal(bits(one[key]), bits(two[key]))


def test_what_lies_beside_is_resized_too(executor: str, xp: Any) -> None:
    """A master copy, an array for a hyperparameter, one that is written in a piece, and counts of rows."""
    params = {"x": xp.zeros((4, 2), np.float16), "w": xp.zeros(2, np.float16)}
    lr = {"x": xp.arange(8.0).reshape(4, 2), "w": None}
    lowest = {"x": xp.full((4, 1), -5.0), "w": xp.full(2, -1.0)}
    whole = xp.asarray([[1], [1], [1], [1]])  # a mask of whole numbers is no count
    rule = go.partition({"x": go.chain(go.SGD(1.0), go.support({"x": whole, "w": None}), go.bounds(lo=lowest)), "w": go.SGD()})
    opt = rule.init(params, {"lr": lr}, master=True, rows="x")
    opt.step({"x": go.rows([3, 1], xp.ones((2, 2), np.float16)), "w": None})
    new = opt.resized({"x": lambda a: a[::-1][:3]})
    new.step({"x": go.rows([0], xp.ones((1, 2), np.float16)), "w": None})
    assert on_host(new.params["x"]).tolist() == [[-5, -5], [0, 0], [-2, -3]]
    assert on_host(new.state["master"]["x"]).tolist() == [[-5, -5], [0, 0], [-2, -3]]
    assert new.counts["x"].tolist() == [2, 0, 1]
    assert opt.counts["x"].tolist() == [0, 1, 0, 1]
    assert on_host(opt.params["x"]).tolist() == [[0, 0], [-2, -3], [0, 0], [-5, -5]]


@only("cupy")
def test_to_a_gpu_and_back(executor: str, xp: Any) -> None:
    x = np.linspace(-1, 1, 6, dtype="f4").reshape(3, 2)
    rule = go.chain(go.weight_decay(0.1), go.Adam(0.1), go.support(np.ones((3, 2))))
    opt, other = rule.init({"x": x.copy()}, rows="x"), rule.init({"x": x.copy()}, rows="x")
    there = opt.to("cupy")
    for each, module in ((there, xp), (other, np)):
        each.step({"x": go.rows([1, 2], module.ones((2, 2), np.float32))})
    back = there.to("numpy")
    assert (there.executor, type(back.params["x"])) == ("cupy", np.ndarray)
    for each in (back, other):
        each.step({"x": np.ones((3, 2), np.float32)})
    np.testing.assert_array_equal(back.params["x"], other.params["x"])
    assert back.counts["x"].tolist() == [1, 2, 2]
    assert not np.shares_memory(opt.params["x"], back.params["x"])


def test_to_where_it_is_already() -> None:
    opt = go.Adam(0.1).init(np.ones(3))
    opt.step(np.ones(3))
    new = opt.to("numpy")
    new.step(np.ones(3))
    assert (opt.t, new.t) == (1, 2)
    assert opt.params is not new.params
    with pytest.raises(ValueError, match="place must be 'cupy' or 'numpy', got 'cpu'"):
        opt.to("cpu")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("functions", "error", "message"),
    [
        (lambda a: a, TypeError, r"resized needs a dict of paths and functions, got function: write opt\.resized\(\{'\*'"),
        ({"y": abs}, ValueError, "resized: 'y' matches no array"),
        ({"x": 3}, TypeError, "resized: 'x' needs a function, got 3"),
        (
            {"x": lambda a: a.tolist()},
            TypeError,
            r"function for params\['x'\] must return an array of numpy of dtype float64, got list",
        ),
        ({"x": lambda a: a.astype("f4")}, TypeError, "of dtype float64, got float32"),
        ({"x": lambda a: a[: 2 if a[0] else 1]}, ValueError, r"shape \(1,\) for m\['x'\], and \(2,\) for the parameter"),
    ],
)
def test_functions_that_do_not_fit(functions: Any, error: type[Exception], message: str) -> None:
    opt = go.Adam().init({"x": np.ones(3)})
    with pytest.raises(error, match=message):
        opt.resized(functions)
    assert opt.t == 0


def test_buffers_are_of_no_known_size() -> None:
    with pytest.raises(ValueError, match=r"params\['x'\] has the buffers .*, whose size only its rule knows: call init again"):
        go.Shampoo().init({"x": np.ones((3, 3))}).resized({"x": lambda a: a[:2]})
