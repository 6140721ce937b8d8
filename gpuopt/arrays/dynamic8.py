"""State in 8 bits: blocks of 256 numbers that have three digits and a common largest exponent.

A number keeps the sign, the exponent and the first 3 binary digits of its float32: its first 12
bits, the *prefix*. A block stores the prefix of its largest finite number, and for each number how
far its prefix lies below that. If no number is negative, 8 bits reach 31 powers of two down, and
smaller numbers are raised to the lowest, so that a second moment never becomes 0. With both signs
they reach 15 powers down, and smaller numbers become 0. An infinity and a NaN have codes of their
own.

An array is coded in bytes: a code for each element, up to the end of the last block, and then two
bytes for each block.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from gpuopt.arrays.backend import array_module, on_host

__all__ = [
    "BLOCK",
    "BLOCK_BYTES",
    "SMALLEST",
    "coded_bytes",
    "decode",
    "decoded",
    "encode",
    "encoded",
    "sections",
]

BLOCK = 256
BLOCK_BYTES = BLOCK + 2
SMALLEST = 4_096
"""Arrays of fewer elements keep float32: they save little, and often hold what is delicate."""
CUT = 20
"""How many bits of a float32 are cut."""
_INFINITE, _NAN = 0x7F8, 0x7FC
_SIGN = 0x800
_SIGNED, _UNUSUAL, _PREFIX = 0x8000, 0x4000, 0x7FF
"""What the two bytes of a block tell: both signs; infinities or NaN; the largest prefix."""


def coded_bytes(size: int) -> int:
    """The bytes of `size` elements."""
    return -(-size // BLOCK) * BLOCK_BYTES


def sections(coded: Any) -> tuple[Any, Any]:
    """The codes, and what blocks tell, of a coded array of NumPy or CuPy."""
    codes = coded.size // BLOCK_BYTES * BLOCK
    return coded[:codes], coded[codes:].view(np.uint16)


def encoded(values: Any) -> Any:
    """Encode real numbers of any shape, of NumPy or CuPy, each rounded to nearest."""
    bits = np.ascontiguousarray(on_host(values), np.float32).reshape(-1).view(np.uint32)
    half = np.uint32(1 << (CUT - 1))
    near = np.where(np.isfinite(bits.view(np.float32)), bits + half, bits).view(np.float32)
    coded = np.zeros(coded_bytes(near.size), np.uint8)
    codes, tops = sections(coded)
    encode(codes[: near.size], tops, near)
    return array_module(values).asarray(coded)


def decoded(coded: Any, shape: tuple[int, ...]) -> Any:
    """A new array with the float32 numbers of a coded one, of NumPy or CuPy."""
    values, (codes, tops) = np.empty(math.prod(shape), np.float32), sections(on_host(coded))
    decode(codes[: values.size], tops, values)
    return array_module(coded).asarray(values.reshape(shape))


def encode(codes: Any, tops: Any, values: Any) -> None:
    """Encode flat float32 numbers, which are lost; what more than 3 digits they have is cut."""
    bits = values.view(np.uint32)
    np.right_shift(bits, np.uint32(CUT), out=bits)
    for rows in _in_blocks(codes, bits, tops):
        _encode(*rows)


def decode(codes: Any, tops: Any, values: Any) -> None:
    """Decode into a flat array of float32."""
    for rows in _in_blocks(codes, values.view(np.uint32), tops):
        _decode(*rows)


def _in_blocks(codes: Any, bits: Any, tops: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Codes and bits with a block in each row, and what blocks tell: whole ones, then the rest."""
    whole, shape = bits.size - bits.size % BLOCK, (-1, BLOCK)
    if whole:
        yield codes[:whole].reshape(shape), bits[:whole].reshape(shape), tops[: whole // BLOCK]
    if whole < bits.size:
        yield codes[None, whole:], bits[None, whole:], tops[whole // BLOCK :]


def _encode(codes: Any, bits: Any, tops: Any) -> None:
    """Encode rows of prefixes, each a block."""
    prefix, size, mask = _rooms(bits.shape)
    np.copyto(prefix, bits, casting="unsafe")
    np.bitwise_and(prefix, np.uint16(_PREFIX), out=size)
    np.greater(size, _INFINITE, out=mask)
    np.copyto(size, np.uint16(_NAN), where=mask)
    np.copyto(prefix, size, where=mask)  # neither NaN nor 0 has a sign
    np.equal(size, 0, out=mask)
    np.copyto(prefix, np.uint16(0), where=mask)
    signed, largest = prefix.max(axis=1) > _SIGN, size.max(axis=1)
    unusual = largest >= _INFINITE
    if unusual.any():
        largest = np.where(size < _INFINITE, size, 0).max(axis=1).astype(np.uint16)
    last = np.where(signed, 126, 254).astype(np.int16)
    tops[...] = largest | np.where(signed, _SIGNED, 0) | np.where(unusual, _UNUSUAL, 0)
    steps = size.view(np.int16)
    np.add(steps, (last - 1 - largest.astype(np.int16))[:, None], out=steps)
    np.maximum(steps, np.where(signed, 0, 1).astype(np.int16)[:, None], out=steps)
    np.copyto(steps, np.int16(0), where=mask)
    if unusual.any():
        found = prefix & np.uint16(_PREFIX)
        special = last[:, None] + (found == _NAN).astype(np.int16)
        np.copyto(steps, special, where=found >= _INFINITE)
    np.bitwise_and(prefix, np.uint16(_SIGN), out=prefix)
    np.right_shift(prefix, np.uint16(4), out=prefix)
    np.equal(steps, 0, out=mask)
    np.copyto(prefix, np.uint16(0), where=mask)
    np.add(prefix, size, out=prefix)
    np.copyto(codes, prefix, casting="unsafe")


def _decode(codes: Any, bits: Any, tops: Any) -> None:
    """Decode rows of codes, each a block."""
    code, size, mask = _rooms(codes.shape)
    signed, largest = tops >= _SIGNED, (tops & np.uint16(_PREFIX)).astype(np.int16)
    last = np.where(signed, 126, 254).astype(np.int16)
    np.copyto(code, codes)
    np.bitwise_and(code, np.where(signed, 127, 255).astype(np.uint16)[:, None], out=size)
    np.subtract(code, size, out=code)
    np.left_shift(code, np.uint16(4), out=code)
    np.equal(size, 0, out=mask)
    unusual = bool((tops & np.uint16(_UNUSUAL)).any())
    above = size.view(np.int16) - last[:, None] if unusual else None
    prefix = size.view(np.int16)
    np.add(prefix, (largest - last + 1)[:, None], out=prefix)
    np.copyto(prefix, np.int16(0), where=mask)
    if above is not None:
        np.copyto(prefix, _INFINITE + above * np.int16(_NAN - _INFINITE), where=above >= 0)
    np.add(size, code, out=size)
    np.copyto(bits, size)
    np.left_shift(bits, np.uint32(CUT), out=bits)


class _Rooms(threading.local):
    """Scratch of each thread: two arrays of uint16 and one of bool, as large as was ever asked."""

    arrays: tuple[Any, ...] = ()


_ROOMS = _Rooms()


def _rooms(shape: tuple[int, ...]) -> list[Any]:
    size = math.prod(shape)
    if not _ROOMS.arrays or _ROOMS.arrays[0].size < size:
        kinds = np.uint16, np.uint16, np.bool_
        _ROOMS.arrays = tuple(np.empty(size, kind) for kind in kinds)
    return [room[:size].reshape(shape) for room in _ROOMS.arrays]
