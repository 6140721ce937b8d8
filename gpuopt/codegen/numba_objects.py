"""The text of the function that finds where many arrays lie, for Numba: to ask Python for each one
takes longer than the arithmetic of a small array.

An array is an object of Python, and NumPy's binary interface says what is where in it. Behind the
head that all objects have come the address of the elements, then the dtype, then the flags.
"""

from __future__ import annotations

from gpuopt.codegen.numba_intrinsics import END

__all__ = ["OBJECTS"]

_SHARED = """from llvmlite import ir
from numba import types
from numba.extending import intrinsic

HEAD, DTYPE, FLAGS = object.__basicsize__, 40, 48
NEEDED = 0x0001 | 0x0100  # in C order without gaps, and aligned


@intrinsic
def load(context, address):
    def generate(context, builder, signature, arguments):
        return builder.load(builder.inttoptr(arguments[0], ir.IntType(64).as_pointer()))

    return types.int64(types.int64), generate


"""
_FUNCTION = """def find(objects, dtype, start, found):
    for index in range(len(objects)):
        array = objects[index] + HEAD
        if load(array + DTYPE) != dtype or load(array + FLAGS) & NEEDED != NEEDED:
            return False
        found[index] = load(array) - start
    return True
"""
OBJECTS = _SHARED + END + _FUNCTION
