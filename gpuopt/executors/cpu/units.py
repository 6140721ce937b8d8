"""What a step goes through: arrays one by one, and packs of small ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

from gpuopt.executors.cpu.packs import PackedArrays, PackTile
from gpuopt.executors.cpu.work import TiledArray

__all__ = ["Units"]


class Units(NamedTuple):
    """Each array by itself; or packs, and the arrays in none."""

    each: list[TiledArray]
    packed: list[TiledArray | PackedArrays]

    @classmethod
    def of(cls, arrays: list[TiledArray], packs: list[PackTile]) -> Units:
        inside = {position for pack in packs for position in pack.positions}
        alone = [array for array in arrays if array.position not in inside]
        return cls(arrays, [*(PackedArrays(arrays, pack) for pack in packs), *alone])

    def chosen(self, positions: list[int] | None, apart: bool) -> list[Any]:
        """What a step of the arrays at `positions` (None for all) goes through.

        Those are packs, and neighbours in them, unless the arrays must be told `apart`.
        """
        if apart or (positions is not None and len(positions) == 1):
            return self.each if positions is None else [self.each[at] for at in positions]
        return self.packed if positions is None else [*self._some(frozenset(positions))]

    def _some(self, positions: frozenset[int]) -> Iterator[TiledArray | PackedArrays]:
        for unit in self.packed:
            if isinstance(unit, TiledArray):
                if unit.position in positions:
                    yield unit
                continue
            start = 0
            for taken, group in itertools.groupby(unit.positions, positions.__contains__):
                count = len(list(group))
                if taken:
                    yield unit.part(start, start + count)
                start += count
