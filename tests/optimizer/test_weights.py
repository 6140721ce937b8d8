"""Averages are corrected by the decays that they really had, however these change from step to step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.codegen.host import compile_host
from gpuopt.rules.reductions import tree_norm
from tests.support.variants import DTYPES, on_host, sample

WARM = go.schedules.WarmUp(0.9, 10)
LATER = go.schedules.Piecewise((0.9, 0.999), (5,))
RULE = go.Adam(lr=1.0, beta1=WARM, beta2=LATER, eps=1e-30)


class Shrinking(go.Rule):
    """Its decay follows from the count."""

    lr: go.NonNegative = 1.0

    def update(self, t: Any, p: Any, g: Any, v: Any = 0.0) -> Any:
        beta = 1 - 1 / (t + 1)
        v = beta * v + (1 - beta) * g
        return p - self.lr * go.debias(v, beta, t), v


class Leading(go.Rule):
    """It corrects for a count that is not that of the average."""

    beta: go.Decay = 0.9

    def update(self, t: Any, p: Any, g: Any, v: Any = 0.0) -> Any:
        v = self.beta * v + (1 - self.beta) * g
        return p - go.debias(v, self.beta, t + 1), v


class Following(go.Rule):
    """Its decay is made of a reduction."""

    def update(self, t: Any, p: Any, g: Any, v: Any = 0.0) -> Any:
        beta = 1 / (1 + tree_norm(g))
        v = beta * v + (1 - beta) * g
        return p - go.debias(v, beta, t), v


def adam(rule: Any, p: Any, grads: list[Any], decays: list[tuple[float, float]]) -> Any:
    """Adam in plain float64: the weights of each average are written out."""
    for n, g in enumerate(grads, start=1):
        if g is not None:
            m, v = (
                _average([(x, b) for x, b in zip(_of(grads[:n], k), _betas(decays[:n], grads, k), strict=True)]) for k in (0, 1)
            )
            p = p - rule.lr * m / (np.sqrt(v) + rule.eps)
    return p


def _of(grads: list[Any], which: int) -> list[Any]:
    return [(g, np.abs(g) ** 2)[which] for g in grads if g is not None]


def _betas(decays: list[tuple[float, float]], grads: list[Any], which: int) -> list[float]:
    return [beta[which] for beta, g in zip(decays, grads, strict=False) if g is not None]


def _average(pairs: list[tuple[Any, float]]) -> Any:
    weights = [(1 - beta) * math.prod(later for _, later in pairs[n + 1 :]) for n, (_, beta) in enumerate(pairs)]
    return sum(w * x for w, (x, _) in zip(weights, pairs, strict=True)) / sum(weights)


def stepped(rule: Any, params: list[Any], grads: list[list[Any]], changes: dict[int, Any], **options: Any) -> Any:
    opt = rule.init(params, **options)
    for step, each in enumerate(grads):
        if step in changes:
            opt.rule = opt.rule.replace(changes[step])
        opt.step(each)
    return opt


@pytest.mark.parametrize(("dtype", "capturable"), [*((dtype, False) for dtype in DTYPES), ("float32", True)])
def test_adam_with_decays_that_change(dtype: str, capturable: bool, executor: str, xp: Any) -> None:
    """They follow schedules, and are replaced; the second array misses some steps."""
    rng, steps = np.random.default_rng(3), 12
    starts = [sample(rng, (5,), dtype), sample(rng, (2, 3), dtype)]
    grads = [[sample(rng, (5,), dtype), None if n in (2, 5, 6) else sample(rng, (2, 3), dtype)] for n in range(steps)]
    for rule, changes in ((RULE, {}), (go.Adam(1.0, eps=1e-30), {4: {"beta1": 0.5}, 9: {"beta1": 0.8, "beta2": 0.9}})):
        params = [xp.array(x) for x in starts]
        given = [[None if g is None else xp.asarray(g) for g in each] for each in grads]
        stepped(rule, params, given, changes, capturable=capturable)
        now, decays = rule, []
        for n in range(steps):
            now = now.replace(changes.get(n, {}))
            hyper = now.hyper(n)
            decays.append((hyper["beta1"], hyper["beta2"]))
        wide = "complex128" if np.iscomplexobj(starts[0]) else "float64"
        for which, (found, start) in enumerate(zip(map(on_host, params), starts, strict=True)):
            own = [None if g[which] is None else np.asarray(g[which], wide) for g in grads]
            wanted = adam(rule, np.asarray(start, wide), own, decays)
            eps = 0.01 if found.dtype.itemsize == 2 else 16 * np.finfo(found.dtype).eps * steps
            assert np.allclose(np.asarray(found, wide), wanted, rtol=4 * eps, atol=4 * eps * steps)


@pytest.mark.parametrize("rule", [Shrinking(), Following(), RULE, go.chain(go.accumulate(2), RULE)], ids=str)
def test_the_average_of_equal_gradients_is_that_gradient(rule: Any, executor: str, xp: Any) -> None:
    """So each step of a length that depends on the average alone is 1, whatever the decays were."""
    x, before = xp.zeros(3), np.zeros(3)
    opt = rule.init([x])
    for _ in range(14):
        opt.step([xp.ones(3)])
        now = on_host(x.copy())
        assert np.allclose(before - now, 1) or (now == before).all()
        before = now
    assert before[0] in (pytest.approx(-14), pytest.approx(-7))


def test_a_decay_that_is_replaced(executor: str, xp: Any) -> None:
    x = xp.zeros(1)
    opt = go.Adam(lr=1.0, beta1=0.0, beta2=0.9, eps=1e-300).init([x])
    for step in range(60):
        if step == 50:
            opt.rule = opt.rule.replace({"beta2": 0.999})
            assert list(map(float, opt.state["debias(2)"])) == [pytest.approx(1 - 0.9**50, abs=1e-15)]
        opt.step([xp.ones(1)])
    assert float(x[0]) == pytest.approx(-60, abs=1e-11)


def test_what_is_constant_keeps_no_sum() -> None:
    """Its correction is what it was: 1 - βᵗ; other hyperparameters may change."""
    opt = go.Adam(lr=go.schedules.Cosine(0.1, 5)).init(np.ones(2))
    opt.step(np.ones(2))
    opt.rule = go.Adam(lr=go.schedules.Cosine(0.2, 5), eps=1e-3)
    assert list(opt.state) == ["m", "v"]
    scalars = opt._binding.groups[0].programs[-1].update.scalars
    values = compile_host(scalars)(3, opt.rule.hyper(0))
    assert 1e-3 * math.sqrt(-math.expm1(3 * math.log(0.999))) in values


def test_a_count_of_ones_own_is_taken_at_its_word() -> None:
    x = np.zeros(1)
    opt = Leading(beta=go.schedules.Constant(0.9)).init(x)
    opt.step(np.ones(1))
    assert (list(opt.state), x[0]) == (["v"], pytest.approx(-0.1 / (1 - 0.9**2)))


def test_a_state_dict_without_sums(executor: str, xp: Any) -> None:
    """It is of an optimizer whose decays were always the same, so they follow from the counts."""
    x, y = xp.zeros(2), xp.zeros(2)
    plain = go.Adam(1.0, beta1=0.5, beta2=0.9, eps=1e-30).init([x])
    for _ in range(6):
        plain.step([xp.ones(2)])
    opt = RULE.init([y])
    opt.load_state_dict(plain.state_dict())
    assert [float(opt.state[f"debias({n})"][0]) for n in (1, 2)] == pytest.approx([1 - 0.5**6, 1 - 0.9**6])
    opt.step([xp.ones(2)])
    assert np.allclose(on_host(y), -1)


def test_a_state_dict_with_sums(executor: str, xp: Any) -> None:
    """They are kept where no decay has changed yet."""
    x, y = xp.zeros(2), xp.zeros(2)
    opt, other = RULE.init([x]), go.Adam(1.0, eps=1e-30).init([y])
    for _ in range(6):
        opt.step([xp.ones(2)])
    other.load_state_dict(opt.state_dict())
    other.step([xp.ones(2)])
    assert np.allclose(on_host(y), -1)
    assert list(other.state) == list(opt.state)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.array(1.5), "sum of weights in [0, 1]"),
        (np.array(np.nan), "sum of weights in [0, 1]"),
        (np.array(0.5, "f4"), "0-d float64 array"),
        (np.zeros(1), "0-d float64 array"),
        (0.5, "0-d float64 array"),
        (None, "0-d float64 array"),
    ],
    ids=["above 1", "NaN", "float32", "1-d", "number", "None"],
)
def test_a_sum_that_cannot_be_is_refused(value: Any, words: str) -> None:
    opt = RULE.init({"w": np.ones(2)})
    opt.step({"w": np.ones(2)})
    saved = opt.state_dict()
    state = {**saved["state"], "debias(2)": {"w": value}}
    with pytest.raises(ValueError, match="debias") as caught:
        opt.load_state_dict({**saved, "state": state})
    assert "state_dict['state']['debias(2)']['w']" in str(caught.value)
    assert words in str(caught.value)
    assert opt.t == 1


def test_sums_are_of_the_arrays_that_have_them() -> None:
    rule = go.partition({"a": go.Adam(beta1=WARM), "b": go.Adam(), "c": go.GradientDescent()})
    opt = rule.init({name: np.ones(2) for name in "abc"})
    opt.step({name: np.ones(2) for name in "abc"})
    assert opt.state["debias(1)"] == {"a": 1.0, "b": None, "c": None}
    opt.rule = rule.replace({"b/beta1": 0.5})
    assert opt.state["debias(1)"] == {"a": 1.0, "b": pytest.approx(0.1), "c": None}


def test_a_state_dict_with_sums_of_some_groups(executor: str, xp: Any) -> None:
    """The decays of the others were always the same, also if those of the optimizer that loads were not."""

    def step(opt: Any) -> None:
        opt.step({name: xp.ones(2) for name in "ab"})

    rule = go.partition({"a": go.Adam(1.0), "b": go.Adam(1.0)})
    opt = rule.init({name: xp.zeros(2) for name in "ab"})
    step(opt)
    opt.rule = rule.replace({"a/beta1": 0.5})
    step(opt)
    saved = opt.state_dict()
    for changed in ([], ["b"], ["a", "b"]):
        params = {name: xp.zeros(2) for name in "ab"}
        other = rule.init(params)
        step(other)
        other.rule = rule.replace({f"{name}/beta1": 0.7 for name in changed})
        other.load_state_dict(saved)
        assert float(other.state["debias(1)"]["a"]) == 1 - 0.9 * 0.5
        if changed:
            assert float(other.state["debias(1)"]["b"]) == pytest.approx(1 - 0.9**2)
        else:
            assert other.state["debias(1)"]["b"] is None
        step(other)
        assert np.allclose(on_host(params["b"]), -2)
