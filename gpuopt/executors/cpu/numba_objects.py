"""Where the gradients of packed arrays lie, found so fast that a loop reads them there."""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np

from gpuopt.codegen.numba_objects import OBJECTS
from gpuopt.executors.cpu.numba_compile import compiled

__all__ = ["finder"]


@functools.cache
def finder() -> Any:
    """What finds where arrays lie; None where objects of Python are not what it expects.

    It takes the ids of the arrays, that of the dtype that each must have, a number, and an array.
    It writes the address of each array there, less that number. It gives False if an array is not
    aligned, not in C order, or of another dtype.
    """
    if sys.implementation.name != "cpython" or sys.byteorder != "little":
        return None
    import numba

    word = numba.types.int64
    into = numba.types.Array(word, 1, "A")
    find = compiled(OBJECTS, "find", (numba.types.Array(word, 1, "C"), word, word, into))
    known, found = np.zeros(3), np.zeros(1, np.int64)
    at = known.__array_interface__["data"][0]
    right = find(np.array([id(known)]), id(known.dtype), 1, found[:]) and found[0] == at - 1
    return find if right else None
