"""Generated loops, compiled by Numba for a dtype before the first step.

No fast-math: the operations, their order and their rounding are those of the other executors.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from gpuopt.codegen.numba import fill_source, fold_source, loop_source
from gpuopt.codegen.tile import TileCode, constants, places
from gpuopt.executors.cpu.numba_cache import loaded
from gpuopt.tracing.operands import PARAM
from gpuopt.tracing.program import Kernel

__all__ = ["fill_code", "fold_code", "loop_code", "pack_code"]


@functools.lru_cache(maxsize=512)
def loop_code(kernel: Kernel, compute: np.dtype[Any]) -> TileCode:
    """Generate and compile the loop that runs `kernel` on flat arrays of dtype `compute`."""
    source = loop_source(kernel)
    function, operands = loaded(source).loop, places(kernel)
    function.compile((_array(compute),) * (len(operands) + 1))
    return TileCode(function, operands, 0, 0, constants(kernel), source)


@functools.lru_cache(maxsize=512)
def fold_code(stage: Kernel, compute: np.dtype[Any]) -> Any:
    """Compile the function that folds a tile, in the order of `gpuopt.executors.fold`.

    It takes what is read, the scalars, and rows of lanes for each reduction.
    """
    function = loaded(fold_source(stage)).fold
    flat, rows = _array(compute), _array(compute, 2)
    function.compile((*[flat] * len(stage.loads), flat, *[rows] * len(stage.reductions)))
    return function


@functools.lru_cache(maxsize=2)
def fill_code(dtype: np.dtype[Any]) -> Any:
    """Compile the function that does what `gpuopt.arrays.random.fill` does.

    It takes a flat array of that dtype, where the sequence begins, and the indices in it.
    """
    import numba

    function, whole = loaded(fill_source(dtype)).fill, numba.types.uint64
    function.compile((_array(dtype), whole, _array(np.dtype(np.uint64))))
    return function


def pack_code(code: TileCode, compute: np.dtype[Any]) -> Any:
    """Compile the function that runs the loop of `code` on many parameters.

    It takes the other operands, the scalars, and the addresses and ends of the parameters.
    """
    function = loaded(code.source).pack
    gathered = sum(place.operand != PARAM for place in code.places)
    flat, table = _array(compute), _array(np.dtype(np.int64))
    function.compile((*[flat] * gathered, flat, table, table))
    return function


def _array(dtype: np.dtype[Any], ndim: int = 1) -> Any:
    """Numba's type of arrays in C order."""
    import numba

    return numba.types.Array(numba.from_dtype(dtype), ndim, "C")
