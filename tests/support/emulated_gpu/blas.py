"""In place of CuPy's module of cuBLAS: products of matrices, by NumPy's BLAS. Everything else of it is refused by its name.

CuPy calls it by the names of Python, so that it needs no library.
"""

from __future__ import annotations

import ctypes
import sys
from types import ModuleType
from typing import Any

import cupy_backends.cuda.libs as libs
import numpy as np

from .kernels import device_library
from .streams import put

NAME = "cupy_backends.cuda.libs.cublas"
KINDS = "16F 16F_PEDANTIC 32F 32F_PEDANTIC 64F 64F_PEDANTIC 32F_FAST_16F 32F_FAST_16BF 32F_FAST_TF32"
COMPUTE = {f"CUBLAS_COMPUTE_{kind}": number for number, kind in enumerate(KINDS.split(), 64)}
OPERATIONS = {"CUBLAS_OP_N": 0, "CUBLAS_OP_T": 1, "CUBLAS_OP_C": 2}
_DTYPES = {0: "f4", 1: "f8", 2: "f2", 4: "c8", 5: "c16"}  # cudaDataType


def _at(address: int, count: int, dtype: Any) -> Any:
    dtype = np.dtype(dtype)
    return np.frombuffer((ctypes.c_char * (count * dtype.itemsize)).from_address(address), dtype)


def _matrix(address: int, rows: int, columns: int, leading: int, dtype: Any) -> Any:
    """A matrix by columns, as cuBLAS has them."""
    flat = _at(address, leading * (columns - 1) + rows, dtype)
    return np.lib.stride_tricks.as_strided(flat, (rows, columns), (flat.itemsize, leading * flat.itemsize))


def _operand(address: int, operation: int, rows: int, columns: int, leading: int, dtype: Any) -> Any:
    if operation == OPERATIONS["CUBLAS_OP_N"]:
        return _matrix(address, rows, columns, leading, dtype)
    turned = _matrix(address, columns, rows, leading, dtype).T
    return turned.conj() if operation == OPERATIONS["CUBLAS_OP_C"] else turned


def _product(operations: Any, shape: Any, scale: Any, a: Any, b: Any, c: Any) -> None:
    """``c = scale[0] * a @ b + scale[1] * c``; each of the three is an address, a leading dimension and a dtype."""
    (m, n, k), (alpha, beta) = shape, scale
    left = _operand(a[0], operations[0], m, k, *a[1:]).astype(alpha.dtype)
    right = _operand(b[0], operations[1], k, n, *b[1:]).astype(alpha.dtype)
    to = _matrix(c[0], m, n, *c[1:])
    to[...] = alpha * (left @ right) + (beta * to if beta else 0)
    device_library().emulated_written(c[0], (c[1] * (n - 1) + m) * to.itemsize)


def _scalars(alpha: int, beta: int, dtype: Any) -> Any:
    """Read when they are given: they are the host's."""
    wide = np.result_type(dtype, np.float32)
    return _at(alpha, 1, wide)[0], _at(beta, 1, wide)[0]


def _put(work: Any) -> None:
    import cupy

    stream = cupy.cuda.get_current_stream()
    if stream.is_capturing():
        raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")
    put(stream.ptr, work, "cublas")


def _gemm_ex(
    _: int, op_a: int, op_b: int, m: int, n: int, k: int, alpha: int,
    a: int, type_a: int, lda: int, b: int, type_b: int, ldb: int, beta: int, c: int, type_c: int, ldc: int, *_how: int,
) -> None:  # fmt: skip
    kinds = [_DTYPES[kind] for kind in (type_a, type_b, type_c)]
    scale, places = _scalars(alpha, beta, kinds[2]), list(zip((a, b, c), (lda, ldb, ldc), kinds, strict=True))
    _put(lambda: _product((op_a, op_b), (m, n, k), scale, *places))


def _batched(dtype: str) -> Any:
    def gemm(
        _: int, op_a: int, op_b: int, m: int, n: int, k: int, alpha: int,
        a: int, lda: int, b: int, ldb: int, beta: int, c: int, ldc: int, count: int,
    ) -> None:  # fmt: skip
        scale = _scalars(alpha, beta, dtype)

        def work() -> None:
            for places in zip(*(_at(table, count, np.intp).tolist() for table in (a, b, c)), strict=True):
                given = [(place, leading, dtype) for place, leading in zip(places, (lda, ldb, ldc), strict=True)]
                _product((op_a, op_b), (m, n, k), scale, *given)

        _put(work)

    return gemm


def _other(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    if name.startswith("CUBLAS_GEMM_"):
        return 0  # how it is computed, which the CPU does in one way
    raise NotImplementedError(f"the emulated device has no cuBLAS function {name}: see {__file__}")


def install() -> None:
    """Let CuPy find this where it looks for cuBLAS."""
    module = ModuleType(NAME)
    batched = {f"{letter}gemmBatched": _batched(dtype) for letter, dtype in zip("sdcz", ("f4", "f8", "c8", "c16"), strict=True)}
    found = {**OPERATIONS, **COMPUTE, **batched, "create": lambda: 1, "destroy": lambda _: None, "gemmEx": _gemm_ex}
    vars(module).update(found, __getattr__=_other)
    sys.modules[NAME] = module
    libs.cublas = module


__name__ = NAME  # a line of this file is CuPy's, where an error names the line of a user
