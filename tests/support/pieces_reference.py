"""Every piece, and three rules, in plain float64 NumPy: what chains are compared with.

Written from the definitions, with nothing of the library but the hyperparameters. A piece without a class here fails the
suite. A class acts on one array at a time, `one`, or on all, `every`; what has no value in a step (there was no gradient, or
a piece before holds it) is None, and is not counted.
"""

from __future__ import annotations

import copy
import fnmatch
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Values = list[Any]


class Skipped(Exception):
    """The step is not to be made."""


class Part:
    """A piece or a rule that keeps `state`, a list of arrays by name, and counts how often each array came by."""

    def __init__(self, made: Any, params: Values) -> None:
        self.made, self.lr, self.t = made, 0.0, [0] * len(params)
        self.digits, self.g = [0] * len(params), list(params)
        self.state: dict[str, Values] = {name: [0.0 * p for p in params] for name in self.names()}

    def names(self) -> Sequence[str]:
        """The states, which start at 0."""
        return ()

    def every(self, p: Values, x: Values) -> Values:
        self.t = [t + (value is not None) for t, value in zip(self.t, x, strict=True)]
        return [None if value is None else self.one(i, p[i], value) for i, value in enumerate(x)]

    def one(self, i: int, p: Any, x: Any) -> Any:
        return x

    def evaluation(self, i: int, p: Any) -> Any:
        return p

    def after(self, made: bool) -> None:
        """The step was made, or skipped because a gradient is not finite."""


class GradientDescent(Part):
    def one(self, i: int, p: Any, x: Any) -> Any:
        return p - self.made.lr * x


class Momentum(Part):
    """The moving average, without Nesterov's look ahead."""

    def names(self) -> Sequence[str]:
        return ("v",)

    def one(self, i: int, p: Any, x: Any) -> Any:
        v = self.state["v"][i] = self.made.beta * self.state["v"][i] + (1 - self.made.beta) * x
        return p - self.made.lr * v


class Adam(Part):
    def names(self) -> Sequence[str]:
        return ("m", "v")

    def one(self, i: int, p: Any, x: Any) -> Any:
        made, t = self.made, self.t[i]
        m = self.state["m"][i] = made.beta1 * self.state["m"][i] + (1 - made.beta1) * x
        v = self.state["v"][i] = made.beta2 * self.state["v"][i].real + (1 - made.beta2) * np.abs(x) ** 2
        return p - made.lr * (m / (1 - made.beta1**t)) / (np.sqrt(v / (1 - made.beta2**t)) + made.eps)


class Maximize(Part):
    def one(self, i: int, p: Any, x: Any) -> Any:
        return -x


class Scale(Part):
    def one(self, i: int, p: Any, x: Any) -> Any:
        return x * self.made.factor


class WeightDecay(Part):
    def one(self, i: int, p: Any, x: Any) -> Any:
        return x + self.made.weight_decay * p


class Clip(Part):
    def one(self, i: int, p: Any, x: Any) -> Any:
        size = np.abs(x)
        return np.where(size <= self.made.value, x, x / np.where(size > 0, size, 1.0) * self.made.value)


class ClipNorm(Part):
    def one(self, i: int, p: Any, x: Any) -> Any:
        return x * _shrink(self.made, math.sqrt(_square(x)))


class ClipGlobalNorm(Part):
    def every(self, p: Values, x: Values) -> Values:
        factor = _shrink(self.made, math.sqrt(sum(_square(value) for value in x if value is not None)))
        return [None if value is None else value * factor for value in x]


class Centralize(Part):
    def one(self, i: int, p: Any, x: Any) -> Any:
        return x - x.sum() / x.size if x.size else x


class Accumulate(Part):
    def names(self) -> Sequence[str]:
        return ("total",)

    def one(self, i: int, p: Any, x: Any) -> Any:
        place = (self.t[i] - 1) % self.made.k
        total = self.state["total"][i] = x if place == 0 else self.state["total"][i] + x
        return total / self.made.k if place == self.made.k - 1 else None


class SkipNonfinite(Part):
    def every(self, p: Values, x: Values) -> Values:
        if not all(np.isfinite(value).all() for value in x if value is not None):
            raise Skipped
        return x


class LossScale(Part):
    """The rule of ``torch.amp.GradScaler``, but never below 1."""

    def __init__(self, made: Any, params: Values) -> None:
        super().__init__(made, params)
        self.scale, self.good = float(np.float32(made.initial)), 0

    def every(self, p: Values, x: Values) -> Values:
        if not all(np.isfinite(value).all() for value in x if value is not None):
            raise Skipped
        return [None if value is None else value / self.scale for value in x]

    def after(self, made: bool) -> None:
        if not made:
            self.scale, self.good = float(np.float32(max(self.scale * self.made.backoff, 1.0))), 0
            return
        self.good += 1
        if self.good == self.made.interval:
            with np.errstate(over="ignore"):
                larger = float(np.float32(self.scale * self.made.growth))
            self.scale, self.good = larger if math.isfinite(larger) else self.scale, 0


class GradientNoise(Part):
    """SplitMix64 (Steele, Lea & Flood 2014), begun anew for each seed, step, array and stream, then Box & Muller (1958)."""

    def one(self, i: int, p: Any, x: Any) -> Any:
        spread = math.sqrt(self.made.eta / self.t[i] ** self.made.gamma)
        noise = [self.normal(i, index) for index in range(x.size)]
        values = np.array(noise, complex).reshape(x.shape)
        return x + spread * (values if np.iscomplexobj(x) else values.real)

    def normal(self, i: int, index: int) -> complex:
        first, second = (self.uniform(i, stream, index) for stream in (0, 1))
        return math.sqrt(-2 * math.log(first)) * complex(-math.cos(2 * math.pi * second), math.sin(2 * math.pi * second))

    def uniform(self, i: int, stream: int, index: int) -> float:
        """A number in the middle of one of the intervals that the dtype's digits divide (0, 1) into."""
        state = self.made.seed + (self.t[i] << 32)
        for number in (0, i, stream, index):
            state = _splitmix(state, number + 1)
        digits = self.digits[i]
        return float(((state >> (64 - digits)) + 0.5) / 2**digits)


class Freeze(Part):
    """What it holds, `Reference.step` leaves out from the start."""


class DecoupledWeightDecay(Part):
    def one(self, i: int, p: Any, x: Any) -> Any:
        return x - self.lr * self.made.weight_decay * p


class Bounds(Part):
    def one(self, i: int, p: Any, x: Any) -> Any:
        lo = -math.inf if self.made.lo is None else self.made.lo
        hi = math.inf if self.made.hi is None else self.made.hi
        return np.minimum(np.maximum(x, lo), hi)


class Nonnegative(Part):
    def one(self, i: int, p: Any, x: Any) -> Any:
        return np.where(x > 0, x, 0.0)


class Disk(Part):
    def one(self, i: int, p: Any, x: Any) -> Any:
        size = np.abs(x)
        return x * (self.made.radius / np.where(size > self.made.radius, size, self.made.radius))


class UnitModulus(Part):
    def one(self, i: int, p: Any, x: Any) -> Any:
        size = np.abs(x)
        return np.where(size == 0, 1.0, x / np.where(size == 0, 1.0, size))


class Support(Part):
    def one(self, i: int, p: Any, x: Any) -> Any:
        return x * (self.made.mask != 0)


class L1(Part):
    """Behind a step with one learning rate for all elements."""

    def one(self, i: int, p: Any, x: Any) -> Any:
        size, most = np.abs(x), self.lr * self.made.weight
        return x * (np.maximum(size - most, 0.0) / np.where(size == 0, 1.0, size))


class Average(Part):
    def __init__(self, made: Any, params: Values) -> None:
        super().__init__(made, params)
        self.state = {"mean": [p.copy() for p in params]}

    def one(self, i: int, p: Any, x: Any) -> Any:
        t, mean, decay = self.t[i], self.state["mean"][i], self.made.decay
        if t == 1:
            self.state["mean"][i] = x
        else:
            self.state["mean"][i] = (mean * (t - 1) + x) / t if decay is None else decay * mean + (1 - decay) * x
        return x

    def evaluation(self, i: int, p: Any) -> Any:
        return self.state["mean"][i]


class Lookahead(Part):
    def __init__(self, made: Any, params: Values) -> None:
        super().__init__(made, params)
        self.state = {"slow": [p.copy() for p in params]}

    def one(self, i: int, p: Any, x: Any) -> Any:
        if self.t[i] % self.made.k:
            return x
        slow = self.state["slow"][i]
        self.state["slow"][i] = (1 - self.made.alpha) * slow + self.made.alpha * x
        return self.state["slow"][i]

    def evaluation(self, i: int, p: Any) -> Any:
        return self.state["slow"][i]


class TrustRatio(Part):
    def one(self, i: int, p: Any, x: Any) -> Any:
        size, length = math.sqrt(_square(p)), math.sqrt(_square(p - x)) / self.lr
        return p - (size / (length + self.made.eps) if size > 0 and length > 0 else 1.0) * (p - x)


class Cautious(Part):
    def one(self, i: int, p: Any, x: Any) -> Any:
        down = ((p - x) * np.conj(self.g[i])).real > 0
        return p - np.where(down, p - x, 0.0) / max(float(np.mean(down)) if down.size else 0.0, 0.001)


class UpdateClip(Part):
    def one(self, i: int, p: Any, x: Any) -> Any:
        root = math.sqrt(_square(p - x) / max(p.size, 1))
        return p - (p - x) * min(1.0, self.lr * self.made.d / root if root else 1.0)


PARTS: dict[str, type[Part]] = {
    "cautious": Cautious,
    "trust_ratio": TrustRatio,
    "update_clip": UpdateClip,
    "accumulate": Accumulate,
    "average": Average,
    "bounds": Bounds,
    "centralize": Centralize,
    "clip": Clip,
    "clip_global_norm": ClipGlobalNorm,
    "clip_norm": ClipNorm,
    "disk": Disk,
    "l1": L1,
    "nonnegative": Nonnegative,
    "support": Support,
    "unit_modulus": UnitModulus,
    "decoupled_weight_decay": DecoupledWeightDecay,
    "freeze": Freeze,
    "gradient_noise": GradientNoise,
    "lookahead": Lookahead,
    "LossScale": LossScale,
    "maximize": Maximize,
    "scale": Scale,
    "skip_nonfinite": SkipNonfinite,
    "weight_decay": WeightDecay,
}
RULES: dict[str, type[Part]] = {"Adam": Adam, "GradientDescent": GradientDescent, "Momentum": Momentum}


class Reference:
    """A chain bound to a list of arrays, which it replaces by new ones at each step."""

    def __init__(self, pieces: Sequence[Any], params: Values) -> None:
        self.p = [np.asarray(p).astype(complex if np.iscomplexobj(p) else float) for p in params]
        self.parts = [(PARTS | RULES)[type(made).__name__](made, self.p) for made in pieces]
        lr = next(made.lr for made in pieces if type(made).__name__ in RULES)
        for part in self.parts:
            part.lr, part.digits = lr, [52 if np.asarray(p).real.dtype == np.float64 else 23 for p in params]
        patterns = [made.pattern for made in pieces if type(made).__name__ == "freeze"]
        self.frozen = [any(fnmatch.fnmatchcase(str(i), pattern) for pattern in patterns) for i in range(len(params))]

    def step(self, grads: Values) -> None:
        before = copy.deepcopy((self.p, self.parts))
        given = zip(grads, self.frozen, self.p, strict=True)
        x = [None if g is None or held else np.asarray(g).astype(p.dtype) for g, held, p in given]
        try:
            for part in self.parts:
                if type(part.made).__name__ in RULES:
                    for other in self.parts:
                        other.g = x
                x = part.every(self.p, x)
        except Skipped:
            self.p, self.parts = before
            for part in self.parts:
                part.after(False)
            return
        if any(g is not None and not held for g, held in zip(grads, self.frozen, strict=True)):
            for part in self.parts:
                part.after(True)
        self.p = [old if new is None else new for old, new in zip(self.p, x, strict=True)]

    def evaluation(self) -> Values:
        found = list(self.p)
        for part in self.parts:
            found = [p if held else part.evaluation(i, p) for i, (p, held) in enumerate(zip(found, self.frozen, strict=True))]
        return found

    @property
    def state(self) -> dict[str, Values]:
        """By the names that an optimizer has, of chains without a second piece of a kind."""
        held = [type(part.made).__name__ for part in self.parts]
        named = [("" if name in RULES else f"{name}_", part.state) for name, part in zip(held, self.parts, strict=True)]
        return {
            prefix + name: [None if frozen else v for v, frozen in zip(values, self.frozen, strict=True)]
            for prefix, state in named
            for name, values in state.items()
        }


def _splitmix(state: int, number: int) -> int:
    """The `number`-th output of SplitMix64 that begins at `state`."""
    z = (state + number * 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def _square(x: Any) -> float:
    return float((np.abs(x) ** 2).sum())


def _shrink(made: Any, norm: float) -> float:
    return min(1.0, made.max_norm / (norm + made.eps)) if norm + made.eps > 0 else 1.0
