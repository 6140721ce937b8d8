"""The Numba executor: a kernel as one compiled loop, run over tiles by the threads that the NumPy executor uses."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuopt.arrays.backend import ExecutorName
from gpuopt.codegen.order import REDUCTION_CHUNK, chunks
from gpuopt.executors.cpu.numba_compile import fill_code, fold_code, loop_code, pack_code
from gpuopt.executors.cpu.tiles import TileExecutor
from gpuopt.executors.cpu.work import CompiledKernel
from gpuopt.tracing.program import Kernel

__all__ = ["NumbaExecutor"]


class NumbaExecutor(TileExecutor):
    """Arrays that are updated by one loop, which reads and writes each element once."""

    name: ExecutorName = "numba"
    tile = folded = 524_288
    pack = 1_000_000

    def _generate(self, kernel: Kernel) -> CompiledKernel:
        program = CompiledKernel(kernel, loop_code(kernel, self.compute), self.compute)
        if kernel.random:
            fill_code(self.compute)  # compiled before the first step
        if kernel.reductions:
            program.fold = fold_code(kernel, self.compute)
        elif self.packs and not kernel.complex:
            program.pack = pack_code(program.code, self.compute)
        return program

    def _fill(self, run: Any, start: int, index: Any, scratch: list[Any]) -> None:
        fill_code(run.dtype)(run, np.uint64(start), index)

    def _call(self, program: CompiledKernel, arguments: list[Any], size: int, slot: int) -> None:
        program.code.function(*arguments, program.values)

    def _call_packed(self, program: CompiledKernel, tile: Any, gradients: list[Any], slot: int) -> bool:
        """Gather the gradients; parameters are found by their addresses, in a table that is made once."""
        params = tile.operands["p"]
        if program.pack is None or params[0].dtype != self.compute or not all(p.flags.aligned for p in params):
            return False
        if tile.table is None:
            addresses = np.array([p.__array_interface__["data"][0] for p in params], np.int64)
            tile.table = addresses, np.cumsum([p.size for p in params], dtype=np.int64)
        arguments = []
        for place in program.code.places:
            x = gradients if place.array == "g" else tile.operands[place.array]
            if place.array != "p":
                arguments.append(self._gathered(x, place.component, tile.size, slot))
        program.pack(*arguments, program.values, *tile.table)
        return True

    def _fold_tile(self, program: CompiledKernel, tile: Any, g: Any, index: int, slot: int) -> None:
        """Map and fold a tile in one loop, which writes a row for each chunk and nothing else."""
        assert program.folds is not None
        reads = [place for place in program.code.places if place.read]
        arguments, _ = self._arguments(program, tile, g, slot, reads)
        first = tile.offset // REDUCTION_CHUNK
        rows = [program.folds.rows(n, index)[first : first + chunks(tile.size)] for n in range(len(program.folds.ops))]
        program.fold(*arguments, program.values, *rows)

    def _gathered(self, x: Any, component: str, size: int, slot: int) -> Any:
        """The arrays of a list as one run; or a run that it is already."""
        if type(x) is not list:
            return x
        run = self._run(slot, component, size, self.compute)
        np.concatenate(x, axis=None, out=run, casting="unsafe")
        return run
