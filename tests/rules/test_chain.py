"""Chains: what they refuse, in which order pieces act, pieces of one's own, and steps that are held or skipped."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt import schedules
from tests.support.refusals import INF, NAN, refused, table
from tests.support.resume import EVERYTHING
from tests.support.variants import bits, on_host


def tree(rng: np.random.Generator, dtype: str = "float32") -> dict[str, Any]:
    """Arrays with gradients like them."""
    return {name: np.asarray(rng.normal(size=n)).astype(dtype) for name, n in [("a", (3, 2)), ("b", ()), ("frozen", (4,))]}


def numbers(rule: Any, *gradients: Any, start: float = 0.0) -> list[float]:
    """A single parameter after each step with these gradients."""
    opt, found = rule.init(np.array([start])), []
    for g in gradients:
        opt.step(np.array([g]))
        found.append(float(opt.params[0]))
    return found


class my_momentum(go.GradientPiece):
    """A piece with state."""

    beta: go.Decay = 0.5

    def update(self, t: Any, p: Any, g: Any, v: Any = 0.0) -> Any:
        v = self.beta * v + g
        return v, v


class my_anchor(go.ParameterPiece):
    """A piece whose state starts at the parameter, and which reads the rule's learning rate."""

    pull: go.NonNegative

    def start(self, p: Any) -> Any:
        return (p,)

    def update(self, t: Any, p: Any, new: Any, first: Any) -> Any:
        return new - self.rule.lr * self.pull * (p - first), first

    def evaluation(self, p: Any, first: Any) -> Any:
        return p - first


class my_reader(go.GradientPiece):
    """A gradient piece that reads the rule's learning rate."""

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return g * self.rule.lr


def test_order_is_left_to_right() -> None:
    """Each pair gives other numbers the other way round."""
    sgd = go.SGD(1.0)
    assert numbers(go.chain(go.clip(1.0), go.scale(3.0), sgd), 5.0) == [-3.0]
    assert numbers(go.chain(go.scale(3.0), go.clip(1.0), sgd), 5.0) == [-1.0]
    assert numbers(go.chain(go.maximize(), go.weight_decay(0.5), sgd), 1.0, start=2.0) == [2.0]
    assert numbers(go.chain(go.weight_decay(0.5), go.maximize(), sgd), 1.0, start=2.0) == [4.0]
    assert numbers(go.chain(sgd, go.bounds(-1.0, 1.0), go.decoupled_weight_decay(0.5)), 9.0, start=1.0) == [-1.5]
    assert numbers(go.chain(sgd, go.decoupled_weight_decay(0.5), go.bounds(-1.0, 1.0)), 9.0, start=1.0) == [-1.0]


def test_a_chain_among_the_pieces_stands_for_its_pieces() -> None:
    inner = go.chain(go.clip(1.0), go.SGD(0.1))
    assert go.chain(go.maximize(), inner, go.bounds(0.0)) == go.chain(go.maximize(), go.clip(1.0), go.SGD(0.1), go.bounds(0.0))
    assert go.chain(go.SGD(0.1)).pieces == (go.SGD(0.1),)


@pytest.mark.parametrize(
    "rule",
    [
        EVERYTHING,
        go.chain(go.SGD(0.1)),
        go.chain(go.clip(schedules.Cosine(1.0, 5)), go.SGD(schedules.WarmUp(0.1, 3)), go.bounds(None, INF)),
        go.partition({"w": EVERYTHING, "*": go.Momentum(0.1, nesterov=True)}),
        go.chain(go.clip_global_norm(1.0), go.partition({"*": go.SGD()}), go.average()),
    ],
    ids=["long", "exclusive", "schedules", "partition", "around a partition"],
)
def test_repr_is_the_call(rule: Any) -> None:
    scope: dict[str, Any] = {}
    exec("from gpuopt import *\nfrom gpuopt.schedules import *\ninf = float('inf')", scope)
    again = eval(repr(rule), scope)
    assert again == rule
    assert repr(again) == repr(rule)
    assert pickle.loads(pickle.dumps(rule)) == copy.deepcopy(rule) == rule


loose: Any = go
"""What type checkers refuse is called by this name."""


@table(
    ("none", go.chain, ValueError, ("one rule, such as gpuopt.Adam(), got 0",)),
    ("no rule", lambda: go.chain(go.clip(1.0)), ValueError, ("got 0", "clip(value=1.0)")),
    ("two rules", lambda: go.chain(go.SGD(), go.Adam()), ValueError, ("got 2", "GradientDescent", "Adam")),
    ("two rules in chains", lambda: go.chain(go.chain(go.SGD()), go.chain(go.SGD())), ValueError, ("got 2",)),
    ("a class", lambda: loose.chain(go.clip, go.SGD()), TypeError, ("neither a piece nor a rule", "call it, clip(value=1.0)")),
    ("a rule's class", lambda: loose.chain(go.Adam), TypeError, ("call it, Adam()",)),
    (
        "a name",
        lambda: loose.chain("clip", go.SGD()),
        TypeError,
        ("'clip' is neither", "pass an object in place of its name, such as gpuopt.Adam()"),
    ),
    ("None", lambda: loose.chain(None, go.SGD()), TypeError, ("None is neither",)),
    ("a list", lambda: loose.chain([go.clip(1.0), go.SGD()]), TypeError, ("neither a piece nor a rule",)),
    ("gradient after", lambda: go.chain(go.SGD(), go.clip(1.0)), ValueError, ("clip(value=1.0)", "before the rule")),
    ("parameter before", lambda: go.chain(go.bounds(0.0), go.SGD()), ValueError, ("bounds(", "after the rule")),
    ("clip 0", lambda: go.clip(0.0), ValueError, ("clip: value must be a finite number > 0, got 0.0",)),
    ("clip negative", lambda: go.clip(-1.0), ValueError, ("clip: value", "-1.0")),
    ("clip NaN", lambda: go.clip(NAN), ValueError, ("clip: value", "nan")),
    ("clip inf", lambda: go.clip(INF), ValueError, ("clip: value", "inf")),
    ("clip None", lambda: loose.clip(None), TypeError, ("clip: value", "None")),
    ("clip_norm", lambda: go.clip_norm(0), ValueError, ("clip_norm: max_norm", "> 0")),
    ("clip_norm eps", lambda: go.clip_norm(1.0, -1e-6), ValueError, ("clip_norm: eps", ">= 0")),
    ("clip_global_norm", lambda: go.clip_global_norm(NAN), ValueError, ("clip_global_norm: max_norm", "nan")),
    ("weight_decay", lambda: go.weight_decay(-0.1), ValueError, ("weight_decay: weight_decay", ">= 0")),
    ("decoupled", lambda: go.decoupled_weight_decay(INF), ValueError, ("decoupled_weight_decay: weight_decay", "inf")),
    ("scale NaN", lambda: go.scale(NAN), ValueError, ("scale: factor", "nan")),
    ("scale str", lambda: loose.scale("2"), TypeError, ("scale: factor", "'2'")),
    ("accumulate 0", lambda: go.accumulate(0), ValueError, ("accumulate: k must be at least 1, got 0",)),
    ("accumulate float", lambda: loose.accumulate(2.0), TypeError, ("accumulate: k must be an int", "2.0")),
    ("accumulate bool", lambda: go.accumulate(True), TypeError, ("accumulate: k", "True")),
    ("lookahead 0", lambda: go.lookahead(0), ValueError, ("lookahead: k must be at least 1",)),
    ("lookahead alpha", lambda: go.lookahead(alpha=-1), ValueError, ("lookahead: alpha",)),
    ("average 1", lambda: go.average(1.0), ValueError, ("average: decay must be a number in [0, 1)",)),
    ("bounds none", go.bounds, ValueError, ("give lo, hi or both",)),
    ("bounds turned", lambda: go.bounds(2.0, 1.0), ValueError, ("lo must not be greater than hi", "lo=2.0", "hi=1.0")),
    ("bounds turned ints", lambda: go.bounds(2, 1), ValueError, ("lo must not be greater than hi",)),
    ("bounds NaN", lambda: go.bounds(NAN, 1.0), ValueError, ("bounds: lo", "nan")),
    ("freeze number", lambda: loose.freeze(1), TypeError, ("freeze: pattern must be a str",)),
    ("noise seed", lambda: go.gradient_noise(seed=-1), ValueError, ("gradient_noise: seed must be from 0", "-1")),
    ("noise large seed", lambda: go.gradient_noise(seed=2**32), ValueError, ("gradient_noise: seed", "4294967296")),
    ("noise eta", lambda: go.gradient_noise(-1.0), ValueError, ("gradient_noise: eta", ">= 0")),
    ("the base", go.GradientPiece, TypeError, ("gpuopt.clip(1.0)",)),
    ("the other base", go.ParameterPiece, TypeError, ("gpuopt.bounds(0.0, 1.0)",)),
    ("a piece alone", lambda: loose.clip(1.0).init(np.ones(1)), AttributeError, ("init",)),
)
def test_misuse(action: Any, error: type[Exception], words: tuple[str, ...]) -> None:
    refused(action, error, words)


def test_pieces_of_ones_own() -> None:
    """State that starts at a number, and at the parameter; the rule's lr, also where it is a schedule."""
    assert numbers(go.chain(my_momentum(0.5), go.SGD(1.0)), 1.0, 1.0, 0.0) == [-1.0, -2.5, -3.25]
    assert numbers(go.chain(go.SGD(0.5), my_anchor(2.0)), 2.0, 0.0, start=7.0) == [6.0, 7.0]
    lr = schedules.Piecewise((1.0, 0.5), (1,))
    assert numbers(go.chain(my_reader(), go.SGD(lr)), 1.0, 1.0) == [-1.0, -1.25]
    opt = go.chain(my_momentum(), my_momentum(), go.Momentum(0.1), my_anchor(2.0)).init({"w": np.ones(2)})
    assert list(opt.state) == ["my_momentum_v", "my_momentum_2_v", "v", "my_anchor_first"]
    assert opt.evaluation()["w"].tolist() == [0.0, 0.0]
    with pytest.raises(AttributeError, match="it is set where a chain is run"):
        _ = my_anchor(1.0).rule


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64"])
def test_accumulate_is_one_step_with_the_mean(dtype: str, executor: str, xp: Any, rng: np.random.Generator) -> None:
    """Before it, not a bit of parameters or of the rule's state changes, and bias correction counts whole steps."""

    def draw() -> Any:
        return xp.asarray((rng.integers(-8, 8, (2, 3)) * 4).astype(dtype))

    p = draw()
    opt, once = go.chain(go.accumulate(4), go.Adam(0.5)).init(p.copy()), go.Adam(0.5).init(p.copy())
    for _ in range(3):
        gradients = [draw() for _ in range(4)]
        for g in gradients:
            assert np.array_equal(bits(opt.params), bits(once.params))
            assert all(np.array_equal(bits(opt.state[name]), bits(once.state[name])) for name in ("m", "v"))
            opt.step(g)
        once.step(sum(gradients[1:], gradients[0]) / 4)
    assert np.array_equal(bits(opt.params), bits(once.params))
    assert (opt.t, opt.counts) == (12, 12)


def test_nested_accumulates() -> None:
    """Means of two of means of three: six steps, then one."""
    rule = go.chain(go.accumulate(3), go.scale(2.0), go.accumulate(2), go.SGD(1.0))
    assert numbers(rule, 3.0, 6.0, 0.0, 9.0, 0.0, 0.0, 1.0) == [0.0] * 5 + [-6.0, -6.0]


def test_accumulate_counts_gradients_of_each_array() -> None:
    """A step without a gradient does not count; the arrays then act at different times."""
    opt = go.chain(go.accumulate(2), go.SGD(1.0)).init([np.zeros(1), np.zeros(1)])
    one = np.ones(1)
    steps: list[Any] = [([one, one], (0, 0)), ([one, None], (-1, 0)), ([one, one], (-1, -1)), ([None, one], (-1, -1))]
    for grads, wanted in steps:
        opt.step(grads)
        assert tuple(float(p[0]) for p in opt.params) == wanted
    assert opt.counts == [3, 3]


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("dtype", ["float16", "float32", "complex64"])
def test_skip_nonfinite(bad: float, dtype: str, executor: str, xp: Any, rng: np.random.Generator) -> None:
    """At any place of any array: nothing changes, then all goes on as if that step had not been."""
    sizes = [(3,), (700,), (20, 3)]

    def make() -> list[Any]:
        return [xp.asarray(rng.normal(size=size)).astype(dtype) for size in sizes]

    rule, p = go.chain(go.skip_nonfinite(), go.accumulate(2), go.Adam(0.1), go.average()), make()
    opt, other = rule.init([a.copy() for a in p]), rule.init([a.copy() for a in p])
    for index, place in [(0, 0), (1, 699), (2, 31), (1, 256)]:
        spoiled = make()
        spoiled[index].reshape(-1)[place] = 1j * bad if dtype == "complex64" and place else bad
        before = [opt.t, opt.counts, *(bits(a).tolist() for tree in (opt.params, *opt.state.values()) for a in tree)]
        opt.step(spoiled)
        assert before == [opt.t, opt.counts, *(bits(a).tolist() for tree in (opt.params, *opt.state.values()) for a in tree)]
        g = make()
        opt.step(g)
        other.step(g)
    for a, b in zip([*opt.params, *opt.evaluation()], [*other.params, *other.evaluation()], strict=True):
        assert np.array_equal(bits(a), bits(b))
    assert (opt.t, opt.counts) == (other.t, other.counts) == (4, [4, 4, 4])


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_evaluation_gives_new_arrays(dtype: str, rng: np.random.Generator) -> None:
    """In the parameters' dtypes; of those without an average a copy."""
    params = tree(rng, dtype)
    opt = go.chain(go.freeze("frozen"), go.SGD(0.1), go.average()).init(params)
    opt.step(dict.fromkeys(params) | {"a": np.ones((3, 2), dtype)})
    found = opt.evaluation()
    for name, p in params.items():
        assert found[name].dtype == p.dtype
        assert found[name].shape == p.shape
        assert not np.shares_memory(found[name], p)
        assert np.array_equal(found[name], p)
    found["a"][...] = 7
    assert not np.array_equal(opt.evaluation()["a"], found["a"])
    assert np.array_equal(go.SGD().init(params).evaluation()["b"], params["b"])


def test_another_chain_of_the_same_kind() -> None:
    opt = go.chain(go.clip(1.0), go.SGD(1.0), go.average()).init(np.zeros(1))
    opt.step(np.full(1, 5.0))
    opt.rule = go.chain(go.clip(2.0), go.SGD(0.5), go.average(0.5))
    opt.step(np.full(1, 5.0))
    assert opt.params[0] == -2.0
    assert opt.evaluation()[0] == -1.5
    others: list[Any] = [
        go.SGD(1.0),
        go.chain(go.SGD(1.0), go.average()),
        go.chain(go.clip_norm(1.0), go.SGD(1.0), go.average()),
        go.clip(1.0),
    ]
    for other in others:
        with pytest.raises(TypeError, match=r"opt.rule must (be a rule like|keep the structure of) chain\(clip"):
            opt.rule = other
    assert opt.t == 2


def test_schedules_in_pieces() -> None:
    """They count the optimizer's steps, and are checked at each."""
    halves = schedules.Piecewise((1.0, 0.5), (1,))
    assert numbers(go.chain(go.clip(halves), go.SGD(1.0)), 9.0, 9.0) == [-1.0, -1.5]
    assert numbers(go.chain(go.SGD(1.0), go.bounds(lo=lambda t: -1.0 - t)), 9.0, 9.0) == [-1.0, -2.0]
    opt = go.chain(go.clip(lambda t: 1.0 - t), go.SGD(1.0)).init(np.zeros(1))
    opt.step(np.ones(1))
    with pytest.raises(ValueError, match=r"clip: value must be .* > 0, got 0.0 from its schedule at step 1"):
        opt.step(np.ones(1))
    assert (opt.t, opt.params[0]) == (1, -1.0)


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_noise_is_normal(dtype: str, executor: str, xp: Any) -> None:
    """In mean, variance, fourth moment and tails; other steps, arrays and seeds have noise of their own."""
    size = 100_000
    zero = [xp.zeros(size, dtype) for _ in range(2)]
    found = []
    for seed in (1, 2):
        opt = go.chain(go.gradient_noise(4.0, 1.0, seed), go.SGD(1.0)).init([z.copy() for z in zero])
        for t in (1, 2):
            before = [p.copy() for p in opt.params]
            opt.step(zero)
            found += [(b - p) * (t / 4.0) ** 0.5 for b, p in zip(before, opt.params, strict=True)]
    parts = [part for x in found for part in ((x.real, x.imag) if dtype.startswith("complex") else (x,))]
    samples = np.array(list(map(on_host, parts)), "float64")
    for x in samples:
        assert [x.mean(), (x**2).mean(), (x**3).mean(), (x**4).mean()] == pytest.approx([0, 1, 0, 3], abs=0.1)
        assert (np.abs(x) > 2).mean() == pytest.approx(0.0455, abs=0.003)
    assert np.abs(np.corrcoef(samples) - np.eye(len(samples))).max() < 0.015
    assert np.abs([np.corrcoef(x[1:], x[:-1])[0, 1] for x in samples]).max() < 0.015


# Pieces between the rule and the parameter


class same_step(go.StepPiece):
    def update(self, t: Any, p: Any, step: Any) -> Any:
        return step


class along(go.ParameterPiece):
    """The parameter of the rule, less a share of the gradient that the rule saw."""

    def update(self, t: Any, p: Any, new: Any) -> Any:
        return new - 0.5 * self.g


@pytest.mark.parametrize("rule", [go.SGD(0.1), go.Adam(0.1), go.RMSProp(0.1)], ids=lambda rule: type(rule).__name__)
def test_a_step_that_is_left_as_it_is(rule: Any, rng: np.random.Generator) -> None:
    """What the rule subtracts is the step, without the rounding of a difference of parameters."""
    x = rng.normal(size=50).astype("f4")
    y = x.copy()
    alone, chained = rule.init(x), go.chain(rule, same_step(), same_step()).init(y)
    for _ in range(3):
        g = rng.normal(size=50).astype("f4")
        alone.step(g)
        chained.step(g)
    assert np.array_equal(x, y)


class thousandfold(go.StepPiece):
    def update(self, t: Any, p: Any, step: Any) -> Any:
        return 1000.0 * step


def test_a_step_has_not_the_rounding_of_parameters() -> None:
    """It is much less than they are, and yet it has all its digits."""
    x, g = np.ones(50, "f4"), np.linspace(0.1, 1.0, 50, dtype="f4")
    go.chain(go.SGD(1e-6), thousandfold()).init(x).step(g)
    y = np.ones(50, "f4")
    go.SGD(1e-3).init(y).step(g)
    assert np.allclose(x, y, rtol=1e-7, atol=0.0)


def test_lamb_is_adamw_in_proportion_to_its_arrays(rng: np.random.Generator) -> None:
    params = [rng.normal(size=(4, 5)), rng.normal(size=7)]
    others = [p.copy() for p in params]
    lamb = go.LAMB(0.01, weight_decay=0.1).init(params)
    chained = go.chain(go.AdamW(0.01, eps=1e-6, weight_decay=0.1), go.trust_ratio()).init(others)
    for _ in range(20):
        g = [rng.normal(size=p.shape) for p in params]
        lamb.step(g)
        chained.step(g)
    assert all(np.allclose(p, other, rtol=1e-12, atol=1e-12) for p, other in zip(params, others, strict=True))


def test_pieces_behind_the_rule_see_the_gradient_that_it_saw(xp: Any) -> None:
    x = xp.zeros(2)
    go.chain(go.scale(2.0), go.SGD(1.0), along()).init(x).step(xp.ones(2))
    assert x.tolist() == [-3.0, -3.0]
    with pytest.raises(AttributeError, match="'along' object has no attribute 'g': it is set where a chain is run"):
        along().update(1, 1.0, 1.0)


@pytest.mark.parametrize("rule", [go.ASGD(), go.ScheduleFreeSGD(), go.ScheduleFreeAdamW()])
def test_a_rule_that_averages_stands_last(rule: Any) -> None:
    """What stood behind it would not reach its mean."""
    with pytest.raises(ValueError, match=r"averages parameters itself, so bounds\(lo=0.0, hi=None\) behind it would not reach"):
        go.chain(go.clip(1.0), rule, go.bounds(lo=0.0))
    assert go.chain(go.clip(1.0), rule).init(np.ones(2)).evaluation().tolist() == [1.0, 1.0]


@pytest.mark.parametrize("pieces", [(go.average(), go.SGD(), go.clip(1.0)), (go.bounds(0.0, 1.0), go.cautious(), go.SGD())])
def test_the_order_that_is_told_is_a_chain(pieces: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="must stand") as caught:
        go.chain(*pieces)
    found = eval(str(caught.value).partition("the rule: ")[2], {name: getattr(go, name) for name in go.__all__})
    assert sorted(map(repr, found.pieces)) == sorted(map(repr, pieces))


def test_the_place_of_a_step_piece() -> None:
    with pytest.raises(ValueError, match="changes the step, so it must stand after the rule"):
        go.chain(go.cautious(), go.SGD())
    with pytest.raises(ValueError, match=r"changes the step, so it must stand before bounds.*, which changes the parameter"):
        go.chain(go.SGD(), go.bounds(0.0, 1.0), go.cautious())
