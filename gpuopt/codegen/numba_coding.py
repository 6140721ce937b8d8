"""The text of the functions that do for Numba what `gpuopt.arrays.dynamic8` does."""

from __future__ import annotations

from gpuopt.arrays.dynamic8 import BLOCK
from gpuopt.codegen.numba_intrinsics import END

__all__ = ["CODING"]

CODING = f"""import numpy as np

whole = np.int32
{END}def decode(codes, tops, bits):
    for block in range(tops.size):
        here = slice({BLOCK} * block, {BLOCK} * block + {BLOCK})
        decoded(codes[here], whole(tops[block]), bits[here])


def decoded(codes, top, bits):
    sign = top >> whole(15)
    last = whole(254) - (sign << whole(7))
    digits, beneath = last + whole(1), (top & whole(0x7FF)) - last + whole(1)
    for i in range(codes.size):
        code = whole(codes[i])
        step = code & digits
        prefix = beneath + step if step < last else whole(0x7F8) + (step - last) * whole(4)
        signed = prefix | ((code - step) << whole(4))
        bits[i] = np.uint32(signed << whole(20)) if step else np.uint32(0)


def encode(codes, tops, bits):
    for block in range(tops.size):
        here = slice({BLOCK} * block, {BLOCK} * block + {BLOCK})
        top = told(bits[here])
        tops[block] = np.uint16(top)
        encoded(codes[here], top, bits[here])


def told(bits):
    largest, flags = whole(0), whole(0)
    for i in range(bits.size):
        prefix = whole(bits[i] >> np.uint32(20))
        size = whole(prefix & whole(0x7FF))
        finite = size if size < whole(0x7F8) else whole(0)
        largest = finite if finite > largest else largest
        unusual = whole(0x4000) if size >= whole(0x7F8) else whole(0)
        sign = whole((prefix ^ size) << whole(4))
        flags = whole(flags | unusual | (sign if whole(0) < size <= whole(0x7F8) else whole(0)))
    return largest | flags


def encoded(codes, top, bits):
    sign = top >> whole(15)
    last, lowest = whole(254 - (sign << 7)), whole(1 - sign)
    beneath = whole(last - 1 - (top & 0x7FF))
    for i in range(codes.size):
        prefix = whole(bits[i] >> np.uint32(20))
        size = whole(prefix & whole(0x7FF))
        step = whole(size + beneath)
        step = step if step > lowest else lowest
        step = last if size == whole(0x7F8) else step
        step = whole(last + 1) if size > whole(0x7F8) else step
        step = step if size else whole(0)
        sign = whole((prefix ^ size) >> whole(4))
        sign = sign if step and size <= whole(0x7F8) else whole(0)
        codes[i] = np.uint8(step + sign)
"""
