"""Central differences of a function along directions, with their possible errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from gpuopt.arrays.backend import array_module
from gpuopt.arrays.dtypes import COMPUTE

__all__ = ["Difference", "Differences", "along"]

_FIRST, _SHRINK, _TRIED = 0.1, 4.0, 3
_SAFETY = 16.0
"""Rounding may be this many times its estimate."""


class Difference(NamedTuple):
    """A difference of two values, the move of the array between them, the possible error of the
    difference, and the part of the error that is rounding.
    """

    value: float
    move: Any
    doubt: float
    rounding: float


class Differences:
    """Differences of the function's value when one array moves and the others do not.

    A move is the one that remains after rounding to the array's dtype. The difference is therefore
    compared with the gradient times the real move.

    Parameters
    ----------
    value : callable
        The function's value for that array.
    x : array
    rng : numpy.random.Generator
        Draws the directions.
    """

    def __init__(self, value: Callable[[Any], float], x: Any, rng: np.random.Generator) -> None:
        self._value, self._x, self._rng = value, x, rng
        self._xp = array_module(x)
        self._wide = np.dtype(complex if x.dtype.kind == "c" else float)
        size = float(abs(x.astype(self._wide)).max()) if x.size else 0.0
        self._scale = size or 1.0
        self.eps = float(np.finfo(COMPUTE[x.dtype.name]).eps)
        self._noise = self._estimated_noise(self.direction())
        self._step, self._doubt = self._best_step([self.direction() for _ in range(_TRIED)])

    def direction(self) -> Any:
        """A random direction, scaled by the array's largest element."""
        parts = self._rng.normal(size=(2, *self._x.shape))
        values = parts[0] + 1j * parts[1] if self._wide.kind == "c" else parts[0]
        return self._xp.asarray(values * self._scale)

    def of(self, direction: Any) -> Difference:
        """The difference along `direction`, from moves of two lengths (Richardson)."""
        found = self._at(direction, self._step)
        return found._replace(doubt=max(found.doubt, self._doubt))

    def shorter(self, direction: Any) -> Iterator[Difference]:
        """The same with shorter moves, if rounding leaves enough of them: they avoid kinks that a
        longer move meets.
        """
        for part in (8, 64):
            found = self._at(direction, self._step / part)
            if found.rounding < 0.02 * abs(found.value):
                yield found

    def _at(self, direction: Any, step: float) -> Difference:
        """From moves of three lengths, because two may agree by chance."""
        (near, move, size), (far, longer, larger), (tiny, _, _) = (
            self._pair(direction, k * step) for k in (1, 2, 0.25)
        )
        rounding = _SAFETY * self._noise * max(size, larger)
        doubt = rounding + max(abs(near - far / 2), abs(near - 4 * tiny)) / 2
        return Difference((8 * near - far) / 6, (8 * move - longer) / 6, doubt, rounding)

    def _pair(self, direction: Any, step: float) -> tuple[float, Any, float]:
        """The difference of two values, the move between them, and their size."""
        ahead, behind = (self._moved(sign * step * direction) for sign in (1, -1))
        values = self._value(ahead), self._value(behind)
        move = ahead.astype(self._wide) - behind.astype(self._wide)
        return values[0] - values[1], move, max(map(abs, values))

    def _moved(self, move: Any) -> Any:
        return (self._x.astype(self._wide) + move).astype(self._x.dtype)

    def _estimated_noise(self, direction: Any) -> float:
        """The relative rounding of values, from fourth differences over tiny moves (Hamming 1971).

        It is at least that of one rounding.
        """
        tiny = 16 * self.eps
        values = np.array([self._value(self._moved(k * tiny * direction)) for k in range(9)])
        size = float(abs(values).max())
        noise = float(np.sqrt(np.mean(np.diff(values, 4) ** 2) / 70)) / size if size else 0.0
        return max(noise, self.eps / 2)

    def _best_step(self, directions: list[Any]) -> tuple[float, float]:
        """The step with the least relative doubt, and that doubt.

        Several directions decide, because one may agree with itself by chance.
        """
        best, least, step = (0.0, 0.0), math.inf, _FIRST
        while step > 8 * self.eps:
            found = [self._at(direction, step) for direction in directions]
            doubt = max(each.doubt for each in found)
            if doubt / step < least:
                best, least = (step, doubt), doubt / step
            if all(2 * each.rounding > each.doubt for each in found):
                break  # shorter steps have larger errors
            step /= _SHRINK
        if not best[0]:
            raise ValueError("fun is not finite near x: check the gradient where fun is finite")
        return best


def along(gradient: Any, move: Any) -> tuple[float, float]:
    """The change that a gradient predicts for a move, and the size of such changes."""
    product = gradient.conj() * move
    return float(product.real.sum()), math.sqrt(float((abs(product) ** 2).sum()))
