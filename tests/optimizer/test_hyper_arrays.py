"""Arrays in place of hyperparameters: per element, broadcast, in packs; what is refused; when they are read."""

from __future__ import annotations

import copy
import enum
import pickle
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.executors.cpu.tiles import TileExecutor
from tests.support.layouts import LAYOUTS, contiguous, placed
from tests.support.refusals import NAN, refused, table
from tests.support.variants import DTYPES, bits, on_host, sample

DECAYING = go.chain(go.weight_decay(0.1), go.Adam(0.1))


def stepped(rule: Any, params: Any, gradients: list[Any], hyper: Any = None) -> Any:
    """The optimizer after a step with each of the gradients."""
    opt = rule.init(params, hyper)
    for g in gradients:
        opt.step(g)
    return opt


@pytest.mark.parametrize("shape", [(4, 3), (1, 3), (3,), (4, 1), (), (1,), (1, 1)])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "complex64"])
def test_each_element_has_its_own(
    shape: Any, layout: Any, dtype: str, executor: str, xp: Any, rng: np.random.Generator
) -> None:
    """As if the element were alone, with the number: bit for bit, whatever broadcasts and lies how."""
    lr, p = rng.uniform(0.01, 0.2, shape).astype("float32"), sample(rng, (4, 3), dtype)
    gradients = [sample(rng, (4, 3), dtype) for _ in range(3)]
    opt = stepped(
        go.chain(go.weight_decay(0.1), go.Momentum(0.1)),
        placed(p, layout, xp),
        [placed(g, contiguous, xp) for g in gradients],
        {"lr": xp.asarray(lr)},
    )
    found = on_host(opt.params)
    for i, each in np.ndenumerate(np.broadcast_to(lr, (4, 3))):
        rule = go.chain(go.weight_decay(0.1), go.Momentum(float(each)))
        alone = stepped(rule, xp.array(p[i]), [xp.asarray(g[i]) for g in gradients])
        assert np.array_equal(bits(found[i]), bits(alone.params))


def test_each_element_has_its_own_adam(executor: str, xp: Any, rng: np.random.Generator) -> None:
    """Up to rounding: numbers are multiplied in float64 before they meet an array."""
    lr, p, gradients = rng.uniform(0.01, 0.2, (4, 1)), rng.normal(size=(4, 3)), [rng.normal(size=(4, 3)) for _ in range(3)]
    opt = stepped(DECAYING, xp.array(p), [xp.asarray(g) for g in gradients], {"lr": xp.asarray(lr)})
    for i, row in enumerate(p):
        alone = stepped(go.chain(go.weight_decay(0.1), go.Adam(float(lr[i, 0]))), row.copy(), [g[i] for g in gradients])
        assert [float(x) for x in opt.params[i]] == pytest.approx(alone.params, rel=1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
def test_equal_entries_are_as_the_number(dtype: str, executor: str, xp: Any, rng: np.random.Generator) -> None:
    """Bit for bit, in whatever real dtype they are given."""
    p, gradients = sample(rng, (30, 20), dtype), [sample(rng, (30, 20), dtype) for _ in range(3)]
    numbered = stepped(go.chain(go.weight_decay(0.25), go.Momentum(0.5)), xp.array(p), [xp.asarray(g) for g in gradients])
    for given in ("float16", "float32", "float64"):
        hyper = {"lr": xp.full((30, 20), 0.5, given), "weight_decay": xp.full((1, 20), 0.25, given)}
        rule = go.chain(go.weight_decay(0.7), go.Momentum(0.9))
        arrays = stepped(rule, xp.array(p), [xp.asarray(g) for g in gradients], hyper)
        assert np.array_equal(bits(arrays.params), bits(numbered.params)), given
        assert np.array_equal(bits(arrays.state["v"]), bits(numbered.state["v"])), given


def test_integers_and_masks(xp: Any) -> None:
    """A mask of truth values for `scale`; whole numbers."""
    opt = go.chain(go.scale(1.0), go.SGD(1.0)).init(xp.zeros(4), {"factor": xp.asarray([True, False, True, False])})
    opt.step(xp.full(4, 3.0))
    assert opt.params.tolist() == [-3.0, 0.0, -3.0, 0.0]
    plain = go.SGD().init(xp.zeros(3), {"lr": xp.arange(3)})
    plain.step(xp.ones(3))
    assert plain.params.tolist() == [0.0, -1.0, -2.0]


@pytest.mark.parametrize("packed", [True, False])
def test_in_packs_and_beside_numbers(
    packed: bool, tile_group: type[TileExecutor], monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """Many arrays, some with an array of their own, some with the number; tiles and packs decide no bit."""
    shapes = [(), (0,), (5,), (3, 4), (100,), (2, 3, 4), (40, 40), (1,)]
    params = [rng.normal(size=shape) for shape in shapes]
    lr = [None if k % 3 == 2 else rng.uniform(0, 1, shape[-1:]) for k, shape in enumerate(shapes)]
    gradients = [[rng.normal(size=shape) for shape in shapes] for _ in range(3)]
    for name, value in ({"small": 30, "pack": 100, "tile": 64, "threaded": 0} if packed else {"small": 0}).items():
        monkeypatch.setattr(tile_group, name, value)
    opt = stepped(DECAYING, [p.copy() for p in params], gradients, {"lr": lr})
    for k, p in enumerate(params):
        other = stepped(DECAYING, p.copy(), [g[k] for g in gradients], {"lr": lr[k]} if lr[k] is not None else None)
        assert np.array_equal(bits(opt.params[k]), bits(other.params)), shapes[k]
        assert np.array_equal(bits(opt.state["v"][k]), bits(other.state["v"])), shapes[k]


def test_reductions_see_them(executor: str, xp: Any) -> None:
    """A norm of a gradient scaled by an array, of an array that is cut into chunks."""
    rule, size = go.chain(go.scale(1.0), go.clip_norm(1.0, 0.0), go.SGD(1.0)), 40_000
    opt = rule.init(xp.zeros(size), {"factor": xp.arange(size) < 4})
    opt.step(xp.ones(size))
    assert opt.params[:6].tolist() == [-0.5] * 4 + [0.0] * 2


def test_they_are_read_at_each_step(executor: str, xp: Any) -> None:
    """From the arrays given, of which none is copied."""
    lr = xp.asarray([1.0, 2.0])
    opt = go.SGD().init(xp.zeros((3, 2)), {"lr": lr})
    opt.step(xp.ones((3, 2)))
    lr[...] = 0.0
    opt.step(xp.ones((3, 2)))
    lr[1] = 5.0
    opt.step(xp.ones((3, 2)))
    assert opt.params.tolist() == [[-1.0, -7.0]] * 3
    assert lr.tolist() == [0.0, 5.0]


def test_names() -> None:
    """A piece's hyperparameter by its own name where one has it, else by the full one; a rule's before a piece's."""
    ones, half = np.ones(1), np.full(1, 0.5)
    twice = go.chain(go.scale(2.0), go.scale(3.0), go.SGD(1.0))
    for name, wanted in [("scale.factor", -1.5), ("scale_2.factor", -1.0)]:
        assert stepped(twice, np.zeros(1), [ones], {name: half}).params[0] == wanted
    both = go.chain(go.weight_decay(0.0), go.AdamW(1.0, weight_decay=0.0))
    plain = stepped(both, np.full(1, 8.0), [np.zeros(1)], {"weight_decay": half})
    assert plain.params[0] == 4.0
    coupled = stepped(go.chain(go.weight_decay(0.0), go.SGD(1.0)), np.full(1, 8.0), [np.zeros(1)], {"weight_decay": half})
    assert coupled.params[0] == 4.0


def test_under_a_partition() -> None:
    """Under the rules that have the hyperparameter; None under the others."""
    rule = go.partition({"a": go.Momentum(1.0, beta=0.5), "*": go.SGD(1.0)})
    opt = rule.init({"a": np.zeros(2), "b": np.zeros(2)}, {"beta": {"a": np.array([0.0, 0.5]), "b": None}})
    opt.step({"a": np.ones(2), "b": np.ones(2)})
    assert [x.tolist() for x in opt.params.values()] == [[-1.0, -0.5], [-1.0, -1.0]]
    with pytest.raises(ValueError, match=r"hyper\['beta'\]\['b'\] is an array, but the rule of params\['b'\] has no 'beta'"):
        rule.init({"a": np.zeros(2), "b": np.zeros(2)}, {"beta": {"a": np.zeros(2), "b": np.zeros(2)}})


def test_in_place_of_none_and_of_0() -> None:
    """An array switches on what a number of None, or of 0, switches off."""
    opt = stepped(go.chain(go.SGD(1.0), go.bounds(lo=-9.0)), np.zeros(2), [np.full(2, -5.0)], {"hi": np.array([1.0, np.inf])})
    assert opt.params.tolist() == [1.0, 5.0]
    exact = stepped(go.RMSProp(0.1, momentum=0.5), np.zeros(2), [np.ones(2)] * 3)
    given = stepped(go.RMSProp(0.1), np.zeros(2), [np.ones(2)] * 3, {"momentum": np.full(2, 0.5)})
    assert np.array_equal(bits(given.params), bits(exact.params))
    assert set(given.state) == {"v", "b"}


def test_frozen_arrays_have_none() -> None:
    """An array for one that is frozen is not looked at."""
    rule = go.chain(go.freeze("b"), go.SGD(1.0))
    opt = stepped(rule, {"a": np.zeros(1), "b": np.zeros(1)}, [], {"lr": {"a": np.full(1, 0.5), "b": None}})
    opt.step({"a": np.ones(1), "b": None})
    assert opt.params["a"][0] == -0.5


def test_copied_with_the_optimizer() -> None:
    """A pickled optimizer has arrays of its own; a state dict has none."""
    opt = go.SGD().init(np.zeros(2), {"lr": np.array([1.0, 2.0])})
    for again in (pickle.loads(pickle.dumps(opt)), copy.deepcopy(opt)):
        again.step(np.ones(2))
        assert again.params.tolist() == [-1.0, -2.0]
    assert opt.state_dict()["hyper"] == {"lr": 0.01}


def test_a_number_that_no_step_reads_is_not_replaced() -> None:
    """Its arrays are assigned into; the number of an array without one is read."""
    lr, params = np.array([1.0, 2.0]), {"a": np.zeros(2), "b": np.zeros(2)}
    both = go.Momentum(0.5).init(params, {"lr": {"a": lr, "b": lr}})
    with pytest.raises(
        ValueError, match=r"^lr: no step reads 7\.0, .* assign into those that init got, as in lr\[\.\.\.\] = values"
    ):
        both.rule = both.rule.replace(lr=7.0)
    assert both.rule.lr == 0.5
    both.rule = both.rule.replace(beta=0.5)
    lr[...] = 4.0
    both.step({"a": np.ones(2), "b": np.ones(2)})
    assert params["a"].tolist() == [-2.0, -2.0]
    one = go.SGD(0.5).init(params, {"lr": {"a": lr, "b": None}})
    one.rule = go.SGD(7.0)
    one.step({"a": np.ones(2), "b": np.ones(2)})
    assert (params["a"].tolist(), params["b"].tolist()) == ([-6.0, -6.0], [-9.0, -9.0])


def sharing(offset: int) -> Any:
    memory = np.ones(8)
    return go.SGD().init(memory[:4], {"lr": memory[offset : offset + 4]})


loose: Any = go
"""What type checkers refuse is called by this name."""


def given(**hyper: Any) -> Any:
    return DECAYING.init(np.zeros((2, 3)), hyper)


@table(
    ("no dict", lambda: loose.SGD().init(np.zeros(2), [np.ones(2)]), TypeError, ("hyper must be a dict", "list")),
    ("shape", lambda: given(lr=np.ones(2)), ValueError, ("hyper['lr'] has the shape (2,)", "params, (2, 3)")),
    ("more axes", lambda: given(lr=np.ones((1, 2, 3))), ValueError, ("(1, 2, 3)", "does not broadcast")),
    ("empty", lambda: given(lr=np.ones((0, 3))), ValueError, ("(0, 3)", "does not broadcast")),
    ("negative", lambda: given(lr=np.array([1.0, -1.0, 0.0])), ValueError, ("every element must be", ">= 0", "-1.0")),
    ("NaN", lambda: given(lr=np.array([1.0, NAN, 0.0])), ValueError, ("hyper['lr']: every element", "nan")),
    ("inf", lambda: given(lr=np.array([1.0, np.inf, 0.0])), ValueError, ("every element", "inf")),
    ("decay 1", lambda: given(beta1=np.array([0.5, 1.0, 0.5])), ValueError, ("hyper['beta1']", "[0, 1)", "1.0")),
    ("eps 0", lambda: given(eps=np.zeros(3)), ValueError, ("hyper['eps']", "> 0")),
    ("complex", lambda: given(lr=np.ones(3, complex)), TypeError, ("real numbers", "complex128")),
    ("str", lambda: given(lr=np.array(["a", "b", "c"])), TypeError, ("real numbers",)),
    ("object", lambda: given(lr=np.array([1.0, 2.0, 3.0], object)), TypeError, ("real numbers",)),
    ("number", lambda: given(lr=0.5), TypeError, ("hyper['lr'] must be a NumPy or CuPy array", "float")),
    ("list", lambda: given(lr=[0.5, 0.5, 0.5]), TypeError, ("hyper['lr'] must be a NumPy or CuPy array", "list")),
    ("masked", lambda: given(lr=np.ma.ones(3)), TypeError, ("must be a NumPy or CuPy array", "MaskedArray")),
    (
        "unknown",
        lambda: given(gamma=np.ones(3)),
        ValueError,
        ("hyper['gamma']", "no rule here has a float hyperparameter 'gamma'"),
    ),
    ("unknown, all None", lambda: given(gamma=None), ValueError, ("no rule here has a float hyperparameter 'gamma'", "lr")),
    ("static", lambda: given(amsgrad=np.ones(3)), ValueError, ("'amsgrad'",)),
    (
        "ambiguous",
        lambda: go.chain(go.scale(1.0), go.scale(2.0), go.SGD()).init(np.zeros(2), {"factor": np.ones(2)}),
        ValueError,
        ("'factor' may be any of scale.factor, scale_2.factor", "write one of these"),
    ),
    ("a parameter itself", lambda: sharing(0), ValueError, ("hyper['lr'] shares memory with params", "pass a copy")),
    ("part of one", lambda: sharing(3), ValueError, ("shares memory with params",)),
    ("overflow", lambda: go.SGD().init(np.zeros(2, "float32"), {"lr": np.full(2, 1e39)}), ValueError, ("overflows", "float32")),
    (
        "vanishing",
        lambda: go.Adam().init(np.zeros(2, "float16"), {"eps": np.full(2, 1e-40)}),
        ValueError,
        ("vanishes in float32",),
    ),
    (
        "another tree",
        lambda: go.SGD().init({"a": np.zeros(2)}, {"lr": {"b": np.ones(2)}}),
        ValueError,
        ("hyper['lr']", "'a'"),
    ),
)
def test_refused(action: Any, error: type[Exception], words: tuple[str, ...]) -> None:
    refused(action, error, words)


def test_apart_from_a_parameter_is_allowed() -> None:
    """Beside it in one memory, or the same array for several parameters."""
    opt = sharing(4)
    opt.step(np.ones(4))
    assert opt.params.tolist() == [0.0] * 4
    lr = np.full(2, 0.5)
    many = stepped(go.SGD(), [np.zeros(2), np.zeros(2)], [[np.ones(2), np.ones(2)]], {"lr": [lr, lr]})
    assert [p.tolist() for p in many.params] == [[-0.5, -0.5]] * 2


def test_given_twice() -> None:
    """By the short and by the full name: it is said, or the two agree, but not silently one of them."""
    with pytest.raises(ValueError, match="factor"):
        go.chain(go.scale(1.0), go.SGD(1.0)).init(np.zeros(1), {"factor": np.ones(1), "scale.factor": np.full(1, 2.0)})


def test_a_state_that_is_one_of_them() -> None:
    """The state is made anew, so an array may be another optimizer's state; a step reads it as it is then."""
    first = go.Momentum(1.0, beta=0.5).init(np.zeros(2))
    second = go.SGD().init(np.zeros(2), {"lr": first.state["v"]})
    first.step(np.ones(2))
    second.step(np.ones(2))
    assert second.params.tolist() == [-0.5, -0.5]


def test_a_name_is_read_as_python_reads_it() -> None:
    """The micro sign, which a keyboard has, is a Greek mu in code."""

    class Greek(go.Rule):
        μ: go.NonNegative = 1.0  # noqa: PLC2401 - as a formula has it

        def update(self, t: Any, p: Any, g: Any) -> Any:
            return p - self.μ * g

    sign = "\u00b5"
    rule = go.chain(go.clip(9.0), Greek())
    opt = rule.init(np.zeros(2), hyper={sign: np.array([1.0, 2.0])})
    opt.step(np.ones(2))
    assert opt.params.tolist() == [-1.0, -2.0]
    assert rule.replace({sign: 3.0}) == go.chain(go.clip(9.0), Greek(μ=3.0))
    assert Greek().replace({sign: 3.0}) == Greek(μ=3.0)
    with pytest.raises(TypeError, match=r"replace got μ twice, 3\.0 and 2\.0; write rule\.replace\(μ=2\.0\)"):
        Greek().replace({sign: 3.0, "μ": 2.0})


class Key(str, enum.Enum):  # noqa: UP042 - the `str` of its members is not their text
    RATE, GROUP, PIECE, WRONG = "lr", "*/lr", "clip.value", "lrr"


@pytest.mark.parametrize(
    ("rule", "key"),
    [(go.Adam(), Key.RATE), (go.partition({"*": go.Adam()}), Key.GROUP), (go.chain(go.clip(1.0), go.Adam()), Key.PIECE)],
    ids=["rule", "partition", "chain"],
)
def test_a_name_may_be_a_member_of_an_enumeration_of_texts(rule: Any, key: Key) -> None:
    assert rule.replace({key: 0.5}) == rule.replace({key.value: 0.5}) != rule
    with pytest.raises(TypeError, match=r"has no hyperparameter 'lrr'; it has .*; write rule\.replace\("):
        rule.replace({Key.WRONG: 0.5})
