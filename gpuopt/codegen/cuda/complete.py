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
    flags = [contiguous] * kernel.nargs if isinstance(contiguous, bool) else list(contiguous)
    if not len(argument_dtypes) == len(flags) == kernel.nargs:
        got = f"{len(argument_dtypes)} dtypes and {len(flags)} contiguity flags"
        raise ValueError(f"{kernel.name} has {kernel.nargs} parameters; got {got}")
    layouts = [(ndim, flag) for flag in flags]
    for place, parameter in enumerate(kernel.params):
        if parameter.raw:
            layouts[place] = (raw_ndims[place], flags[place]) if raw_ndims else (1, True)
    described, types = _described(kernel, argument_dtypes, layouts, index_32_bits)
    described.append(_info(_INDEXER, _type("_carray", "Indexer"), None, ndim, True, index_32_bits))
    code: str = import_module("cupy._core._kernel")._get_elementwise_kernel_code(
        tuple(described),
        types,
        kernel.params,
        kernel.operation,
        kernel.name,
        kernel.preamble,
        **kernel.kwargs,
    )
    headers = import_module("cupy._core.core")._cupy_header_list
    return "".join(f"#include <{header}>\n" for header in headers) + code


def kernel_options(kernel: Any) -> tuple[str, ...]:
    """Return the compiler options that the kernel was made with, such as ``--fmad=false``."""
    return tuple(kernel.kwargs.get("options", ()))


def _described(
    kernel: Any, dtypes: Sequence[Any], layouts: Sequence[tuple[int, bool]], index_32_bits: bool
) -> tuple[list[Any], Any]:
    """Describe all arguments to CuPy's code generator; and what its type names stand for.

    `layouts` has dimensions and contiguity of each, where it is an array.
    """
    given = [None if dtype is None else np.dtype(dtype) for dtype in dtypes]
    inputs, outputs, types = kernel._decide_params_type(
        tuple(given[: kernel.nin]), tuple(given[kernel.nin :])
    )
    array, scalar = import_module("cupy").ndarray, _type("_scalar", "CScalar")
    described = []
    for dtype, of_scalar, layout in zip(given, inputs + outputs, layouts, strict=True):
        if dtype is None:  # a Python scalar, which CuPy converts to the parameter's dtype
            described.append(_info(_SCALAR, scalar, of_scalar, 0, True, True))
        else:
            described.append(_info(_ARRAY, array, dtype, *layout, index_32_bits))
    return described, types


def _info(*described: Any) -> Any:
    """An argument as CuPy's code generator sees it."""
    return import_module("cupy._core._kernel")._ArgInfo(*described)


def _type(module: str, name: str) -> Any:
    return getattr(import_module(f"cupy._core.{module}"), name)
