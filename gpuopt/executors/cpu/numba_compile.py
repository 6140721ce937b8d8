"""Generated loops, compiled by Numba for a dtype before the first step.

No fast-math: the operations, their order and their rounding are those of the other executors.
"""

from __future__ import annotations

import functools
import hashlib
from types import FunctionType
from typing import Any

import numpy as np

from gpuopt.codegen.numba import fill_source, fold_source, loop_source
from gpuopt.codegen.tile import TileCode, constants, places
from gpuopt.executors.cpu.numba_cache import MachineCode
from gpuopt.tracing.operands import PARAM
from gpuopt.tracing.program import Kernel

__all__ = ["fill_code", "fold_code", "loop_code", "pack_code"]


@functools.lru_cache(maxsize=512)
def loop_code(kernel: Kernel, compute: np.dtype[Any]) -> TileCode:
    """Generate and compile the loop that runs `kernel` on flat arrays of dtype `compute`."""
    source, operands = loop_source(kernel), places(kernel)
    function = _compiled(source, "loop", (_array(compute),) * (len(operands) + 1))
    return TileCode(function, operands, 0, 0, constants(kernel), source)


@functools.lru_cache(maxsize=512)
def fold_code(stage: Kernel, compute: np.dtype[Any]) -> Any:
    """Compile the function that folds a tile, in the order of `gpuopt.executors.fold`.

    It takes what is read, the scalars, and rows of lanes for each reduction.
    """
    flat, rows = _array(compute), _array(compute, 2)
    signature = (*[flat] * len(stage.loads), flat, *[rows] * len(stage.reductions))
    return _compiled(fold_source(stage), "fold", signature)


@functools.lru_cache(maxsize=2)
def fill_code(dtype: np.dtype[Any]) -> Any:
    """Compile the function that does what `gpuopt.arrays.random.fill` does.

    It takes a flat array of that dtype, where the sequence begins, and the indices in it.
    """
    import numba

    signature = _array(dtype), numba.types.uint64, _array(np.dtype(np.uint64))
    return _compiled(fill_source(dtype), "fill", signature)


def pack_code(code: TileCode, compute: np.dtype[Any]) -> Any:
    """Compile the function that runs the loop of `code` on many parameters.

    It takes the other operands, the scalars, and the addresses and ends of the parameters.
    """
    gathered = sum(place.operand != PARAM for place in code.places)
    flat, table = _array(compute), _array(np.dtype(np.int64))
    return _compiled(code.source, "pack", (*[flat] * gathered, flat, table, table))


def _compiled(source: str, name: str, signature: tuple[Any, ...]) -> Any:
    """The function of a text by its name, compiled for a signature."""
    function = _functions(source)[name]
    function.compile(signature)
    return function


@functools.lru_cache(maxsize=512)
def _functions(source: str) -> dict[str, Any]:
    """The functions of a text, which Numba compiles for what they are called with.

    Numba tells machine code apart by the names of functions, so they are named after the text. It
    is no module that Python would keep.
    """
    import numba

    digest = hashlib.sha256(source.encode()).hexdigest()[:32]
    scope: dict[str, Any] = {"__name__": __name__}
    exec(compile(source, "<a loop that gpuopt generated>", "exec"), scope)
    for name, function in list(scope.items()):
        if isinstance(function, FunctionType) and function.__module__ == __name__:
            function.__name__ = function.__qualname__ = f"{name}_{digest}"
            scope[name] = numba.njit(nogil=True, error_model="numpy")(function)
            scope[name]._cache = MachineCode(function.__name__)
    return scope


def _array(dtype: np.dtype[Any], ndim: int = 1) -> Any:
    """Numba's type of arrays in C order."""
    import numba

    return numba.types.Array(numba.from_dtype(dtype), ndim, "C")
