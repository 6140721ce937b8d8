"""State that `start` gives begins in the first step of each array, and `evaluation` sees no state before."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

import gpuopt as go
from tests.support.refusals import refused


class DoG(go.Rule):
    """Distance over gradients: a state that starts at a norm of all arrays."""

    first: go.Positive = 1e-3

    def start(self, p: Any) -> Any:
        return p, self.first * (1 + go.tree_norm(p))

    def update(self, t: Any, p: Any, g: Any, begun: Any, far: Any) -> Any:
        far = np.maximum(far, go.tree_norm(p - begun))
        return p - far * g, begun, far


class Summed(go.Rule):
    """A state that starts at a sum of its own array."""

    lr: go.NonNegative = 0.1

    def start(self, p: Any) -> Any:
        return (np.sum(p),)

    def update(self, t: Any, p: Any, g: Any, total: Any) -> Any:
        return p - self.lr * total * g, total


LOOKAHEAD = go.chain(go.SGD(0.0), go.lookahead(2, 0.5))
ANCHORED = [
    go.chain(go.accumulate(3), go.SGD(0.0), go.lookahead(2, 0.5)),
    go.chain(go.skip_nonfinite(), go.SGD(0.0), go.lookahead(2, 0.5)),
    go.partition({"a": LOOKAHEAD, "b": go.chain(LOOKAHEAD, go.average())}),
]


@pytest.mark.parametrize("rule", [LOOKAHEAD, *ANCHORED], ids=str)
@pytest.mark.parametrize("options", [{}, {"capturable": True}], ids=["", "capturable"])
def test_state_begins_where_training_begins(executor: str, xp: Any, rule: Any, options: Any) -> None:
    """What was assigned before the first step counts; for an array that comes later, before its own first one."""
    p = {"a": xp.zeros(2), "b": xp.zeros(3)}
    opt = rule.init(p, **options)
    p["a"][...] = 10.0
    zero = {"a": xp.zeros(2), "b": xp.zeros(3)}
    for _ in range(5):
        opt.step({**zero, "b": None})
    p["b"][...] = 7.0
    assert opt.evaluation()["b"].tolist() == [7.0] * 3
    for _ in range(12):
        opt.step(zero)
    assert (p["a"].tolist(), p["b"].tolist()) == ([10.0] * 2, [7.0] * 3)
    assert (opt.evaluation()["a"].tolist(), opt.evaluation()["b"].tolist()) == ([10.0] * 2, [7.0] * 3)


def test_also_after_a_refused_step_and_a_load(executor: str, xp: Any) -> None:
    rule = ANCHORED[1]
    p, q = xp.zeros(2), xp.zeros(2)
    opt = rule.init(p)
    opt.step(xp.full(2, xp.nan))
    saved = opt.state_dict()
    p[...] = 3.0
    again = rule.init(q)
    again.load_state_dict(saved)
    q[...] = 3.0
    for each in (opt, again):
        for _ in range(4):
            each.step(xp.zeros(2))
    assert (p.tolist(), q.tolist()) == ([3.0] * 2, [3.0] * 2)
    later = rule.init(r := xp.full(2, 8.0))
    later.load_state_dict(opt.state_dict())
    for _ in range(2):
        later.step(xp.zeros(2))
    assert r.tolist() == [5.5] * 2  # halfway to the slow ones that were saved


@pytest.mark.parametrize("piece", [go.average(), go.average(0.9), go.lookahead(3)], ids=str)
@pytest.mark.parametrize("gate", [(), (go.accumulate(3),)], ids=["", "accumulate"])
def test_what_was_not_updated_yet_is_evaluated_as_it_is(piece: Any, gate: Any) -> None:
    """Nor is an array that a gate has held so far."""
    p = {"a": np.zeros(1), "b": np.zeros(1)}
    opt = go.chain(*gate, go.SGD(0.1), piece).init(p)
    assert opt.evaluation()["a"] == 0.0
    opt.step({"a": np.ones(1), "b": None})
    p["b"][...] = 5.0
    assert opt.evaluation()["b"] == 5.0
    if gate:
        p["a"][...] = 4.0
        assert opt.evaluation()["a"] == 4.0


def test_a_start_that_is_of_all_arrays(executor: str, xp: Any) -> None:
    p = {"a": xp.full(9, 1.0), "b": xp.full(16, 10.0)}
    opt = DoG().init(p)
    opt.step({"a": xp.zeros(9), "b": xp.zeros(16)})
    wanted = 1e-3 * (1 + np.sqrt(9 + 1600))
    assert [float(far) for far in opt.state["far"].values()] == pytest.approx([wanted] * 2, rel=1e-15)
    assert [float(begun[0]) for begun in opt.state["begun"].values()] == [1.0, 10.0]


class Mixed(go.Rule):
    """States that begin with each reduction over the tree, one after another."""

    lr: go.NonNegative = 0.1

    def start(self, p: Any) -> Any:
        largest = go.tree_max(np.abs(p))
        return largest, go.tree_mean(p / largest), np.max(p)

    def update(self, t: Any, p: Any, g: Any, largest: Any, mean: Any, own: Any) -> Any:
        return p - self.lr * (largest + mean + own) * g, largest, mean, own


@pytest.mark.parametrize("options", [{}, {"capturable": True}], ids=["", "capturable"])
def test_it_is_shown_before_the_first_step(executor: str, xp: Any, options: Any) -> None:
    """As it would begin now, for all arrays of the rule; the first step begins anew."""
    p = {"a": xp.full(9, 1.0), "b": xp.full((4, 4), -10.0), "c": xp.full(3, 99.0)}
    opt = go.partition({"c": go.SGD(), "*": Mixed()}).init(p, **options)

    def shown() -> dict[str, list[float]]:
        return {name: [float(opt.state[name][key]) for key in "ab"] for name in ("largest", "mean", "own")}

    assert shown() == {"largest": [10.0] * 2, "mean": [pytest.approx((0.9 - 16) / 25)] * 2, "own": [1.0, -10.0]}
    p["a"][...] = 20.0
    opt.step({name: xp.zeros_like(x) for name, x in p.items()})
    assert shown() == {"largest": [20.0] * 2, "mean": [pytest.approx((9 - 8) / 25)] * 2, "own": [20.0, -10.0]}


class FromNumber(go.ParameterPiece):
    """A state that begins with a number of the whole optimizer, and a reduction if it is asked for one."""

    reduces: bool
    begun: ClassVar[Any]

    def numbers(self) -> dict[str, float]:
        return {"begun": 2.0}

    def adapt(self, p: Any, new: Any, accepted: Any) -> Any:
        return (self.begun + 1,)

    def start(self, p: Any) -> Any:
        return (p + self.begun + (go.tree_max(p) if self.reduces else 0.0),)

    def update(self, t: Any, p: Any, new: Any, first: Any) -> Any:
        return new, first

    def evaluation(self, p: Any, first: Any) -> Any:
        return first


@pytest.mark.parametrize("reduces", [False, True])
def test_a_start_that_reads_numbers_and_meets_an_empty_array(executor: str, xp: Any, reduces: bool) -> None:
    """Of no elements there is no largest: nothing of it is shown, and nothing comes of it."""
    p = {"a": xp.ones(2), "empty": xp.ones(0)}
    opt = go.chain(go.SGD(0.0), FromNumber(reduces)).init(p)
    wanted = {"a": [3.0 + reduces] * 2, "empty": []}
    for _ in range(2):
        assert {name: x.tolist() for name, x in opt.state["FromNumber_first"].items()} == wanted
        assert reduces or opt.evaluation()["a"].tolist() == wanted["a"]
        opt.step({name: xp.zeros_like(x) for name, x in p.items()})


def test_a_sum_in_start_has_the_bits_of_one_in_update() -> None:
    """In every layout, and on every executor."""
    a = np.random.default_rng(0).normal(size=(301, 77)).astype("float32")
    strided = np.zeros((301, 154), "float32")[:, ::2]
    strided[...] = a
    found = set()
    for x in (a.copy(), np.asfortranarray(a), strided, a[::-1].copy()[::-1]):
        opt = Summed().init(x)
        opt.step(np.zeros_like(x))
        found.add(float(opt.state["total"]))
    assert len(found) == 1


class Normed(go.ParameterPiece):
    """What is evaluated depends on all elements."""

    def update(self, t: Any, p: Any, new: Any) -> Any:
        return new

    def evaluation(self, p: Any) -> Any:
        return p / np.sum(p)


class OfAll(Normed):
    def evaluation(self, p: Any) -> Any:
        return p / go.tree_norm(p)


class Counted(go.ParameterPiece):
    """What is evaluated depends on a number of the whole optimizer."""

    seen: ClassVar[Any]

    def numbers(self) -> dict[str, float]:
        return {"seen": 0.0}

    def update(self, t: Any, p: Any, new: Any) -> Any:
        return new

    def adapt(self, p: Any, new: Any, accepted: Any) -> Any:
        return (self.seen + 1,)

    def evaluation(self, p: Any) -> Any:
        return p + self.seen


def test_evaluation_sees_one_array() -> None:
    """So a reduction over all is refused; one of the array itself does not depend on the layout."""
    a = np.random.default_rng(0).normal(size=(301, 77)).astype("float32")
    opt = go.chain(go.SGD(), OfAll()).init([a.copy(), a.copy()])
    refused(opt.evaluation, ValueError, ("OfAll.evaluation sees one array", "gpuopt.tree_sum", "as a state in update"))
    found = {go.chain(go.SGD(), Normed()).init(x).evaluation().tobytes() for x in (a.copy(), np.asfortranarray(a))}
    assert len(found) == 1
    assert float(go.tree_sum(np.ones(3))) == 3.0


def test_evaluation_reads_numbers() -> None:
    opt = go.chain(go.SGD(0.0), Counted()).init(np.ones(2))
    for _ in range(2):
        opt.step(np.ones(2))
    assert opt.evaluation().tolist() == [3.0, 3.0]


@pytest.mark.parametrize("rule", [DoG(), Summed(), LOOKAHEAD, go.chain(go.clip_global_norm(1.0), Summed())])
def test_infinite_elements_warn_of_nothing(rule: Any) -> None:
    """Nor does a sum over the tree of infinities of both signs."""
    params = [np.array([np.inf, -np.inf, 1e308, 1e308]), np.array([-np.inf]), np.array([3e38, 3e38], "f4")]
    with np.errstate(all="raise"):
        opt = rule.init(params)
        for _ in range(2):
            opt.step([p.copy() for p in params])
            opt.evaluation()
