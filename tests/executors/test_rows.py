"""Many small arrays with scalars of their own: norms of each, verdicts on each, unequal counts, gradients that are None."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpuopt as go
from gpuopt.executors.fold import Folds
from tests.support.examples import examples
from tests.support.executors import ON_CPU, only
from tests.support.variants import bits, sample

on_cpu = only(*ON_CPU)


class Accepted(go.GradientPiece):
    """Refuses arrays whose gradients are large."""

    def accept(self, t: Any, p: Any, g: Any) -> Any:
        return np.max(abs(g)) < 1.5

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return g


class Chosen(go.Rule):
    """A scalar that decides between arrays."""

    lr: go.NonNegative = 0.1

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return np.where(go.abs2(g).sum() > 4.0, p - self.lr * g, p + g)


RULES: dict[str, Callable[[], Any]] = {
    "a norm": lambda: go.chain(go.clip_norm(0.7), go.Adam()),
    "a norm and its root": lambda: go.chain(go.clip_norm(1.0), go.Momentum(nesterov=True)),
    "Adam": go.Adam,
    "noise": lambda: go.chain(go.clip_norm(1.0), go.gradient_noise(0.1), go.SGD(0.1)),
    "a choice": Chosen,
}
SHAPES = [(3,), (3,), (2, 2), (0,), (), (9,), (9,), (5_000,), (9_000,), (3,), (1,)]


def alone_and_together(rule: Any, dtype: str, masks: list[list[bool]], scale: float = 1.0) -> None:
    """Arrays that are updated one by one, and all in one optimizer, hold the same bits after each step."""
    rng = np.random.default_rng(0)
    params = [sample(rng, shape, dtype) for shape in SHAPES]
    together = rule.init([p.copy() for p in params])
    alone = [rule.init([*params[:i], p.copy(), *params[i + 1 :]]) for i, p in enumerate(params)]
    for mask in masks:
        grads = [sample(rng, shape, dtype, scale) if has else None for shape, has in zip(SHAPES, mask, strict=True)]
        together.step(grads)
        for i, opt in enumerate(alone):
            if grads[i] is not None:
                opt.step([g if k == i else None for k, g in enumerate(grads)])
            assert np.array_equal(bits(together.params[i]), bits(opt.params[i])), i
            for name, state in opt.state.items():
                assert np.array_equal(bits(together.state[name][i]), bits(state[i])), (i, name)
            assert together.counts[i] == opt.counts[i]


@pytest.mark.every("dtype", "executor", dtype=("float32", "bfloat16", "complex64"), executor=ON_CPU, name=tuple(RULES))
@examples(3)
@given(st.lists(st.lists(st.booleans(), min_size=len(SHAPES), max_size=len(SHAPES)), min_size=1, max_size=4))
def test_each_array_as_if_alone(dtype: str, executor: str, name: str, masks: list[list[bool]]) -> None:
    alone_and_together(RULES[name](), dtype, [[True] * len(SHAPES), *masks])


@on_cpu
def test_the_sign_of_zero(executor: str) -> None:
    """Scalars that are equal and not the same: a factor of 0.0 and one of -0.0."""

    class Signed(go.Rule):
        lr: go.NonNegative = 0.1

        def update(self, t: Any, p: Any, g: Any) -> Any:
            return (g.sum() * 0.0) * abs(p)

    opt = Signed().init([np.ones(2, "float32"), np.ones(2, "float32")])
    opt.step([np.ones(2, "float32"), -np.ones(2, "float32")])
    assert [np.signbit(p).tolist() for p in opt.params] == [[False] * 2, [True] * 2]


@on_cpu
def test_arrays_without_elements(executor: str) -> None:
    """A pack of nothing else, whose arrays were updated unequally often."""
    opt = go.Adam().init([np.ones(0), np.ones((0, 3))])
    opt.step([np.ones(0), None])
    opt.step([np.ones(0), np.ones((0, 3))])
    assert opt.counts == [2, 1]


@on_cpu
def test_a_verdict_on_each_array(executor: str) -> None:
    """Of many that are packed, those that are refused do not change."""
    rule = go.chain(Accepted(), go.GradientDescent(0.5))
    params = [np.ones(4, "float32") for _ in range(6)]
    opt = rule.init(params)
    grads = [np.full(4, value, "float32") for value in (1, 2, 1, 1, 2, 1)]
    opt.step(grads)
    assert [float(p[0]) for p in opt.params] == [0.5, 1.0, 0.5, 0.5, 1.0, 0.5]
    assert opt.counts == [1, 0, 1, 1, 0, 1]
    opt.step([g if g[0] < 2 else g / 2 for g in grads])
    assert opt.counts == [2, 1, 2, 2, 1, 2]


@on_cpu
@pytest.mark.parametrize(("rule", "runs"), [(go.Adam(), 2), (go.chain(go.clip_norm(1.0), go.Adam()), 4)])
def test_one_run_for_all_of_a_pack(executor: str, rule: Any, runs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after a step in which some had no gradient, and in one in which the first has none; with norms, one a count."""
    arrays = [np.ones(5, "float32") for _ in range(40)]
    grads = [np.full(5, n + 1, "float32") for n in range(40)]
    opt = rule.init([a.copy() for a in arrays])
    opt.step([None, None, *grads[2:]])
    kind = type(next(iter(opt._binding.groups[0].executor._kernels.values())))
    bound = []
    for name in ("bind", "bind_rows"):
        before = getattr(kind, name)

        def counting(*args: Any, before: Any = before) -> Any:
            bound.append(args)
            return before(*args)

        monkeypatch.setattr(kind, name, counting)
    opt.step(grads)
    opt.step([None, *grads[1:]])
    assert len(bound) == runs


@on_cpu
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_totals_of_many_are_those_of_each(executor: str, dtype: str, rng: np.random.Generator) -> None:
    """However many rows are added at once, a row is added one lane after another."""
    for count in (1, 2, 3, 5, 8, 40, 300):
        folds = Folds(["sum"], [256] * count, np.dtype(dtype))
        if executor == "numba":
            from gpuopt.executors.cpu.numba_compile import lanes_code

            folds.add_lanes = lanes_code(np.dtype(dtype))
        folds.last[0][...] = rng.normal(size=(count, 256)) * 10.0 ** rng.integers(-9, 9, (count, 256))
        (found,) = folds.totals(None)
        expected = [float(np.add.accumulate(row.astype("float64"))[-1]) for row in folds.last[0]]
        assert found == expected
