"""Pieces that change the gradient before the rule sees it, simplest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np

from gpuopt.rules.noise import standard_normal
from gpuopt.rules.paths import matches
from gpuopt.rules.piece import GradientPiece
from gpuopt.rules.ranges import Hyper, HyperValue, NonNegative, Positive, Range
from gpuopt.rules.reductions import tree_max, tree_norm
from gpuopt.rules.rule import abs2

__all__ = [
    "LossScale",
    "accumulate",
    "centralize",
    "clip",
    "clip_global_norm",
    "clip_norm",
    "freeze",
    "gradient_noise",
    "maximize",
    "scale",
    "skip_nonfinite",
    "weight_decay",
]


class maximize(GradientPiece):
    """Ascend instead of descending: ``g ← -g``. Before `weight_decay`, decay still shrinks."""

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return -g


class scale(GradientPiece):
    """Multiply the gradient: ``g ← factor·g``. With an array for `factor`, a mask or a diagonal
    preconditioner.

    Parameters
    ----------
    factor : float or schedule
        Any finite number.
    """

    factor: Hyper

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return self.factor * g


class weight_decay(GradientPiece):
    """Weight decay coupled with the gradient, the gradient of an L2 penalty: ``g ← g +
    weight_decay·p``.

    Parameters
    ----------
    weight_decay : float or schedule
        At least 0.
    """

    weight_decay: NonNegative

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return g + self.weight_decay * p


class clip(GradientPiece):
    """Clip every element: into ``[-value, value]``; a complex one to the modulus `value`, its phase
    kept.

    Parameters
    ----------
    value : float or schedule
        Greater than 0. NaN stays NaN. An infinite complex number has no phase and becomes NaN.
    """

    value: Positive

    def update(self, t: Any, p: Any, g: Any) -> Any:
        if np.iscomplexobj(g):
            size = np.maximum(np.abs(g.real), np.abs(g.imag))
            size = np.where(size > 0, size, 1.0)
            scaled = g / size  # whose modulus does not overflow
            return np.where(
                np.abs(scaled) * size <= self.value, g, scaled * (self.value / np.abs(scaled))
            )
        return np.clip(g, -self.value, self.value)


class clip_norm(GradientPiece):
    """Clip the norm of each array (Pascanu et al. 2013): ``g ← g·min(1, max_norm/(‖g‖ + eps))``.

    Parameters
    ----------
    max_norm : float or schedule
        Greater than 0.
    eps : float or schedule
        At least 0; 1e-6 as in PyTorch.
    """

    max_norm: Positive
    eps: NonNegative = 1e-6

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return _shortened(g, np.sqrt(np.sum(abs2(g))), self.max_norm, self.eps)


class clip_global_norm(GradientPiece):
    """Clip the norm of all arrays together (Pascanu et al. 2013): ``g ← g·min(1, max_norm/(‖all g‖
    + eps))``.

    PyTorch's ``clip_grad_norm_``; optax's ``clip_by_global_norm`` is ``eps=0.0``. If the norm is
    not finite, for example because squares overflow (beyond 1.8e19 in float32), every gradient
    becomes 0 or NaN. `skip_nonfinite` before it skips gradients that are not finite themselves.

    Parameters
    ----------
    max_norm : float or schedule
        Greater than 0.
    eps : float or schedule
        At least 0; 1e-6 as in PyTorch.
    """

    max_norm: Positive
    eps: NonNegative = 1e-6

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return _shortened(g, tree_norm(g), self.max_norm, self.eps)


def _shortened(g: Any, norm: Any, max_norm: Any, eps: Any) -> Any:
    """The gradient with that norm, scaled down to `max_norm` if it is longer."""
    return np.minimum(max_norm / (norm + eps), 1.0) * g


class centralize(GradientPiece):
    """Gradient centralization (Yong et al. 2020) of each array as a whole: ``g ← g - mean(g)``.

    The paper, and optax, take the mean of each slice along the first axis, and leave vectors
    unchanged.
    """

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return g - np.mean(g)


class accumulate(GradientPiece):
    """The mean of `k` gradients: the rest of the chain acts, and counts, every `k`-th step.

    Parameters
    ----------
    k : int
        The number of gradients, at least 1.
    """

    k: int

    def check(self) -> None:
        if self.k < 1:
            raise ValueError(f"accumulate: k must be at least 1, got {self.k!r}")

    def steps(self, t: Any) -> Any:
        return t // self.k

    def update(self, t: Any, p: Any, g: Any, total: Any = 0.0) -> Any:
        total = np.where((t - 1) % self.k == 0, g, total + g)
        return (1.0 / self.k) * total, total


class skip_nonfinite(GradientPiece):
    """Skip the step if the gradient of any array holds an infinity or NaN.

    Parameters, state and counts stay as they were, bit for bit. A GPU decides by itself: nothing
    waits.
    """

    def accept(self, t: Any, p: Any, g: Any) -> Any:
        return _finite(g)

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return g


def _finite(g: Any) -> Any:
    """Whether the gradients of all arrays are finite."""
    return (
        tree_max(np.maximum(np.abs(g.real), np.abs(g.imag)) if np.iscomplexobj(g) else np.abs(g))
        < np.inf
    )


class LossScale(GradientPiece):
    """Dynamic loss scaling (Micikevicius et al. 2018), with the rule of PyTorch's ``GradScaler``:
    ``g ← g/scale``.

    For float16, where small gradients vanish: multiply the loss by `Optimizer.loss_scale` before
    the backward pass, and this piece divides the gradients by it. If the gradient of any array
    holds an infinity or NaN, the step is skipped as by `skip_nonfinite`, and the scale is
    multiplied by `backoff`, down to 1. After `interval` other steps in a row it is multiplied by
    `growth`. A GPU decides all that by itself: nothing waits. It stands first in a chain, so that
    the others see unscaled gradients.

    Parameters
    ----------
    initial : float
        The scale of the first step, at least 1, within the range of float32.
    growth : float or schedule
        Greater than 1. A scale that float32 cannot hold does not grow.
    backoff : float or schedule
        Between 0 and 1.
    interval : int
        From 1 to 2**24.
    """

    initial: Annotated[float, Range("a finite number >= 1", low=1.0)] = 65536.0
    growth: Annotated[HyperValue, Range("a finite number > 1", low=1.0, open_low=True)] = 2.0
    backoff: Annotated[
        HyperValue, Range("a number between 0 and 1", low=0.0, high=1.0, open_low=True)
    ] = 0.5
    interval: int = 2000
    scale: ClassVar[Any]
    good: ClassVar[Any]

    def check(self) -> None:
        if callable(self.initial):
            raise TypeError(
                "LossScale: initial must be a number, as it is that of the first step, got "
                f"{self.initial!r}"
            )
        if self.initial >= _BEYOND_FLOAT32:
            raise ValueError(
                "LossScale: initial must be a number that float32 can hold, at most 3.4e38, got "
                f"{self.initial!r}"
            )
        if not 1 <= self.interval <= 2**24:
            raise ValueError(f"LossScale: interval must be from 1 to 2**24, got {self.interval!r}")

    def numbers(self) -> dict[str, Any]:
        return {"scale": self.initial, "good": 0.0}

    def accept(self, t: Any, p: Any, g: Any) -> Any:
        return _finite(g)

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return g / self.scale

    def adapt(self, p: Any, g: Any, accepted: Any) -> Any:
        good = self.good + 1
        larger = self.scale * self.growth
        grown = np.where((good >= self.interval) & (larger < _BEYOND_FLOAT32), larger, self.scale)
        scale = np.where(accepted, grown, np.maximum(self.scale * self.backoff, 1.0))
        return scale, np.where(accepted & (good < self.interval), good, 0.0)


_BEYOND_FLOAT32 = 2.0**128 - 2.0**103
"""The smallest number that float32 rounds to an infinity."""


class gradient_noise(GradientPiece):
    """Add normal noise of variance ``eta / t**gamma`` to every element (each complex part).

    Neelakantan et al. 2015. The noise depends only on the seed, the step `t`, the array's place in
    the tree and the element's index: it is the same on every executor, in every layout, and in a
    resumed run.

    Parameters
    ----------
    eta : float or schedule
        Variance at the first step, at least 0.
    gamma : float or schedule
        Exponent of its decrease, at least 0.
    seed : int
        From 0 to 2**32 - 1. Two in one chain need two seeds, or their noise is the same.
    """

    eta: NonNegative = 0.01
    gamma: NonNegative = 0.55
    seed: int = 0

    def check(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"gradient_noise: seed must be from 0 to 2**32 - 1, got {self.seed!r}")

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return g + (self.eta / t**self.gamma) ** 0.5 * standard_normal(g, self.seed, t)


class freeze(GradientPiece):
    """Leave some arrays unchanged: they have no state, and their gradients may be None.

    Parameters
    ----------
    pattern : str
        Of the arrays' paths, as for `partition`; it must match at least one.
    """

    pattern: str

    def holds(self, paths: Sequence[str]) -> list[bool]:
        """Whether each path's array is frozen."""
        found = [matches(self.pattern, path) for path in paths]
        if not any(found):
            raise ValueError(
                f"freeze: {self.pattern!r} matches no array; there are "
                f"{', '.join(map(repr, paths))}"
            )
        return found

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return g
