"""Right code of a user: rules and pieces with every hook, annotated in several ways. It runs, and no type checker objects."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import gpuopt as go

Array = NDArray[np.float64]


class Lion(go.Rule):
    lr: go.NonNegative = 1e-4
    _: KW_ONLY
    beta1: go.Decay = 0.9
    beta2: go.Decay = 0.99
    weight_decay: go.NonNegative = 0.0
    floor: go.Bound | None = None
    power: float = 1.0
    nesterov: bool = False
    mode: str = "sign"
    every: int = 1
    scale: ClassVar[float] = 1.0

    def check(self) -> None:
        fixed = isinstance(self.beta1, float) and isinstance(self.beta2, float)
        if self.every < 1 or (fixed and self.beta1 > self.beta2):
            raise ValueError("Lion: every must be at least 1, and beta1 not above beta2")

    def update(self, t: int, p: Array, g: Array, m: Any = 0.0) -> tuple[Array, Any]:
        share = 1 - self.beta1
        share = share * self.scale
        rate = self.lr
        rate = rate / math.sqrt(t) if self.nesterov else self.lr
        u = np.sign(self.beta1 * m + share * g)
        m = self.beta2 * m + (1 - self.beta2) * g
        if self.weight_decay:
            u = u + self.weight_decay * p
        if self.floor is not None:
            p = np.maximum(p, self.floor)
        return p - rate * self.power * u, m


class Adaptive(go.Rule):
    lr: go.NonNegative = 0.1
    beta: go.Decay = 0.9
    eps: go.Positive = 1e-8

    def update(self, t: Any, p: Any, g: Any, v: Any = 0.0) -> Any:
        v = self.beta * v + (1 - self.beta) * go.abs2(g)
        size = np.sqrt(go.debias(v, self.beta, t)) + self.eps
        bounded = np.minimum(self.lr / size, self.lr**0.5) * g
        noise = self.eps * go.standard_normal(g, 0, t)
        return p - np.clip(bounded, -self.lr, self.lr) + 0.0 * noise, v


class Anchored(go.Rule):
    lr: go.NonNegative = 0.01
    pull: go.NonNegative = 0.1

    def start(self, p: Array) -> tuple[Array]:
        return (p,)

    def update(self, t: int, p: Array, g: Array, origin: Array) -> tuple[Array, Array]:
        return p - self.lr * (g + self.pull * (p - origin)), origin


class trust_ratio(go.GradientPiece):
    eps: go.Positive = 1e-8

    def update(self, t: int, p: Array, g: Array) -> Array:
        size = np.linalg.norm(p)
        return np.where(size > 0, size / (np.linalg.norm(g) + self.eps), 1.0) * g


class shorten(go.GradientPiece):
    most: go.Positive

    def update(self, t: int, p: Array, g: Array) -> Array:
        factor = self.most / go.tree_norm(g)
        return g * np.where(factor < 1, factor, 1.0)


class skip_large(go.GradientPiece):
    limit: go.Positive

    def accept(self, t: Any, p: Any, g: Any) -> Any:
        return go.tree_norm(g) <= self.limit

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return g


class every(go.GradientPiece):
    k: int

    def steps(self, t: int) -> int:
        return t // self.k

    def update(self, t: int, p: Array, g: Array) -> Array:
        return g


class keep(go.GradientPiece):
    name: str

    def holds(self, paths: Sequence[str]) -> list[bool]:
        return [path == self.name for path in paths]

    def update(self, t: int, p: Array, g: Array) -> Array:
        return g


class running_clip(go.GradientPiece):
    factor: go.Positive = 2.0
    average: ClassVar[float]
    seen: ClassVar[float]

    def numbers(self) -> dict[str, float]:
        return {"average": 0.0, "seen": 0.0}

    def update(self, t: Any, p: Any, g: Any) -> Any:
        most = np.where(self.seen > 0, self.factor * self.average, np.inf)
        return np.minimum(1.0, most / go.tree_norm(g)) * g

    def adapt(self, p: Any, g: Any, accepted: Any) -> Any:
        return self.average + (go.tree_norm(g) - self.average) / (self.seen + 1), self.seen + 1


class shrink(go.ParameterPiece):
    penalty: go.NonNegative

    def update(self, t: int, p: Array, new: Array) -> Array:
        return np.sign(new) * np.maximum(np.abs(new) - self.rule.lr * self.penalty, 0.0)


class tail_average(go.ParameterPiece):
    skipped: int

    def start(self, p: Any) -> Any:
        return (p,)

    def update(self, t: Any, p: Any, new: Any, mean: Any) -> Any:
        return new, mean + (new - mean) / np.maximum(t - self.skipped, 1)

    def evaluation(self, p: Any, mean: Any) -> Any:
        return mean


x = np.ones(3)
opt = Lion(0.1, beta1=0.8, floor=-1).init(x)
opt.rule = dataclasses.replace(opt.rule, beta2=lambda step: 0.9, power=2.0)
opt.step(x)
Adaptive(lr=go.schedules.Cosine(0.1, 10)).init(x).step(np.ones(3))
Anchored(pull=1).init({"a": x})
front = (running_clip(), skip_large(10.0), every(2), keep("b"), trust_ratio())
chain = go.chain(*front, shorten(lambda step: 2.0), Lion(), shrink(1.0), tail_average(3))
chain.init({"a": np.ones(3), "b": np.ones(3)}).step({"a": np.ones(3), "b": None})
print(Adaptive(0.5).update(1, 3.0, -2.0), shrink(1.0).penalty, opt.rule.beta1 * 2, chain)
