"""The NumPy executor: a kernel's operations as in-place NumPy calls on cache-sized tiles."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gpuopt.codegen.numpy import tile_code
from gpuopt.codegen.order import REDUCTION_CHUNK
from gpuopt.codegen.tile import Place
from gpuopt.executors.cpu.kernel import Bound, CompiledKernel
from gpuopt.executors.cpu.packs import PackTile
from gpuopt.executors.cpu.scratch import Scratch
from gpuopt.executors.cpu.tiles import TileExecutor
from gpuopt.executors.cpu.work import ArrayTile, Tile, is_flat
from gpuopt.executors.fold import UFUNCS, fold
from gpuopt.tracing.operands import GRAD, Operand
from gpuopt.tracing.program import Kernel

__all__ = ["NumpyExecutor"]


class PackCall(NamedTuple):
    """The arguments of the function for packed arrays.

    Attributes
    ----------
    arguments : list
    gathers, scatters : list of tuple
        What is copied before the call and after it: an operand, the part of it that is
        meant, and the flat array that it is copied into, or from.
    """

    arguments: list[Any]
    gathers: list[tuple[Operand, str, Any]]
    scatters: list[tuple[Operand, str, Any]]


class NumpyKernel(CompiledKernel):
    """A function of NumPy calls, which also takes scratch for what it computes in between.

    Operands that are no flat arrays of the compute dtype are copied into scratch, and back.
    """

    def __init__(
        self, kernel: Kernel, compute: np.dtype[Any], scratch: Scratch, sizes: Sequence[int]
    ) -> None:
        super().__init__(kernel, compute, scratch, sizes)
        self.code = tile_code(kernel)
        arrays = [place.array for place in self.code.places]
        self._gradient = arrays.index(GRAD) if GRAD in arrays else -1
        each = range(len(self.values))
        self._scalars = tuple(self.values[i : i + 1].reshape(()) for i in each)
        self.takes_rows = all(op.op != "choose" for op in kernel.ops)
        self._last: dict[tuple[int, int], list[Any]] = {}

    def bind(self, tile: Tile, g: Any) -> Bound:
        return self._update_pack if type(tile) is PackTile else self._update, tile, g

    def _update(self, tile: ArrayTile, g: Any, thread: int) -> None:
        try:
            direct = tile.calls[self]
        except KeyError:
            direct = tile.calls[self] = self._direct(tile.operands)
        if direct is None or not is_flat(g, self.compute):
            self._run(tile, g, thread)
        else:
            operands = direct.copy()
            operands[self._gradient] = g
            self.code.function(*operands, *self._last_arguments(tile.size, thread))

    def _last_arguments(self, size: int, thread: int) -> list[Any]:
        """The arguments that come after the operands, which are flat arrays of `size` elements."""
        if (size, thread) not in self._last:
            array, code = self.scratch.array, self.code
            numbers = [array(thread, f"w{i}", size, self.compute) for i in range(code.scratch)]
            masks = [array(thread, f"b{i}", size, np.dtype(bool)) for i in range(code.masks)]
            self._last[size, thread] = [*numbers, *masks, *self._scalars]
        return self._last[size, thread]

    def _direct(self, operands: dict[Operand, Any]) -> list[Any] | None:
        """The operands but for the gradient, if all can be passed as they are; else None."""
        if self._gradient < 0:
            return None
        arguments: list[Any] = []
        for place in self.code.places:
            x = operands.get(place.array)
            direct = place.array == GRAD or (x is not None and is_flat(x, self.compute))
            if place.part or not direct:
                return None
            arguments.append(x)
        return arguments

    def _run(self, tile: ArrayTile, g: Any, thread: int) -> None:
        """Run the function on a tile, through scratch if an operand cannot be passed as it is."""
        arguments, written = self._operands(tile, g, thread)
        self.code.function(*arguments, *self._last_arguments(tile.size, thread))
        for place, values in written:
            tile.store(place.array, place.part, values)

    def _operands(self, tile: Tile, g: Any, thread: int) -> tuple[list[Any], list[Any]]:
        """The operands; and what must be copied back, with where it lies now."""
        arguments: list[Any] = []
        written: list[tuple[Place, Any]] = []
        for place in self.code.places:
            x = None if place.part else tile.flat(place.array, g)
            if x is not None and is_flat(x, self.compute):
                arguments.append(x)
                continue
            values = self.scratch.array(thread, place.operand, tile.size, self.compute)
            arguments.append(values)
            if place.array in self.kernel.random:
                self.randomize(tile, place.array, values, thread)
            elif place.read:
                tile.load(place.array, place.part, values, g)
            if place.written and not self.kernel.reductions:
                written.append((place, values))
        return arguments, written

    def _update_pack(self, tile: PackTile, g: Any, thread: int) -> None:
        try:
            call = tile.calls[self, thread]
        except KeyError:
            call = tile.calls[self, thread] = self._call_of_pack(tile, thread)
        for operand, part, values in call.gathers:
            tile.load(operand, part, values, g)
        self.code.function(*call.arguments)
        for operand, part, values in call.scatters:
            tile.store(operand, part, values)

    def bind_rows(self, tile: PackTile, g: Any, rows: Any) -> Bound:
        return self._update_rows, tile, (g, rows)

    def _update_rows(self, tile: PackTile, given: tuple[Any, Any], thread: int) -> None:
        """Spread scalars that differ over the elements of their arrays."""
        g, rows = given
        arguments, written = self._operands(tile, g, thread)
        room = self.code.scratch + self.code.masks
        arguments += self._last_arguments(tile.size, thread)[:room]
        for number, values in enumerate(np.ascontiguousarray(rows.T)):
            if (whole := values.view(f"u{values.itemsize}")).min() == whole.max():
                arguments.append(values[:1].reshape(()))
                continue
            spread = self.scratch.array(thread, f"k{number}", tile.size, self.compute)
            _spread(values, tile.sizes, spread)
            arguments.append(spread)
        self.code.function(*arguments)
        for place, x in written:
            tile.store(place.array, place.part, x)

    def _call_of_pack(self, tile: PackTile, thread: int) -> PackCall:
        """The operands of packed arrays: themselves, or gathered in scratch."""
        call = PackCall([], [], [])
        for place in self.code.places:
            x = None if place.part else tile.flat(place.array, None)
            if x is not None and is_flat(x, self.compute):
                call.arguments.append(x)
                continue
            values = self.scratch.array(thread, place.operand, tile.size, self.compute)
            call.arguments.append(values)
            if place.read:
                call.gathers.append((place.array, place.part, values))
            if place.written:
                call.scatters.append((place.array, place.part, values))
        call.arguments.extend(self._last_arguments(tile.size, thread))
        return call

    def mapped(self, tile: Tile, g: Any, thread: int) -> list[Any]:
        arguments, _ = self._operands(tile, g, thread)
        self.code.function(*arguments, *self._last_arguments(tile.size, thread))
        return arguments[len(arguments) - len(self.kernel.reductions) :]

    def fold_tile(self, tile: ArrayTile, g: Any, thread: int) -> None:
        for number, values in enumerate(self.mapped(tile, g, thread)):
            rows = self.folds.rows(number, tile.array.position)[tile.offset // REDUCTION_CHUNK :]
            fold(UFUNCS[self.folds.ops[number]], values, rows)

    def fold_pack(self, tile: PackTile, g: Any, thread: int) -> None:
        for number, values in enumerate(self.mapped(tile, g, thread)):
            self.folds.fold_pack(number, tile.positions, tile.sizes, values)


def _spread(values: Any, sizes: list[int], out: Any) -> None:
    """Repeat each value as often as its array has elements; neighbours of equal size at once."""
    start = row = 0
    for size, same in itertools.groupby(sizes):
        count = len(list(same))
        block = out[start : start + count * size].reshape(count, size)
        block[...] = values[row : row + count, None]
        start, row = start + count * size, row + count


class NumpyExecutor(TileExecutor):
    """Arrays that are updated by NumPy's ufuncs, each on a tile that stays in the cache."""

    name = "numpy"

    def _compile(self, kernel: Kernel) -> CompiledKernel:
        return NumpyKernel(kernel, self.compute, self._scratch, self._sizes)
