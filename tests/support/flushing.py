"""Arithmetic that takes subnormal numbers for zero, as CuPy compiles its kernels for float32."""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import platform
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

RESULTS, OPERANDS = 0x8000, 0x0040


@contextlib.contextmanager
def flushing(what: int = RESULTS | OPERANDS) -> Iterator[None]:
    """Let this thread flush subnormals to zero, of float64 too; a test is skipped where that cannot be told."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("sets the mode of an x86 processor, by glibc")
    library = ctypes.CDLL(ctypes.util.find_library("m"))
    before = (ctypes.c_uint32 * 8)()  # the last word is SSE's register of control
    library.fegetenv(before)
    try:
        library.fesetenv((ctypes.c_uint32 * 8)(*before[:7], before[7] | what))
        yield
    finally:
        library.fesetenv(before)


def flushed(array: Any) -> Any:
    """A copy of real or complex numbers, zero for each part that is subnormal."""
    with flushing(), np.errstate(invalid="ignore"):  # of signalling NaNs
        return (np.ascontiguousarray(array).view(array.real.dtype) * 1).view(array.dtype).reshape(array.shape)
