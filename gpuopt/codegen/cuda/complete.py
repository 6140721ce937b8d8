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


def complete_source(kernel: Any, argument_dtypes: Sequence[Any]) -> str:
    """Return the complete text that CuPy would compile for a call of this kernel.

    The arrays of the call are C-contiguous, and of less than 2 GiB each.

    Parameters
    ----------
    kernel : cupy.ElementwiseKernel
        The kernel; its signature does not say which parameters are arrays.
    argument_dtypes : sequence of dtype or None
        For each parameter, inputs first, the dtype of the array passed, or None where a Python
        scalar is passed.

    Raises
    ------
    TypeError
        A dtype is not that of the signature, or an output is None.
    ValueError
        There are not as many dtypes as parameters.
    """
    if len(argument_dtypes) != kernel.nargs:
        got = len(argument_dtypes)
        raise ValueError(f"{kernel.name} has {kernel.nargs} parameters; got {got} dtypes")
    described, types = _described(kernel, argument_dtypes)
    described.append(_info(_INDEXER, _type("_carray", "Indexer"), None, 1))
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


def _described(kernel: Any, dtypes: Sequence[Any]) -> tuple[list[Any], Any]:
    """Describe all arguments to CuPy's code generator; and what its type names stand for."""
    given = [None if dtype is None else np.dtype(dtype) for dtype in dtypes]
    inputs, outputs, types = kernel._decide_params_type(
        tuple(given[: kernel.nin]), tuple(given[kernel.nin :])
    )
    array, scalar = import_module("cupy").ndarray, _type("_scalar", "CScalar")
    described = []
    for dtype, of_scalar in zip(given, inputs + outputs, strict=True):
        if dtype is None:  # a Python scalar, which CuPy converts to the parameter's dtype
            described.append(_info(_SCALAR, scalar, of_scalar, 0))
        else:
            described.append(_info(_ARRAY, array, dtype, 1))
    return described, types


def _info(kind: int, of: Any, dtype: Any, ndim: int) -> Any:
    """An argument as CuPy's code generator sees it: contiguous, with indices of 32 bits."""
    return import_module("cupy._core._kernel")._ArgInfo(kind, of, dtype, ndim, True, True)


def _type(module: str, name: str) -> Any:
    return getattr(import_module(f"cupy._core.{module}"), name)
