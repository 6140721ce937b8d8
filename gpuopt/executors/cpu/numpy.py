"""The NumPy executor: a kernel's operations as in-place NumPy calls on cache-sized tiles."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuopt.arrays.backend import ExecutorName
from gpuopt.codegen.numpy import tile_code
from gpuopt.executors.cpu.tiles import TileExecutor
from gpuopt.executors.cpu.work import CompiledKernel
from gpuopt.tracing.program import Kernel

__all__ = ["NumpyExecutor"]


class NumpyExecutor(TileExecutor):
    """Arrays that are updated by NumPy's ufuncs, each on a tile that stays in the cache."""

    name: ExecutorName = "numpy"

    def _generate(self, kernel: Kernel) -> CompiledKernel:
        return CompiledKernel(kernel, tile_code(kernel), self.compute)

    def _call(self, program: CompiledKernel, arguments: list[Any], size: int, slot: int) -> None:
        code = program.code
        arguments += [self._run(slot, f"w{i}", size, self.compute) for i in range(code.scratch)]
        arguments += [self._run(slot, f"b{i}", size, np.dtype(bool)) for i in range(code.masks)]
        code.function(*arguments, *program.scalars)

    def _call_packed(self, program: CompiledKernel, tile: Any, gradients: list[Any], slot: int) -> bool:
        return False
