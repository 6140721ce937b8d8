"""What the CPU executors work on: arrays cut into tiles.

A `TiledArray` gives the tiles of a step, each with its gradient; a `Tile` runs a kernel.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gpuopt.codegen.order import REDUCTION_CHUNK
from gpuopt.executors.cpu.coded import Coded
from gpuopt.executors.layout import ArrayOrder, cut
from gpuopt.tracing.operands import GRAD, PARAM, Operand

if TYPE_CHECKING:
    from gpuopt.executors.cpu.kernel import CompiledKernel

__all__ = [
    "ArrayTile",
    "FoldItem",
    "Tile",
    "TiledArray",
    "WorkItem",
    "is_flat",
]


NOTHING: Mapping[Operand, Coded] = {}


def is_flat(x: Any, dtype: np.dtype[Any]) -> bool:
    """Whether a function can take `x`: a flat array of that dtype, aligned and without gaps."""
    if x.ndim != 1 or x.dtype != dtype:
        return False
    flags = x.flags
    return bool(flags.c_contiguous and flags.aligned)


class Tile(abc.ABC):
    """What one call of a kernel's function reads and writes.

    Attributes
    ----------
    size : int
        Its elements.
    calls : dict
        What kernels keep of their calls with it.
    """

    __slots__ = ("calls", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.calls: dict[Any, Any] = {}

    @abc.abstractmethod
    def fold(self, kernel: CompiledKernel, g: Any, thread: int) -> None:
        """Run a reduction, and fold what it gives."""

    @abc.abstractmethod
    def flat(self, operand: Operand, g: Any) -> Any:
        """The operand if it is one array, else None."""

    @abc.abstractmethod
    def load(self, operand: Operand, values: Any, g: Any) -> None:
        """Copy an operand into `values`."""

    @abc.abstractmethod
    def store(self, operand: Operand, values: Any) -> None:
        """Copy `values` into an operand."""


WorkItem = tuple[Tile, Any]
"""A tile and its gradient."""


class ArrayTile(Tile):
    """A stretch of one array.

    Attributes
    ----------
    array : ArrayOrder
        Which array, and where it has its elements.
    where : tuple
        Its index in the array; empty for all of it.
    shape : tuple of int
        What lies there; an operand may be flat.
    operands : dict
        What lies there: the parameter, arrays for hyperparameters, and the state.
    offset : int
        How many elements of the array come before it.
    """

    __slots__ = ("array", "offset", "operands", "shape", "where")

    def __init__(
        self,
        array: ArrayOrder,
        where: Any,
        operands: dict[Operand, Any],
        shape: tuple[int, ...],
        offset: int,
    ) -> None:
        super().__init__(math.prod(shape))
        self.array, self.where, self.operands = array, where, operands
        self.shape, self.offset = shape, offset

    def fold(self, kernel: CompiledKernel, g: Any, thread: int) -> None:
        kernel.fold_tile(self, g, thread)

    def flat(self, operand: Operand, g: Any) -> Any:
        return g if operand == GRAD else self.operands.get(operand)

    def load(self, operand: Operand, values: Any, g: Any) -> None:
        x = self.flat(operand, g)
        if type(x) is Coded:
            x.load(values)
        else:
            np.copyto(values.reshape(x.shape), x, casting="unsafe")

    def store(self, operand: Operand, values: Any) -> None:
        x = self.operands[operand]
        if type(x) is Coded:
            x.store(values)
        else:
            x[...] = values.reshape(x.shape)


class TileStream:
    """Tiles of one array that do not begin with chunks: what they give is folded in one go."""

    def __init__(self, tiles: list[ArrayTile]) -> None:
        self.position, self._tiles = tiles[0].array.position, tiles

    def fold(self, kernel: CompiledKernel, gradients: list[Any], thread: int) -> None:
        for number in range(len(kernel.folds.ops)):
            items = zip(self._tiles, gradients, strict=True)
            values = (kernel.mapped(tile, g, thread)[number] for tile, g in items)
            kernel.fold_stream(number, self.position, values, thread)


class Foldable(Protocol):
    """What a reduction folds: a tile, or tiles of one array."""

    def fold(self, kernel: CompiledKernel, g: Any, thread: int) -> None: ...


FoldItem = tuple[Foldable, Any]
"""What is folded, with its gradient."""


class TiledArray:
    """One array, cut into tiles.

    The tiles are of its memory; or along its axes, if it or an array beside it has gaps.

    Parameters
    ----------
    position, index : int
        Which array of the executor it is, and of the optimizer.
    arrays : dict
        The parameter and what lies beside it, in its shape.
    axes : tuple of int
        The order of axes in which the tiles follow one another.
    limit : int
        The elements of the largest tile.
    buffers : dict
        Flat arrays that hold the state from `start` on, in the order of `axes`.
    coded : dict
        State that is coded in bytes. The array has no gaps then, and is in C order.

    Attributes
    ----------
    size : int
        Its elements.
    """

    def __init__(
        self,
        position: int,
        index: int,
        arrays: dict[Operand, Any],
        axes: tuple[int, ...],
        limit: int,
        buffers: dict[Operand, Any],
        start: int = 0,
        coded: Mapping[Operand, Coded] = NOTHING,
    ) -> None:
        self.position, self.size = position, arrays[PARAM].size
        self._order = ArrayOrder(position, index, arrays[PARAM].shape, axes)
        self._in_order = self._order.in_order
        self._axes, self._limit, self._buffers, self._start = axes, limit, buffers, start
        self._arrays = {name: array.transpose(axes) for name, array in arrays.items()}
        self._flat = all(array.flags.c_contiguous for array in self._arrays.values())
        self._tiles: dict[bool, list[ArrayTile]] = {}
        self._coded = coded

    def work(self, grads: Sequence[Any]) -> list[tuple[ArrayTile, Any]]:
        """What a step with these gradients of all arrays updates."""
        g = grads[self.position]
        if not self._in_order:
            g = g.transpose(self._axes)
        if self._coded:
            g = np.ascontiguousarray(g)
        flat = self._flat and g.flags.c_contiguous
        if flat and g.ndim != 1:
            g = g.reshape(-1)
        tiles = self._tiles.get(flat) or self._cut(flat)
        if len(tiles) == 1:
            return [(tiles[0], g)]
        return [(tile, _inside(g, tile.where)) for tile in tiles]

    def folds(self, grads: Sequence[Any]) -> list[FoldItem]:
        """What a reduction folds: tiles that begin with chunks, or all of them as a stream."""
        work = self.work(grads)
        if len(work) == 1 or all(tile.offset % REDUCTION_CHUNK == 0 for tile, _ in work):
            return list(work)
        return [(TileStream([tile for tile, _ in work]), [g for _, g in work])]

    def _cut(self, flat: bool) -> list[ArrayTile]:
        """The tiles of the array's memory, if it is `flat`, or along its axes."""
        arrays = self._arrays
        if flat:
            arrays = {name: array.reshape(-1) for name, array in arrays.items()}
        tiles, offset = [], 0
        for where, size in cut(arrays[PARAM].shape, self._limit):
            first = self._start + offset
            operands = {name: _inside(array, where) for name, array in arrays.items()}
            operands |= {name: state[first : first + size] for name, state in self._buffers.items()}
            operands |= {name: x.part(offset, size) for name, x in self._coded.items()}
            shape = arrays[PARAM][where].shape
            tiles.append(ArrayTile(self._order, where, operands, shape, offset))
            offset += size
        self._tiles[flat] = tiles
        return tiles


def _inside(array: Any, index: Any) -> Any:
    """What lies at an index, flat if it has no gaps."""
    inside = array[index] if index else array
    return inside.reshape(-1) if inside.ndim != 1 and inside.flags.c_contiguous else inside
