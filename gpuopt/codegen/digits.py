"""Parts of numbers by their bits, from which powers of arrays are computed: for tiles, and for
Numba.

``upper`` clears the lower half of the digits, so that products of two results are exact;
``exponent`` gives that of a positive number (for a subnormal one, that of the smallest normal
number less 1); ``two_to`` gives the power of 2 with a whole exponent, the nearest that is neither
infinite nor subnormal. In C++ they are written in ``helpers.cuh``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

__all__ = ["DIGITS", "digits_in_numba"]


class _Format(NamedTuple):
    """The layout of the bits of numbers of one size.

    Attributes
    ----------
    whole : str
        The whole number of as many bits.
    upper : int
        The bits that stay of a number's upper half.
    digits : int
        How many bits come after the exponent.
    bias : int
        What is added to an exponent.
    """

    whole: str
    upper: int
    digits: int
    bias: int

    @property
    def shift(self) -> float:
        """A number whose last bits count up from the bias, if a whole number is added."""
        return 2.0**self.digits + self.bias


_FORMATS = {
    4: _Format("uint32", 2**32 - 2**12, 23, 127),
    8: _Format("uint64", 2**64 - 2**27, 52, 1023),
}
"""By the size of a real number."""

_NUMBA = """@numba.njit(error_model="numpy")
def upper(x):
    return np.{whole}(np.{real}(x).view(np.{whole}) & np.{whole}({upper})).view(np.{real})


@numba.njit(error_model="numpy")
def exponent(x):
    bits = np.{real}(x).view(np.{whole}) >> np.{whole}({digits})
    return np.{whole}(bits | np.{whole}({first})).view(np.{real}) - np.{real}({shift!r})


@numba.njit(error_model="numpy")
def two_to(x):
    x = x if x > np.{real}({least!r}) else np.{real}({least!r})
    x = x if x < np.{real}({bias!r}) else np.{real}({bias!r})
    bits = np.{real}(x + np.{real}({shift!r})).view(np.{whole})
    return np.{whole}(bits << np.{whole}({digits})).view(np.{real})


"""


def _first(found: _Format) -> int:
    """The bits of the number to whose last ones a whole number is added."""
    return (found.bias + found.digits) << found.digits


def digits_in_numba(dtype: np.dtype[Any]) -> str:
    """The functions that Numba compiles for numbers of that dtype."""
    found = _FORMATS[dtype.itemsize]
    parts = {"real": dtype.name, "first": _first(found), "shift": found.shift}
    return _NUMBA.format(**parts, **found._asdict(), least=1 - found.bias)


def _upper(x: Any, out: Any) -> None:
    found = _FORMATS[out.itemsize]
    bits = out.view(found.whole)
    np.bitwise_and(x.view(found.whole), bits.dtype.type(found.upper), out=bits)


def _exponent(x: Any, out: Any) -> None:
    found = _FORMATS[out.itemsize]
    bits = out.view(found.whole)
    np.right_shift(x.view(found.whole), bits.dtype.type(found.digits), out=bits)
    np.bitwise_or(bits, bits.dtype.type(_first(found)), out=bits)
    np.subtract(out, out.dtype.type(found.shift), out=out)


def _two_to(x: Any, out: Any) -> None:
    found, real = _FORMATS[out.itemsize], out.dtype.type
    bits = out.view(found.whole)
    np.fmax(x, real(1 - found.bias), out=out)
    np.fmin(out, real(found.bias), out=out)
    np.add(out, real(found.shift), out=out)
    np.left_shift(bits, bits.dtype.type(found.digits), out=bits)


DIGITS: dict[str, Callable[..., None]] = {"upper": _upper, "exponent": _exponent, "two_to": _two_to}
"""The functions that write into a tile."""
