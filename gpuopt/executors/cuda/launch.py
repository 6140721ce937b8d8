"""The CUDA executor: launches kernels that are generated from a program, on CuPy arrays.

One launch updates all arrays that lie in memory without gaps, as do their gradients. Others take a
launch each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from gpuopt.arrays.device import device_of
from gpuopt.arrays.dtypes import COMPUTE
from gpuopt.codegen.cuda.coded import coded_source
from gpuopt.codegen.cuda.reduction import fold_space, reductions_source
from gpuopt.codegen.cuda.source import KernelSource
from gpuopt.codegen.cuda.table import table_source
from gpuopt.executors.cuda.launches import InMemory, KernelScalars, Launches, Passed
from gpuopt.executors.cuda.runtime import CUPY, Runtime
from gpuopt.executors.cuda.singles import SingleArray
from gpuopt.executors.cuda.tables import LaunchPlanner, Table, TableLaunch
from gpuopt.executors.cuda.uploads import UploadRing
from gpuopt.executors.layout import Initial, ParamView, new_coded, new_state, no_values
from gpuopt.executors.scalars import AnyScalars, ScalarRows, StoredScalars
from gpuopt.tracing.operands import Operand
from gpuopt.tracing.program import Kernel, UpdateProgram

__all__ = ["CupyExecutor"]


class CupyExecutor:
    """CuPy arrays of one dtype under one rule, and their state; see `gpuopt.executors.Executor`.

    Attributes
    ----------
    runtime : Runtime
        What makes the arrays and launches the kernels.
    device : device
        Where the arrays are; a context manager that makes it the current one.
    """

    name = "cupy"
    on_device = True
    runtime: ClassVar[Runtime] = CUPY

    def __init__(
        self,
        program: UpdateProgram,
        params: Sequence[Any],
        initial: Initial = no_values,
        hyper_arrays: Sequence[dict[Operand, Any]] = (),
        indices: Sequence[int] = (),
        capturable: bool = False,
    ) -> None:
        views = self._views = [ParamView(p) for p in params]
        hyper_arrays = list(hyper_arrays) or [{} for _ in params]
        indices = list(indices) or list(range(len(params)))
        self.device, self.compute = device_of(params[0]), COMPUTE[params[0].dtype.name]
        with self.device:
            self._buffers = new_state(self.runtime.xp, program, self.compute, views, initial)
            each = zip(views, hyper_arrays, indices, strict=True)
            self._singles = [
                SingleArray(
                    *(self.runtime, view, own, position, index, self._buffers),
                    new_coded(self.runtime.xp, program, view.size),
                )
                for position, (view, own, index) in enumerate(each)
            ]
            self.states = [single.state for single in self._singles]
            arrays = views, hyper_arrays, self.states, indices
            self._codes = any(state.coded for state in program.states)
            self._planner = LaunchPlanner(self.runtime, *arrays, capturable)
        self._kernels: dict[tuple[Any, ...], Any] = {}
        self._rows: dict[Kernel, UploadRing] = {}
        self._stored: dict[Kernel, StoredScalars] = {}
        space = sum(fold_space(view.size) for view in views)
        self._room: tuple[int, Any, Any] = space, None, None
        self._prepared: set[UpdateProgram] = set()
        self._make_room(program)
        with self.device:  # a step may run on another stream than the current one
            self.runtime.wait()

    def prepare(self, program: UpdateProgram) -> None:
        """Make room for what `program` needs; `dry_run` compiles its kernels.

        It starts work on the current stream, which a step on another stream must not overtake.
        """
        if program not in self._prepared:
            self._make_room(program)
            self._prepared.add(program)

    def _make_room(self, program: UpdateProgram) -> None:
        """Make room for scalars that differ from array to array, and for what reductions need."""
        with self.device:
            self._planner.make_room(len(self._prepared) + 1)
            for each in program.kernels:
                if each not in self._rows:
                    width = len(self._views) * len(each.scalars)
                    self._rows[each] = UploadRing(self.runtime, width, self.compute)
            count = max((len(stage.reductions) for stage in program.stages), default=0)
            space, lanes, _ = self._room
            if count and (lanes is None or lanes.size < count * space):
                xp = self.runtime.xp
                lanes, tickets = xp.zeros(count * space, self.compute), xp.zeros(space, np.int32)
                self._room = space, lanes, tickets

    def stored(self, kernel: Kernel, width: int) -> StoredScalars:
        """Room for `width` scalars of `kernel` for each array, which another kernel computes."""
        if kernel not in self._stored:
            rows = self.runtime.xp.zeros((len(self._views), width), self.compute)
            self._stored[kernel] = StoredScalars(rows)
        return self._stored[kernel]

    def run(
        self,
        kernel: Kernel,
        grads: Sequence[Any],
        scalars: AnyScalars | Passed,
        positions: list[int] | None = None,
    ) -> None:
        """Update arrays at once, as `plan` says."""
        self.plan(kernel, grads, scalars, positions)()

    def plan(
        self,
        kernel: Kernel,
        grads: Sequence[Any],
        scalars: AnyScalars | Passed,
        positions: list[int] | None = None,
        same: bool = False,
    ) -> Launches:
        """The launches that update the arrays at `positions` (None for all).

        With `same`, the gradients are those that were planned for last.
        """
        launches = Launches(self.device)
        with self.device:
            given, own = self._given(kernel, scalars), self._own(grads, launches)
            same = same and own is grads
            plan = self._planner.plan(own, positions, bool(kernel.random), same)
            for launch in plan.launches:
                self._add_update(launches, kernel, launch, given)
            for position in plan.singles:
                self._singles[position].add_update(launches, kernel, grads[position], given)
        return launches

    def plan_reduction(
        self,
        stage: Kernel,
        grads: Sequence[Any],
        scalars: AnyScalars | Passed,
        totals: Sequence[Any],
        positions: list[int] | None = None,
        same: bool = False,
    ) -> Launches:
        """The launches that reduce the arrays at `positions` (None for all) into `totals`.

        Those are a row for each reduction, with a number for each array of the optimizer. With
        `same`, the gradients are those that were planned for last.
        """
        launches = Launches(self.device)
        with self.device:
            given, own = self._given(stage, scalars), self._own(grads, launches)
            plan = self._planner.plan(own, positions, True, same and own is grads)
            for launch in plan.launches:
                self._add_reduction(launches, stage, launch, given, totals)
            for position in plan.singles:
                arguments = stage, grads[position], given, self._room, totals
                self._singles[position].add_reduction(launches, *arguments)
        return launches

    def dry_run(
        self,
        kernel: Kernel,
        scalars: AnyScalars | Passed,
        totals: Sequence[Any] = (),
    ) -> Launches:
        """Launch a step of all arrays that updates none of them.

        This compiles the kernels for the usual gradients, those of the parameters' dtype.
        """
        launches = Launches(self.device)
        with self.device:
            given = self._given(kernel, scalars)
            nothing = Passed((self.runtime.xp.zeros(len(self._views), np.int64),))
            for table in self._planner.tables:
                launch = TableLaunch(table, self._views[0].param.dtype, nothing)
                if kernel.reductions:
                    self._add_reduction(launches, kernel, launch, given, totals)
                else:
                    self._add_update(launches, kernel, launch, given)
        return launches

    def move(self, addresses: Sequence[int]) -> None:
        """Point the launches that were planned last to gradients at other addresses.

        They were planned for all arrays, launch nothing for a single array (`Launches.lasting`),
        and their gradients are like the parameters, as are the new ones.
        """
        with self.device:
            self._planner.move(addresses)

    def _own(self, grads: Sequence[Any], launches: Launches) -> Sequence[Any]:
        """The gradients as kernels take them: in C order, where state is coded in bytes."""
        return launches.in_order(grads, self.runtime.xp) if self._codes else grads

    def _given(self, kernel: Kernel, scalars: AnyScalars | Passed) -> KernelScalars:
        """The scalars as kernels take them; only this function distinguishes their types."""
        if isinstance(scalars, Passed):
            return scalars
        if isinstance(scalars, StoredScalars):
            return InMemory(scalars.rows)
        if isinstance(scalars, ScalarRows):
            with np.errstate(over="ignore"):
                values = np.array(scalars.rows, np.float64).astype(self.compute)
            return InMemory(self._rows[kernel].write(values.reshape(-1)).reshape(values.shape))
        return Passed(scalars)

    def _add_update(
        self, launches: Launches, kernel: Kernel, planned: TableLaunch, given: KernelScalars
    ) -> None:
        """Update the arrays of a table that have a gradient, of one dtype."""
        table, dtype, gradients = planned
        source = coded_source if self._codes else table_source
        launch = self._kernel(source, kernel, table, dtype, given.in_memory)
        arguments = (table.chunk, table.rows), given, kernel.seeds, gradients
        launches.add(launch, *arguments, size=table.size)

    def _add_reduction(
        self,
        launches: Launches,
        stage: Kernel,
        planned: TableLaunch,
        given: KernelScalars,
        totals: Sequence[Any],
    ) -> None:
        """Reduce the arrays of a table that have a gradient, of one dtype."""
        table, dtype, gradients = planned
        launch = self._kernel(reductions_source, stage, table, dtype, given.in_memory)
        after = [*stage.seeds, *self._room, *totals]
        arguments = (table.fold, table.rows), given, after, gradients
        launches.add(launch, *arguments, size=table.fold_size)

    def _kernel(
        self,
        source: Callable[..., KernelSource],
        kernel: Kernel,
        table: Table,
        dtype: np.dtype[Any],
        in_memory: bool,
    ) -> Any:
        """The kernel for the arrays of a table with gradients of that dtype."""
        key = kernel, table, dtype, in_memory
        if key not in self._kernels:
            p, states = self._views[0].param.dtype, tuple(self.states[0])
            written = source(kernel, states, p, dtype, table.hyper_arrays, in_memory)
            self._kernels[key] = self.runtime.compile_kernel(written)
        return self._kernels[key]
