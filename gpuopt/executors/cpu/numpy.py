"""The NumPy executor: a kernel's operations as in-place NumPy calls on cache-sized tiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuopt.codegen.numpy import tile_code
from gpuopt.executors.cpu.kernel import CompiledKernel
from gpuopt.executors.cpu.scratch import Scratch
from gpuopt.executors.cpu.tiles import TileExecutor
from gpuopt.tracing.program import Kernel

__all__ = ["NumpyExecutor"]


class NumpyKernel(CompiledKernel):
    """A function of NumPy calls, which also takes scratch for what it computes in between."""

    def __init__(
        self, kernel: Kernel, compute: np.dtype[Any], scratch: Scratch, sizes: Sequence[int]
    ) -> None:
        super().__init__(kernel, tile_code(kernel), compute, scratch, sizes)
        each = range(len(self.values))
        self._scalars = tuple(self.values[i : i + 1].reshape(()) for i in each)
        self._last: dict[tuple[int, int], list[Any]] = {}

    def last(self, size: int, thread: int) -> Sequence[Any]:
        if (size, thread) not in self._last:
            self._last[size, thread] = [*self._room(size, thread), *self._scalars]
        return self._last[size, thread]

    def _room(self, size: int, thread: int) -> list[Any]:
        """Scratch for numbers, and for truth values."""
        array, code = self.scratch.array, self.code
        numbers = [array(thread, f"w{i}", size, self.compute) for i in range(code.scratch)]
        return numbers + [array(thread, f"b{i}", size, np.dtype(bool)) for i in range(code.masks)]


class NumpyExecutor(TileExecutor):
    """Arrays that are updated by NumPy's ufuncs, each on a tile that stays in the cache."""

    name = "numpy"

    def _compile(self, kernel: Kernel) -> CompiledKernel:
        return NumpyKernel(kernel, self.compute, self._scratch, self._sizes)
