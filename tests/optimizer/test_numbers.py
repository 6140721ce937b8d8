"""Numbers of a piece move in steps that are made, and in those that the piece itself refused; in no other."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

import gpuopt as go

INF = np.inf


class running_clip(go.GradientPiece):
    """Clip the norm of all arrays to `factor` times its average so far."""

    factor: go.Positive = 2.0
    average: ClassVar[Any]
    seen: ClassVar[Any]

    def numbers(self) -> dict[str, float]:
        return {"average": 0.0, "seen": 0.0}

    def update(self, t: Any, p: Any, g: Any) -> Any:
        most = np.where(self.seen > 0, self.factor * self.average, INF)
        return np.minimum(1.0, most / go.tree_norm(g)) * g

    def adapt(self, p: Any, g: Any, accepted: Any) -> Any:
        return self.average + (go.tree_norm(g) - self.average) / (self.seen + 1), self.seen + 1


class counting(go.ParameterPiece):
    """A number of a piece behind the rule."""

    n: ClassVar[Any]

    def numbers(self) -> dict[str, float]:
        return {"n": 0.0}

    def update(self, t: Any, p: Any, new: Any) -> Any:
        return new

    def adapt(self, p: Any, new: Any, accepted: Any) -> Any:
        return (self.n + 1,)


class limit(go.GradientPiece):
    """Refuse gradients above a number, and count what it let pass and what it refused."""

    most: go.Positive
    passed: ClassVar[Any]
    refused: ClassVar[Any]

    def numbers(self) -> dict[str, float]:
        return {"passed": 0.0, "refused": 0.0}

    def accept(self, t: Any, p: Any, g: Any) -> Any:
        return go.tree_max(np.abs(g)) <= self.most

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return g

    def adapt(self, p: Any, g: Any, accepted: Any) -> Any:
        return np.where(accepted, self.passed + 1, self.passed), np.where(accepted, self.refused, self.refused + 1)


class NoSum(go.GradientPiece):
    """Each array refuses by itself."""

    def accept(self, t: Any, p: Any, g: Any) -> Any:
        return np.max(g) < 10

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return g


def after(xp: Any, rule: Any, gradients: list[Any], **options: Any) -> dict[str, float]:
    opt = rule.init([xp.zeros(2), xp.zeros(3)], **options)
    for g in gradients:
        a, b = g if isinstance(g, tuple) else (g, g)
        opt.step([xp.full(2, a), xp.full(3, b)])
    return {name: float(number) for name, number in opt.numbers.items()}


@pytest.mark.parametrize("options", [{}, {"capturable": True}], ids=["", "capturable"])
@pytest.mark.parametrize("place", ["before", "behind"])
def test_a_step_that_another_piece_refused(executor: str, xp: Any, place: str, options: Any) -> None:
    pieces = (go.skip_nonfinite(), running_clip()) if place == "before" else (running_clip(), go.skip_nonfinite())
    rule = go.chain(*pieces, go.SGD(1.0), counting())
    found = after(xp, rule, [3.0, INF, 5.0, np.nan, 4.0], **options)
    assert found == after(xp, rule, [3.0, 5.0, 4.0], **options)
    assert found["counting.n"] == found["running_clip.seen"] == 3.0


def test_two_pieces_that_refuse(executor: str, xp: Any) -> None:
    """Each counts its own refusals, also where both refuse, and neither those of the other."""
    found = after(xp, go.chain(limit(5.0), limit(3.0), go.SGD()), [1.0, 4.0, 6.0, 2.0])
    assert found == {"limit.passed": 2.0, "limit.refused": 1.0, "limit_2.passed": 2.0, "limit_2.refused": 2.0}


def test_a_loss_scale_and_an_average(executor: str, xp: Any) -> None:
    """The overflow that the scale is there for does not reach the average."""
    rule = go.chain(go.LossScale(8.0, interval=2), running_clip(), go.SGD(0.1), counting())
    found = after(xp, rule, [8.0, INF, 4.0, 4.0])
    assert (found["LossScale.scale"], found["LossScale.good"]) == (8.0, 0.0)
    assert (found["counting.n"], found["running_clip.seen"]) == (3.0, 3.0)
    assert found["running_clip.average"] == pytest.approx(np.sqrt(5))


def test_a_step_that_one_array_makes(executor: str, xp: Any) -> None:
    """It is a step; without any it is none."""
    rule = go.chain(NoSum(), go.SGD(), counting())
    assert after(xp, rule, [(1.0, 20.0), (20.0, 20.0), (1.0, 1.0)]) == {"counting.n": 2.0}


class many(counting):
    """A count that float32 could not go on with."""

    def numbers(self) -> dict[str, float]:
        return {"n": 2.0**24}


@pytest.mark.parametrize("options", [{}, {"capturable": True}], ids=["", "capturable"])
def test_a_large_count_goes_on(executor: str, xp: Any, options: Any) -> None:
    assert after(xp, go.chain(go.SGD(), many()), [1.0] * 3, **options) == {"many.n": 2.0**24 + 3}
