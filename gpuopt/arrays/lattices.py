"""Distinguishes arrays that interleave in memory, such as the columns of a matrix: many at once.

The elements of a column lie at one place of each row. Seen modulo the length of a row, the bytes of
a column are a short interval, and two columns are apart where their intervals are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Lattices"]


class Lattices:
    """Each array by a modulus, and the interval that its bytes are in, modulo that.

    Parameters
    ----------
    arrays : list of tuple
        The first address and the array of each.
    """

    def __init__(self, arrays: list[tuple[int, Any]]) -> None:
        found = [_lattice(array) for _, array in arrays]
        self._lows = np.array([low for low, _ in arrays], np.int64)
        self._moduli, self._widths = np.array(found, np.int64).reshape(-1, 2).T

    def apart_from(self, array: Any, low: int, which: slice) -> np.ndarray[Any, Any]:
        """Which of some arrays surely have no byte in common with `array`, which begins at `low`.

        It is compared with each by that one's modulus.
        """
        modulus = self._moduli[which]
        width = np.full(len(modulus), array.itemsize, np.int64)
        for stride, length in _steps(array):
            width += np.where(stride % modulus == 0, 0, stride * (length - 1))
        behind = (self._lows[which] - low) % modulus
        ahead = (modulus - behind) % modulus
        return (behind >= width) & (ahead >= self._widths[which])


def _steps(array: Any) -> list[tuple[int, int]]:
    """The strides, without signs, and lengths along which there are several elements."""
    pairs = zip(array.strides, array.shape, strict=True)
    return sorted((abs(stride), length) for stride, length in pairs if length > 1)


def _lattice(array: Any) -> tuple[int, int]:
    """The stride by which the bytes of an array fill the smallest share of it, and how many bytes
    that is; 1 and 1 if they fill it for every stride.
    """
    steps, best = _steps(array), (1, 1)
    for modulus in {stride for stride, _ in steps} - {0}:
        width = array.itemsize + sum(s * (n - 1) for s, n in steps if s % modulus)
        if width * best[0] < best[1] * modulus:
            best = modulus, width
    return best
