"""Tables of the arrays that one launch updates, and which launches a step's gradients take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gpuopt.arrays.identity import SameObjects
from gpuopt.codegen.cuda.elementwise import Others
from gpuopt.codegen.cuda.reduction import fold_space
from gpuopt.codegen.cuda.table import LANES, UPDATE_CHUNK, columns
from gpuopt.codegen.order import REDUCTION_CHUNK
from gpuopt.executors.cuda.runtime import Runtime
from gpuopt.executors.cuda.uploads import Lists
from gpuopt.executors.layout import ParamView

__all__ = ["LaunchPlan", "LaunchPlanner", "Table", "TableLaunch"]


LISTS = 8
"""Lists of addresses that are kept for a table; a step needs one for each dtype of gradients, of which there are fewer."""


class Table:
    """Where arrays that are flat runs lie, with what is beside them of given dtypes.

    Attributes
    ----------
    others : tuple
        Names and dtypes of the arrays beside each.
    size, fold_size : int
        How many threads an update takes, and a reduction.
    chunk, fold : array of int32
        Which array each chunk is of, of an update and of a reduction.
    rows : array of int64
        A row of `columns` for each array of the group; those of others are empty.
    """

    def __init__(
        self, runtime: Runtime, others: Others, entries: dict[int, Sequence[int]], count: int, states: Sequence[str]
    ) -> None:
        self.others, sizes = others, np.zeros(count, np.int64)
        rows = np.zeros((count, len(columns(others, states))), np.int64)
        for position, (size, number, *addresses) in entries.items():
            sizes[position], rows[position] = size, [size, 0, number, 0, 0, *addresses]
        chunks, folds = -(-sizes // UPDATE_CHUNK), -(-sizes // REDUCTION_CHUNK)
        rooms = np.array([fold_space(size) if size else 0 for size in sizes.tolist()])
        for column, parts in ((1, chunks), (3, folds), (4, rooms)):
            rows[:, column] = np.cumsum(parts) - parts
        self.size, self.fold_size = int(chunks.sum()) * LANES, int(folds.sum()) * LANES
        positions = np.arange(count, dtype=np.int32)
        self.chunk, self.fold = (runtime.xp.asarray(np.repeat(positions, times)) for times in (chunks, folds))
        self.rows = runtime.xp.asarray(rows.reshape(-1))


class TableLaunch(NamedTuple):
    """One launch for the arrays of a table whose gradients have one dtype: the address of each gradient, or 0."""

    table: Table
    dtype: np.dtype[Any]
    gradients: Any


class LaunchPlan(NamedTuple):
    """What updates the arrays that have a gradient: launches for many, and the positions of those that take one each."""

    launches: list[TableLaunch]
    singles: list[int]


class LaunchPlanner:
    """Finds the launches of a step; with the gradients of the step before, the same ones again.

    Parameters
    ----------
    runtime : Runtime
    leaves : list of ParamView
    others, states : list of dict
        The arrays beside each, by name.
    numbers : list of int
        The arrays' numbers in the optimizer.
    capturable : bool
        Whether steps may be captured in a CUDA graph.
    """

    def __init__(
        self,
        runtime: Runtime,
        leaves: list[ParamView],
        others: Sequence[dict[str, Any]],
        states: Sequence[dict[str, Any]],
        numbers: Sequence[int],
        capturable: bool,
    ) -> None:
        self._runtime, self._leaves, self._capturable = runtime, leaves, capturable
        self._dtypes, self._strides = [leaf.param.dtype for leaf in leaves], [leaf.param.strides for leaf in leaves]
        alike: dict[Others, dict[int, Sequence[int]]] = {}
        for position, (leaf, beside, own) in enumerate(zip(leaves, others, states, strict=True)):
            if leaf.size and leaf.flat is not None and all(_run(array, leaf) for array in beside.values()):
                arrays = (leaf.param, *beside.values(), *own.values())
                kind = tuple((name, array.dtype) for name, array in beside.items())
                alike.setdefault(kind, {})[position] = [leaf.size, numbers[position], *map(_address, arrays)]
        self._tables: dict[int, Table] = {}
        for kind, entries in alike.items():
            self._tables |= dict.fromkeys(entries, Table(runtime, kind, entries, len(leaves), list(states[0])))
        whole = all(position in self._tables or not leaf.size for position, leaf in enumerate(leaves))
        self._one = next(iter(self._tables.values())) if whole and len(alike) == 1 else None
        self._ordered = all(leaf.param.flags.c_contiguous for leaf in leaves)
        self._addresses = Lists(runtime, len(leaves), np.int64, LISTS * max(len(alike), 1))
        self._last: tuple[Any, Any] = (None, None)
        self._same = SameObjects()  # the gradients of the step before
        self._plan = LaunchPlan([], [])

    @property
    def tables(self) -> list[Table]:
        """Every table there is."""
        return list(dict.fromkeys(self._tables.values()))

    def make_room(self, programs: int) -> None:
        """Make room for the lists of a step that runs so many programs, each for other arrays."""
        self._addresses.make_room(LISTS * max(len(self.tables), 1) * programs)

    def plan(self, grads: Sequence[Any], indices: list[int] | None, ordered: bool) -> LaunchPlan:
        """The launches for the arrays at `indices` (None for all); those together that are in C order, if it matters."""
        ordered = ordered and not self._ordered
        captured = self._capturable and self._runtime.capturing()  # then the lists of addresses are kept
        if captured or (indices, ordered) != self._last or not self._same(grads):
            self._plan = LaunchPlan(*self._sorted(grads, indices, ordered, captured))
            self._last = indices, ordered
            if captured:  # what was sent inside a capture is not there yet
                self._same.forget()
            else:
                self._same.remember(grads)
        return self._plan

    def _sorted(
        self, grads: Sequence[Any], indices: list[int] | None, ordered: bool, captured: bool
    ) -> tuple[list[TableLaunch], list[int]]:
        whole = self._one if indices is None and not ordered else None
        alike = whole is not None and [g.dtype for g in grads] == self._dtypes and [g.strides for g in grads] == self._strides
        if whole is not None and alike:
            return [TableLaunch(whole, self._dtypes[0], self._addresses.of([g.data.ptr for g in grads], captured))], []
        found: dict[tuple[Table, Any], list[int]] = {}
        singles = []
        for position in range(len(self._leaves)) if indices is None else indices:
            leaf, g, table = self._leaves[position], grads[position], self._tables.get(position)
            if table is None or not _run(g, leaf) or (ordered and not leaf.param.flags.c_contiguous):
                singles += [position] if leaf.size else []
            else:
                found.setdefault((table, g.dtype), [0] * len(self._leaves))[position] = _address(g)
        launches = [TableLaunch(*key, self._addresses.of(where, captured)) for key, where in found.items()]
        return launches, singles


def _run(array: Any, leaf: ParamView) -> bool:
    """Whether an array's elements lie in memory as those of the parameter do, without gaps."""
    return bool(array.transpose(leaf.axes).flags.c_contiguous)


def _address(array: Any) -> int:
    return int(array.data.ptr)
