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
    module = loaded(source)
    import numba

    real = numba.from_dtype(compute)
    flat = numba.types.Array(real, 1, "C")
    module.loop.compile((flat,) * (len(places(kernel)) + 1))
    return TileCode(module.loop, places(kernel), 0, 0, constants(kernel), source)


@functools.lru_cache(maxsize=512)
def fold_code(stage: Kernel, compute: np.dtype[Any]) -> Any:
    """Compile the function that folds a tile, in the order of `gpuopt.executors.fold`: of what is read, scalars, and rows."""
    import numba

    function = loaded(fold_source(stage)).fold
    real = numba.from_dtype(compute)
    flat, rows = (numba.types.Array(real, ndim, "C") for ndim in (1, 2))
    function.compile((*[flat] * len(stage.loads), flat, *[rows] * len(stage.reductions)))
    return function


@functools.lru_cache(maxsize=2)
def fill_code(dtype: np.dtype[Any]) -> Any:
    """The function that does what `gpuopt.arrays.random.fill` does: of a run of that dtype, where to begin, and indices."""
    import numba

    function = loaded(fill_source(dtype)).fill
    flat, whole = (numba.types.Array(kind, 1, "C") for kind in (numba.from_dtype(dtype), numba.types.uint64))
    function.compile((flat, numba.types.uint64, whole))
    return function


def pack_code(code: TileCode, compute: np.dtype[Any]) -> Any:
    """The function that runs the loop of `code` on many parameters, given the table of their addresses and ends."""
    import numba

    function = loaded(code.source).pack
    flat, table = (numba.types.Array(kind, 1, "C") for kind in (numba.from_dtype(compute), numba.types.int64))
    function.compile((*[flat] * sum(place.operand != PARAM for place in code.places), flat, table, table))
    return function
