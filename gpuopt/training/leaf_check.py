"""Compares the gradient of one array with differences, and names its mistake."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gpuopt.arrays.dtypes import COMPUTE
from gpuopt.arrays.tree import TreeSpec
from gpuopt.training.differences import Difference, Differences, along
from gpuopt.training.objective import Objective

__all__ = ["Leaf", "LeafCheck"]

_CLOSE = 1e-6, 3e-4
"""The relative error that a gradient in float64 and in float32 may have."""
_MENDED: dict[str, Callable[[Any], Any]] = {
    "conjugated": lambda g: g.conj(),
    "half": lambda g: 2 * g,
    "double": lambda g: g / 2,
    "negated": lambda g: -g,
    "transposed": lambda g: g.reshape(*g.shape[:-2], *g.shape[:-3:-1]).swapaxes(-1, -2),
}
"""What corrects a wrong gradient, by the name of its mistake."""


@dataclasses.dataclass(frozen=True)
class Leaf:
    """The result for one array."""

    path: str
    verdict: str
    error: float
    names: tuple[str, ...] = ()
    """The names of its mistakes, if they are known."""
    hidden: bool = False
    """Whether rounding hides the derivatives in all directions."""
    coarse: bool = False
    """Whether it is wrong in no known way, in float32: kinks would look the same."""


class LeafCheck:
    """Compares the gradient of one array with differences."""

    def __init__(
        self,
        objective: Objective,
        spec: TreeSpec,
        k: int,
        gradient: Any,
        rng: np.random.Generator,
        directions: int,
    ) -> None:
        self._path, self._x = f"x{spec.paths[k]}", spec.leaves[k]
        wide = complex if gradient.dtype.kind == "c" else float
        self._gradient = gradient.astype(wide)

        def value(array: Any) -> float:
            leaves = [array if place == k else leaf for place, leaf in enumerate(spec.leaves)]
            return float(objective(leaves)[0])

        self._differences = Differences(value, self._x, rng)
        eps = np.finfo(COMPUTE[gradient.dtype.name]).eps
        self._coarse = bool(max(eps, self._differences.eps) > 1e-10)
        self._close = _CLOSE[self._coarse]
        self._directions = [self._differences.direction() for _ in range(directions)]
        self._seen = [[self._differences.of(direction)] for direction in self._directions]

    def leaf(self) -> Leaf:
        fits = self._fits(self._gradient)
        found = [min(self._error(self._gradient, one)[0] for one in seen) for seen in self._seen]
        error = max((e for e in found if e < math.inf), default=0.0)
        if fits:
            return Leaf(self._path, "right", error, hidden=min(found) == math.inf)
        if not bool(self._gradient.any()):
            return Leaf(self._path, "missing", error)
        for names in self._conventions():
            mended = self._gradient
            for name in names:
                mended = _MENDED[name](mended)
            if self._fits(mended):
                verdict = names[0] if len(names) == 1 else "wrong"
                return Leaf(self._path, verdict, error, names)
        return Leaf(self._path, "wrong", error, coarse=self._coarse)

    def _conventions(self) -> Iterator[tuple[str, ...]]:
        """Single mistakes, then pairs of them, that can change such an array."""
        known = [
            name
            for name in _MENDED
            if (name != "conjugated" or self._gradient.dtype.kind == "c")
            and (name != "transposed" or (self._x.ndim > 1 and min(self._x.shape[-2:]) > 1))
        ]
        yield from itertools.combinations(known, 1)
        yield from itertools.combinations(known, 2)

    def _fits(self, gradient: Any) -> bool:
        """Whether a gradient agrees in every direction with a difference, if only a short one."""
        for direction, seen in zip(self._directions, self._seen, strict=True):
            if not any(self._error(gradient, one)[1] for one in seen):
                if len(seen) == 1:
                    seen.extend(self._differences.shorter(direction))
                if not any(self._error(gradient, one)[1] for one in seen[1:]):
                    return False
        return True

    def _error(self, gradient: Any, seen: Difference) -> tuple[float, bool]:
        """The relative error along a direction, and whether rounding may cause it.

        It is infinite if rounding hides the derivative.
        """
        said, size = along(gradient, seen.move)
        size, off = max(size, abs(seen.value)), abs(said - seen.value)
        fits = off <= self._close * size + seen.doubt
        return off / size if size and not (fits and seen.doubt > 0.1 * size) else math.inf, fits

    def farthest(self) -> tuple[int, ...]:
        """The element with the largest error, found by halving."""
        direction = self._differences.direction().reshape(-1)
        low, high = 0, direction.size
        while high - low > 1:
            middle = (low + high) // 2
            off = [self._off(direction, *half) for half in ((low, middle), (middle, high))]
            low, high = (low, middle) if off[0] > off[1] else (middle, high)
        return tuple(int(i) for i in np.unravel_index(low, self._x.shape))

    def _off(self, direction: Any, low: int, high: int) -> float:
        part = 0 * direction
        part[low:high] = direction[low:high]
        seen = self._differences.of(part.reshape(self._x.shape))
        return abs(along(self._gradient, seen.move)[0] - seen.value)
