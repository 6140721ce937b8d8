"""The work of a CPU executor: tiles of one array, packs of many, and compiled kernels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuopt.arrays.random import base
from gpuopt.codegen.tile import TileCode
from gpuopt.executors.fold import Folds
from gpuopt.executors.layout import ParamView, cut
from gpuopt.tracing.expr import Expr
from gpuopt.tracing.program import Kernel

__all__ = ["CompiledKernel", "Gradients", "PackedArrays", "Tile", "TiledArray", "WorkItem", "load", "store"]

Gradients = Sequence[Any]
WorkItem = tuple["Tile", Any]


class CompiledKernel:
    """A kernel made ready to run: its function, and the scalars that it is called with."""

    def __init__(self, kernel: Kernel, code: TileCode, compute: np.dtype[Any]) -> None:
        self.code, self.kernel = code, kernel
        fixed, count = [expr.value for expr in code.constants], len(kernel.scalars)
        self.values = np.zeros(count + len(fixed), compute)
        with np.errstate(all="ignore"):
            self.values[count:] = fixed
        self.dynamic = self.values[:count]
        self.scalars = tuple(self.values[i : i + 1].reshape(()) for i in range(len(self.values)))
        self.pack: Any = None  # what an executor runs packs with
        self.fold: Any = None  # what it folds a tile with
        self.folds: Folds | None = None

    def start(self, name: str, leaf: int) -> int:
        """Where random numbers begin, for the scalars there are."""
        key, stream = self.kernel.random[name]
        return base(tuple(self._number(part) for part in key), leaf, stream)

    def _number(self, scalar: Expr) -> float:
        return scalar.value if scalar.op == "constant" else float(self.dynamic[self.kernel.scalars.index(scalar)])


class Tile:
    """Where one run of a function reads and writes: its operands are p, arrays beside it (lists in a pack), and the state."""

    __slots__ = ("box", "offset", "operands", "owner", "ready", "size", "table")

    def __init__(self, box: Any, operands: dict[str, Any], size: int, offset: int = 0, owner: Any = None) -> None:
        self.box, self.operands, self.size, self.offset, self.owner = box, operands, size, offset, owner
        self.ready: dict[CompiledKernel, list[Any]] = {}  # the arguments but for g, if all can be used as they are
        self.table: Any = None  # what an executor needs to find the arrays of a pack


class TiledArray:
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
        self._cuts: dict[bool, list[Tile]] = {}

    def work(self, grads: Gradients) -> list[WorkItem]:
        g = grads[self.index] if self._straight else grads[self.index].transpose(self._axes)
        flat = self._flat and g.flags.c_contiguous
        if flat and g.ndim != 1:
            g = g.reshape(-1)
        return [(tile, _part(g, tile.box) if tile.box else g) for tile in self._tiles(flat)]

    def _tiles(self, flat: bool) -> list[Tile]:
        if flat not in self._cuts:
            arrays = {name: a.reshape(-1) for name, a in self._arrays.items()} if flat else self._arrays
            found, offset = [], 0
            for box, size in cut(arrays["p"].shape, self._limit):
                inside = {name: _part(array, box) for name, array in arrays.items()}
                first = self._start + offset
                inside |= {name: buffer[first : first + size] for name, buffer in self._buffers.items()}
                found.append(Tile(box, inside, size, offset, self))
                offset += size
            self._cuts[flat] = found
        return self._cuts[flat]

    def indices(self, tile: Tile, ramp: Any, out: Any, rest: Any, work: Any) -> tuple[Any, int]:
        """The index of each element of a tile among those of the array, in C order, as numbers and what to add to each.

        `ramp` holds 0, 1, 2 …; the others are scratch, all of the tile's size.
        """
        if self._straight:
            return ramp, tile.offset
        np.add(ramp, np.uint64(tile.offset), out=rest)  # in the order of memory, taken apart axis by axis
        out.fill(0)
        for axis in reversed(self._axes):
            length = np.uint64(self._shape[axis])
            np.remainder(rest, length, out=work)
            np.multiply(work, np.uint64(math.prod(self._shape[axis + 1 :])), out=work)
            np.add(out, work, out=out)
            np.floor_divide(rest, length, out=rest)
        return out, 0


class PackedArrays:
    """Small arrays, consecutive in the state's buffers, that are updated as one run."""

    def __init__(
        self, members: list[TiledArray], leaves: list[ParamView], others: list[dict[str, Any]], buffers: dict[str, Any]
    ) -> None:
        self.members, self.size = members, sum(leaf.size for leaf in leaves)
        operands: dict[str, Any] = {name: [beside[name] for beside in others] for name in others[0]}
        operands["p"] = [leaf.flat for leaf in leaves]
        operands |= {name: buffer[leaves[0].start : leaves[-1].stop] for name, buffer in buffers.items()}
        self._tile = Tile((), operands, self.size)

    def work(self, grads: Gradients) -> list[WorkItem]:
        chosen = [grads[member.index] for member in self.members]
        if all(g.flags.c_contiguous for g in chosen):
            return [(self._tile, chosen)]
        return [work for member in self.members for work in member.work(grads)]


def _part(array: Any, box: Any) -> Any:
    """The part of an array in that box, as a run if it is one."""
    part = array[box] if box else array
    return part.reshape(-1) if part.ndim != 1 and part.flags.c_contiguous else part


def load(x: Any, part: str, run: np.ndarray[Any, Any]) -> None:
    """Copy the real or imaginary part of `x` (all of it where it is real; of each array of a list) into `run`."""
    if isinstance(x, list):
        np.concatenate([getattr(a, part) for a in x] if part else x, axis=None, out=run, casting="unsafe")
    else:
        np.copyto(run.reshape(x.shape), getattr(x, part) if part else x, casting="unsafe")


def store(x: Any, part: str, run: np.ndarray[Any, Any]) -> None:
    """The reverse of `load`."""
    start = 0
    for a in x if isinstance(x, list) else [x]:
        stop = start + a.size
        new = run[start:stop]
        (getattr(a, part) if part else a)[...] = new if a.ndim == 1 else new.reshape(a.shape)
        start = stop
