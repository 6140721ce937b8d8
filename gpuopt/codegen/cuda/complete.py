"""The exact CUDA C++ text that CuPy compiles when an ``ElementwiseKernel`` is called.

CuPy makes the text at the first call, which needs a device. Its generator needs none, so it is
called here with a description of the arguments in place of arrays. It is private to CuPy: the tests
guard what is assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

# CuPy's kinds of arguments (_ArgKind in _kernel.pxd), which Python cannot import.
_ARRAY, _INDEXER, _SCALAR = 1, 2, 3


def complete_source(
    kernel: Any,
    argument_dtypes: Sequence[Any],
    *,
    ndim: int = 1,
    contiguous: bool | Sequence[bool] = True,
    index_32_bits: bool = True,
    raw_ndims: Sequence[int] | None = None,
) -> str:
    """Return the complete text that CuPy would compile for a call of this kernel.

    Parameters
    ----------
    kernel : cupy.ElementwiseKernel
        The kernel; its signature does not say which parameters are arrays.
    argument_dtypes : sequence of dtype or None
        For each parameter, inputs first, the dtype of the array passed, or None where a Python
        scalar is passed.
    ndim : int
        Dimensions of the loop. CuPy calls a kernel with 1 when all arrays are C-contiguous,
        whatever their shape. An array of a ``raw`` parameter is taken to be one-dimensional and
        contiguous, unless `raw_ndims` is given.
    contiguous : bool or sequence of bool
        Whether the arrays are C-contiguous; a sequence holds one for each parameter and ignores
        those of scalars.
    raw_ndims : sequence of int, optional
        Dimensions of the arrays of ``raw`` parameters, in the places of those; `contiguous` then
        holds for them too.
    index_32_bits : bool
        Whether indices fit 32 bits, which they do up to 2 GiB an array.

    Raises
    ------
    TypeError
        A dtype is not that of the signature, or an output is None.
    ValueError
        A sequence is not as long as the signature.
    """
    code_generator, core = import_module("cupy._core._kernel"), import_module("cupy._core.core")
    flags = [contiguous] * kernel.nargs if isinstance(contiguous, bool) else list(contiguous)
    if not len(argument_dtypes) == len(flags) == kernel.nargs:
        got = f"{len(argument_dtypes)} dtypes and {len(flags)} contiguity flags"
        raise ValueError(f"{kernel.name} has {kernel.nargs} parameters; got {got}")
    dtypes = [None if dtype is None else np.dtype(dtype) for dtype in argument_dtypes]
    inputs, outputs, type_map = kernel._decide_params_type(
        tuple(dtypes[: kernel.nin]), tuple(dtypes[kernel.nin :])
    )
    described = []
    arguments = zip(
        kernel.params, dtypes, inputs + outputs, flags, raw_ndims or [0] * len(flags), strict=False
    )
    for parameter, dtype, scalar_dtype, flag, raw_ndim in arguments:
        if dtype is None:
            described.append(_scalar(scalar_dtype))
        else:
            layout = (
                (ndim, flag) if not parameter.raw else (raw_ndim, flag) if raw_ndims else (1, True)
            )
            described.append(_array(dtype, *layout, index_32_bits))
    indexer = import_module("cupy._core._carray").Indexer
    described.append(code_generator._ArgInfo(_INDEXER, indexer, None, ndim, True, index_32_bits))
    code: str = code_generator._get_elementwise_kernel_code(
        tuple(described),
        type_map,
        kernel.params,
        kernel.operation,
        kernel.name,
        kernel.preamble,
        **kernel.kwargs,
    )
    return "".join(f"#include <{header}>\n" for header in core._cupy_header_list) + code


def kernel_options(kernel: Any) -> tuple[str, ...]:
    """Return the compiler options that the kernel was made with, such as ``--fmad=false``."""
    return tuple(kernel.kwargs.get("options", ()))


def _array(dtype: Any, ndim: int, contiguous: bool, index_32_bits: bool) -> Any:
    """Describe an array to CuPy's code generator."""
    info = import_module("cupy._core._kernel")._ArgInfo
    return info(_ARRAY, import_module("cupy").ndarray, dtype, ndim, contiguous, index_32_bits)


def _scalar(dtype: Any) -> Any:
    """Describe a Python scalar, which CuPy converts to the parameter's dtype, to its code
    generator.
    """
    info = import_module("cupy._core._kernel")._ArgInfo
    return info(_SCALAR, import_module("cupy._core._scalar").CScalar, dtype, 0, True, True)
