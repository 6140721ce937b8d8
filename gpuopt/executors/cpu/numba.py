"""The Numba executor: a kernel as one compiled loop, run over tiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuopt.codegen.order import REDUCTION_CHUNK, chunks
from gpuopt.executors.cpu.kernel import CompiledKernel
from gpuopt.executors.cpu.numba_compile import fill_code, fold_code, loop_code, pack_code
from gpuopt.executors.cpu.packs import PackCall, PackTile
from gpuopt.executors.cpu.scratch import Scratch
from gpuopt.executors.cpu.tiles import TileExecutor
from gpuopt.executors.cpu.work import ArrayTile
from gpuopt.tracing.operands import PARAM
from gpuopt.tracing.program import Kernel

__all__ = ["NumbaExecutor"]


class NumbaKernel(CompiledKernel):
    """A loop that reads and writes each element once.

    A second one does that to packed arrays; a reduction's folds what it maps.
    """

    def __init__(
        self,
        kernel: Kernel,
        compute: np.dtype[Any],
        scratch: Scratch,
        sizes: Sequence[int],
        packs: bool,
    ) -> None:
        super().__init__(kernel, loop_code(kernel, compute), compute, scratch, sizes)
        self._reads = [place for place in self.code.places if place.read]
        self.pack = self._fold = None
        if kernel.random:
            fill_code(compute)  # compiled before the first step
        if kernel.reductions:
            self._fold = fold_code(kernel, compute)
        elif packs and not kernel.complex:
            self.pack = pack_code(self.code, compute)

    def last(self, size: int, thread: int) -> Sequence[Any]:
        return (self.values,)

    def call_of_pack(self, tile: PackTile, thread: int) -> PackCall:
        """Find the parameters by their addresses instead of copying them, if that can be."""
        table = None if self.pack is None else tile.table(self.compute)
        if self.pack is None or table is None:
            return super().call_of_pack(tile, thread)
        call = PackCall(self.pack, [], [], [])
        self._bind(
            call, tile, thread, [place for place in self.code.places if place.array != PARAM]
        )
        call.arguments.extend([self.values, *table])
        return call

    def fold_tile(self, tile: ArrayTile, g: Any, thread: int) -> None:
        """Map and fold a tile in one loop, which writes nothing but a row for each chunk."""
        operands, _ = self.operands(tile, g, thread, self._reads)
        first, position = tile.offset // REDUCTION_CHUNK, tile.array.position
        last = first + chunks(tile.size)
        rows = [self.folds.rows(n, position)[first:last] for n in range(len(self.folds.ops))]
        assert self._fold is not None
        self._fold(*operands, self.values, *rows)

    def fill(self, values: Any, start: int, index: Any, room: list[Any]) -> None:
        fill_code(values.dtype)(values, np.uint64(start), index)


class NumbaExecutor(TileExecutor):
    """Arrays that are updated by one loop, which reads and writes each element once."""

    name = "numba"
    tile = folded = 524_288
    pack = 1_000_000

    def _compile(self, kernel: Kernel) -> CompiledKernel:
        packs = bool(self.packs)
        return NumbaKernel(kernel, self.compute, self._scratch, self._sizes, packs)
