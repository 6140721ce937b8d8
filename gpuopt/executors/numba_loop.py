"""The Numba executor: a trace as one compiled loop, run over tiles by the threads that the NumPy executor uses."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from gpuopt.executors.numba_code import loop_code, pack_code
from gpuopt.executors.tile_code import TileCode
from gpuopt.executors.tiles import TileGroup
from gpuopt.trace import Trace

__all__ = ["NumbaGroup"]


@final
class NumbaGroup(TileGroup):
    """Arrays that are updated by one loop, which reads and writes each element once."""

    name = "numba"
    tile, pack = 524_288, 1_000_000

    def _generate(self, trace: Trace) -> TileCode:
        code = loop_code(trace, self.compute)
        self._pack = pack_code(code, self.compute) if self.packs and not trace.complex else None
        return code

    def _call(self, arguments: list[Any], size: int, slot: int) -> None:
        self._code.function(*arguments, self._values)

    def _call_packed(self, tile: Any, gradients: list[Any], slot: int) -> bool:
        """Gather the gradients; parameters are found by their addresses, in a table that is made once."""
        params = tile.operands["p"]
        if self._pack is None or params[0].dtype != self.compute or not all(p.flags.aligned for p in params):
            return False
        if tile.table is None:
            addresses = np.array([p.__array_interface__["data"][0] for p in params], np.int64)
            tile.table = addresses, np.cumsum([p.size for p in params], dtype=np.int64)
        run = self._run(slot, "g", tile.size, self.compute)
        np.concatenate(gradients, axis=None, out=run, casting="unsafe")
        arguments = [
            run if place.array == "g" else tile.operands[place.array] for place in self._code.places if place.array != "p"
        ]
        self._pack(*arguments, self._values, *tile.table)
        return True
