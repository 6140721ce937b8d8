"""Projections and penalties: what they are by themselves, and behind rules whose steps have a metric of their own."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest

import gpuopt as go
from gpuopt.rules import rules
from gpuopt.rules.hooks import has_hook
from tests.support.variants import bits, on_host

SAYING = [name for name, cls in rules().items() if has_hook(cls(), "scale")]
RNG = np.random.default_rng(0)
MATRIX, WANTED = RNG.normal(size=(30, 8)), RNG.normal(size=30) * 3


def gradient(x: Any) -> Any:
    return MATRIX.T @ (MATRIX @ x - WANTED)


def trained(rule: Any, steps: int, x: Any = None) -> Any:
    """The parameters after so many steps of least squares."""
    opt = rule.init(np.zeros(8) if x is None else x)
    for _ in range(steps):
        opt.step(gradient(opt.params))
    return opt.params


def lasso(x: Any, weight: float) -> float:
    """How far `x` is from the conditions of the lasso's solution."""
    g = gradient(x)
    size = np.abs(x)
    kept = np.abs(g + weight * x / np.where(size > 0, size, 1.0))
    return float(np.where(size > 0, kept, np.maximum(np.abs(g) - weight, 0.0)).max() / weight)


OPTIONS: dict[str, dict[str, float]] = {
    "GradientDescent": {"lr": 2e-3},
    "Momentum": {"lr": 2e-3, "dampening": 0.0},
    "QHM": {"lr": 2e-3, "beta": 0.9},
    "AdaGrad": {"lr": 0.5},
    "AdamW": {"weight_decay": 0.0},
}


def steady(name: str) -> Any:
    """The rule, with less memory where it would need long to forget the first steps."""
    return rules()[name](**{"lr": 1e-2, **OPTIONS.get(name, {})})


class noted(go.ParameterPiece):
    """Notes the step, and what the rule says that it multiplies a gradient by."""

    def update(self, t: Any, p: Any, new: Any, step: Any = 0.0, scale: Any = 0.0) -> Any:
        return new, p - new, self.rule.scale + 0.0 * p


@pytest.mark.parametrize("name", SAYING)
def test_a_steady_gradient_is_multiplied_by_the_scale(name: str) -> None:
    g = np.array([3.0, -0.01, 50.0])
    opt = go.chain(steady(name), noted()).init(np.zeros(3))
    for _ in range(400):
        opt.step(g)
    assert opt.state["noted_step"] == pytest.approx(opt.state["noted_scale"] * g, rel=1e-3)


@pytest.mark.parametrize(
    "rule",
    [
        *map(steady, SAYING),
        go.Momentum(1e-3, nesterov=True),
        go.RMSProp(1e-3, momentum=0.9),
        go.Adam(1e-2, amsgrad=True),
        go.Adam(1e-2, bias_correction=False, eps_in_root=1e-3),
    ],
    ids=repr,
)
def test_the_lasso_is_solved_behind_every_rule_that_says_its_scale(rule: Any) -> None:
    found = trained(go.chain(rule, go.l1(6.0)), 1200)
    assert lasso(found, 6.0) < (1e-2 if isinstance(rule, (go.ADOPT, go.LaProp, go.NAdam)) else 1e-6)
    assert 0 < (found == 0).sum() < 8


@pytest.mark.parametrize("rule", [go.Adam(2e-3), go.RMSProp(2e-3), go.Momentum(1e-3, dampening=0.0)], ids=repr)
def test_plain_shrinkage_solves_another_problem(rule: Any) -> None:
    assert lasso(trained(go.chain(rule, go.l1(6.0, metric="euclidean")), 1200), 6.0) > 0.5


def test_behind_gradient_descent_both_metrics_are_one() -> None:
    one, other = (trained(go.chain(go.SGD(1e-3), go.l1(9.0, metric)), 20) for metric in ("rule", "euclidean"))
    assert np.array_equal(one, other)


def test_of_a_complex_number_the_modulus_is_the_penalty() -> None:
    wanted = np.array([3 + 4j, 0.3 - 0.1j, -2j])
    opt = go.chain(go.Adam(0.03), go.l1(1.0)).init(np.zeros(3, complex))
    for _ in range(1500):
        opt.step(opt.params - wanted)
    assert opt.params == pytest.approx(np.array([2.4 + 3.2j, 0, -1j]), abs=1e-7)
    assert opt.params[1] == 0


def test_a_scale_asks_for_no_weights_of_its_own() -> None:
    """The sums of an average's weights are kept once where a decay changes."""
    rule = go.Adam(beta1=go.schedules.Step(0.9, 2), beta2=go.schedules.Step(0.99, 2))
    alone, chained = rule.init(np.ones(2)), go.chain(rule, go.l1(0.1)).init(np.ones(2))
    assert list(alone.state) == list(chained.state) == ["m", "v", "debias(1)", "debias(2)"]


WEIGHTS = np.array([0.0, 0.5, 2.0])


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_every_executor_has_the_same_bits(dtype: str, executor: str, xp: Any, rng: np.random.Generator) -> None:
    """In the metric of Adam, with arrays in their places."""
    mask, radius = np.array([True, True, False]), np.array([[0.2], [5.0]], "float32")
    gradients = [rng.normal(size=(2, 3)) + 1j * rng.normal(size=(2, 3)) for _ in range(4)]
    found: list[Any] = []
    for module in (xp, np):
        pieces = go.l1(module.asarray(WEIGHTS)), go.disk(module.asarray(radius)), go.support(module.asarray(mask))
        opt = go.chain(go.Adam(0.3), *pieces).init(module.ones((2, 3), dtype))
        for g in gradients:
            opt.step(module.asarray((g if dtype == "complex64" else g.real).astype(dtype)))
        found.append(bits(on_host(opt.params)))
    assert np.array_equal(*found)


@pytest.mark.parametrize("options", [{}, {"master": True}, {"stochastic_rounding": True}], ids=str)
@pytest.mark.parametrize("radius", [0.301, 1 / 3])
def test_a_disk_holds_for_what_is_stored(radius: float, options: Any) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    x = np.zeros(500, ml_dtypes.bfloat16)
    opt = go.chain(go.SGD(1.0), go.disk(radius)).init(x, **options)
    for sign in (1.0, -1.0):
        opt.step(np.full(500, 3 * sign, "float32"))
        assert float(np.abs(x.astype(float)).max()) <= radius


def test_arrays_of_the_dtype_hold_for_what_is_stored() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    most = np.linspace(0.1, 0.9, 500).astype(ml_dtypes.bfloat16)
    opt = go.chain(go.SGD(1.0), go.bounds(hi=most), go.disk(most)).init(0 * most, stochastic_rounding=True)
    opt.step(np.full(500, -3.0, "float32"))
    assert (opt.params == most).all()


# By themselves


class Pair(NamedTuple):
    a: Any
    b: Any


def test_prox_of_trees() -> None:
    tree = {"w": [np.array([3.0, -0.5])], "b": Pair(np.array([2.0]), np.array(-4.0))}
    found = go.l1(1.0).prox(tree, 0.5)
    assert found["w"][0].tolist() == [2.5, 0.0]
    assert isinstance(found["b"], Pair)
    assert (found["b"].a.tolist(), float(found["b"].b)) == ([1.5], -3.5)
    mask = {"w": [np.array([1.0, 0.0])], "b": Pair(np.array([True]), np.array([False]))}
    found = go.support(mask).prox(tree)
    assert (found["w"][0].tolist(), found["b"].a.tolist()) == ([3.0, 0.0], [2.0])
    with pytest.raises(TypeError, match="support: mask is a tree of arrays, and x is one array"):
        go.support(mask).prox(np.ones(2))


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_sets_by_their_definitions(dtype: str, rng: np.random.Generator) -> None:
    x = (
        (rng.normal(size=50) + 1j * rng.normal(size=50)).astype(dtype)
        if dtype == "complex128"
        else rng.normal(size=50).astype(dtype)
    )
    x[3] = 0
    size = np.where(x == 0, 1, np.abs(x))
    wanted = {
        "disk": x * np.minimum(1, 0.5 / size),
        "unit_modulus": np.where(x == 0, 1, x / size),
        "support": x * (np.arange(50) > 9),
    }
    pieces: list[Any] = [go.disk(0.5), go.unit_modulus(), go.support(np.arange(50) > 9)]
    if dtype != "complex128":
        wanted |= {"nonnegative": x * (x > 0), "bounds": np.clip(x, -0.1, 0.3)}
        pieces += [go.nonnegative(), go.bounds(-0.1, 0.3)]
    for piece in pieces:
        found = piece.prox(x)
        assert found.dtype == dtype
        assert found == pytest.approx(wanted[type(piece).__name__], abs=1e-6 if dtype == "float32" else 1e-15)


@pytest.mark.parametrize("piece", [go.disk(1.0), go.unit_modulus(), go.l1(0.1), go.nonnegative(), go.support(1.0)], ids=repr)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_nan_is_not_hidden(piece: Any, dtype: str) -> None:
    if not isinstance(piece, go.nonnegative) or dtype == "float64":
        assert np.isnan(piece.prox(np.array([np.nan, 1.0], dtype))).tolist() == [True, False]


# What is refused


class Doubled(go.Rule):
    """A rule of a user's own that says its scale."""

    lr: go.NonNegative = 0.1
    unit: ClassVar[float] = 2.0

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return p - self.unit * self.lr * g

    def scale(self, t: Any) -> Any:
        return self.unit * self.lr


def test_a_rule_of_your_own_may_say_its_scale() -> None:
    x = np.array([3.0])
    go.chain(Doubled(), go.l1(1.0)).init(x).step(np.zeros(1))
    assert x.tolist() == [2.8]


@pytest.mark.parametrize(
    ("chain", "words"),
    [
        (lambda: go.chain(go.Lion(), go.l1(1.0)), "Lion does not say what it multiplies a gradient by"),
        (lambda: go.chain(go.Muon(), go.l1(1.0)), "Muon does not say what it multiplies a gradient by"),
        (lambda: go.chain(go.Adam(), go.trust_ratio(), go.l1(1.0)), "a piece between Adam and it changes the step"),
    ],
)
def test_without_a_scale_the_metric_must_be_euclidean(chain: Any, words: str) -> None:
    with pytest.raises(TypeError, match=f"l1 acts in the metric of its rule, but {words}: write gpuopt.l1.*'euclidean'"):
        chain().init(np.ones((2, 2)))
    *before, piece = chain().pieces
    go.chain(*before, dataclasses.replace(piece, metric="euclidean")).init(np.ones((2, 2))).step(np.ones((2, 2)))


def test_a_metric_is_one_of_two() -> None:
    with pytest.raises(ValueError, match="l1: metric must be 'rule' or 'euclidean', got 'plain'"):
        go.l1(1.0, metric="plain")


def test_copies_keep_their_arrays() -> None:
    piece = go.support(np.array([1.0, 0.0]))
    assert copy.copy(piece) == dataclasses.replace(piece) == piece
