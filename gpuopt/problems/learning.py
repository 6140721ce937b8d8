"""Means over examples with a known minimum: a regression, a network, alternating losses."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from gpuopt.problems.problem import Examples
from gpuopt.rules.elsewhere import by_known_names

__all__ = ["LogisticRegression", "Network", "Reddi"]


@by_known_names("gpuopt.problems.LogisticRegression(size=10)")
@dataclasses.dataclass(frozen=True)
class LogisticRegression(Examples):
    """``mean log(1 + exp(−y·(a·w))) + penalty·|w|²/2``, for random rows a with noisy labels y = ±1.

    It is convex and smooth. Newton's method finds the solution.

    Examples
    --------
    >>> import gpuopt as go
    >>> p = go.problems.LogisticRegression()
    >>> w = p.x0
    >>> history = go.fit(p, w, p.data, go.Adam(0.1), epochs=200)
    >>> float(p.fun(w)[0]) < p.minimum + 0.01
    True
    """

    count: int = 200
    size: int = 20
    penalty: float = 1e-3
    seed: int = 0

    @functools.cached_property
    def data(self) -> tuple[Any, Any]:
        rng = np.random.default_rng(self.seed)
        rows, right = rng.normal(size=(self.count, self.size)), rng.normal(size=self.size)
        labels = np.where(rows @ right + rng.normal(size=self.count) > 0, 1.0, -1.0)
        return self.array(rows), self.array(labels)

    @property
    def x0(self) -> Any:
        return self.array(np.zeros(self.size))

    @functools.cached_property
    def _solution(self) -> Any:
        rows, labels = (np.asarray(getattr(x, "get", lambda x=x: x)(), float) for x in self.data)
        w = np.zeros(self.size)
        for _ in range(30):
            likely = 1 / (1 + np.exp(labels * (rows @ w)))
            gradient = self.penalty * w - rows.T @ (labels * likely) / self.count
            curved = (rows.T * (likely * (1 - likely))) @ rows / self.count
            w -= np.linalg.solve(curved + self.penalty * np.eye(self.size), gradient)
        return self.array(w)

    @property
    def solution(self) -> Any:
        return self._solution.copy()

    def loss_and_grad(self, x: Any, rows: Any, labels: Any) -> tuple[Any, Any]:
        margin = labels * (rows @ x)
        loss = self.xp.logaddexp(0, -margin).mean() + self.penalty / 2 * (x @ x)
        slopes = labels / (1 + self.xp.exp(margin))
        return loss, self.penalty * x - rows.T @ slopes / len(labels)


@by_known_names("gpuopt.problems.Network(size=10)")
@dataclasses.dataclass(frozen=True)
class Network(Examples):
    """A small network that learns another one: ``mean |tanh(a·w1 + b1)·w2 − y|² / 2``.

    It is not convex. The values y are outputs of the other network, whose weights are the solution.
    The minimum is 0.
    """

    count: int = 128
    size: int = 4
    hidden: int = 8
    seed: int = 0

    @functools.cached_property
    def _made(self) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """The rows, the solution and the start, as arrays on the host."""
        rng = np.random.default_rng(self.seed)

        def drawn() -> dict[str, Any]:
            w1, b1 = rng.normal(size=(self.size, self.hidden)), rng.normal(size=self.hidden)
            return {"w1": w1, "b1": b1, "w2": rng.normal(size=self.hidden) / self.hidden**0.5}

        return rng.normal(size=(self.count, self.size)), drawn(), drawn()

    @property
    def x0(self) -> dict[str, Any]:
        return {name: self.array(value) for name, value in self._made[2].items()}

    @property
    def solution(self) -> dict[str, Any]:
        return {name: self.array(value) for name, value in self._made[1].items()}

    @functools.cached_property
    def data(self) -> tuple[Any, Any]:
        rows, x = self.array(self._made[0]), self.solution
        return rows, self.xp.tanh(rows @ x["w1"] + x["b1"]) @ x["w2"]

    def loss_and_grad(self, x: Any, rows: Any, values: Any) -> tuple[Any, Any]:
        h = self.xp.tanh(rows @ x["w1"] + x["b1"])
        off = (h @ x["w2"] - values) / len(values)
        back = off[:, None] * x["w2"] * (1 - h * h)
        gradient = {"w1": rows.T @ back, "b1": back.sum(axis=0), "w2": h.T @ off}
        return (off * off).sum() * len(values) / 2, gradient


@by_known_names("gpuopt.problems.Reddi(large=10.0)")
@dataclasses.dataclass(frozen=True)
class Reddi(Examples):
    """Losses with which Adam converges to the wrong end (Reddi, Kale and Kumar 2018, theorem 1).

    The loss is ``large·x`` in every third step and ``−x`` in the others, for x in [−1, 1], the
    `bounds`. The mean is smallest at −1. Adam with ``beta1=0`` and ``beta2=1/(1 + large²)`` divides
    the rare large gradient by its own size, and ends at 1. AMSGrad ends at −1. Use batches of one
    example, in the order of `data`.

    Examples
    --------
    >>> import gpuopt as go
    >>> p = go.problems.Reddi()
    >>> within = go.bounds(*p.bounds)
    >>> rates = go.schedules.InverseSquareRoot(0.1, steps=1)
    >>> for amsgrad in False, True:
    ...     rule = go.Adam(rates, beta1=0.0, beta2=0.1, bias_correction=False, amsgrad=amsgrad)
    ...     x, alone = p.x0, {"batch_size": 1, "shuffle": False, "epochs": 3000}
    ...     history = go.fit(p.loss_and_grad, x, p.data, go.chain(rule, within), **alone)
    ...     print(x.round())
    [1.]
    [-1.]
    """

    large: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.large, (int, float)) or not self.large > 2:
            raise ValueError(f"large must be a number above 2, got {self.large!r}")

    @property
    def x0(self) -> Any:
        return self.array([0.0])

    @property
    def solution(self) -> Any:
        return self.array([-1.0])

    @property
    def bounds(self) -> tuple[float, float]:
        return -1.0, 1.0

    @property
    def data(self) -> tuple[Any]:
        return (self.array([self.large, -1.0, -1.0]),)

    def loss_and_grad(self, x: Any, slopes: Any) -> tuple[Any, Any]:
        slope = slopes.mean()
        return slope * x[0], slope * self.xp.ones_like(x)
