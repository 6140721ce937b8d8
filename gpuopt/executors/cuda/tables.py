"""Tables of the arrays that one launch updates, and the launches that a step's gradients need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gpuopt.codegen.cuda.elementwise import Others
from gpuopt.codegen.cuda.reduction import fold_space
from gpuopt.codegen.cuda.table import columns, update_chunk
from gpuopt.codegen.order import LANES, REDUCTION_CHUNK
from gpuopt.executors.cuda.launches import Passed
from gpuopt.executors.cuda.runtime import Runtime
from gpuopt.executors.cuda.uploads import UploadCache
from gpuopt.executors.layout import ParamView
from gpuopt.tracing.operands import Operand

__all__ = ["LaunchPlan", "LaunchPlanner", "Table", "TableLaunch"]


LISTS = 8
"""Lists of addresses that are kept for a table.

A step needs one for each dtype of gradients, of which there are fewer.
"""


class Table:
    """Addresses of arrays without gaps that have the same kinds of arrays for hyperparameters.

    Parameters
    ----------
    runtime : Runtime
    hyper_arrays : tuple
        Those names and dtypes.
    entries : dict
        By position in the executor an array's size, its index in the optimizer, and addresses.
    count : int
        The arrays of the executor.
    states : sequence of str
        The names of their state.
    dtype : dtype
        Of the parameters.

    Attributes
    ----------
    size, fold_size : int
        How many threads an update takes, and a reduction.
    chunk, fold : array of int32
        Which array each chunk is of, of an update and of a reduction.
    rows : array of int64
        A row of `columns` for each array of the executor; empty for those that are not here.
    """

    def __init__(
        self,
        runtime: Runtime,
        hyper_arrays: Others,
        entries: dict[int, Sequence[int]],
        count: int,
        states: Sequence[str],
        dtype: np.dtype[Any],
    ) -> None:
        self.hyper_arrays, sizes = hyper_arrays, np.zeros(count, np.int64)
        rows = np.zeros((count, len(columns(hyper_arrays, states))), np.int64)
        for position, (size, index, *addresses) in entries.items():
            sizes[position], rows[position] = size, [size, 0, index, 0, 0, *addresses]
        chunks, folds = -(-sizes // update_chunk(dtype)), -(-sizes // REDUCTION_CHUNK)
        rooms = np.array([fold_space(size) if size else 0 for size in sizes.tolist()])
        for column, parts in ((1, chunks), (3, folds), (4, rooms)):
            rows[:, column] = np.cumsum(parts) - parts
        self.size, self.fold_size = int(chunks.sum()) * LANES, int(folds.sum()) * LANES
        positions = np.arange(count, dtype=np.int32)
        self.chunk = runtime.xp.asarray(np.repeat(positions, chunks))
        self.fold = runtime.xp.asarray(np.repeat(positions, folds))
        self.rows = runtime.xp.asarray(rows.reshape(-1))


class TableLaunch(NamedTuple):
    """One launch for the arrays of a table whose gradients have one dtype.

    Attributes
    ----------
    table : Table
    dtype : dtype
        Of the gradients.
    gradients : Passed
        An array with the address of each, or 0.
    """

    table: Table
    dtype: np.dtype[Any]
    gradients: Passed


class LaunchPlan(NamedTuple):
    """The launches of a step: of tables, and the positions of the arrays that take one each."""

    launches: list[TableLaunch]
    singles: list[int]


class LaunchPlanner:
    """Finds the launches of the kernels of a step.

    Parameters
    ----------
    runtime : Runtime
    views : list of ParamView
    hyper_arrays, states : list of dict
        The arrays for hyperparameters and the state of each parameter, by name.
    indices : list of int
        Which arrays of the optimizer they are.
    capturable : bool
        Whether steps may be captured in a CUDA graph.
    """

    def __init__(
        self,
        runtime: Runtime,
        views: list[ParamView],
        hyper_arrays: Sequence[dict[Operand, Any]],
        states: Sequence[dict[str, Any]],
        indices: Sequence[int],
        capturable: bool,
    ) -> None:
        self._runtime, self._views, self._capturable = runtime, views, capturable
        self._dtypes = [view.param.dtype for view in views]
        self._strides = [view.param.strides for view in views]
        self._in_order = all(view.param.flags.c_contiguous for view in views)
        alike: dict[Others, dict[int, Sequence[int]]] = {}
        arrays = zip(views, hyper_arrays, states, strict=True)
        for position, (view, hyper, own) in enumerate(arrays):
            flat = view.flat is not None and all(_is_flat(x, view) for x in hyper.values())
            if flat and view.size:
                kind = tuple((name, array.dtype) for name, array in hyper.items())
                addresses = map(_address, (view.param, *hyper.values(), *own.values()))
                alike.setdefault(kind, {})[position] = [view.size, indices[position], *addresses]
        self._tables: dict[int, Table] = {}
        for kind, entries in alike.items():
            table = Table(runtime, kind, entries, len(views), list(states[0]), self._dtypes[0])
            self._tables |= dict.fromkeys(entries, table)
        everything = all(i in self._tables or not view.size for i, view in enumerate(views))
        self._only = next(iter(self._tables.values())) if everything and len(alike) == 1 else None
        self._addresses = UploadCache(runtime, len(views), np.int64, LISTS * max(len(alike), 1))
        self._asked: tuple[list[int] | None, bool] | None = None
        self._plan = LaunchPlan([], [])

    @property
    def tables(self) -> list[Table]:
        """All tables."""
        return list(dict.fromkeys(self._tables.values()))

    def make_room(self, programs: int) -> None:
        """Make room for the addresses of a step of so many programs, each for other arrays."""
        self._addresses.make_room(LISTS * max(len(self.tables), 1) * programs)

    def plan(
        self, grads: Sequence[Any], positions: list[int] | None, in_order: bool, same: bool = False
    ) -> LaunchPlan:
        """The launches for the arrays at `positions` (None for all).

        Parameters
        ----------
        in_order : bool
            Whether the elements must be counted in C order. Then arrays in another order take a
            launch each.
        same : bool
            Whether the gradients are the same as in the last call.
        """
        asked = positions, in_order and not self._in_order
        if not same or asked != self._asked:
            captured = self._capturable and self._runtime.capturing()
            found = self._addresses.keep if captured else self._addresses.of
            self._asked, self._plan = asked, self._sorted(grads, *asked, found)
        return self._plan

    def move(self, addresses: Sequence[int]) -> None:
        """Point the last plan for gradients like the parameters to other such gradients.

        It was planned for all arrays, and launches nothing for a single array.
        """
        sent = self._addresses.of(addresses)
        for launch in self._plan.launches:
            launch.gradients.of_all = (sent,)

    def _sorted(
        self,
        grads: Sequence[Any],
        positions: list[int] | None,
        in_order: bool,
        sent: Callable[[list[int]], Any],
    ) -> LaunchPlan:
        """A launch for all arrays that are alike, with addresses that were `sent`."""
        together = self._only is not None and positions is None and not in_order
        if self._only is not None and together and self._like_params(grads):
            held = Passed((sent([g.data.ptr for g in grads]),))
            return LaunchPlan([TableLaunch(self._only, self._dtypes[0], held)], [])
        found: dict[tuple[Table, Any], list[int]] = {}
        singles = []
        for position in range(len(self._views)) if positions is None else positions:
            view, g, table = self._views[position], grads[position], self._tables.get(position)
            unordered = in_order and not view.param.flags.c_contiguous
            if table is not None and _is_flat(g, view) and not unordered:
                addresses = found.setdefault((table, g.dtype), [0] * len(self._views))
                addresses[position] = _address(g)
            elif view.size:
                singles.append(position)
        launches = [TableLaunch(*key, Passed((sent(each),))) for key, each in found.items()]
        return LaunchPlan(launches, singles)

    def _like_params(self, grads: Sequence[Any]) -> bool:
        """Whether the gradients have the dtypes and strides of the parameters."""
        if [g.dtype for g in grads] != self._dtypes:
            return False
        return [g.strides for g in grads] == self._strides


def _is_flat(array: Any, view: ParamView) -> bool:
    """Whether an array's elements lie in memory as those of the parameter do, without gaps."""
    return bool(array.transpose(view.axes).flags.c_contiguous)


def _address(array: Any) -> int:
    return int(array.data.ptr)
