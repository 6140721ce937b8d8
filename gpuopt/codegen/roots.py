"""The cube root, of operations that round alike everywhere: for arrays, for Numba, and for numbers.

A third of the bits of a number, as a whole number, begins with those of its cube root: that guess
is right to 4 %. One step of Halley's and one of Newton's, for float64 another one, leave an error
of less than 0.74 units in the last place. Nothing overflows on the way, a subnormal number is
scaled by a power of 8, and a number that is twice itself is its own root. In C++ it is written in
``helpers.cuh``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["cube_root_in_numba", "cube_root_of_number", "tile_cube_root"]


class _Format(NamedTuple):
    """What a cube root needs to know of numbers of a size.

    Attributes
    ----------
    whole : str
        The whole number of as many bits.
    unsigned : int
        All its bits but that of the sign.
    guess : int
        What is added to a third of them.
    tiny : float
        The smallest number that is not subnormal.
    up, down : float
        A power of 8 that makes such numbers larger, and the reciprocal of its cube root.
    steps : int
        How many steps of Newton's there are.
    """

    whole: str
    unsigned: int
    guess: int
    tiny: float
    up: float
    down: float
    steps: int


_FORMATS = {
    4: _Format("uint32", 2**31 - 1, 709958130, 2.0**-126, 2.0**24, 2.0**-8, 1),
    8: _Format("uint64", 2**63 - 1, 715094163 << 32, 2.0**-1022, 2.0**54, 2.0**-18, 2),
}
"""By the size of a real number."""

_NUMBA = """@numba.njit(error_model="numpy")
def cube_root(x):
    small = abs(x) < np.{real}({tiny!r})
    a = x * np.{real}({up!r}) if small else x
    bits = np.{real}(a).view(np.{whole}) & np.{whole}({unsigned})
    size = np.{whole}(bits // np.{whole}(3) + np.{whole}({guess})).view(np.{real})
    y = -size if a < np.{real}(0.0) else size
    y = y * (np.{real}(2.0) - np.{real}(3.0) / (np.{real}(2.0) + a / (y * y) / y))
{newton}    y = y * np.{real}({down!r}) if small else y
    return x if x + x == x else y


"""
_NEWTON = "    y = y + (a / (y * y) - y) * np.{real}(1.0 / 3.0)\n"


def cube_root_in_numba(dtype: np.dtype[Any]) -> str:
    """The function that Numba compiles for numbers of that dtype."""
    found = _FORMATS[dtype.itemsize]
    newton = found.steps * _NEWTON.format(real=dtype.name)
    return _NUMBA.format(real=dtype.name, newton=newton, **found._asdict())


def tile_cube_root(x: Any, out: Any, scratch: Any) -> None:
    """Write the cube roots of `x` into `out`; `x` must be other memory."""
    found = _FORMATS[out.itemsize]
    _iterate(x, out, scratch, found)
    np.abs(x, out=scratch)
    least, most = np.fmin.reduce(scratch, initial=1), np.fmax.reduce(scratch, initial=1)
    if least < found.tiny or most == np.inf:
        where = np.flatnonzero((scratch < found.tiny) | (scratch == np.inf))
        strange = x[where]  # subnormal, zero or infinite
        a = strange * out.dtype.type(found.up)
        roots = np.empty_like(a)
        _iterate(a, roots, np.empty_like(a), found)
        roots *= out.dtype.type(found.down)
        out[where] = np.where(strange + strange == strange, strange, roots)


def _iterate(a: Any, y: Any, scratch: Any, found: _Format) -> None:
    """Write the cube roots of `a` into `y`, where they are neither 0 nor subnormal."""
    bits, real = y.view(found.whole), y.dtype.type
    whole = bits.dtype.type
    np.bitwise_and(a.view(bits.dtype), whole(found.unsigned), out=bits)
    np.floor_divide(bits, whole(3), out=bits)
    np.add(bits, whole(found.guess), out=bits)
    np.copysign(y, a, out=y)
    _over_square(a, y, scratch)
    np.divide(scratch, y, out=scratch)
    np.add(real(2), scratch, out=scratch)
    np.divide(real(3), scratch, out=scratch)
    np.subtract(real(2), scratch, out=scratch)
    np.multiply(y, scratch, out=y)
    for _ in range(found.steps):
        _over_square(a, y, scratch)
        np.subtract(scratch, y, out=scratch)
        np.multiply(scratch, real(1 / 3), out=scratch)
        np.add(y, scratch, out=y)


def _over_square(a: Any, y: Any, out: Any) -> None:
    np.multiply(y, y, out=out)
    np.divide(a, out, out=out)


def cube_root_of_number(x: float) -> float:
    """The cube root of a number of the host, with the bits of an array's."""
    number, root = np.array([x]), np.empty(1)
    with np.errstate(all="ignore"):
        tile_cube_root(number, root, np.empty(1))
    return float(root[0])
