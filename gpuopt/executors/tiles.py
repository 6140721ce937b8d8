"""What the CPU executors share: flat arrays cut into tiles, or packed, and run through generated functions.

Large arrays are cut into tiles that several threads take in turn; small ones are packed, many into one run, because a
Python call per array would cost more than its arithmetic. What is not a flat run of the compute dtype (float16, complex,
strided) is copied into scratch, and back. Nothing is allocated after the first step.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from gpuopt.backend import cpu_threads
from gpuopt.dtypes import COMPUTE
from gpuopt.executors import pool
from gpuopt.executors.fold import CHUNK, UFUNCS, Folds, chunks, fold, fold_stream
from gpuopt.executors.layout import Leaf, cut, new_state
from gpuopt.executors.tile_code import Place, TileCode
from gpuopt.rules.noise import base, fill
from gpuopt.trace import Trace

__all__ = ["Program", "TileGroup"]

Gradients = Sequence[Any]
Work = tuple["_Tile", Any]


class Program:
    """A trace made ready to run: its function, and the scalars that it is called with."""

    def __init__(self, trace: Trace, code: TileCode, compute: np.dtype[Any]) -> None:
        self.code, self.trace = code, trace
        fixed, count = [expr.value for expr in code.constants], len(trace.scalars)
        self.values = np.zeros(count + len(fixed), compute)
        with np.errstate(all="ignore"):
            self.values[count:] = fixed
        self.dynamic = self.values[:count]
        self.scalars = tuple(self.values[i : i + 1].reshape(()) for i in range(len(self.values)))
        self.pack: Any = None  # what an executor runs packs with
        self.fold: Any = None  # what it folds a tile with
        self._keys = {
            name: ([part.value if part.op == "constant" else trace.scalars.index(part) for part in key], stream)
            for name, (key, stream) in trace.random.items()
        }
        self._fixed = {name: [part.op == "constant" for part in key] for name, (key, _) in trace.random.items()}
        self.folds: Folds | None = None

    def start(self, name: str, leaf: int) -> int:
        """Where random numbers begin, for the scalars there are."""
        places, stream = self._keys[name]
        pairs = zip(places, self._fixed[name], strict=True)
        return base(tuple(place if fixed else float(self.dynamic[place]) for place, fixed in pairs), leaf, stream)


class _Tile:
    """Where one run of a function reads and writes: its operands are p, arrays beside it (lists in a pack), and the state."""

    __slots__ = ("box", "offset", "operands", "owner", "ready", "size", "table")

    def __init__(self, box: Any, operands: dict[str, Any], size: int, offset: int = 0, owner: Any = None) -> None:
        self.box, self.operands, self.size, self.offset, self.owner = box, operands, size, offset, owner
        self.ready: dict[Program, list[Any]] = {}  # the arguments but for g, if all can be used as they are
        self.table: Any = None  # what an executor needs to find the arrays of a pack


class _Single:
    """One array, cut into tiles of its flat run; or along its axes, where it or an array beside it is no run.

    `arrays` are the parameter and what lies beside it, in its shape; `buffers` hold the state from `start` on, in the order of
    `axes`, in which the tiles follow one another.
    """

    def __init__(
        self, index: int, arrays: dict[str, Any], axes: tuple[int, ...], limit: int, buffers: dict[str, Any], start: int = 0
    ) -> None:
        self.index, self.size, self._axes, self._start = index, arrays["p"].size, axes, start
        self._limit, self._buffers = limit, buffers
        self._straight, self._shape = axes == tuple(range(len(axes))), arrays["p"].shape
        self._arrays = {name: array.transpose(axes) for name, array in arrays.items()}
        self._flat = all(array.flags.c_contiguous for array in self._arrays.values())
        self._cuts: dict[bool, list[_Tile]] = {}

    def work(self, grads: Gradients) -> list[Work]:
        g = grads[self.index] if self._straight else grads[self.index].transpose(self._axes)
        flat = self._flat and g.flags.c_contiguous
        if flat and g.ndim != 1:
            g = g.reshape(-1)
        return [(tile, _part(g, tile.box) if tile.box else g) for tile in self._tiles(flat)]

    def _tiles(self, flat: bool) -> list[_Tile]:
        if flat not in self._cuts:
            arrays = {name: a.reshape(-1) for name, a in self._arrays.items()} if flat else self._arrays
            found, offset = [], 0
            for box, size in cut(arrays["p"].shape, self._limit):
                inside = {name: _part(array, box) for name, array in arrays.items()}
                first = self._start + offset
                inside |= {name: buffer[first : first + size] for name, buffer in self._buffers.items()}
                found.append(_Tile(box, inside, size, offset, self))
                offset += size
            self._cuts[flat] = found
        return self._cuts[flat]

    def indices(self, tile: _Tile, out: Any) -> None:
        """The index of each element of a tile among those of the array, in C order."""
        if self._straight:
            np.copyto(out, np.arange(tile.offset, tile.offset + tile.size, dtype=np.uint64))
        else:
            every = np.arange(self.size, dtype=np.uint64).reshape(self._shape).transpose(self._axes)
            np.copyto(out, every.reshape(-1)[tile.offset : tile.offset + tile.size])


class _Pack:
    """Small arrays, consecutive in the state's buffers, that are updated as one run."""

    def __init__(
        self, members: list[_Single], leaves: list[Leaf], others: list[dict[str, Any]], buffers: dict[str, Any]
    ) -> None:
        self.members, self.size = members, sum(leaf.size for leaf in leaves)
        operands: dict[str, Any] = {name: [beside[name] for beside in others] for name in others[0]}
        operands["p"] = [leaf.flat for leaf in leaves]
        operands |= {name: buffer[leaves[0].start : leaves[-1].stop] for name, buffer in buffers.items()}
        self._tile = _Tile((), operands, self.size)

    def work(self, grads: Gradients) -> list[Work]:
        chosen = [grads[member.index] for member in self.members]
        if all(g.flags.c_contiguous for g in chosen):
            return [(self._tile, chosen)]
        return [work for member in self.members for work in member.work(grads)]


class TileGroup(abc.ABC):
    """NumPy arrays of one dtype under one rule, and their state; see `gpuopt.executors.Group`.

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

    name: str
    on_device = False
    tile = folded = 131_072
    small, pack = 8_192, 32_768
    threaded = 1_000_000

    def __init__(
        self,
        trace: Trace,
        update: Any,
        params: Sequence[np.ndarray[Any, Any]],
        others: Sequence[dict[str, Any]] = (),
        numbers: Sequence[int] = (),
    ) -> None:
        self.compute = COMPUTE[params[0].dtype.name]
        leaves, others = [Leaf(p) for p in params], others or [{}] * len(params)
        packed = dict.fromkeys(leaf for leaf in leaves if leaf.size <= self.small and leaf.param.flags.c_contiguous)
        buffers = new_state(np, trace, update, self.compute, leaves, packed.keys(), others)
        self.states = [
            {name: leaf.like_param(buffer[leaf.start : leaf.stop]) for name, buffer in buffers.items()} for leaf in leaves
        ]
        limit, every = chunks(self.folded) * CHUNK, list(enumerate(zip(params, leaves, others, strict=True)))
        self._singles = [_Single(i, {"p": p, **o}, leaf.axes, self.tile, buffers, leaf.start) for i, (p, leaf, o) in every]
        self._foldable = [
            _Single(i, {"p": p, **o, **self.states[i]}, tuple(range(p.ndim)), limit, {}) for i, (p, _, o) in every
        ]  # in the order of indices, whatever lies how in memory, so that the layout decides no bit of a reduction
        small = [i for i, leaf in enumerate(leaves) if leaf in packed]
        self._units = [*self._packs(small, leaves, others, buffers), *(s for s in self._singles if s.index not in small)]
        self._numbers = list(numbers) or list(range(len(params)))
        self._threads = cpu_threads()
        self.packs = [unit.size for unit in self._units if isinstance(unit, _Pack)]
        self._largest = max([min(leaf.size, max(limit, self.tile)) for leaf in leaves] + self.packs)
        self._scratch: list[dict[Any, Any]] = [{} for _ in range(self._threads)]
        self._parallel = False
        self._programs: dict[Trace, Program] = {}
        self.prepare(trace)

    def _packs(
        self, small: list[int], leaves: list[Leaf], others: Sequence[dict[str, Any]], buffers: dict[str, Any]
    ) -> Iterator[_Single | _Pack]:
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
                yield _Pack(singles, [leaves[i] for i in members], [others[i] for i in members], buffers)
            else:
                yield from singles

    @abc.abstractmethod
    def _generate(self, trace: Trace) -> Program:
        """The function that updates flat arrays, or maps them to what is reduced."""

    @abc.abstractmethod
    def _call(self, program: Program, arguments: list[Any], size: int, slot: int) -> None:
        """Call the function on runs of `size` elements, as thread `slot`."""

    @abc.abstractmethod
    def _call_packed(self, program: Program, tile: _Tile, gradients: list[Any], slot: int) -> bool:
        """Update a pack without gathering its parameters, if that can be done; whether it was."""

    def prepare(self, trace: Trace) -> None:
        for each in (*trace.phases, trace):
            if each not in self._programs:
                self._programs[each] = program = self._generate(each)
                if each.reductions:
                    ops = [reduction.op for reduction in each.reductions]
                    program.folds = Folds(ops, [single.size for single in self._singles], self.compute)

    def run(self, trace: Trace, grads: Gradients, scalars: tuple[float, ...], indices: Iterable[int] | None = None) -> None:
        program = self._programs[trace]
        units = self._units
        if indices is not None or trace.random:
            units = [self._singles[index] for index in _each(indices, self._singles)]
        with np.errstate(all="ignore"):
            program.dynamic[...] = scalars
            work = [item for unit in units for item in unit.work(grads)]
            size = sum(unit.size for unit in units)
            self._each(lambda index, slot: self._update(program, *work[index], slot), len(work), size)

    def _each(self, task: Callable[[int, int], None], count: int, size: int) -> None:
        """Call ``task(index, slot)`` for every index below `count`, on several threads if `size` elements pay for them."""
        if self._threads > 1 and count > 1 and size >= self.threaded:
            self._parallel = True
            pool.run(task, count, self._threads)
        else:
            for index in range(count):
                task(index, 0)

    def reduce(self, phase: Trace, grads: Gradients, scalars: tuple[float, ...], indices: list[int] | None) -> list[Any]:
        """For each reduction of a phase what it gives for each of the arrays at `indices` (all, if None)."""
        program = self._programs[phase]
        assert program.folds is not None
        with np.errstate(all="ignore"):
            program.dynamic[...] = scalars
            jobs: list[tuple[Any, list[Work]]] = []
            units = (
                self._units
                if indices is None and not phase.random
                else [self._singles[i] for i in _each(indices, self._singles)]
            )
            for unit in units:
                work = unit.work(grads) if isinstance(unit, _Pack) else []
                if len(work) == 1:
                    jobs.append((unit, work))
                    continue
                for single in unit.members if isinstance(unit, _Pack) else [unit]:
                    work = self._foldable[single.index].work(grads)
                    apart = all(tile.offset % CHUNK == 0 for tile, _ in work)
                    jobs += [(single, [item]) for item in work] if apart else [(single, work)]
            self._each(lambda n, slot: self._fold(program, *jobs[n], slot), len(jobs), sum(unit.size for unit in units))
            return program.folds.totals(indices)

    def _fold(self, program: Program, unit: Any, work: list[Work], slot: int) -> None:
        """Map what is reduced and fold it: a pack or a tile at once, several tiles as they fill whole chunks."""
        assert program.folds is not None
        (tile, g), folds = work[0], program.folds
        if isinstance(unit, _Pack):
            for number, run in enumerate(self._mapped(program, tile, g, slot)):
                folds.fold_pack(
                    number, [member.index for member in unit.members], [member.size for member in unit.members], run
                )
        elif len(work) == 1:
            self._fold_tile(program, tile, g, unit.index, slot)
        else:
            for number, op in enumerate(folds.ops):
                runs = (self._mapped(program, tile, g, slot)[number] for tile, g in work)
                fold_stream(UFUNCS[op], runs, self._run(slot, "stage", CHUNK, self.compute), folds.rows(number, unit.index))

    def _fold_tile(self, program: Program, tile: _Tile, g: Any, index: int, slot: int) -> None:
        """Map and fold a tile that begins with a chunk."""
        assert program.folds is not None
        for number, run in enumerate(self._mapped(program, tile, g, slot)):
            rows = program.folds.rows(number, index)[tile.offset // CHUNK :]
            fold(UFUNCS[program.folds.ops[number]], run, rows)

    def _mapped(self, program: Program, tile: _Tile, g: Any, slot: int) -> list[Any]:
        """What is to be reduced of a tile: a run for each reduction."""
        arguments, _ = self._arguments(program, tile, g, slot)
        self._call(program, arguments, tile.size, slot)
        count = len(program.trace.reductions)
        return [self._run(slot, f"total {number}", tile.size, self.compute) for number in range(count)]

    def _update(self, program: Program, tile: _Tile, g: Any, slot: int) -> None:
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
            _store(x, part, run)

    def _arguments(
        self, program: Program, tile: _Tile, g: Any, slot: int, places: Iterable[Place] | None = None
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
            if array in program.trace.random:
                self._randomize(program, tile, array, run, slot)
            elif read:
                _load(x, part, run)
            if written and x is not None:
                back.append((x, part, run))
        return arguments, back

    def _randomize(self, program: Program, tile: _Tile, name: str, run: Any, slot: int) -> None:
        """Fill a run with the random numbers of a tile."""
        index, work = (self._run(slot, what, tile.size, np.dtype(np.uint64)) for what in ("index", "work"))
        tile.owner.indices(tile, index)
        fill(run, program.start(name, self._numbers[tile.owner.index]), index, work)

    def _prepared(self, program: Program, tile: _Tile) -> list[Any]:
        """Which arguments of the function need no copy, as is the rule for float32 and float64."""
        places, operands = program.code.places, tile.operands
        arrays = [operands.get(place.array) for place in places if place.array != "g"]
        plain = (
            not any(place.part for place in places)
            and all(x is not None for x in arrays)
            and all(type(x) is not list and self._direct(x) for x in arrays)
        )
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


def _each(indices: Iterable[int] | None, items: list[Any]) -> Iterable[int]:
    return range(len(items)) if indices is None else indices


def _part(array: Any, box: Any) -> Any:
    """The part of an array in that box, as a run if it is one."""
    part = array[box] if box else array
    return part.reshape(-1) if part.ndim != 1 and part.flags.c_contiguous else part


def _load(x: Any, part: str, run: np.ndarray[Any, Any]) -> None:
    """Copy the real or imaginary part of `x` (all of it where it is real; of each array of a list) into `run`."""
    if isinstance(x, list):
        np.concatenate([getattr(a, part) for a in x] if part else x, axis=None, out=run, casting="unsafe")
    else:
        np.copyto(run.reshape(x.shape), getattr(x, part) if part else x, casting="unsafe")


def _store(x: Any, part: str, run: np.ndarray[Any, Any]) -> None:
    """The reverse of `_load`."""
    start = 0
    for a in x if isinstance(x, list) else [x]:
        stop = start + a.size
        new = run[start:stop]
        (getattr(a, part) if part else a)[...] = new if a.ndim == 1 else new.reshape(a.shape)
        start = stop
