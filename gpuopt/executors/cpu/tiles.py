"""The base of the CPU executors: generated functions run on tiles, and on packs of small arrays.

Large arrays are cut into tiles that several threads take in turn; small ones are packed. Nothing is
allocated after the first step.
"""

from __future__ import annotations

import abc
import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from gpuopt.arrays.backend import cpu_threads
from gpuopt.arrays.dtypes import COMPUTE
from gpuopt.arrays.quiet import QUIET, quietly
from gpuopt.codegen.order import REDUCTION_CHUNK, chunks
from gpuopt.executors.cpu import pool
from gpuopt.executors.cpu.coded import NUMPY, coded_states, stored
from gpuopt.executors.cpu.kernel import Bound, CompiledKernel
from gpuopt.executors.cpu.packs import PackTile, together
from gpuopt.executors.cpu.scratch import Scratch
from gpuopt.executors.cpu.units import Units
from gpuopt.executors.cpu.work import FoldItem, TiledArray
from gpuopt.executors.layout import Initial, ParamView, new_state, no_values
from gpuopt.executors.scalars import AnyScalars, ScalarRows, Scalars
from gpuopt.tracing.operands import PARAM, Operand, state
from gpuopt.tracing.program import Kernel, UpdateProgram

__all__ = ["TileExecutor"]


class PlannedRun(functools.partial[None]):
    """A run with its arguments, left to be called; see `gpuopt.executors.Launch`."""

    begun = True


class TileExecutor(abc.ABC):
    """NumPy arrays of one dtype under one rule, and their state; see `gpuopt.executors.Executor`.

    Attributes
    ----------
    tile : int
        Elements of a tile.
    small, pack : int
        Elements of the largest array that is packed, and of a pack.
    coded_tile : int
        Elements of a tile, where state is coded in bytes.
    threaded, packed : float
        The work in all from which a second thread pays for waking it: elements, each as much as its
        kernel says; and how much of an element one in a pack is.
    folded : int
        Elements of a tile that is reduced.
    packs : list of int
        The elements of each pack that there is.
    """

    name: str
    on_device = False
    tile = folded = 131_072
    small, pack, coded_tile = 8_192, 32_768, 65_536
    threaded, packed = 1_000_000.0, 1.0
    codec = staticmethod(lambda: NUMPY)  # what codes state in bytes
    _shares = False  # whether threads share calls without Python between them

    def __init__(
        self,
        program: UpdateProgram,
        params: Sequence[np.ndarray[Any, Any]],
        initial: Initial = no_values,
        hyper_arrays: Sequence[dict[Operand, Any]] = (),
        indices: Sequence[int] = (),
        capturable: bool = False,
    ) -> None:
        self._dtype, self._threads = params[0].dtype, cpu_threads()
        self.compute = COMPUTE[self._dtype.name]
        views = [ParamView(p) for p in params]
        hyper_arrays = list(hyper_arrays) or [{} for _ in params]
        indices = list(indices) or list(range(len(params)))
        coded = self._coded = coded_states(program, views, self.codec)
        small = {i: view for i, view in enumerate(views) if not coded[i] and self._is_small(view)}
        packed = dict.fromkeys(small.values())
        states = new_state(np, program, self.compute, views, initial, packed.keys())
        self.states = [v.state(states) | stored(x) for v, x in zip(views, coded, strict=True)]
        buffers = {state(name): buffer for name, buffer in states.items()}
        self._sizes: list[int] = [view.size for view in views]
        packs = []
        for where in together({i: view.size for i, view in small.items()}, self.pack):
            numbers, within = [indices[i] for i in where], [views[i] for i in where]
            packs.append(
                PackTile(where, numbers, within, [hyper_arrays[i] for i in where], buffers)
            )
        self.packs = [pack.size for pack in packs]
        inside = {position for pack in packs for position in pack.positions}
        self._loads = [n * (self.packed if i in inside else 1) for i, n in enumerate(self._sizes)]
        self._load = sum(self._loads)
        limit = chunks(self.folded) * REDUCTION_CHUNK
        tiles = (min(n, max(self._limit(n), limit)) for n in dict.fromkeys(self._sizes))
        self._scratch = Scratch(self._threads, max([*tiles, *self.packs]))
        self._updates = Units.of(self._tiled(views, hyper_arrays, indices, buffers), packs)
        self._folds = Units.of(self._tiled_in_order(views, hyper_arrays, indices, limit), packs)
        self._kernels: dict[Kernel, CompiledKernel] = {}

    def _limit(self, size: int) -> int:
        """Elements of the largest tile of an array of that size."""
        return self.tile

    def _is_small(self, view: ParamView) -> bool:
        return bool(view.size <= self.small and view.param.flags.c_contiguous)

    def _tiled(
        self,
        views: list[ParamView],
        hyper_arrays: list[dict[Operand, Any]],
        indices: list[int],
        buffers: dict[Operand, Any],
    ) -> list[TiledArray]:
        """The arrays as they are updated: cut in the order of their memory."""
        arrays = []
        for i, (view, own) in enumerate(zip(views, hyper_arrays, strict=True)):
            coded, operands = self._coded[i], {PARAM: view.param, **own}
            limit = self.coded_tile if coded else self._limit(view.size)
            where = view.axes, limit, buffers, view.start, coded
            arrays.append(TiledArray(i, indices[i], operands, *where))
        return arrays

    def _tiled_in_order(
        self,
        views: list[ParamView],
        hyper_arrays: list[dict[Operand, Any]],
        indices: list[int],
        limit: int,
    ) -> list[TiledArray]:
        """The arrays as they are reduced: cut in the order of indices; no layout decides a bit."""
        arrays = []
        for i, (view, own) in enumerate(zip(views, hyper_arrays, strict=True)):
            coded, operands = self._coded[i], {PARAM: view.param, **own}
            states = {state(name): array for name, array in self.states[i].items()}
            operands |= {name: states[name] for name in states.keys() - coded}
            where = tuple(range(view.param.ndim)), limit, dict[Operand, Any](), 0, coded
            arrays.append(TiledArray(i, indices[i], operands, *where))
        return arrays

    @abc.abstractmethod
    def _compile(self, kernel: Kernel) -> CompiledKernel:
        """Make a kernel ready to run."""

    def prepare(self, program: UpdateProgram) -> None:
        for kernel in program.kernels:
            if kernel.random:
                self._scratch.make_ramp()
            if kernel.launched and kernel not in self._kernels:
                self._kernels[kernel] = self._compile(kernel)

    def plan(
        self,
        kernel: Kernel,
        grads: Sequence[Any],
        scalars: AnyScalars,
        positions: list[int] | None = None,
    ) -> PlannedRun:
        compiled = self._kernels[kernel]
        given: Any = scalars
        rows = type(given) is ScalarRows
        apart = rows and (bool(kernel.random) or not compiled.takes_rows)
        apart = apart or compiled.draws_apart
        units = self._updates.packed
        if apart or positions is not None:
            units = self._updates.chosen(positions, apart)
        if rows:
            batches = quietly(compiled.bind_each, units, grads, given.rows)
        elif self._shares:
            work = [item for unit in units for item in unit.work(grads)]
            if shared := self._shared(compiled, work, positions):
                return PlannedRun(shared, given)
            batches = [(given, list(itertools.starmap(compiled.bind, work)))]
        else:
            bound: list[Bound] = []
            for unit in units:
                for tile, g in unit.work(grads):
                    bound.append(compiled.bind(tile, g))  # sooner than a list of it
            batches = [(given, bound)]
        return PlannedRun(QUIET.copy().run, self._run, compiled, batches, positions)

    def _run(
        self,
        compiled: CompiledKernel,
        batches: list[tuple[Any, list[Bound]]],
        positions: list[int] | None,
    ) -> None:
        for scalars, bound in batches:
            compiled.scalars[...] = scalars
            if len(bound) > 1 and self._is_threaded(compiled, positions):
                update = functools.partial(_update, bound)
                pool.run(update, len(bound), self._threads)
            else:
                for function, one, other in bound:
                    function(one, other, 0)

    def reduce(
        self,
        stage: Kernel,
        grads: Sequence[Any],
        scalars: Scalars,
        positions: list[int] | None,
    ) -> list[list[float]]:
        """For each reduction, what it gives for each array at `positions` (None for all)."""
        return quietly(self._reduce, stage, grads, scalars, positions)

    def _reduce(
        self, stage: Kernel, grads: Sequence[Any], scalars: Scalars, positions: list[int] | None
    ) -> list[list[float]]:
        compiled = self._kernels[stage]
        if scalars:
            compiled.scalars[...] = scalars
        units = self._folds.chosen(positions, bool(stage.random))
        work: list[FoldItem] = [item for unit in units for item in unit.folds(grads)]
        if self._shares and (shared := self._shared(compiled, work, positions)):
            shared(scalars)
        elif len(work) > 1 and self._is_threaded(compiled, positions):
            fold = functools.partial(_fold, compiled, work)
            pool.run(fold, len(work), self._threads)
        else:
            for tile, g in work:
                tile.fold(compiled, g, 0)
        return compiled.folds.totals(positions)

    def _shared(
        self, compiled: CompiledKernel, work: Iterable[FoldItem], positions: list[int] | None
    ) -> Callable[[Any], None] | None:
        """What takes scalars and lets threads share the work; None if that does not pay here."""
        return None

    def _is_threaded(self, compiled: CompiledKernel, positions: list[int] | None) -> bool:
        """Whether several threads pay; scratch is made for all of them then."""
        if self._threads == 1 or self._load_of(positions) * compiled.work < self.threaded:
            return False
        self._scratch.shared = True
        return True

    def _load_of(self, positions: list[int] | None) -> float:
        if positions is None:
            return self._load
        return sum(self._loads[position] for position in positions)


def _update(bound: list[Bound], index: int, thread: int) -> None:
    function, one, other = bound[index]
    function(one, other, thread)


def _fold(compiled: CompiledKernel, work: list[FoldItem], index: int, thread: int) -> None:
    tile, g = work[index]
    tile.fold(compiled, g, thread)
