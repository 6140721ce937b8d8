"""The demo's trainings: each rule in each way of updating, with settings that suit the two."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from gpuopt.arrays.backend import array_module, optional_import
from gpuopt.demo.network import accuracy, initial_params, loss_and_grad
from gpuopt.rules import Rule
from gpuopt.training.fit import fit
from gpuopt.training.history import History

RuleT = TypeVar("RuleT", bound=Rule)

__all__ = ["Run", "Way", "make_rule", "train"]

# Learning rates at which a rule trains well, by the way of updating: the noise of one example
# allows small steps only. A rule that is not listed takes its own default.
_STOCHASTIC = {
    "GradientDescent": 0.01,
    "Momentum": 0.01,
    "RMSProp": 5e-4,
    "Adam": 5e-4,
    "AdamW": 5e-4,
}
_MINI_BATCH = {
    "GradientDescent": 0.3,
    "Momentum": 0.5,
    "RMSProp": 0.003,
    "Adam": 0.005,
    "AdamW": 0.005,
}
_BATCH = {"GradientDescent": 1.0, "Momentum": 2.0, "RMSProp": 0.003, "Adam": 0.01, "AdamW": 0.01}


@dataclasses.dataclass(frozen=True)
class Way:
    """A way of updating: how many examples an update sees (None: all), for how many epochs, and
    suitable lr.
    """

    name: str
    batch_size: int | None
    epochs: int
    lr: dict[str, float] = dataclasses.field(repr=False)

    @classmethod
    def of(cls, batch_size: int | None) -> Way:
        """The way that a batch size makes."""
        if batch_size is None:
            return cls("batch", None, 400, _BATCH)
        if batch_size == 1:
            return cls("stochastic", 1, 10, _STOCHASTIC)
        return cls("mini-batch", batch_size, 40, _MINI_BATCH)

    def updates(self, examples: int) -> int:
        """Updates in an epoch."""
        return math.ceil(examples / (self.batch_size or examples))


@dataclasses.dataclass(frozen=True)
class Run:
    """One training and its results, or its failure if the loss stopped being finite."""

    way: Way
    rule: Rule
    executor: str
    history: History = dataclasses.field(default_factory=History)
    loss: float = math.nan
    accuracy: float = math.nan
    failure: str = ""

    @property
    def name(self) -> str:
        return type(self.rule).__name__


def make_rule(cls: type[RuleT], way: Way, lr: float | None) -> RuleT:
    """The rule with `lr`, or with the learning rate that suits the way of updating."""
    if lr is None:
        lr = way.lr.get(cls.__name__)
    return cls() if lr is None else cls(lr)


def train(
    way: Way,
    rule: Rule,
    seed: int,
    data: tuple[Any, Any],
    test: tuple[Any, Any],
    tick: Callable[[History], None],
) -> Run:
    """Train a new network on the device of the data, and test it; `tick` is called after each
    epoch.
    """
    xp = array_module(*data)
    # These matrices are too small to share: where other programs keep the cores busy, waiting for
    # BLAS's threads takes many times longer than the work. scikit-learn, which the digits come
    # from, brings threadpoolctl.
    one_thread = optional_import("threadpoolctl", "the demo").threadpool_limits(1, "blas")
    # A learning rate that is far too large is reported by the loss; NumPy's warnings on the way
    # there say no more.
    with one_thread, np.errstate(over="ignore", invalid="ignore"):
        # The first update compiles and loads what later ones reuse, which belongs to no run's
        # seconds.
        fit(loss_and_grad, initial_params(seed, xp), data, rule, batch_size=None, epochs=1)
        params = initial_params(seed, xp)
        optimizer = rule.init(params)
        try:
            history = fit(
                loss_and_grad,
                params,
                data,
                optimizer,
                way.batch_size,
                way.epochs,
                seed=seed,
                callback=tick,
            )
        except FloatingPointError as error:
            return Run(way, rule, optimizer.executor, failure=str(error))
        loss = float(loss_and_grad(params, *data)[0])
        return Run(way, rule, optimizer.executor, history, loss, accuracy(params, *test))
