"""Sets and penalties of several elements together, which call functions of whole arrays."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.rules import multipliers, whole_array_pieces
from tests.support.variants import on_host

RNG = np.random.default_rng(0)
MATRIX, WANTED = RNG.normal(size=(40, 12)), RNG.normal(size=40) * 3
PIECES: list[Any] = [
    go.norm_ball(0.3),
    go.simplex(0.5),
    go.group_l1(20.0),
    go.group_l1(20.0, axis=0),
    go.total_variation(5.0),
    go.total_variation(5.0, isotropic=False),
]


def gradient(x: Any) -> Any:
    return (MATRIX.T @ (MATRIX @ x.ravel() - WANTED)).reshape(x.shape)


def unsolved(rule: Any, steps: int, piece: Any) -> float:
    """How far least squares with that piece are from their solution: a Euclidean proximal gradient does not move it."""
    opt = go.chain(rule, piece).init(np.full((4, 3), 0.01))
    for _ in range(steps):
        opt.step(gradient(opt.params))
    x, small = opt.params, 1e-3
    return float(np.abs(piece.prox(x - small * gradient(x), small) - x).max() / small)


@pytest.mark.parametrize("piece", PIECES, ids=repr)
def test_behind_a_rule_of_one_scale(piece: Any, executor: str, xp: Any) -> None:
    """It is a number on the host, wherever the arrays are."""
    x, one = xp.asarray(MATRIX[:4, :3]), MATRIX[:4, :3].copy()
    for params in (x, one):
        opt = go.chain(go.SGD(0.1), piece).init(params)
        for _ in range(2):
            opt.step(params.copy())
    np.testing.assert_allclose(on_host(x), one, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(on_host(piece.prox(x + 1, 0.1)), piece.prox(one + 1, 0.1), rtol=1e-12, atol=1e-14)


def test_every_piece_of_whole_arrays_is_here() -> None:
    assert {type(piece).__name__ for piece in PIECES} == set(whole_array_pieces())


@pytest.mark.parametrize("piece", PIECES, ids=repr)
def test_the_problem_is_solved_in_the_metric_of_the_rule(piece: Any) -> None:
    assert unsolved(go.AdaGrad(0.3), 250, piece) < 1e-3


@pytest.mark.parametrize("piece", PIECES[:3], ids=repr)
def test_in_another_metric_it_is_not(piece: Any) -> None:
    assert unsolved(go.AdaGrad(0.3), 250, type(piece)(**{**piece.hyperparameters, "metric": "euclidean"})) > 0.1


def test_each_is_the_nearest_in_a_metric() -> None:
    """By the conditions of the nearest, for scales over 16 decades."""
    rng = np.random.default_rng(1)
    for _ in range(60):
        n = int(rng.integers(1, 30))
        x, scale = rng.normal(size=n) * 10 ** rng.uniform(-3, 3, n), 10 ** rng.uniform(-8, 8, n)
        ball, inside = go.norm_ball(1.0).prox(x, scale), np.linalg.norm(x) <= 1
        assert np.array_equal(ball, x) if inside else np.linalg.norm(ball) == pytest.approx(1, abs=1e-10)
        pulls = (x - ball) / scale
        assert pulls == pytest.approx((pulls @ ball) * ball, rel=1e-5, abs=1e-9 * np.abs(pulls).max(initial=1e-300))
        flat = go.simplex(2.0).prox(x, scale)
        assert flat.min() >= 0
        assert flat.sum() == pytest.approx(2, abs=1e-12 * np.abs(x).max())
        group = go.group_l1(1.0).prox(x, scale)
        norm = np.linalg.norm(group)
        if norm == 0:
            assert np.linalg.norm(x / scale) <= 1 + 1e-9
        else:
            assert (x - group) / scale == pytest.approx(group / norm, rel=1e-5, abs=1e-6)


def test_by_their_formulas(rng: np.random.Generator) -> None:
    x = rng.normal(size=(6, 5))
    size = np.linalg.norm(x, axis=0)
    assert go.norm_ball(0.7).prox(x) == pytest.approx(x * 0.7 / np.linalg.norm(x), abs=1e-14)
    assert (go.group_l1(0.5, axis=0).prox(x)) == pytest.approx(x * np.maximum(1 - 0.5 / size, 0), abs=1e-14)
    ordered = np.sort(x, axis=None)[::-1]
    level = max((ordered[: k + 1].sum() - 1.3) / (k + 1) for k in range(x.size))
    assert go.simplex(1.3).prox(x) == pytest.approx(np.maximum(x - level, 0), abs=1e-14)
    z = x + 1j * rng.normal(size=(6, 5))
    assert go.norm_ball(0.7).prox(z) == pytest.approx(z * 0.7 / np.linalg.norm(z), abs=1e-14)
    edges = np.array([[0.1, -0.1, 0.0, 1.1, 0.9, 1.0]])
    assert go.total_variation(0.15).prox(edges) == pytest.approx(np.array([[0.05] * 3 + [0.95] * 3]), abs=1e-9)
    assert go.total_variation(0.15).prox(1j * edges) == pytest.approx(1j * np.array([[0.05] * 3 + [0.95] * 3]), abs=1e-9)


def test_every_executor_agrees(executor: str, xp: Any, rng: np.random.Generator) -> None:
    """All in one chain, up to the rounding of sums, which NumPy and CuPy order as they like."""
    rule = go.chain(go.Adam(0.1), go.norm_ball(0.9), go.group_l1(0.02), go.total_variation(0.02, iterations=3), go.simplex(0.8))
    gradients, found = [rng.normal(size=(4, 3)).astype("float32") for _ in range(2)], []
    for module in (xp, np):
        opt = rule.init(module.ones((4, 3), "float32"))
        for g in gradients:
            opt.step(module.asarray(g))
        assert opt.params.dtype == "float32"
        found.append(on_host(opt.params))
    assert found[0] == pytest.approx(found[1], abs=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "complex64"])
def test_in_other_dtypes(dtype: str) -> None:
    for piece in PIECES:
        if dtype == "float16" or not isinstance(piece, go.simplex):
            opt = go.chain(go.Adam(0.1), piece).init(np.ones((4, 3), dtype))
            opt.step(np.ones((4, 3), dtype))
            assert np.isfinite(opt.params).all()
    ball = go.chain(go.Adam(0.1), go.norm_ball(0.5)).init(np.ones((4, 3), dtype))
    ball.step(np.ones((4, 3), dtype))
    assert np.linalg.norm(ball.params.astype(complex)) == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize("rule", [go.SGD(0.0), go.Adam(0.0)], ids=repr)
def test_a_learning_rate_of_0_leaves_no_set(rule: Any) -> None:
    for piece in PIECES:
        opt = go.chain(rule, piece).init(np.ones((4, 3)))
        opt.step(np.ones((4, 3)))
        if isinstance(piece, go.norm_ball):
            assert np.linalg.norm(opt.params) == pytest.approx(0.3)
        elif isinstance(piece, go.simplex):
            assert opt.params == pytest.approx(np.full((4, 3), 0.5 / 12))
        else:
            assert (opt.params == 1).all()


def test_the_flow_of_a_variation_is_kept() -> None:
    """So a step goes on where the last one ended, also when it is resumed."""
    x = np.random.default_rng(2).normal(size=(8, 6))
    opt = go.chain(go.SGD(0.0), go.total_variation(2.0, iterations=2)).init(np.zeros((8, 6)))
    assert opt.state["total_variation_flow"].shape == (2, 8, 6)
    rule = go.chain(go.SGD(1.0), go.total_variation(0.5, iterations=3))
    opt = rule.init(np.zeros((8, 6)))
    for _ in range(200):
        opt.step(opt.params - x)
    assert opt.params == pytest.approx(go.total_variation(0.5, iterations=60).prox(x), abs=2e-3)
    other = rule.init(opt.params.copy())
    other.load_state_dict(pickle.loads(pickle.dumps(opt.state_dict())))
    for each in (opt, other):
        each.step(each.params + x)
    assert np.array_equal(opt.params, other.params)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: go.chain(go.Adam(), go.simplex()).init(np.ones(3, complex)), ValueError, "simplex: complex numbers"),
        (lambda: go.chain(go.Adam(), go.norm_ball(2.0)).init(np.ones(3), {"radius": np.ones(3)}), TypeError, "one number"),
        (lambda: go.total_variation(1.0, iterations=0), ValueError, "iterations must be at least 1"),
        (lambda: go.chain(go.Lion(), go.norm_ball(1.0)).init(np.ones(3)), TypeError, "gpuopt.norm_ball.*metric='euclidean'"),
        (lambda: go.simplex(metric="l2"), ValueError, "metric must be"),
    ],
)
def test_refused(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize(
    "piece", [go.norm_ball(0.3), go.group_l1(1.0), go.group_l1(1.0, axis=0), go.group_l1(1.0, axis=-2)], ids=repr
)
def test_large_arrays_are_taken_in_parts(piece: Any, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which give what the whole does; groups stay whole."""
    x, scale = rng.normal(size=(13, 3)), rng.uniform(0.1, 2.0, (13, 3))
    whole = piece.prox(x, scale)
    monkeypatch.setattr(multipliers, "BLOCK", 8)
    np.testing.assert_allclose(piece.prox(x, scale), whole, rtol=1e-12)
