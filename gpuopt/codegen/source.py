"""The CUDA text of a rule, for reading and for checking without a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gpuopt.arrays.dtypes import COMPUTE, is_complex, named, state_dtype
from gpuopt.arrays.packages import CUPY_MISSING, cupy_fault
from gpuopt.codegen.cuda.device_values import needs_scalars
from gpuopt.codegen.cuda.reduction import reductions_source
from gpuopt.codegen.cuda.scalars import count_source, scalar_source
from gpuopt.codegen.cuda.source import KernelSource
from gpuopt.codegen.cuda.table import table_source
from gpuopt.rules.base import Bindable, class_hint
from gpuopt.rules.composite import without_arrays
from gpuopt.rules.hooks import device_counts
from gpuopt.rules.partitions import is_partitioned
from gpuopt.tracing.operands import hyper_array
from gpuopt.tracing.trace import Masked, trace

__all__ = ["cuda_source", "kernels"]


def cuda_source(rule: Bindable, dtype: DTypeLike = "float32") -> str:
    """The complete CUDA C++ text of a rule's kernel, as CuPy compiles it for any number of
    contiguous arrays.

    A chain with reductions has several texts, one after another: for each reduction, for the
    scalars computed from them, for the update, and for the step count if the GPU decides about a
    step.

    Parameters
    ----------
    rule : Rule
        Its options determine the text; the values of its float hyperparameters do not.
    dtype : str or dtype
        Of parameter and gradient: float16, bfloat16, float32, float64, complex64 or complex128.

    Returns
    -------
    str

    Raises
    ------
    TypeError
        For another dtype, or if `rule` is not a rule.
    ModuleNotFoundError
        If CuPy is not installed. A GPU is not needed.
    RuntimeError
        If CuPy is too old.
    """
    if not isinstance(rule, Bindable):
        raise TypeError(
            "rule must be a gpuopt.Rule, such as gpuopt.Adam(), got "
            f"{type(rule).__name__}{class_hint(rule)}"
        )
    of = named(_name(dtype))
    try:
        import cupy

        if fault := cupy_fault(cupy):
            raise RuntimeError(f"gpuopt.cuda_source cannot use CuPy: {fault}")
        from gpuopt.codegen.cuda.compile import compile_kernel
        from gpuopt.codegen.cuda.complete import complete_source
    except ModuleNotFoundError as error:
        message = f"gpuopt.cuda_source needs CuPy, but no GPU: {CUPY_MISSING}"
        raise ModuleNotFoundError(message, name=error.name) from error
    return "\n".join(
        complete_source(compile_kernel(written), written.dtypes) for written in kernels(rule, of)
    )


def _name(dtype: Any) -> str:
    """The name of a dtype; the text of anything that is none."""
    try:
        known = dtype is None or (isinstance(dtype, str) and dtype in COMPUTE)
        return str(dtype) if known else np.dtype(dtype).name
    except TypeError:
        return str(dtype)


def kernels(rule: Bindable, of: np.dtype[Any], capturable: bool = False) -> list[KernelSource]:
    """The kernels of a step for arrays of dtype `of`, in order: reductions, scalars computed from
    them, the update, the count.
    """
    if is_partitioned(rule):
        raise TypeError(f"{rule!r} has kernels for each of its rules: pass one of the rules")
    update, written = without_arrays(rule.update_for(""))
    counted = device_counts([update], capturable)
    mode = Masked() if counted else None
    whole = trace(update, is_complex(of), frozenset(written), mode)
    found: list[KernelSource] = []
    arrays = tuple((hyper_array(name), COMPUTE[of.name]) for name in written)
    states = tuple(state.name for state in whole.states)
    for each in whole.kernels:
        stored = needs_scalars(each, counted)
        if stored:
            found.append(scalar_source(whole, each, COMPUTE[of.name], counted).kernel)
        beside = tuple((op, state_dtype(COMPUTE[of.name], wide)) for op, wide in whole.made.items())
        beside += tuple(pair for pair in arrays if pair[0] in each.loads)
        if each.reductions:
            found.append(reductions_source(each, states, of, of, beside, stored))
        elif each.launched:
            found.append(table_source(each, states, of, of, beside, stored))
    return [*found, count_source(whole).kernel] if counted else found
