"""What the CPU executors share: flat arrays cut into tiles, or packed, and run through a generated function.

Large arrays are cut into tiles that several threads take in turn; small ones are packed, many into one run, because a
Python call per array would cost more than its arithmetic. What is not a flat run of the compute dtype (float16, complex,
strided) is copied into scratch, and back. Nothing is allocated after the first step.
"""

from __future__ import annotations

import abc
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from gpuopt.backend import cpu_threads
from gpuopt.dtypes import COMPUTE
from gpuopt.executors import pool
from gpuopt.executors.layout import Leaf, new_state
from gpuopt.executors.tile_code import TileCode
from gpuopt.trace import Trace

__all__ = ["TileGroup"]

Gradients = Sequence[Any]
Work = tuple["_Tile", Any]


class _Tile:
    """Where one run of the function reads and writes: p (a list of arrays in a pack), and runs of the state."""

    __slots__ = ("box", "code", "operands", "ready", "size", "table")

    def __init__(self, box: Any, p: Any, buffers: dict[str, Any], start: int, stop: int) -> None:
        self.box, self.size = box, stop - start
        self.code: TileCode | None = None
        self.ready: list[Any] = []  # the arguments but for g, if all can be used as they are
        self.table: Any = None  # what an executor needs to find the arrays of a pack
        self.operands = {"p": p, **{name: buffer[start:stop] for name, buffer in buffers.items()}}


class _Single:
    """One array, cut into tiles of its flat run; or of its axes, where array or gradient is not one."""

    def __init__(self, index: int, leaf: Leaf, buffers: dict[str, Any], limit: int) -> None:
        self.index, self.leaf, self.size, self._buffers, self._limit = index, leaf, leaf.size, buffers, limit
        self._straight = leaf.axes == tuple(range(len(leaf.axes)))
        self._cuts: dict[bool, list[_Tile]] = {}

    def work(self, grads: Gradients) -> list[Work]:
        g = grads[self.index] if self._straight else grads[self.index].transpose(self.leaf.axes)
        flat = self.leaf.flat is not None and g.flags.c_contiguous
        if flat and g.ndim != 1:
            g = g.reshape(-1)
        return [(tile, g[tile.box] if tile.box else g) for tile in self._tiles(flat)]

    def _tiles(self, flat: bool) -> list[_Tile]:
        if flat not in self._cuts:
            p: Any = self.leaf.flat if flat else self.leaf.nd
            boxes = self.leaf.boxes(self._limit, flat)
            self._cuts[flat] = [_Tile(box, p[box] if box else p, self._buffers, a, b) for box, a, b in boxes]
        return self._cuts[flat]


class _Pack:
    """Small arrays, consecutive in the state's buffers, that are updated as one run."""

    def __init__(self, members: list[_Single], buffers: dict[str, Any]) -> None:
        self._members, leaves = members, [member.leaf for member in members]
        self.size = sum(leaf.size for leaf in leaves)
        self._tile = _Tile((), [leaf.flat for leaf in leaves], buffers, leaves[0].start, leaves[-1].stop)

    def work(self, grads: Gradients) -> list[Work]:
        chosen = [grads[member.index] for member in self._members]
        if all(g.flags.c_contiguous for g in chosen):
            return [(self._tile, chosen)]
        return [work for member in self._members for work in member.work(grads)]


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
    packs : list of int
        The elements of each pack that there is.
    """

    name: str
    tile = 131_072
    small, pack = 8_192, 32_768
    threaded = 1_000_000

    def __init__(self, trace: Trace, rule: Any, params: Sequence[np.ndarray[Any, Any]]) -> None:
        self.compute = COMPUTE[params[0].dtype.name]
        leaves = [Leaf(p) for p in params]
        packed = dict.fromkeys(leaf for leaf in leaves if leaf.size <= self.small and leaf.param.flags.c_contiguous)
        buffers = new_state(np, trace, rule, self.compute, leaves, packed.keys())
        self.states = [
            {name: leaf.like_param(buffer[leaf.start : leaf.stop]) for name, buffer in buffers.items()} for leaf in leaves
        ]
        self._singles = [_Single(index, leaf, buffers, self.tile) for index, leaf in enumerate(leaves)]
        self._units = list(_units(self._singles, packed.keys(), buffers, self.pack))
        self._threads = cpu_threads()
        self.packs = [unit.size for unit in self._units if isinstance(unit, _Pack)]
        self._largest = max([min(leaf.size, self.tile) for leaf in leaves] + self.packs)
        self._scratch: list[dict[Any, Any]] = [{} for _ in range(self._threads)]
        self._parallel = False
        self.use(trace)

    @abc.abstractmethod
    def _generate(self, trace: Trace) -> TileCode:
        """The function that updates flat arrays."""

    @abc.abstractmethod
    def _call(self, arguments: list[Any], size: int, slot: int) -> None:
        """Call the function on runs of `size` elements, as thread `slot`."""

    @abc.abstractmethod
    def _call_packed(self, tile: _Tile, gradients: list[Any], slot: int) -> bool:
        """Update a pack without gathering its parameters, if that can be done; whether it was."""

    def use(self, trace: Trace) -> None:
        self._code = self._generate(trace)
        fixed = [expr.value for expr in self._code.constants]
        self._values = np.zeros(len(trace.scalars) + len(fixed), self.compute)
        with np.errstate(all="ignore"):
            self._values[len(trace.scalars) :] = fixed
        self._dynamic = self._values[: len(trace.scalars)]
        self._scalars = tuple(self._values[i : i + 1].reshape(()) for i in range(len(self._values)))

    def run(self, grads: Gradients, scalars: tuple[float, ...], indices: Iterable[int] | None = None) -> None:
        units = self._units if indices is None else [self._singles[index] for index in indices]
        with np.errstate(all="ignore"):
            self._dynamic[...] = scalars
            work = [item for unit in units for item in unit.work(grads)]
            if self._threads > 1 and len(work) > 1 and sum(unit.size for unit in units) >= self.threaded:
                self._parallel = True
                pool.run(lambda index, slot: self._update(*work[index], slot), len(work), self._threads)
            else:
                for tile, g in work:
                    self._update(tile, g, 0)

    def _update(self, tile: _Tile, g: Any, slot: int) -> None:
        """Run the function on one tile, through scratch where an operand is no run of the compute dtype."""
        if tile.code is not self._code:
            self._prepare(tile)
        if type(g) is list:
            if self._call_packed(tile, g, slot):
                return
        elif tile.ready and self._direct(g):
            self._call([g if x is None else x for x in tile.ready], tile.size, slot)
            return
        arguments, back = [], []
        for array, component, part, read, written in self._code.places:
            x = g if array == "g" else tile.operands[array]
            if not part and type(x) is not list and self._direct(x):
                arguments.append(x)
                continue
            run = self._run(slot, component, tile.size, self.compute)
            arguments.append(run)
            if read:
                _load(x, part, run)
            if written:
                back.append((x, part, run))
        self._call(arguments, tile.size, slot)
        for x, part, run in back:
            _store(x, part, run)

    def _prepare(self, tile: _Tile) -> None:
        """Note which arguments of the function need no copy, as is the rule for float32 and float64."""
        p, places = tile.operands["p"], self._code.places
        plain = not any(place.part for place in places) and type(p) is not list and self._direct(p)
        tile.ready = [tile.operands.get(place.array) for place in places] if plain else []
        tile.code = self._code

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


def _units(singles: list[_Single], packed: Collection[Leaf], buffers: dict[str, Any], limit: int) -> Iterator[_Single | _Pack]:
    """The arrays of a full step: those to pack in packs, in their order in the buffers, then the others."""
    packs: list[list[_Single]] = [[]]
    total = 0
    for single in [s for s in singles if s.leaf in packed]:
        if total + single.size > limit:
            packs.append([])
            total = 0
        packs[-1].append(single)
        total += single.size
    for members in packs:
        yield from [_Pack(members, buffers)] if len(members) > 1 else members
    yield from (s for s in singles if s.leaf not in packed)


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
