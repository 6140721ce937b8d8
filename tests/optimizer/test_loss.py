"""The loss of a step: what reads it as ``self.loss``, and what is refused."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

import gpuopt as go
from gpuopt.optimizer.capture import graph
from tests.support.asked import asked, idle_device, on_device
from tests.support.optimizers import everything
from tests.support.refusals import refused, table
from tests.support.variants import on_host


@pytest.fixture(autouse=True)
def _loss() -> None:
    """Nothing is given to a step without a loss here."""


class Polyak(go.Rule):
    """The step of Polyak, of all arrays together, towards a minimum of 0."""

    lr: go.NonNegative = 1.0

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return p - np.minimum(self.lr, self.loss / go.tree_sum(g * g)) * g


class Following(go.Rule):
    """A rule without reductions, whose step is as long as its loss."""

    lr: go.NonNegative = 1.0

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return p - self.lr * self.loss * np.sign(g)


class below(go.GradientPiece):
    """Refuse a step whose loss is not below a number; keep the last loss that passed."""

    most: go.Hyper
    last: ClassVar[Any]

    def numbers(self) -> dict[str, float]:
        return {"last": 0.0}

    def accept(self, t: Any, p: Any, g: Any) -> Any:
        return self.loss < self.most

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return g

    def adapt(self, p: Any, g: Any, accepted: Any) -> Any:
        return (np.where(accepted, self.loss, self.last),)


def test_the_loss_of_each_step_is_read(xp: Any) -> None:
    """A number, NumPy's, or a 0-d array; it is another in each step."""
    for cls, dtype in ((Polyak, "f8"), (Following, "f4"), (Following, "f8")):
        x, expected = xp.array([1.0, -2.0, 4.0], dtype), np.array([1.0, -2.0, 4.0])
        opt = cls(0.5).init(x)
        for loss in (0.25, np.float32(2.0), xp.array(0.125, "f4"), xp.array(3), 1):
            g = 0.5 * x
            expected = expected - cls(0.5).with_loss(float(loss)).update(1, 0.0, 0.5 * expected) * -1.0
            opt.step(g, loss)
            np.testing.assert_allclose(on_host(x), expected, rtol=1e-6)


def test_who_reads_no_loss_may_be_given_one(xp: Any) -> None:
    x = xp.zeros(2)
    opt = go.SGD(1.0).init(x)
    opt.step(xp.ones(2), loss=xp.array(3.0))
    opt.step(xp.ones(2))
    assert x.tolist() == [-2.0, -2.0]


def test_pieces_and_numbers_read_it(xp: Any) -> None:
    x = xp.zeros(1)
    opt = go.chain(below(2.0), go.SGD(1.0)).init(x)
    for loss in (1.0, 3.0, np.nan, 1.5, np.inf):
        opt.step(xp.ones(1), loss)
    assert (x.tolist(), opt.t, float(opt.numbers["below.last"])) == ([-2.0], 2, 1.5)


def test_behind_accumulate_it_is_that_of_the_step_that_acts(xp: Any) -> None:
    x = xp.zeros(1)
    opt = go.chain(go.accumulate(2), Following()).init(x)
    for loss in (1.0, 2.0, 4.0, 8.0):
        opt.step(xp.ones(1), loss)
    assert x.tolist() == [-10.0]


def test_a_loss_that_is_no_number_is_the_users_own(xp: Any) -> None:
    """It goes where the formula takes it; only what is refused by a piece is not made."""
    x, y = xp.zeros(1), xp.zeros(1)
    Following().init(x).step(xp.ones(1), loss=np.nan)
    go.chain(go.skip_nonfinite(), Following()).init(y).step(xp.ones(1), loss=np.nan)
    assert np.isnan(on_host(x)).all()
    assert np.isnan(on_host(y)).all()


@table(
    ("missing", lambda opt: opt.step(np.ones(1)), ValueError, ("Following reads the loss", "opt.step(grads, loss=value)")),
    ("text", lambda opt: opt.step(np.ones(1), loss="low"), TypeError, ("loss must be a real number", "str 'low'")),
    ("truth", lambda opt: opt.step(np.ones(1), loss=True), TypeError, ("a real number", "bool True")),
    ("complex", lambda opt: opt.step(np.ones(1), loss=1j), TypeError, ("complex: pass loss.real",)),
    ("complex array", lambda opt: opt.step(np.ones(1), loss=np.array(1j)), TypeError, ("pass loss.real",)),
    ("one element", lambda opt: opt.step(np.ones(1), loss=np.ones(1)), TypeError, ("pass loss.reshape(())",)),
    ("several", lambda opt: opt.step(np.ones(1), loss=np.ones(3)), TypeError, ("of shape (3,)",)),
)
def test_what_is_refused(action: Any, error: Any, words: Any) -> None:
    opt = go.chain(go.clip(1.0), Following()).init(np.ones(1))
    before = everything(opt)
    refused(lambda: action(opt), error, words)
    assert everything(opt) == before


def test_a_loss_that_nobody_reads_is_checked_too() -> None:
    opt: Any = go.SGD().init(np.ones(1))
    with pytest.raises(TypeError, match="loss must be a real number"):
        opt.step(np.ones(1), loss="low")


def test_what_reads_it_in_a_partition_is_named() -> None:
    opt = go.partition({"a": go.SGD(), "b": go.chain(go.clip(1.0), Following())}).init({"a": np.ones(1), "b": np.ones(1)})
    with pytest.raises(ValueError, match="Following reads the loss"):
        opt.step({"a": np.ones(1), "b": np.ones(1)})


def test_by_hand_it_is_given_with_the_rule() -> None:
    rule = Following(0.5)
    assert rule.with_loss(3.0).update(1, 1.0, 2.0) == -0.5
    for method in (rule.update, below(1.0).accept):
        with pytest.raises(AttributeError, match=r"has no attribute 'loss': .*with_loss\(value\)\.update"):
            method(1, 1.0, 2.0)


def test_no_hyperparameter_is_called_so() -> None:
    with pytest.raises(TypeError, match="'loss' is a method of rules: give the hyperparameter another name"):

        class Own(go.Rule):
            loss: go.Hyper = 1.0  # type: ignore[misc]

            def update(self, t: Any, p: Any, g: Any) -> Any:
                return p - self.loss * g


def test_fit_and_minimize_pass_it(xp: Any) -> None:
    def loss_and_grad(x: Any, *_: Any) -> Any:
        return (x * x).sum(), 2 * x

    x, y = xp.array([1.0, -2.0]), xp.array([1.0, -2.0])
    go.fit(loss_and_grad, x, xp.zeros(4), Polyak(), batch_size=2, epochs=3)
    opt = Polyak().init(y)
    for _ in range(6):
        opt.step(2 * y, loss_and_grad(y)[0])
    found = go.minimize(loss_and_grad, xp.array([1.0, -2.0]), Polyak(), maxiter=6, check_every=3)
    assert x.tolist() == y.tolist() == found.x.tolist()


def test_a_captured_step_reads_it_in_each_replay(emulated_gpu: None) -> None:
    cp = pytest.importorskip("cupy")

    def loss_and_grad(params: Any, scale: Any) -> Any:
        return (params * params).sum() * scale, params * 2

    found = []
    for captured in (False, True):
        x, scale = cp.array([1.0, -2.0]), cp.array(1.0)
        opt = go.chain(below(9.0), Polyak(0.3)).init(x, capturable=True)
        step = graph(loss_and_grad, opt, scale) if captured else None
        for factor in (1.0, 0.1, 100.0, 0.2):
            scale[...] = factor
            if step is not None:
                step()
            else:
                loss, g = loss_and_grad(x, scale)
                opt.step(g, loss)
        found.append((x.tolist(), opt.t, float(opt.numbers["below.last"])))
    assert found[0] == found[1]
    assert found[0][1] == 3


def test_nothing_waits_for_it(emulated_gpu: None) -> None:
    """One more launch puts it where it is read; nobody reads it back."""
    with idle_device() as log:
        for rule, launches in ((Following(), 3), (go.SGD(), 1)):
            opt, g = rule.init([on_device(np.ones(3, "f4"))]), [on_device(np.ones(3, "f4"))]
            for loss in (on_device(np.array(2.0)), on_device(np.array(2.0, "f4")), 2.0):
                opt.step(g, loss)
                log.clear()
                opt.step(g, loss)
                counted = asked(log)
                assert counted.pop("launch", 0) + counted.pop("copy", 0) <= launches, (rule, loss)
                assert not counted
