"""A kernel made ready to run on a CPU: its scalars, its random numbers and its folds."""

from __future__ import annotations

import abc
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from gpuopt.arrays.random import after, base, bases, fill, sequence_of
from gpuopt.codegen.order import REDUCTION_CHUNK
from gpuopt.codegen.tile import constants, wholes
from gpuopt.executors.cpu.packs import PackTile
from gpuopt.executors.cpu.scratch import Scratch
from gpuopt.executors.cpu.work import ArrayTile, Tile
from gpuopt.executors.fold import UFUNCS, Folds, fold_stream
from gpuopt.tracing.expr import Expr
from gpuopt.tracing.operands import Operand
from gpuopt.tracing.program import Kernel

__all__ = ["Bound", "CompiledKernel"]

Bound = tuple[Callable[[Any, Any, int], Any], Any, Any]
"""A tile's update that waits to be called: a function, and its arguments before the thread."""


class CompiledKernel(abc.ABC):
    """A kernel for arrays of one dtype.

    Parameters
    ----------
    kernel : Kernel
    compute : dtype
        What its function computes in.
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
    folds : Folds
        What the reductions of the kernel are folded into.
    moved : int
        Bytes that are read and written for an element, in the compute dtype.
    takes_rows : bool
        Whether packed arrays may have scalars of their own.
    draws_apart : bool
        Whether it has random numbers, and makes them for each array by itself.
    work : float
        What an element costs, in what the executor's `threaded` is measured by.
    """

    takes_rows = True
    work = 1.0

    def __init__(
        self, kernel: Kernel, compute: np.dtype[Any], scratch: Scratch, sizes: Sequence[int]
    ) -> None:
        self.kernel, self.compute, self.scratch = kernel, compute, scratch
        self.draws_apart = bool(kernel.random)
        moves = ((each.read + each.written) * (1 + each.complex) for each in wholes(kernel))
        self.moved = compute.itemsize * sum(moves)
        fixed, count = [expr.value for expr in constants(kernel)], len(kernel.scalars)
        self.values = np.zeros(count + len(fixed), compute)
        with np.errstate(all="ignore"):
            self.values[count:] = fixed
        self.scalars = self.values[:count]
        self.folds = Folds([reduction.op for reduction in kernel.reductions], list(sizes), compute)

    @abc.abstractmethod
    def bind(self, tile: Tile, g: Any) -> Bound:
        """Find what updates a tile with its gradient; compile what that needs."""

    @abc.abstractmethod
    def bind_rows(self, tile: PackTile, g: Any, rows: Any) -> Bound:
        """Find what updates packed arrays, each by a row of values; if the kernel `takes_rows`."""

    def bind_each(
        self, units: Sequence[Any], grads: Sequence[Any], scalars: Sequence[Sequence[float]]
    ) -> list[tuple[Sequence[float], list[Bound]]]:
        """Updates with a row of scalars for each array: of packs, and then of single arrays."""
        count, each = len(scalars), len(self.scalars)
        given = itertools.chain.from_iterable(scalars)  # sooner than an array of tuples
        rows = np.empty((count, len(self.values)), self.compute)
        rows[:] = self.values
        rows[:, :each] = np.fromiter(given, np.float64, count * each).reshape(count, each)
        packs: list[Bound] = []
        alone: dict[int, list[Bound]] = {}
        for unit in units:
            for tile, g in unit.work(grads):
                if isinstance(tile, PackTile):
                    packs.append(self.bind_rows(tile, g, rows[tile.positions]))
                else:
                    alone.setdefault(tile.array.position, []).append(self.bind(tile, g))
        batches = [(scalars[position], bound) for position, bound in alone.items()]
        return [(scalars[0], packs), *batches]

    @abc.abstractmethod
    def mapped(self, tile: Tile, g: Any, thread: int) -> list[Any]:
        """For each reduction, what is to be reduced of a tile: a flat array."""

    @abc.abstractmethod
    def fold_tile(self, tile: ArrayTile, g: Any, thread: int) -> None:
        """Map and fold a tile that begins with a chunk."""

    @abc.abstractmethod
    def fold_pack(self, tile: PackTile, g: Any, thread: int) -> None:
        """Map and fold packed arrays."""

    def fold_stream(self, number: int, position: int, values: Iterable[Any], thread: int) -> None:
        """Fold the values of one array for one of the reductions; they come in any portions."""
        room = self.scratch.array(thread, "stage", REDUCTION_CHUNK, self.compute)
        fold_stream(UFUNCS[self.folds.ops[number]], values, room, self.folds.rows(number, position))

    def randomize(self, tile: Any, runs: dict[Operand, Any], thread: int) -> None:
        """Fill arrays with the random numbers of a tile."""
        if not runs:
            return
        whole = np.dtype(np.uint64)
        names = "index", "rest", "work"
        room = [self.scratch.array(thread, name, tile.size, whole) for name in names]
        index, first = tile.array.indices(tile.offset, self.scratch.ramp(tile.size), *room)
        alike = dict[int, list[tuple[Any, int]]]()
        for operand, values in runs.items():
            start, before = self.sequence(operand, tile.array.index)
            alike.setdefault(start, []).append((values, before))
        for start, each in alike.items():
            self.fill(each, after(start, first), index, room[1:])

    def sequence(self, operand: Operand, array: Any) -> tuple[Any, int]:
        """Where the random numbers of an array of the optimizer begin this time, or of several, and
        how many bits come before those that are taken of each.
        """
        key, stream = self.kernel.random[operand]
        (sequence, before), numbers = sequence_of(stream), tuple(map(self._number, key))
        return (base if isinstance(array, int) else bases)(numbers, array, sequence), before

    def _number(self, scalar: Expr) -> float:
        """The value of a scalar now."""
        if scalar.op == "constant":
            return float(scalar.value)
        return float(self.scalars[self.kernel.scalars.index(scalar)])

    def fill(self, runs: list[tuple[Any, int]], start: int, index: Any, room: list[Any]) -> None:
        """Fill arrays with random numbers of the sequence that begins at `start`, each from the
        bits after so many.
        """
        fill(runs, start, index, *room)
