"""Generated loops, compiled by Numba for a dtype before anything is written.

No fast-math: the operations, their order and their rounding are those of the other executors.
"""

from __future__ import annotations

import functools
import hashlib
from types import FunctionType
from typing import Any

import numpy as np

from gpuopt.arrays.dtypes import state_dtype
from gpuopt.codegen.numba import fold_source, loop_source
from gpuopt.codegen.numba_coding import CODING
from gpuopt.codegen.numba_header import Stored
from gpuopt.codegen.numba_intrinsics import END
from gpuopt.codegen.numba_texts import fill_source, lanes_source
from gpuopt.codegen.tile import wholes
from gpuopt.executors.cpu.coded import Codec
from gpuopt.executors.cpu.numba_cache import MachineCode
from gpuopt.tracing.operands import GRAD
from gpuopt.tracing.program import Kernel

__all__ = ["coding", "compiled", "fill_code", "fold_code", "lanes_code", "loop_code", "widens"]


@functools.lru_cache(maxsize=512)
def loop_code(kernel: Kernel, compute: np.dtype[Any], stored: tuple[Stored, ...] = ()) -> Any:
    """Generate and compile the loop that runs `kernel` on runs of arrays.

    It takes an array from which the gradient is reached; the address of a table, of which
    `gpuopt.codegen.numba_header.HEAD` says what is in it; and the number of the thread.
    """
    source = loop_source(kernel, compute, stored)
    return compiled(source, "loop", _signature(kernel, compute, stored))


@functools.lru_cache(maxsize=512)
def fold_code(stage: Kernel, compute: np.dtype[Any], stored: tuple[Stored, ...] = ()) -> Any:
    """Compile the function that folds runs, in the order of `gpuopt.executors.fold`."""
    source = fold_source(stage, compute, stored)
    return compiled(source, "fold", _signature(stage, compute, stored))


@functools.lru_cache(maxsize=2)
def fill_code(dtype: np.dtype[Any]) -> Any:
    """Compile the function that does what `gpuopt.arrays.random.fill` does.

    It takes a flat array of that dtype, where the sequence begins, the indices in it, and how many
    bits come before those that are taken.
    """
    import numba

    whole = numba.types.uint64
    signature = _array(dtype), whole, _array(np.dtype(np.uint64)), whole
    return compiled(fill_source(dtype), "fill", signature)


@functools.lru_cache(maxsize=2)
def lanes_code(dtype: np.dtype[Any]) -> Any:
    """Compile the function that does what `gpuopt.executors.fold.add_lanes` does, for rows of that
    dtype.
    """
    signature = _array(dtype, 2), _array(np.dtype(np.float64))
    return compiled(lanes_source(dtype), "add_lanes", signature)


@functools.cache
def coding() -> Codec:
    """Compile the functions that do what `gpuopt.arrays.dynamic8` does, for NumPy's arrays."""
    kinds = (np.dtype(kind) for kind in (np.uint8, np.uint16, np.uint32))
    signature = tuple(map(_array, kinds))
    decode, encode = (compiled(CODING, name, signature) for name in ("decode", "encode"))
    return Codec(
        lambda codes, tops, values: decode(codes, tops, values.view(np.uint32)),
        lambda codes, tops, values: encode(codes, tops, values.view(np.uint32)),
    )


def widens(dtype: np.dtype[Any]) -> bool:
    """Whether a loop can take arrays of `dtype` as they are stored.

    That is false for float16 where it would take a call for each element.
    """
    if dtype.name != "float16":
        return True
    from numba.core.registry import cpu_target

    return "+f16c" in str(cpu_target.target_context.codegen().magic_tuple())


def _signature(kernel: Kernel, compute: np.dtype[Any], stored: tuple[Stored, ...]) -> Any:
    import numba

    short = any(each.kind for each in stored if each.array == GRAD)
    is_complex = any(whole.complex for whole in wholes(kernel) if whole.array == GRAD)
    dtype = np.dtype(np.uint16) if short else state_dtype(compute, is_complex)
    return _array(dtype), numba.types.int64, numba.types.int64


def compiled(source: str, name: str, signature: tuple[Any, ...]) -> Any:
    """The function of a text by its name, compiled for a signature."""
    function = _functions(source)[name]
    function.compile(signature)
    return function


@functools.lru_cache(maxsize=512)
def _functions(source: str) -> dict[str, Any]:
    """The functions of a text, which Numba compiles for what they are called with.

    Numba tells machine code apart by the names of functions, so they are named after the text.
    Python does not keep it as a module.
    """
    import numba

    digest = hashlib.sha256(source.encode()).hexdigest()[:32]
    begin, _, rest = source.partition(END)
    scope = _run(rest, _shared(begin))
    for name, function in list(scope.items()):
        if isinstance(function, FunctionType) and function.__module__ == __name__:
            function.__name__ = function.__qualname__ = f"{name}_{digest}"
            scope[name] = numba.njit(nogil=True, error_model="numpy")(function)
            scope[name]._cache = MachineCode(function.__name__)
    return scope


@functools.cache
def _shared(begin: str) -> dict[str, Any]:
    """The scope of what many texts begin with."""
    return _run(begin, {"__name__": __name__})


def _run(text: str, scope: dict[str, Any]) -> dict[str, Any]:
    """What a generated text makes of a scope, which stays as it is."""
    scope = dict(scope)
    exec(compile(text, "<a loop that gpuopt generated>", "exec"), scope)
    return scope


def _array(dtype: np.dtype[Any], axes: int = 1) -> Any:
    """Numba's type of arrays without gaps."""
    import numba

    return numba.types.Array(numba.from_dtype(dtype), axes, "C")
