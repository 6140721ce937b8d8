"""The Numba executor: a kernel as one compiled loop, run over arrays as they are stored."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from gpuopt.arrays.backend import helpers_stay_awake
from gpuopt.executors.cpu import handover, numba_objects
from gpuopt.executors.cpu.kernel import CompiledKernel
from gpuopt.executors.cpu.numba_compile import coding
from gpuopt.executors.cpu.numba_kernel import NumbaKernel
from gpuopt.executors.cpu.tiles import TileExecutor
from gpuopt.executors.cpu.work import ArrayTile, FoldItem
from gpuopt.executors.scalars import Scalars
from gpuopt.tracing.program import Kernel, UpdateProgram

__all__ = ["NumbaExecutor"]

SMALLEST, PORTIONS = 16_384, 4
"""Elements of the smallest portion that threads share, and how many each thread is to find."""


class NumbaExecutor(TileExecutor):
    """Arrays that are updated by one loop, which reads and writes each element once."""

    name = "numba"
    codec = staticmethod(coding)
    tile = folded = 524_288
    pack = 1_000_000
    shared = 1 << 23
    """Bytes that the largest kernel of a step must move for a second thread to pay in all."""
    _moved = 0  # by that kernel, for an element

    def prepare(self, program: UpdateProgram) -> None:
        super().prepare(program)
        if self.packs:
            numba_objects.finder()  # compiled before the first step
        self._moved = max(compiled.moved for compiled in self._kernels.values())
        most = self._load * self._moved
        if self._threads > 1 and most >= self.shared and helpers_stay_awake():
            handover.prepare()
            self._shares = True

    def _shared(
        self, compiled: CompiledKernel, work: Iterable[FoldItem], positions: list[int] | None
    ) -> Callable[[Any], None] | None:
        assert isinstance(compiled, NumbaKernel)
        total, folds = int(self._load_of(positions)), bool(compiled.kernel.reductions)
        if total * self._moved < self.shared:
            return None
        size, rows, held = max(SMALLEST, -(-total // (PORTIONS * self._threads))), [], []
        for tile, g in work:
            call = compiled.call(tile, g, folds) if type(tile) is ArrayTile else None
            if call is None or call.copies:
                return None
            rows.append(call.rows(g, size))
            held.append((call, g))
        every = rows[0] if len(rows) == 1 else np.concatenate(rows)
        return functools.partial(self._lead, compiled, every, held)

    def _lead(self, compiled: CompiledKernel, rows: Any, held: Any, scalars: Scalars) -> None:
        """Share calls with other threads; what they read is `held` until they are done."""
        compiled.scalars[...] = scalars
        for call, _ in held:
            call.draw()
        handover.run(rows, self._threads)

    def _compile(self, kernel: Kernel) -> CompiledKernel:
        return NumbaKernel(kernel, self.compute, self._scratch, self._sizes, self._dtype)
