"""Pieces, groups and arrays that meet: what goes wrong only where two of them come together."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from tests.support.variants import on_host


class clip_step(go.ParameterPiece):
    """Clip the norm of all steps together."""

    most: go.Positive

    def update(self, t: Any, p: Any, new: Any) -> Any:
        return p + np.minimum(self.most / go.tree_norm(new - p), 1.0) * (new - p)


class mean_of_all(go.GradientPiece):
    def update(self, t: Any, p: Any, g: Any) -> Any:
        return 0 * g + go.tree_mean(g)


class largest_or_sum(go.GradientPiece):
    largest: bool = False

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return 0 * g + (go.tree_max(g) if self.largest else go.tree_sum(g))


class anchored(go.ParameterPiece):
    """Looks at what its methods are given."""

    weight: go.NonNegative = 2.0

    def start(self, p: Any) -> Any:
        return (p * self.weight + self.rule.lr,)

    def update(self, t: Any, p: Any, new: Any, begin: Any) -> Any:
        return new, begin

    def evaluation(self, p: Any, begin: Any) -> Any:
        p *= 0
        return begin + self.weight + self.rule.lr


def test_a_norm_of_groups_that_reduce_in_different_depth(executor: str, xp: Any) -> None:
    params = {"a": xp.zeros(2), "b": xp.zeros(2)}
    groups = go.partition({"a": go.chain(go.clip_norm(100.0), go.SGD(1.0)), "b": go.SGD(1.0)})
    opt = go.chain(groups, clip_step(1.0)).init(params)
    opt.step({"a": xp.full(2, 3.0), "b": xp.full(2, 4.0)})
    a, b = map(on_host, params.values())
    assert np.sqrt(np.sum(a**2) + np.sum(b**2)) == pytest.approx(1.0)
    np.testing.assert_allclose(a / b, 0.75)


MEAN, NORM = mean_of_all(), go.clip_global_norm(1.0, 0.0)


@pytest.mark.every("executor", piece=(MEAN, NORM), skipping=("never", "before", "after"))
def test_what_is_held_has_no_part_in_a_total(executor: str, xp: Any, piece: Any, skipping: str) -> None:
    """One array had no gradient once, so it acts a step later than the other."""
    more = {where: [go.skip_nonfinite()] if skipping == where else [] for where in ("before", "after")}
    params = {"a": xp.zeros(2), "b": xp.zeros(6)}
    opt = go.chain(*more["before"], go.accumulate(2), piece, *more["after"], go.SGD(1.0)).init(params)
    opt.step({"a": xp.ones(2), "b": None})
    opt.step({"a": xp.ones(2), "b": xp.ones(6)})
    np.testing.assert_allclose(on_host(params["a"]), -1.0 if piece is MEAN else -(0.5**0.5))
    assert params["b"].tolist() == [0.0] * 6


def test_another_reduction_in_the_place_of_one(executor: str, xp: Any) -> None:
    params = [xp.zeros(2), xp.zeros(0)]
    opt = go.chain(largest_or_sum(), go.SGD(1.0)).init(params)
    opt.step([xp.asarray([1.0, -4.0]), xp.zeros(0)])
    assert params[0].tolist() == [3.0, 3.0]
    opt.rule = go.chain(largest_or_sum(largest=True), go.SGD(1.0))
    opt.step([xp.asarray([-1.0, -4.0]), xp.zeros(0)])
    assert params[0].tolist() == [4.0, 4.0]


def test_how_many_are_accumulated_cannot_change_in_between() -> None:
    opt = go.chain(go.accumulate(2), go.SGD(1.0)).init(np.zeros(1))
    with pytest.raises(TypeError, match="must keep the structure of"):
        opt.rule = go.chain(go.accumulate(3), go.SGD(1.0))


def test_start_and_evaluation_see_arrays_numbers_and_the_rule() -> None:
    p = np.ones(2)
    opt = go.chain(go.SGD(0.5), anchored()).init(p, hyper={"weight": np.array([5.0, 7.0])})
    assert opt.state["anchored_begin"].tolist() == [5.5, 7.5]
    opt.step(np.zeros(2))
    assert opt.evaluation().tolist() == [11.0, 15.0]
    assert p.tolist() == [1.0, 1.0]


def test_evaluation_after_the_last_step_of_a_schedule() -> None:
    opt = go.chain(go.SGD(lambda step: [0.1, 0.2][step]), go.average()).init(np.zeros(1))
    for _ in range(2):
        opt.step(np.ones(1))
    np.testing.assert_allclose(opt.evaluation(), -0.2)


def test_an_evaluation_of_another_shape_is_refused() -> None:
    class total(go.ParameterPiece):
        def update(self, t: Any, p: Any, new: Any) -> Any:
            return new

        def evaluation(self, p: Any) -> Any:
            return float(p.sum())

    with pytest.raises(ValueError, match=r"total.evaluation must return an array of the parameter's shape, \(2,\), got float"):
        go.chain(go.SGD(), total()).init(np.zeros(2)).evaluation()


def test_a_dtype_is_held_against_its_own_rule_only() -> None:
    rule = go.partition({"a": go.SGD(), "b": go.Adam(eps=1e-50)})
    rule.init({"a": np.zeros(1, "float32"), "b": np.zeros(1)})
    with pytest.raises(ValueError, match="Adam: eps=1e-50 vanishes in float32"):
        rule.init({"a": np.zeros(1), "b": np.zeros(1, "float32")})


def test_the_order_of_patterns_tells_partitions_apart() -> None:
    one, other = go.partition({"a": go.SGD(), "*": go.Adam()}), go.partition({"*": go.Adam(), "a": go.SGD()})
    assert one != other
    assert one == go.partition({"a": go.SGD(), "*": go.Adam()})


def test_a_piece_that_is_called_like_another_with_its_number() -> None:
    class scale_2(go.GradientPiece):
        factor: float

        def update(self, t: Any, p: Any, g: Any) -> Any:
            return self.factor * g

    p = np.zeros(1)
    chain = go.chain(go.scale(1.0), go.scale(2.0), scale_2(10.0), go.SGD(1.0))
    chain.init(p).step(np.ones(1))
    assert p[0] == -20.0
    assert [part.name for part in chain.update_for("").parts] == ["scale", "scale_2", "scale_2_2", ""]


def test_text_of_a_chain_around_groups_is_refused() -> None:
    with pytest.raises(TypeError, match="has kernels for each of its rules"):
        go.cuda_source(go.chain(go.clip(1.0), go.partition({"*": go.SGD()})))


def test_decay_needs_a_learning_rate() -> None:
    class Sign(go.Rule):
        def update(self, t: Any, p: Any, g: Any) -> Any:
            return p - np.sign(g)

    with pytest.raises(TypeError, match="decoupled_weight_decay needs a rule with lr, got Sign"):
        go.chain(Sign(), go.decoupled_weight_decay(0.1)).init(np.zeros(1))
    for piece in go.trust_ratio(), go.update_clip():
        with pytest.raises(TypeError, match=r"needs a rule with lr, got Sign: write gpuopt\.chain\("):
            go.chain(Sign(), piece).init(np.zeros(1))


def test_what_makes_a_parameter_complex_is_named() -> None:
    class turned(go.StepPiece):
        def update(self, t: Any, p: Any, step: Any) -> Any:
            return 1j * step

    class turned_back(go.StepPiece):
        def update(self, t: Any, p: Any, step: Any) -> Any:
            return step.imag

    with pytest.raises(go.TraceError, match=r"turned\.update gives a complex parameter for a real one: take its \.real"):
        go.chain(go.SGD(), turned(), go.average()).init(np.ones(1))
    go.chain(go.SGD(), turned(), turned_back()).init(np.ones(1))

    class spun(go.GradientPiece):
        def update(self, t: Any, p: Any, g: Any) -> Any:
            return 1j * g

    with pytest.raises(go.TraceError, match=r"spun\.update gives a complex gradient for a real one: take its \.real"):
        go.chain(spun(), go.SGD()).init(np.ones(1))


@pytest.mark.parametrize("piece", [go.trust_ratio(), go.update_clip(), go.cautious()])
def test_a_warmup_may_begin_at_0(piece: Any, executor: str, xp: Any) -> None:
    p = xp.ones(3)
    opt = go.chain(go.SGD(lambda step: 0.5 * step), piece).init(p)
    opt.step(xp.ones(3))
    assert (p == 1).all()
    opt.step(xp.ones(3))
    assert (p == 0.5).all()


def test_what_was_bound_stays_bound_when_the_dict_changes() -> None:
    hyper: Any = {"lr": [np.full(1, 2.0)]}
    opt = go.SGD(1.0).init([np.zeros(1)], hyper)
    hyper["lr"][0] = np.full(1, 6.0)
    for each in (opt, copy.deepcopy(opt)):
        each.step([np.ones(1)])
        assert each.params[0][0] == -2.0
        each.params[0][...] = 0
