"""A kernel made ready to run on a CPU: its generated function, its scalars, and its scratch."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from gpuopt.arrays.random import after, base, fill
from gpuopt.codegen.order import REDUCTION_CHUNK
from gpuopt.codegen.tile import Place, TileCode
from gpuopt.executors.cpu.packs import PackCall, PackTile
from gpuopt.executors.cpu.scratch import Scratch
from gpuopt.executors.cpu.work import ArrayTile, Tile, is_flat
from gpuopt.executors.fold import UFUNCS, Folds, fold, fold_stream
from gpuopt.tracing.expr import Expr
from gpuopt.tracing.operands import GRAD, Operand
from gpuopt.tracing.program import Kernel

__all__ = ["CompiledKernel"]


class CompiledKernel(abc.ABC):
    """A kernel for arrays of one dtype.

    Operands that are no flat arrays of the compute dtype are copied into scratch, and back.

    Parameters
    ----------
    kernel : Kernel
    code : TileCode
        Its function.
    compute : dtype
        What the function computes in.
    scratch : Scratch
        Of the executor.
    sizes : list of int
        The elements of each array of the executor.

    Attributes
    ----------
    scalars : array
        Of the compute dtype: what the function is given this time.
    values : array
        The same, and the constants of the function behind them.
    gradient : int
        Which argument of the function is the gradient; -1 if none is.
    folds : Folds
        What the reductions of the kernel are folded into.
    """

    def __init__(
        self,
        kernel: Kernel,
        code: TileCode,
        compute: np.dtype[Any],
        scratch: Scratch,
        sizes: Sequence[int],
    ) -> None:
        self.kernel, self.code, self.compute, self.scratch = kernel, code, compute, scratch
        self.function = code.function
        constants, count = [expr.value for expr in code.constants], len(kernel.scalars)
        self.values = np.zeros(count + len(constants), compute)
        with np.errstate(all="ignore"):
            self.values[count:] = constants
        self.scalars = self.values[:count]
        arrays = [place.array for place in code.places]
        self.gradient = arrays.index(GRAD) if GRAD in arrays else -1
        self.folds = Folds([reduction.op for reduction in kernel.reductions], list(sizes), compute)

    @abc.abstractmethod
    def last(self, size: int, thread: int) -> Sequence[Any]:
        """The arguments that come after the operands, which are flat arrays of `size` elements."""

    def call(self, operands: Sequence[Any], size: int, thread: int) -> None:
        """Call the function on operands, as one of the threads."""
        self.function(*operands, *self.last(size, thread))

    def direct(self, operands: dict[Operand, Any]) -> list[Any] | None:
        """The operands but for the gradient, if all can be passed as they are; else None."""
        if self.gradient < 0:
            return None
        arguments: list[Any] = []
        for place in self.code.places:
            x = operands.get(place.array)
            direct = place.array == GRAD or (x is not None and is_flat(x, self.compute))
            if place.part or not direct:
                return None
            arguments.append(x)
        return arguments

    def run(self, tile: Tile, g: Any, thread: int) -> None:
        """Run the function on a tile, through scratch if an operand cannot be passed as it is."""
        arguments, written = self.operands(tile, g, thread, self.code.places)
        self.call(arguments, tile.size, thread)
        for place, values in written:
            tile.store(place.array, place.part, values)

    def call_of_pack(self, tile: PackTile, thread: int) -> PackCall:
        """The function with all its arguments for packed arrays."""
        call = PackCall(self.function, [], [], [])
        self._bind(call, tile, thread, self.code.places)
        call.arguments.extend(self.last(tile.size, thread))
        return call

    def _bind(self, call: PackCall, tile: PackTile, thread: int, places: Iterable[Place]) -> None:
        """Add the operands at those places to the arguments: themselves, or gathered in scratch."""
        for place in places:
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

    def operands(
        self, tile: Tile, g: Any, thread: int, places: Iterable[Place]
    ) -> tuple[list[Any], list[tuple[Place, Any]]]:
        """The operands at those places; and what must be copied back, with where it lies now."""
        arguments, written = [], []
        for place in places:
            x = None if place.part else tile.flat(place.array, g)
            if x is not None and is_flat(x, self.compute):
                arguments.append(x)
                continue
            values = self.scratch.array(thread, place.operand, tile.size, self.compute)
            arguments.append(values)
            if place.array in self.kernel.random:
                self._randomize(tile, place.array, values, thread)
            elif place.read:
                tile.load(place.array, place.part, values, g)
            if place.written and not self.kernel.reductions:
                written.append((place, values))
        return arguments, written

    def mapped(self, tile: Tile, g: Any, thread: int) -> list[Any]:
        """For each reduction, what is to be reduced of a tile: a flat array."""
        arguments, _ = self.operands(tile, g, thread, self.code.places)
        self.call(arguments, tile.size, thread)
        return arguments[len(arguments) - len(self.kernel.reductions) :]

    def fold_tile(self, tile: ArrayTile, g: Any, thread: int) -> None:
        """Map and fold a tile that begins with a chunk."""
        for number, values in enumerate(self.mapped(tile, g, thread)):
            rows = self.folds.rows(number, tile.array.position)[tile.offset // REDUCTION_CHUNK :]
            fold(UFUNCS[self.folds.ops[number]], values, rows)

    def fold_stream(self, number: int, position: int, values: Iterable[Any], thread: int) -> None:
        """Fold the values of one array for one of the reductions; they come in any portions."""
        room = self.scratch.array(thread, "stage", REDUCTION_CHUNK, self.compute)
        fold_stream(UFUNCS[self.folds.ops[number]], values, room, self.folds.rows(number, position))

    def _randomize(self, tile: Any, operand: Operand, values: Any, thread: int) -> None:
        """Fill an array with the random numbers of a tile."""
        whole = np.dtype(np.uint64)
        names = "index", "rest", "work"
        room = [self.scratch.array(thread, name, tile.size, whole) for name in names]
        index, first = tile.array.indices(tile.offset, self.scratch.ramp(tile.size), *room)
        key, stream = self.kernel.random[operand]
        start = base(tuple(self._number(expr) for expr in key), tile.array.index, stream)
        self.fill(values, after(start, first), index, room[1:])

    def _number(self, scalar: Expr) -> float:
        """The value of a scalar now."""
        if scalar.op == "constant":
            return float(scalar.value)
        return float(self.scalars[self.kernel.scalars.index(scalar)])

    def fill(self, values: Any, start: int, index: Any, room: list[Any]) -> None:
        """Fill an array with random numbers, from those of the sequence that begins at `start`."""
        fill(values, start, index, *room)
