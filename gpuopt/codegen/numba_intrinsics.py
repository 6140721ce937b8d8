"""What the text of every Numba loop begins with: how it reaches arrays by their addresses."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuopt.codegen.wide import LARGE

__all__ = ["END", "PART", "STRIP", "head"]

END = "# What follows is of one kernel.\n\n\n"
"""The line after what many texts begin with, which is run once: Numba forgets no intrinsic."""

STRIP = 512
"""For so many elements a loop keeps what both parts of complex arrays are computed from."""

PART = 64
"""For so many elements a loop fetches at once: more would wait for one another, and with fewer LLVM
takes some loops' elements one by one.
"""

NEAR, FAR = 3072, 2048
"""An update, and a fold, fetches what lies so many bytes after the elements that come next."""

LINE = 64
"""The bytes of a line of the cache."""

_HEADER = """# A loop that gpuopt generated for one rule.

import math

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def pointers(dtype):
    pointer = types.CPointer(dtype)

    @intrinsic
    def pointer_to(context, address):
        def generate(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], context.get_value_type(pointer))

        return pointer(address), generate

    return pointer_to


@intrinsic
def address_of(context, array):
    def generate(context, builder, signature, arguments):
        struct = cgutils.create_struct_proxy(array)(context, builder, arguments[0])
        return builder.ptrtoint(struct.data, ir.IntType(64))

    return types.int64(array), generate


def fetching(ahead, locality):
    @intrinsic
    def fetch(context, pointer, index):
        def generate(context, builder, signature, arguments):
            byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
            place = builder.bitcast(builder.gep(arguments[0], [arguments[1]]), byte)
            kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
            prefetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
            width = context.get_abi_sizeof(context.get_data_type(pointer.dtype))
            for start in range(ahead, ahead + {part} * width, {line}):
                line = builder.gep(place, [word(start)])
                builder.call(prefetch, [line, word(0), word(locality), word(1)])  # data, to read
            return context.get_dummy_value()

        return types.none(pointer, index), generate

    return fetch


@intrinsic
def room(context):
    def generate(context, builder, signature, arguments):
        room = cgutils.alloca_once(builder, ir.{type}(), size={room})
        room.align = 64
        return room

    return types.CPointer(types.{real})(), generate


whole, short, real = map(pointers, (types.int64, types.uint16, types.{real}))
zero, one = np.{real}(0), np.{real}(1)
large, infinity = np.{real}({large!r}), np.{real}(math.inf)
fetch = fetching({near}, 3)  # into all caches
fetch_early = fetching({far}, 2)  # into all but the first
del pointers, fetching


"""


def head(dtype: np.dtype[Any]) -> str:
    """That beginning, for loops that compute in `dtype`."""
    kind = {4: "FloatType", 8: "DoubleType"}[dtype.itemsize]
    parts = {"real": dtype.name, "large": LARGE[dtype.itemsize]}
    return _HEADER.format(
        **parts, type=kind, room=2 * STRIP, part=PART, line=LINE, near=NEAR, far=FAR
    )
