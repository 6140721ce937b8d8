"""Hyperparameters that are tuples, with as many states: each entry is one by itself, but in the formula."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from tests.support.refusals import refused, table

loose: Any = go


class Running(go.ParameterPiece):
    """Several means of the parameters, of which the last is evaluated."""

    decays: tuple[go.Decay, ...]
    twice: tuple[go.Hyper, ...] = (1.0,)

    def start(self, p: Any) -> Any:
        return [p for _ in self.decays], (0 * p,)

    def update(self, t: Any, p: Any, new: Any, means: Any = go.each("decays"), last: Any = go.each("twice")) -> Any:
        means = [decay * mean + (1 - decay) * new for decay, mean in zip(self.decays, means, strict=True)]
        return new, means, (self.twice[0] * new,)

    def evaluation(self, p: Any, means: Any, last: Any) -> Any:
        return means[-1] + 0 * last[0]


def test_entries_change_follow_schedules_and_are_arrays() -> None:
    beta = go.schedules.Polynomial(0.5, 10)
    rule = go.chain(go.clip(9.0), loose.AggMo(1.0, betas=[np.float32(0.5), beta, 0.25]))
    opt = rule.init(p := np.zeros(2), hyper={"betas[2]": np.array([0.0, 0.5])})
    opt.step(np.ones(2))
    opt.rule = opt.rule.replace({"betas[0]": 0.0, "clip.value": 8.0})
    opt.step(np.ones(2))
    assert [opt.state[f"v[{n}]"].tolist() for n in range(3)] == [[1.0, 1.0], [1.45, 1.45], [1.0, 1.5]]
    assert p.tolist() == pytest.approx([-1 - 3.45 / 3, -1 - 3.95 / 3], rel=1e-15)
    again = rule.init(p.copy(), hyper={"betas[2]": np.array([0.0, 0.5])})
    again.load_state_dict(pickle.loads(pickle.dumps(opt.state_dict())))
    assert again.rule == opt.rule == rule.replace({"betas": (0.0, beta, 0.25), "clip.value": 8.0})
    assert eval(repr(again.rule), {**vars(go)}) == again.rule


def test_states_begin_and_are_evaluated_as_tuples(executor: str, xp: Any) -> None:
    p = [xp.zeros(2), xp.ones(3)]
    opt = go.chain(go.SGD(1.0), Running(decays=(0.0, 0.5))).init(p)
    assert opt.evaluation()[1].tolist() == [1.0] * 3
    opt.step([xp.ones(2), None])
    first = {name: float(x[0][0]) for name, x in opt.state.items()}
    assert first == {"Running_means[0]": -1.0, "Running_means[1]": -0.5, "Running_last[0]": -1.0}
    assert [x.tolist() for x in opt.evaluation()] == [[-0.5] * 2, [1.0] * 3]


class Rates(go.Rule):
    lr: tuple[go.NonNegative, ...] = (0.1, 0.2)

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return p - sum(self.lr) * g


def test_a_tuple_of_rates_is_typed_as_it_is() -> None:
    opt = Rates().init(np.zeros(2))
    with pytest.raises(AttributeError, match=r"write opt\.rule = opt\.rule\.replace\(lr=\(0\.1, 0\.2\)\)$"):
        opt.lr  # type: ignore[attr-defined] # noqa: B018


class NoTuple(go.Rule):
    lr: go.NonNegative = 0.1

    def update(self, t: Any, p: Any, g: Any, v: Any = go.each("lr")) -> Any:
        return p - self.lr * g, v


NUMBER = "a number in [0, 1)"


@table(
    ("a number", lambda: loose.AggMo(betas=0.9), TypeError, ("AggMo: betas must be a tuple, each entry", NUMBER, "got 0.9")),
    ("none", lambda: go.AggMo(betas=()), TypeError, ("betas must be a tuple, each entry of which",)),
    ("an entry", lambda: go.AggMo(betas=(0.9, 1.0)), ValueError, (f"AggMo: betas[1] must be {NUMBER}, got 1.0",)),
    (
        "a schedule",
        lambda: go.AggMo(betas=(lambda step: 2.0,)).init(np.zeros(1)),
        ValueError,
        (f"betas[0] must be {NUMBER}, got 2.0 from its schedule",),
    ),
    (
        "no entry",
        lambda: go.AggMo().replace({"betas[3]": 0.1}),
        TypeError,
        ("AggMo has no hyperparameter 'betas[3]'; it has lr, betas",),
    ),
    (
        "no entry of a chain",
        lambda: go.chain(go.clip(1.0), go.AggMo()).replace({"betas[3]": 0.1}),
        TypeError,
        ("chain(clip, AggMo) has no hyperparameter 'betas[3]'; it has clip.value, lr, betas[0]",),
    ),
    (
        "an assignment",
        lambda: setattr(go.AggMo(), "betas", (0.1,)),
        dataclasses.FrozenInstanceError,
        ("write rule = rule.replace(betas=(0.1,))",),
    ),
    (
        "another number",
        lambda: setattr(go.AggMo().init(np.zeros(1)), "rule", go.AggMo(betas=(0.5,))),
        ValueError,
        ("needs the state ['v[0]'], this optimizer has ['v[0]', 'v[1]', 'v[2]']: call init again",),
    ),
    ("each of a number", lambda: NoTuple().init(np.zeros(1)), go.TraceError, ("state v has one value for each entry of 'lr'",)),
)
def test_what_is_refused(action: Any, error: type[Exception], words: tuple[str, ...]) -> None:
    refused(action, error, words)
