"""The base of the CPU executors: flat arrays in tiles, or packed, run through generated functions.

Large arrays are cut into tiles that several threads take in turn; small ones are packed, many into one run, because a
Python call per array would cost more than its arithmetic. What is not a flat run of the compute dtype (float16, complex,
strided) is copied into scratch, and back. Nothing is allocated after the first step.
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from gpuopt.arrays.backend import ExecutorName, cpu_threads
from gpuopt.arrays.dtypes import COMPUTE
from gpuopt.arrays.random import after, fill
from gpuopt.codegen.order import REDUCTION_CHUNK, chunks
from gpuopt.codegen.tile import Place
from gpuopt.executors.cpu import pool
from gpuopt.executors.cpu.work import CompiledKernel, Gradients, PackedArrays, Tile, TiledArray, WorkItem, load, store
from gpuopt.executors.fold import UFUNCS, Folds, fold, fold_stream
from gpuopt.executors.layout import ParamView, new_state
from gpuopt.executors.scalars import AnyScalars
from gpuopt.tracing.program import Kernel, UpdateProgram

__all__ = ["TileExecutor"]


class Run(functools.partial[None]):
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
    threaded : int
        Elements in all from which a second thread pays for waking it.
    folded : int
        Elements of a tile that is reduced.
    packs : list of int
        The elements of each pack that there is.
    """

    name: ExecutorName
    on_device = False
    tile = folded = 131_072
    small, pack = 8_192, 32_768
    threaded = 1_000_000

    def __init__(
        self,
        program: UpdateProgram,
        update: Any,
        params: Sequence[np.ndarray[Any, Any]],
        others: Sequence[dict[str, Any]] = (),
        numbers: Sequence[int] = (),
        capturable: bool = False,
    ) -> None:
        self.compute = COMPUTE[params[0].dtype.name]
        leaves, others = [ParamView(p) for p in params], others or [{}] * len(params)
        packed = dict.fromkeys(leaf for leaf in leaves if leaf.size <= self.small and leaf.param.flags.c_contiguous)
        buffers = new_state(np, program, update, self.compute, leaves, packed.keys(), others)
        self.states = [
            {name: leaf.like_param(buffer[leaf.start : leaf.stop]) for name, buffer in buffers.items()} for leaf in leaves
        ]
        limit, every = chunks(self.folded) * REDUCTION_CHUNK, list(enumerate(zip(params, leaves, others, strict=True)))
        self._singles = [TiledArray(i, {"p": p, **o}, leaf.axes, self.tile, buffers, leaf.start) for i, (p, leaf, o) in every]
        self._foldable = [
            TiledArray(i, {"p": p, **o, **self.states[i]}, tuple(range(p.ndim)), limit, {}) for i, (p, _, o) in every
        ]  # in the order of indices, whatever lies how in memory, so that the layout decides no bit of a reduction
        small = [i for i, leaf in enumerate(leaves) if leaf in packed]
        self._units = [
            *self._packs(small, leaves, others, buffers),
            *(single for single, leaf in zip(self._singles, leaves, strict=True) if leaf not in packed),
        ]
        self._numbers = list(numbers) or list(range(len(params)))
        self._threads = cpu_threads()
        self.packs = [unit.size for unit in self._units if isinstance(unit, PackedArrays)]
        self._largest = max([min(leaf.size, max(limit, self.tile)) for leaf in leaves] + self.packs)
        self._scratch: list[dict[Any, Any]] = [{} for _ in range(self._threads)]
        self._parallel = False
        self._programs: dict[Kernel, CompiledKernel] = {}
        self._ramp = np.empty(0, np.uint64)
        self.prepare(program)

    def _packs(
        self, small: list[int], leaves: list[ParamView], others: Sequence[dict[str, Any]], buffers: dict[str, Any]
    ) -> Iterator[TiledArray | PackedArrays]:
        """The arrays to pack, in their order in the buffers, as packs; and as themselves where one is left alone."""
        packs: list[list[int]] = [[]]
        total = 0
        for index in small:
            if total + leaves[index].size > self.pack:
                packs.append([])
                total = 0
            packs[-1].append(index)
            total += leaves[index].size
        for members in packs:
            singles = [self._singles[i] for i in members]
            if len(members) > 1:
                yield PackedArrays(singles, [leaves[i] for i in members], [others[i] for i in members], buffers)
            else:
                yield from singles

    @abc.abstractmethod
    def _generate(self, kernel: Kernel) -> CompiledKernel:
        """The function that updates flat arrays, or maps them to what is reduced."""

    @abc.abstractmethod
    def _call(self, program: CompiledKernel, arguments: list[Any], size: int, slot: int) -> None:
        """Call the function on runs of `size` elements, as thread `slot`."""

    @abc.abstractmethod
    def _call_packed(self, program: CompiledKernel, tile: Tile, gradients: list[Any], slot: int) -> bool:
        """Update a pack without gathering its parameters, if that can be done; whether it was."""

    def prepare(self, program: UpdateProgram) -> None:
        for each in program.kernels:
            if each.random and not self._ramp.size:
                self._ramp = np.arange(self._largest, dtype=np.uint64)
            if each not in self._programs:
                self._programs[each] = made = self._generate(each)
                if each.reductions:
                    ops = [reduction.op for reduction in each.reductions]
                    made.folds = Folds(ops, [single.size for single in self._singles], self.compute)

    def plan(self, kernel: Kernel, grads: Gradients, scalars: AnyScalars, indices: list[int] | None = None) -> Run:
        return Run(self.run, kernel, grads, scalars, indices)

    def run(self, kernel: Kernel, grads: Gradients, scalars: Any, indices: list[int] | None = None) -> None:
        program = self._programs[kernel]
        units = self._chosen(kernel, indices)
        with np.errstate(all="ignore"):
            program.dynamic[...] = scalars
            work: list[WorkItem] = [item for unit in units for item in unit.work(grads)]
            size = sum(unit.size for unit in units)
            self._each(lambda index, slot: self._update(program, *work[index], slot), len(work), size)

    def _chosen(self, kernel: Kernel, indices: list[int] | None) -> list[Any]:
        """What is run for the arrays at `indices`: packs where all are meant, and random numbers do not tell them apart."""
        if indices is not None:
            return [self._singles[index] for index in indices]
        return self._singles if kernel.random else self._units

    def _each(self, task: Callable[[int, int], None], count: int, size: int) -> None:
        """Call ``task(index, slot)`` for every index below `count`, on several threads if `size` elements pay for them."""
        if self._threads > 1 and count > 1 and size >= self.threaded:
            self._parallel = True
            pool.run(task, count, self._threads)
        else:
            for index in range(count):
                task(index, 0)

    def reduce(self, stage: Kernel, grads: Gradients, scalars: tuple[float, ...], indices: list[int] | None) -> list[Any]:
        """For each reduction of a stage what it gives for each of the arrays at `indices` (all, if None)."""
        program = self._programs[stage]
        assert program.folds is not None
        with np.errstate(all="ignore"):
            program.dynamic[...] = scalars
            jobs: list[tuple[Any, list[WorkItem]]] = []
            units = self._chosen(stage, indices)
            for unit in units:
                work = unit.work(grads) if isinstance(unit, PackedArrays) else []
                if len(work) == 1:
                    jobs.append((unit, work))
                    continue
                for single in unit.members if isinstance(unit, PackedArrays) else [unit]:
                    work = self._foldable[single.index].work(grads)
                    apart = all(tile.offset % REDUCTION_CHUNK == 0 for tile, _ in work)
                    jobs += [(single, [item]) for item in work] if apart else [(single, work)]
            self._each(lambda n, slot: self._fold(program, *jobs[n], slot), len(jobs), sum(unit.size for unit in units))
            return program.folds.totals(indices)

    def _fold(self, program: CompiledKernel, unit: Any, work: list[WorkItem], slot: int) -> None:
        """Map what is reduced and fold it: a pack or a tile at once, several tiles as they fill whole chunks."""
        assert program.folds is not None
        (tile, g), folds = work[0], program.folds
        if isinstance(unit, PackedArrays):
            for number, run in enumerate(self._mapped(program, tile, g, slot)):
                folds.fold_pack(
                    number, [member.index for member in unit.members], [member.size for member in unit.members], run
                )
        elif len(work) == 1:
            self._fold_tile(program, tile, g, unit.index, slot)
        else:
            for number, op in enumerate(folds.ops):
                runs = (self._mapped(program, tile, g, slot)[number] for tile, g in work)
                fold_stream(
                    UFUNCS[op], runs, self._run(slot, "stage", REDUCTION_CHUNK, self.compute), folds.rows(number, unit.index)
                )

    def _fold_tile(self, program: CompiledKernel, tile: Tile, g: Any, index: int, slot: int) -> None:
        """Map and fold a tile that begins with a chunk."""
        assert program.folds is not None
        for number, run in enumerate(self._mapped(program, tile, g, slot)):
            rows = program.folds.rows(number, index)[tile.offset // REDUCTION_CHUNK :]
            fold(UFUNCS[program.folds.ops[number]], run, rows)

    def _mapped(self, program: CompiledKernel, tile: Tile, g: Any, slot: int) -> list[Any]:
        """What is to be reduced of a tile: a run for each reduction."""
        arguments, _ = self._arguments(program, tile, g, slot)
        self._call(program, arguments, tile.size, slot)
        count = len(program.kernel.reductions)
        return [self._run(slot, f"total {number}", tile.size, self.compute) for number in range(count)]

    def _update(self, program: CompiledKernel, tile: Tile, g: Any, slot: int) -> None:
        """Run the function on one tile, through scratch where an operand is no run of the compute dtype."""
        ready = tile.ready.get(program)
        if ready is None:
            ready = self._prepared(program, tile)
        if type(g) is list:
            if self._call_packed(program, tile, g, slot):
                return
        elif ready and self._direct(g):
            self._call(program, [g if x is None else x for x in ready], tile.size, slot)
            return
        arguments, back = self._arguments(program, tile, g, slot)
        self._call(program, arguments, tile.size, slot)
        for x, part, run in back:
            store(x, part, run)

    def _arguments(
        self, program: CompiledKernel, tile: Tile, g: Any, slot: int, places: Iterable[Place] | None = None
    ) -> tuple[list[Any], list[tuple[Any, str, Any]]]:
        """The places to call the function with; and (array, part, run) for each that must be copied back."""
        arguments, back = [], []
        for array, component, part, read, written in program.code.places if places is None else places:
            x = g if array == "g" else tile.operands.get(array)
            if x is not None and not part and type(x) is not list and self._direct(x):
                arguments.append(x)
                continue
            run = self._run(slot, component, tile.size, self.compute)
            arguments.append(run)
            if array in program.kernel.random:
                self._randomize(program, tile, array, run, slot)
            elif read:
                load(x, part, run)
            if written and x is not None:
                back.append((x, part, run))
        return arguments, back

    def _randomize(self, program: CompiledKernel, tile: Tile, name: str, run: Any, slot: int) -> None:
        """Fill a run with the random numbers of a tile."""
        scratch = [self._run(slot, what, tile.size, np.dtype(np.uint64)) for what in ("index", "rest", "work")]
        index, more = tile.owner.indices(tile, self._ramp[: tile.size], *scratch)
        self._fill(run, after(program.start(name, self._numbers[tile.owner.index]), more), index, scratch[1:])

    def _fill(self, run: Any, start: int, index: Any, scratch: list[Any]) -> None:
        """Fill a run with the random numbers of the elements that `index` names, of the sequence that begins at `start`."""
        fill(run, start, index, *scratch)

    def _prepared(self, program: CompiledKernel, tile: Tile) -> list[Any]:
        """Which arguments of the function need no copy, as is the rule for float32 and float64."""
        places, operands = program.code.places, tile.operands
        arrays = [operands.get(place.array) for place in places if place.array != "g"]
        direct = all(x is not None and type(x) is not list and self._direct(x) for x in arrays)
        plain = direct and not any(place.part for place in places)
        tile.ready[program] = [operands.get(place.array) for place in places] if plain else []
        return tile.ready[program]

    def _direct(self, x: Any) -> bool:
        """Whether `x` is a run of the compute dtype."""
        if x.ndim != 1 or x.dtype != self.compute:
            return False
        flags = x.flags
        return bool(flags.c_contiguous and flags.aligned)

    def _run(self, slot: int, name: str, size: int, dtype: np.dtype[Any]) -> Any:
        """A run of a thread's scratch; made when first asked for, for every thread that may need it next.

        Two threads may both make it. Whichever is kept is used by one thread alone, so no lock is needed.
        """
        run = self._scratch[slot].get((name, size))
        if run is None:
            for scratch in self._scratch if self._parallel else self._scratch[:1]:
                whole = scratch.get(name)
                if whole is None:
                    whole = scratch[name] = np.empty(self._largest, dtype)
                scratch[name, size] = whole[:size]
            run = self._scratch[slot][name, size]
        return run
