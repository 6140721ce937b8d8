"""What the text of every Numba loop begins with: how it reaches arrays by their addresses."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuopt.codegen.order import LANES
from gpuopt.codegen.wide import LARGE

__all__ = ["END", "STRIP", "head"]

END = "# What follows is of one kernel.\n\n\n"
"""The line after what many texts begin with, which is run once: Numba forgets no intrinsic."""

STRIP = 512
"""For so many elements a loop keeps what both parts of complex arrays are computed from."""

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


@intrinsic
def fetch(context, pointer, index):
    def generate(context, builder, signature, arguments):
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        place = builder.bitcast(builder.gep(arguments[0], [arguments[1]]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        width = context.get_abi_sizeof(context.get_data_type(pointer.dtype))
        for start in range(0, {lanes} * width, {line}):
            line = builder.gep(place, [word(start)])
            builder.call(prefetch, [line, word(0), word(3), word(1)])  # to read, soon, as data
        return context.get_dummy_value()

    return types.none(pointer, index), generate


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
del pointers


"""


def head(dtype: np.dtype[Any]) -> str:
    """That beginning, for loops that compute in `dtype`."""
    kind = {4: "FloatType", 8: "DoubleType"}[dtype.itemsize]
    parts = {"real": dtype.name, "large": LARGE[dtype.itemsize]}
    return _HEADER.format(**parts, type=kind, room=2 * STRIP, lanes=LANES, line=LINE)
