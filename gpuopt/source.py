"""The CUDA text of a rule, for reading and for checking without a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuopt.dtypes import COMPUTE, is_complex, named
from gpuopt.rules.base import Rule
from gpuopt.trace import trace

__all__ = ["cuda_source"]


def cuda_source(rule: Rule, dtype: Any = "float32") -> str:
    """The complete CUDA C++ text of a rule's kernel, as CuPy compiles it for contiguous arrays.

    Parameters
    ----------
    rule : Rule
        Its options decide the text; the values of its float hyperparameters do not.
    dtype : str or dtype
        Of parameter and gradient: float16, bfloat16, float32, float64, complex64 or complex128.

    Returns
    -------
    str

    Raises
    ------
    TypeError
        For another dtype, or something that is no rule.
    ModuleNotFoundError
        Where CuPy is not installed. A GPU is not needed.
    """
    if not isinstance(rule, Rule):
        raise TypeError(f"rule must be a gpuopt.Rule, such as gpuopt.Adam(), got {type(rule).__name__}")
    of = named(dtype if dtype in COMPUTE else np.dtype(dtype).name)
    try:
        from gpuopt.executors.cupy_kernel import kernel
        from gpuopt.executors.cupy_text import complete_text
    except ModuleNotFoundError as error:
        message = "gpuopt.cuda_source needs CuPy (no GPU): pip install 'gpuopt[cuda13]' or 'gpuopt[cuda12]'"
        raise ModuleNotFoundError(message, name=error.name) from error
    function, written = kernel(trace(rule, is_complex(of)), of, of)
    return complete_text(function, written.dtypes)
