"""Small arrays packed into one tile: a Python call for each would cost more than its arithmetic."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gpuopt.executors.cpu.work import FoldItem, Tile, TiledArray, WorkItem
from gpuopt.executors.layout import ParamView
from gpuopt.tracing.operands import GRAD, PARAM, Operand

if TYPE_CHECKING:
    from gpuopt.executors.cpu.kernel import CompiledKernel

__all__ = ["PackTile", "PackedArrays", "spread_rows", "together"]

PARTS = 64
"""How many parts of a pack are remembered, for steps in which some arrays have no gradient."""
_IS_IN_C_ORDER = operator.attrgetter("flags.c_contiguous")


class PackTile(Tile):
    """Small arrays that are updated as one. Their state is one stretch of the buffers.

    Attributes
    ----------
    positions, indices, sizes : list of int
        Which arrays of the executor they are, and of the optimizer, and their elements.
    arrays : dict
        What is gathered of them: parameters, and arrays for hyperparameters.
    states : dict
        The state of all, each a flat array.
    """

    __slots__ = ("arrays", "indices", "positions", "sizes", "states")

    def __init__(
        self,
        positions: list[int],
        indices: list[int],
        views: list[ParamView],
        hyper_arrays: list[dict[Operand, Any]],
        buffers: dict[Operand, Any],
    ) -> None:
        self.positions, self.indices = positions, indices
        self.sizes = [view.size for view in views]
        super().__init__(sum(self.sizes))
        self.arrays: dict[Operand, list[Any]] = {PARAM: [view.flat for view in views]}
        self.arrays |= {name: [own[name] for own in hyper_arrays] for name in hyper_arrays[0]}
        first, last = views[0].start, views[-1].stop
        self.states = {name: buffer[first:last] for name, buffer in buffers.items()}

    def part(self, first: int, last: int) -> PackTile:
        """Those of the arrays that stand there, as a pack of their own."""
        part = PackTile.__new__(PackTile)
        part.positions, part.indices = self.positions[first:last], self.indices[first:last]
        part.sizes = self.sizes[first:last]
        Tile.__init__(part, sum(part.sizes))
        start = sum(self.sizes[:first])
        part.arrays = {name: arrays[first:last] for name, arrays in self.arrays.items()}
        part.states = {name: x[start : start + part.size] for name, x in self.states.items()}
        return part

    def fold(self, kernel: CompiledKernel, g: Any, thread: int) -> None:
        kernel.fold_pack(self, g, thread)

    def flat(self, operand: Operand, g: Any) -> Any:
        return self.states.get(operand)

    def load(self, operand: Operand, values: Any, g: Any) -> None:
        arrays = g if operand == GRAD else self.arrays.get(operand) or [self.states[operand]]
        np.concatenate(arrays, axis=None, out=values, casting="unsafe")

    def store(self, operand: Operand, values: Any) -> None:
        start = 0
        for x in self.arrays.get(operand) or [self.states[operand]]:
            new = values[start : start + x.size]
            x[...] = new
            start += x.size


class PackedArrays:
    """Small arrays that are run as one tile, or one by one where a gradient is not in C order."""

    def __init__(self, arrays: Sequence[TiledArray], tile: PackTile) -> None:
        self.positions, self._all, self._tile = tile.positions, arrays, tile
        self._arrays = [arrays[position] for position in tile.positions]
        self._gradients = operator.itemgetter(*tile.positions)
        self._parts: dict[tuple[int, int], PackedArrays] = {}

    def part(self, first: int, last: int) -> PackedArrays | TiledArray:
        """Those of them that stand there."""
        if last - first == 1:
            return self._arrays[first]
        if last - first == len(self._arrays):
            return self
        if (first, last) not in self._parts:
            if len(self._parts) >= PARTS:
                self._parts.clear()
            self._parts[first, last] = PackedArrays(self._all, self._tile.part(first, last))
        return self._parts[first, last]

    def work(self, grads: Sequence[Any]) -> list[WorkItem]:
        """What a step with these gradients of all arrays updates."""
        gradients = self._gradients(grads)
        if all(map(_IS_IN_C_ORDER, gradients)):
            return [(self._tile, gradients)]
        return [item for array in self._arrays for item in array.work(grads)]

    def folds(self, grads: Sequence[Any]) -> list[FoldItem]:
        """What a reduction folds."""
        gradients = self._gradients(grads)
        if all(map(_IS_IN_C_ORDER, gradients)):
            return [(self._tile, gradients)]
        return [item for array in self._arrays for item in array.folds(grads)]


def together(sizes: dict[int, int], limit: int) -> Iterator[list[int]]:
    """The positions of the arrays of each pack, of at most `limit` elements, in order; from the
    sizes of those that may be packed.
    """
    pack: list[int] = []
    total = 0
    for position, size in sizes.items():
        if total + size > limit:
            if len(pack) > 1:
                yield pack
            pack, total = [], 0
        pack.append(position)
        total += size
    if len(pack) > 1:
        yield pack


def spread_rows(values: Any, sizes: list[int], out: Any) -> None:
    """Repeat each value in as many rows as its array has elements; neighbours of equal size at
    once.
    """
    start = row = 0
    for size, same in itertools.groupby(sizes):
        count = len(list(same))
        block = out[start : start + count * size].reshape(count, -1)
        block[...] = values[row : row + count, None]
        start, row = start + count * size, row + count
