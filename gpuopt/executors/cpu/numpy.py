"""The NumPy executor: a kernel's operations as in-place NumPy calls on cache-sized tiles."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gpuopt.arrays.dtypes import state_dtype
from gpuopt.codegen.numpy import tile_code
from gpuopt.codegen.order import REDUCTION_CHUNK
from gpuopt.codegen.passes import NARROW
from gpuopt.codegen.tile import PAIR, Whole
from gpuopt.executors.cpu.kernel import Bound, CompiledKernel
from gpuopt.executors.cpu.packs import PackTile, spread_rows
from gpuopt.executors.cpu.scratch import Scratch
from gpuopt.executors.cpu.tiles import TileExecutor
from gpuopt.executors.cpu.work import ArrayTile, Tile, is_flat
from gpuopt.executors.fold import UFUNCS, fold
from gpuopt.executors.layout import even
from gpuopt.tracing.operands import GRAD, PARAM, Operand, state
from gpuopt.tracing.program import Kernel

__all__ = ["NumpyExecutor"]


class PackCall(NamedTuple):
    """The arguments of the function for packed arrays.

    Attributes
    ----------
    arguments : list
    gathers, scatters : list of tuple
        What is copied before the call and after it: an operand, and the flat array that it is
        copied into, or from.
    """

    arguments: list[Any]
    gathers: list[tuple[Operand, Any]]
    scatters: list[tuple[Operand, Any]]


class NumpyKernel(CompiledKernel):
    """A function of NumPy calls, which also takes scratch for what it computes in between.

    Operands that are not flat arrays of the compute dtype are copied into scratch, and back.
    Complex ones are passed as real arrays of twice as many elements. Its `work` is in nanoseconds.

    Parameters
    ----------
    kernel, compute, scratch, sizes
        As for `CompiledKernel`.
    dtype : dtype
        Of the parameters.
    """

    def __init__(
        self,
        kernel: Kernel,
        compute: np.dtype[Any],
        scratch: Scratch,
        sizes: Sequence[int],
        dtype: np.dtype[Any],
    ) -> None:
        super().__init__(kernel, compute, scratch, sizes)
        self.code = tile_code(kernel)
        self.work = self.code.work * compute.itemsize / 4
        short = {state(each.name) for each in kernel.states if each.stored}
        short |= {PARAM, GRAD} if dtype.itemsize < compute.itemsize else set()
        stored = (whole for whole in self.code.arrays if whole.array in short)
        self.work += NARROW * sum(whole.read + whole.written for whole in stored)
        arrays = [whole.array for whole in self.code.arrays]
        self._gradient = arrays.index(GRAD) if GRAD in arrays else -1
        self._is_complex, self._pair = kernel.complex, state_dtype(compute, True)
        self._given = self._pair if kernel.complex else compute  # the gradient
        each = [*range(len(self.values)), *self.code.again]
        self._scalars = tuple(self.values[i : i + 1].reshape(()) for i in each)
        self.takes_rows = not kernel.only_if and all(op.op != "choose" for op in kernel.ops)
        self._last: dict[tuple[int, int], list[Any]] = {}

    def bind(self, tile: Tile, g: Any) -> Bound:
        return self._update_pack if type(tile) is PackTile else self._update, tile, g

    def _update(self, tile: ArrayTile, g: Any, thread: int) -> None:
        if (arguments := self._flat(tile, g, thread)) is None:
            self._run(tile, g, thread)
        else:
            self.code.function(*arguments)

    def _flat(self, tile: ArrayTile, g: Any, thread: int) -> list[Any] | None:
        """The arguments, if all operands can be passed as they are; else None."""
        try:
            around = tile.calls[self, thread]
        except KeyError:
            around = tile.calls[self, thread] = self._around(tile, thread)
        if around is None or not is_flat(g, self._given):
            return None
        return [*around[0], g.view(self.compute) if self._is_complex else g, *around[1]]

    def _last_arguments(self, size: int, thread: int) -> list[Any]:
        """The arguments that come after the operands, which are flat arrays of `size` elements."""
        if (size, thread) not in self._last:
            scratch = [self._room(thread, name, size) for name in self.code.scratch]
            self._last[size, thread] = [*scratch, *self._scalars]
        return self._last[size, thread]

    def _room(self, thread: int, name: str, size: int) -> Any:
        """Scratch for so many elements; its name tells of what kind."""
        kind = np.dtype(bool) if "b" in name else self.compute
        if not name.startswith(PAIR):
            return self.scratch.array(thread, name, size, kind)
        pair = self._pair if kind == self.compute else np.dtype(np.uint16)
        return self.scratch.array(thread, name, size, pair).view(kind)

    def _around(self, tile: ArrayTile, thread: int) -> tuple[list[Any], list[Any]] | None:
        """The arguments before the gradient and after it; None if one cannot be passed as it is."""
        if self._gradient < 0:
            return None
        operands: list[Any] = []
        for whole in self.code.arrays:
            x, dtype = tile.operands.get(whole.array), self._dtype(whole)
            if whole.array.kind == "result":
                x = self.scratch.array(thread, whole.array, tile.size, dtype)
            if whole.array != GRAD and (x is None or not is_flat(x, dtype)):
                return None
            operands.append(self._numbers(x))
        operands += self._last_arguments(tile.size, thread)
        return operands[: self._gradient], operands[self._gradient + 1 :]

    def _run(self, tile: ArrayTile, g: Any, thread: int) -> None:
        """Run the function on a tile, through scratch if an operand cannot be passed as it is."""
        arguments, written = self._operands(tile, g, thread)
        self.code.function(*arguments, *self._last_arguments(tile.size, thread))
        for operand, values in written:
            tile.store(operand, values)

    def _operands(self, tile: Tile, g: Any, thread: int) -> tuple[list[Any], list[Any]]:
        """The operands; and what must be copied back, with where it lies now."""
        arguments: list[Any] = []
        written: list[tuple[Operand, Any]] = []
        random: dict[Operand, Any] = {}
        for whole in self.code.arrays:
            x, dtype = tile.flat(whole.array, g), self._dtype(whole)
            if x is not None and is_flat(x, dtype):
                arguments.append(self._numbers(x))
                continue
            values = self.scratch.array(thread, whole.array, tile.size, dtype)
            arguments.append(self._numbers(values))
            if whole.array in self.kernel.random:
                random[whole.array] = values
            elif whole.read:
                tile.load(whole.array, values, g)
            if whole.written and not self.kernel.reductions:
                written.append((whole.array, values))
        self.randomize(tile, random, thread)
        return arguments, written

    def _dtype(self, whole: Whole) -> np.dtype[Any]:
        return self._pair if whole.complex else self.compute

    def _numbers(self, x: Any) -> Any:
        """A flat array as the function takes it."""
        return x.view(self.compute) if x is not None and x.dtype != self.compute else x

    def _update_pack(self, tile: PackTile, g: Any, thread: int) -> None:
        try:
            call = tile.calls[self, thread]
        except KeyError:
            call = tile.calls[self, thread] = self._call_of_pack(tile, thread)
        for operand, values in call.gathers:
            tile.load(operand, values, g)
        self.code.function(*call.arguments)
        for operand, values in call.scatters:
            tile.store(operand, values)

    def bind_rows(self, tile: PackTile, g: Any, rows: Any) -> Bound:
        return self._update_rows, tile, (g, rows)

    def _update_rows(self, tile: PackTile, given: tuple[Any, Any], thread: int) -> None:
        """Spread scalars that differ over the elements of their arrays."""
        arguments, written = self._operands(tile, given[0], thread)
        arguments += self._last_arguments(tile.size, thread)[: len(self.code.scratch)]
        columns = np.ascontiguousarray(given[1].T)
        names = [(f"k{i}", i) for i in range(len(columns))]
        names += [(f"{PAIR}k{i}", i) for i in self.code.again]
        arguments += [self._spread(columns[i], name, tile, thread) for name, i in names]
        self.code.function(*arguments)
        for operand, values in written:
            tile.store(operand, values)

    def _spread(self, values: Any, name: str, tile: PackTile, thread: int) -> Any:
        """A scalar of each array as an argument: one number if it is the same for all elements."""
        if not tile.size or (whole := values.view(f"u{values.itemsize}")).min() == whole.max():
            return values[:1].reshape(())
        spread = self._room(thread, name, tile.size)
        spread_rows(values, tile.sizes, spread.reshape(tile.size, -1))
        return spread

    def _call_of_pack(self, tile: PackTile, thread: int) -> PackCall:
        """The operands of packed arrays: themselves, or gathered in scratch."""
        call = PackCall([], [], [])
        for whole in self.code.arrays:
            x, dtype = tile.flat(whole.array, None), self._dtype(whole)
            if x is not None and is_flat(x, dtype):
                call.arguments.append(self._numbers(x))
                continue
            values = self.scratch.array(thread, whole.array, tile.size, dtype)
            call.arguments.append(self._numbers(values))
            if whole.read:
                call.gathers.append((whole.array, values))
            if whole.written:
                call.scatters.append((whole.array, values))
        call.arguments.extend(self._last_arguments(tile.size, thread))
        return call

    def mapped(self, tile: Tile, g: Any, thread: int) -> list[Any]:
        arguments = self._flat(tile, g, thread) if isinstance(tile, ArrayTile) else None
        if arguments is None:
            operands, _ = self._operands(tile, g, thread)
            arguments = [*operands, *self._last_arguments(tile.size, thread)]
        self.code.function(*arguments)
        end = len(self.code.arrays)
        return arguments[end - len(self.kernel.reductions) : end]

    def fold_tile(self, tile: ArrayTile, g: Any, thread: int) -> None:
        for number, values in enumerate(self.mapped(tile, g, thread)):
            rows = self.folds.rows(number, tile.array.position)[tile.offset // REDUCTION_CHUNK :]
            fold(UFUNCS[self.folds.ops[number]], values, rows)

    def fold_pack(self, tile: PackTile, g: Any, thread: int) -> None:
        for number, values in enumerate(self.mapped(tile, g, thread)):
            self.folds.fold_pack(number, tile.positions, tile.sizes, values)


class NumpyExecutor(TileExecutor):
    """Arrays that are updated by NumPy's ufuncs, each on a tile that stays in the cache."""

    name = "numpy"
    tile, least = 196_608, 65_536  # of float32; as many bytes of another dtype
    threaded, packed = 200_000.0, 0.15

    def _limit(self, size: int) -> int:
        return even(size, round(size / self._about))

    @functools.cached_property
    def _about(self) -> float:
        """Elements of a tile: as many tiles for each thread, and one rather than two small ones.

        Short calls meet as each takes Python's lock again; large tiles do not stay in the cache.
        """
        width = max(self._dtype.itemsize, self.compute.itemsize) / 4
        share = sum(self._sizes) * width / self._threads
        each = max(self.least, share / max(1, math.ceil(share / self.tile - 1 / 3)))
        return float(min(4 / 3 * self.tile, each) / width)

    def _compile(self, kernel: Kernel) -> CompiledKernel:
        return NumpyKernel(kernel, self.compute, self._scratch, self._sizes, self._dtype)
