"""From the text of a kernel to the kernel that CuPy compiles when it is first called."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from gpuopt.codegen.cuda import tuning
from gpuopt.codegen.cuda.source import OPTIONS, KernelSource

__all__ = ["compile_kernel", "compile_launch"]


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


def compile_launch(written: KernelSource) -> Callable[..., Any]:
    """The kernel of a text, launched in blocks of as many threads as `tuning` says."""
    kernel = compile_kernel(written)
    return kernel if tuning.BLOCK == 128 else functools.partial(kernel, block_size=tuning.BLOCK)
