"""The modulus, direction and quotient of complex numbers over the whole range of exponents.

Where the sum of the squares of a number's parts is small or large, the parts are scaled by a power
of two, which changes no bit of an ordinary result. Each function is written for arrays here, for an
element that Numba compiles, and in C++ in ``helpers.cuh``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from gpuopt.codegen.roots import cube_root_of_number, tile_cube_root

__all__ = ["HOST", "LARGE", "NUMBA", "TILE"]

LARGE = {4: 2.0**90, 8: 2.0**900}
"""By the size of a real number: what squares are large beyond, and small below its reciprocal."""

NUMBA = """@numba.njit(error_model="numpy")
def scale(square, one, large):
    small = one / large
    return large if square < small else (one if square <= large else small)


@numba.njit(error_model="numpy")
def modulus(square, a, b, one, large, infinity):
    by = scale(square, one, large)
    u, v = a * by, b * by
    size = math.sqrt(u * u + v * v) / by
    return infinity if (abs(a) == infinity) | (abs(b) == infinity) else size


@numba.njit(error_model="numpy")
def direction(square, a, b, zero, one, large, infinity):
    by = scale(square, one, large)
    u, v = a * by, b * by
    ordinary = zero if (a == zero) & (b == zero) else u / math.sqrt(u * u + v * v)
    first, second = abs(a) == infinity, abs(b) == infinity
    ordinary = zero if second & (not first) else ordinary
    return (one if a > zero else -one) if first & (not second) else ordinary


@numba.njit(error_model="numpy")
def quotient(square, a, b, c, d, zero, one, large, infinity):
    size, under = abs(a * c + b * d), scale(square, one, large)
    plain = (under == one) & (size >= one / large) & (size <= large)
    over = one if plain else scale(a * a + b * b, one, large)
    x, y, u, v = a * over, b * over, c * under, d * under
    ratio = (x * u + y * v) / (u * u + v * v)
    ordinary = ratio if over == under else ratio * under / over
    first, second = abs(c) == infinity, abs(d) == infinity
    vanishes = (first & (abs(d) < infinity)) | (second & (abs(c) < infinity))
    ordinary = a * zero + b * zero if vanishes else ordinary
    return a / abs(c) if (c == zero) & (d == zero) else ordinary


"""


def _squares(a: Any, b: Any) -> Any:
    return a * a + b * b


def _scale(square: Any, large: Any) -> Any:
    one = large / large
    small = one / large
    return np.where(square < small, large, np.where(square <= large, one, small))


def _modulus(a: Any, b: Any, large: Any) -> Any:
    by = _scale(_squares(a, b), large)
    size = np.sqrt(_squares(a * by, b * by)) / by
    return np.where(np.isinf(a) | np.isinf(b), np.inf, size)


def _direction(a: Any, b: Any, large: Any) -> Any:
    by = _scale(_squares(a, b), large)
    ordinary = a * by / np.sqrt(_squares(a * by, b * by))
    first, second = np.isinf(a), np.isinf(b)
    ordinary = np.where(((a == 0) & (b == 0)) | (second & ~first), 0, ordinary)
    return np.where(first & ~second, np.sign(a), ordinary)


def _quotient(a: Any, b: Any, c: Any, d: Any, large: Any) -> Any:
    size, under = np.abs(a * c + b * d), _scale(_squares(c, d), large)
    plain = (under == 1) & (size * large >= 1) & (size <= large)
    over = np.where(plain, large / large, _scale(_squares(a, b), large))
    x, y, u, v = a * over, b * over, c * under, d * under
    ratio = (x * u + y * v) / _squares(u, v)
    ordinary = np.where(over == under, ratio, ratio * under / over)
    vanishes = (np.isinf(c) & np.isfinite(d)) | (np.isinf(d) & np.isfinite(c))
    ordinary = np.where(vanishes, a * 0 + b * 0, ordinary)
    return np.where((c == 0) & (d == 0), a / np.abs(c), ordinary)


def _is_ordinary(x: Any, large: Any) -> bool:
    """Whether no element is 0, small, large or NaN; `x` is not negative."""
    return bool(x.min(initial=large) * large >= 1 and x.max(initial=0) <= large)


def _strange(x: Any, large: Any) -> Any:
    return ~((x * large >= 1) & (x <= large))


def _repair(general: Any, strange: Any, out: Any, *xs: Any) -> None:
    """Compute again what is `strange`."""
    where = np.flatnonzero(strange)
    if where.size:
        chosen = (x[where] if np.ndim(x) else x for x in xs)
        out[where] = general(*chosen, out.dtype.type(LARGE[out.itemsize]))


def _tile_modulus(square: Any, a: Any, b: Any, out: Any) -> None:
    large = out.dtype.type(LARGE[out.itemsize])
    strange = None if _is_ordinary(square, large) else _strange(square, large)
    np.sqrt(square, out=out)
    if strange is not None:
        _repair(_modulus, strange & ((a != 0) | (b != 0)), out, a, b)


def _tile_direction(square: Any, a: Any, b: Any, out: Any) -> None:
    large = out.dtype.type(LARGE[out.itemsize])
    strange = None if _is_ordinary(square, large) else _strange(square, large)
    np.sqrt(square, out=out)
    np.divide(a, out, out=out)
    if strange is not None:
        zero = (a == 0) & (b == 0)
        np.copyto(out, 0, where=zero)
        _repair(_direction, strange & ~zero, out, a, b)


def _tile_quotient(square: Any, a: Any, b: Any, c: Any, d: Any, out: Any, scratch: Any) -> None:
    large = out.dtype.type(LARGE[out.itemsize])
    np.multiply(a, c, out=out)
    np.multiply(b, d, out=scratch)
    np.add(out, scratch, out=out)
    np.abs(out, out=scratch)
    ordinary = _is_ordinary(square, large) and _is_ordinary(scratch, large)
    np.divide(out, square, out=out)
    if not ordinary:
        none = ((a == 0) | (c == 0)) & (
            (b == 0) | (d == 0)
        )  # whose quotient by what is ordinary is 0
        strange = _strange(square, large) | (_strange(scratch, large) & ~none)
        _repair(_quotient, strange, out, a, b, c, d)


def _of_numbers(general: Any, _: float, *xs: float) -> float:
    """A function of the host's numbers; what it divides by 0 is infinite or NaN."""
    with np.errstate(all="ignore"):
        return float(general(*map(np.float64, xs), np.float64(LARGE[8])))


TILE: dict[str, Callable[..., None]] = {
    "modulus": _tile_modulus,
    "direction": _tile_direction,
    "quotient": _tile_quotient,
    "cbrt": tile_cube_root,
}
"""The functions that write into a tile; two of them take scratch of the tile's size, too."""
HOST: dict[str, Callable[..., float]] = {
    name: functools.partial(_of_numbers, general)
    for name, general in {
        "modulus": _modulus,
        "direction": _direction,
        "quotient": _quotient,
    }.items()
}
HOST["cube_root"] = cube_root_of_number
"""The same of numbers."""
