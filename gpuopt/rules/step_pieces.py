"""Gradient pieces that decide when the rest of a chain acts, and on which arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np

from gpuopt.rules.paths import matching
from gpuopt.rules.piece import GradientPiece
from gpuopt.rules.ranges import HyperValue, Range
from gpuopt.rules.reductions import tree_max

__all__ = ["LossScale", "accumulate", "freeze", "skip_nonfinite"]


class accumulate(GradientPiece):
    """Pass on the mean of `k` gradients: the rest of the chain acts, and counts, in every `k`-th
    step.

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
    """Skip the step if the gradient of any array contains an infinity or NaN.

    Parameters, state and counts stay unchanged, bit for bit. A GPU decides by itself, so nothing
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

    In float16, small gradients vanish. Multiply the loss by `Optimizer.loss_scale` before the
    backward pass, and this piece divides the gradients by it. If the gradient of any array contains
    an infinity or NaN, the step is skipped, as by `skip_nonfinite`, and the scale is multiplied by
    `backoff`, down to 1. After `interval` accepted steps in a row, the scale is multiplied by
    `growth`. A GPU decides this by itself, so nothing waits. Put this piece first in a chain, so
    that the other pieces see unscaled gradients.

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
    _takes_arrays: ClassVar[bool] = False
    scale: ClassVar[Any]
    good: ClassVar[Any]
    _number_ranges: ClassVar[dict[str, Range]] = {
        "scale": Range("a finite number >= 1", low=1.0, narrow=True),
        "good": Range("a whole number from 0 to 2**24", low=0.0, high=2.0**24 + 1, whole=True),
    }

    def check(self) -> None:
        if callable(self.initial):
            raise TypeError(
                "LossScale: initial must be a number, not a schedule, because only the first step "
                f"reads it, got {self.initial!r}"
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


class freeze(GradientPiece):
    """Leave some arrays unchanged. They have no state, and their gradients may be None.

    Parameters
    ----------
    pattern : str
        A pattern of the arrays' paths, as in `partition`. It must match at least one.
    """

    pattern: str

    def holds(self, paths: Sequence[str]) -> list[bool]:
        """Whether each path's array is frozen."""
        return matching(self.pattern, paths, "freeze")

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return g
