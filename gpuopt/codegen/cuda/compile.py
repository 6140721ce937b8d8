"""From the text of a kernel to the kernel that CuPy compiles when it is first called."""

from __future__ import annotations

import functools
from typing import Any

from gpuopt.codegen.cuda.elementwise import OPTIONS, KernelSource

__all__ = ["compile_kernel"]


@functools.lru_cache(maxsize=512)
def compile_kernel(written: KernelSource) -> Any:
    """The kernel of a text."""
    import cupy

    return cupy.ElementwiseKernel(
        written.inputs,
        written.outputs,
        written.body,
        written.name,
        preamble=written.preamble,
        options=OPTIONS,
    )
