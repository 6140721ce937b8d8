"""The CuPy calls of the CUDA executor in one object, so that a test can watch one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import cupy

from gpuopt.codegen.cuda.compile import compile_launch
from gpuopt.codegen.cuda.source import KernelSource

__all__ = ["CUPY", "Runtime"]


@dataclasses.dataclass(frozen=True)
class Runtime:
    """A library of device arrays, and what runs kernels on them.

    Attributes
    ----------
    xp : module
        Makes arrays on the current device, by `zeros`, `empty`, `full` and `asarray`.
    cuda : module
        Has `Event`, `alloc_pinned_memory` and `get_current_stream`, as ``cupy.cuda``.
    compile_kernel : callable
        From the source of a kernel to what launches it.
    """

    xp: Any
    cuda: Any
    compile_kernel: Callable[[KernelSource], Callable[..., Any]]

    def capturing(self) -> bool:
        """Whether what is launched now is captured in a CUDA graph, not run."""
        return bool(self.cuda.get_current_stream().is_capturing())

    def wait(self) -> None:
        """Wait for what was launched on the current stream."""
        self.cuda.get_current_stream().synchronize()


CUPY = Runtime(cupy, cupy.cuda, compile_launch)
