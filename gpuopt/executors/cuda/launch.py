"""The CUDA executor: launches kernels that are generated from a program, on CuPy arrays.

One launch updates all arrays that lie in memory without gaps, as do their gradients. Others are launched one by one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from gpuopt.arrays.backend import ExecutorName
from gpuopt.arrays.dtypes import COMPUTE
from gpuopt.codegen.cuda.elementwise import KernelSource, Others, kernel_source
from gpuopt.codegen.cuda.reduction import fold_space, reduction_source, reductions_source
from gpuopt.codegen.cuda.table import table_source
from gpuopt.codegen.order import LANES, chunks
from gpuopt.executors.cuda.launches import InMemory, KernelScalars, Launches, Passed
from gpuopt.executors.cuda.runtime import CUPY, Runtime
from gpuopt.executors.cuda.tables import LaunchPlanner, Table
from gpuopt.executors.cuda.uploads import UploadRing
from gpuopt.executors.layout import ParamView, new_state
from gpuopt.executors.scalars import AnyScalars, ScalarRows, StoredScalars
from gpuopt.tracing.program import Kernel, UpdateProgram

__all__ = ["CupyExecutor"]


_process = 0
"""The process that used CUDA here first."""


def _check_process() -> None:
    """Raise RuntimeError in a process that was forked after CUDA was used."""
    global _process
    _process = _process or os.getpid()
    if _process != os.getpid():
        raise RuntimeError(
            "this process was forked after CUDA was used, and CUDA does not work in a forked process: "
            "start processes with multiprocessing.get_context('spawn')"
        )


class CupyExecutor:
    """CuPy arrays of one dtype under one rule, and their state; see `gpuopt.executors.Executor`.

    Attributes
    ----------
    runtime : Runtime
        What makes the arrays and launches the kernels.
    device : device
        Where the arrays are; a context manager that makes it the current one.
    """

    name: ExecutorName = "cupy"
    on_device = True
    runtime: ClassVar[Runtime] = CUPY

    def __init__(
        self,
        program: UpdateProgram,
        update: Any,
        params: Sequence[Any],
        others: Sequence[dict[str, Any]] = (),
        numbers: Sequence[int] = (),
        capturable: bool = False,
    ) -> None:
        _check_process()
        self._views, self._hyper_arrays = [ParamView(p) for p in params], others or [{}] * len(params)
        self._numbers = list(numbers) or list(range(len(params)))
        self.device, self.compute = params[0].device, COMPUTE[params[0].dtype.name]
        with self.device:
            self._buffers = new_state(self.runtime.xp, program, update, self.compute, self._views, (), self._hyper_arrays)
            self.states = [view.state(self._buffers) for view in self._views]
            self._planner = LaunchPlanner(
                *(self.runtime, self._views, self._hyper_arrays, self.states, self._numbers, capturable)
            )
        self._kernels: dict[tuple[Any, ...], Any] = {}
        self._rows: dict[Kernel, UploadRing] = {}
        self._stored: dict[Kernel, StoredScalars] = {}
        self._space = sum(fold_space(view.size) for view in self._views)
        self._lanes: Any = None
        self._tickets: Any = None
        self._prepared: set[UpdateProgram] = set()
        self._make_room(program)
        with self.device:  # a step may run on another stream than the current one
            self.runtime.wait()

    def prepare(self, program: UpdateProgram) -> None:
        """Make room for what `program` needs, and compile its kernels for the usual gradients.

        Those are of the parameters' dtype. A kernel whose scalars are made on the device is compiled
        by who has these; see `dry_run`.
        """
        if program in self._prepared:
            return
        self._make_room(program)
        if not program.stages and program.accept is None:
            with self.device:
                self.dry_run(program.update, (0.0,) * len(program.update.scalars))()
                self.runtime.wait()  # a step may run on another stream
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
            if count and (self._lanes is None or self._lanes.size < count * self._space):
                xp, space = self.runtime.xp, self._space
                lanes, tickets = xp.zeros(count * space, self.compute), xp.zeros(space, np.int32)
                self._lanes, self._tickets = lanes, tickets

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
        scalars: AnyScalars,
        indices: list[int] | None = None,
    ) -> None:
        """Update arrays at once, as `plan` says."""
        self.plan(kernel, grads, scalars, indices)()

    def plan(
        self,
        kernel: Kernel,
        grads: Sequence[Any],
        scalars: AnyScalars,
        indices: list[int] | None = None,
    ) -> Launches:
        """The launches that update the arrays at `indices` (None for all)."""
        launches = Launches(self.device)
        with self.device:
            given = self._given(kernel, scalars)
            plan = self._planner.plan(grads, indices, in_order=bool(kernel.random))
            for table, dtype, addresses in plan.launches:
                self._add_update(launches, kernel, table, dtype, addresses, given)
            for position in plan.singles:
                self._add_single(launches, kernel, position, grads[position], given)
        return launches

    def plan_reduction(
        self,
        stage: Kernel,
        grads: Sequence[Any],
        scalars: AnyScalars,
        totals: Sequence[Any],
        indices: list[int] | None = None,
    ) -> Launches:
        """The launches that reduce the arrays at `indices` (None for all) into `totals`.

        Those are a row for each reduction, with a number for each array of the optimizer.
        """
        launches = Launches(self.device)
        with self.device:
            given = self._given(stage, scalars)
            plan = self._planner.plan(grads, indices, in_order=True)
            for table, dtype, addresses in plan.launches:
                self._add_reduction(launches, stage, table, dtype, addresses, given, totals)
            for position in plan.singles:
                number = self._numbers[position]
                own = [row[number : number + 1] for row in totals]
                self._add_single_reduction(launches, stage, position, grads[position], given, own)
        return launches

    def dry_run(
        self,
        kernel: Kernel,
        scalars: AnyScalars,
        totals: Sequence[Any] = (),
    ) -> Launches:
        """Launch a step of all arrays for none of them: that compiles the kernels."""
        launches = Launches(self.device)
        with self.device:
            given = self._given(kernel, scalars)
            nothing = self.runtime.xp.zeros(len(self._views), np.int64)
            for table in self._planner.tables:
                arguments = kernel, table, self._views[0].param.dtype, nothing, given
                if kernel.reductions:
                    self._add_reduction(launches, *arguments, totals)
                else:
                    self._add_update(launches, *arguments)
        return launches

    def _given(self, kernel: Kernel, scalars: AnyScalars) -> KernelScalars:
        """The scalars as kernels take them; this is the one place that tells their types apart."""
        if isinstance(scalars, StoredScalars):
            return InMemory(scalars.rows)
        if isinstance(scalars, ScalarRows):
            with np.errstate(over="ignore"):
                values = np.array(scalars.rows, np.float64).astype(self.compute)
            return InMemory(self._rows[kernel].write(values.reshape(-1)).reshape(values.shape))
        return Passed(scalars)

    def _add_update(
        self,
        launches: Launches,
        kernel: Kernel,
        table: Table,
        dtype: np.dtype[Any],
        addresses: Any,
        given: KernelScalars,
    ) -> None:
        """Update the arrays of a table that have a gradient, of that dtype."""
        launch = self._kernel(table_source, kernel, table, dtype, given.in_memory)
        launches.add(launch, table.chunk, table.rows, addresses, *given.of_all, size=table.size)

    def _add_reduction(
        self,
        launches: Launches,
        stage: Kernel,
        table: Table,
        dtype: np.dtype[Any],
        addresses: Any,
        given: KernelScalars,
        totals: Sequence[Any],
    ) -> None:
        """Reduce the arrays of a table that have a gradient, of that dtype."""
        launch = self._kernel(reductions_source, stage, table, dtype, given.in_memory)
        room = self._space, self._lanes, self._tickets
        arguments = table.fold, table.rows, addresses, *given.of_all, *room, *totals
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
            p, states = self._views[0].param.dtype, tuple(self._buffers)
            written = source(kernel, states, p, dtype, table.hyper_arrays, in_memory)
            self._kernels[key] = self.runtime.compile_kernel(written)
        return self._kernels[key]

    def _add_single(self, launches: Launches, kernel: Kernel, position: int, g: Any, given: KernelScalars) -> None:
        """Update one array: its memory where that and all beside it has no gaps, else along its axes."""
        view, hyper = self._views[position], self._hyper_arrays[position]
        written = kernel_source(kernel, view.param.dtype, g.dtype, self._dtypes(position), given.in_memory)
        launch = self.runtime.compile_kernel(written)
        inputs = [g if name == "g" else hyper[name] for name in written.reads]
        scalars, states = self._of_one(kernel, position, given), written.arrays[1:]
        if kernel.random and not view.param.flags.c_contiguous:  # elements are counted in C order
            own = self.states[position]
            launches.add(launch, *inputs, *scalars, view.param, *(own[name] for name in states))
            return
        inputs = [x.transpose(view.axes) for x in inputs]
        p, outputs = view.flat, [self._buffers[name][view.start : view.stop] for name in states]
        if p is not None and all(x.flags.c_contiguous for x in inputs):
            inputs = [x.reshape(-1) for x in inputs]
        else:
            p, outputs = view.nd, [x.reshape(view.nd.shape) for x in outputs]
        launches.add(launch, *inputs, *scalars, p, *outputs)

    def _add_single_reduction(
        self,
        launches: Launches,
        stage: Kernel,
        position: int,
        g: Any,
        given: KernelScalars,
        totals: Sequence[Any],
    ) -> None:
        """Reduce one array, along its axes, into arrays of one number."""
        param, hyper = self._views[position].param, self._hyper_arrays[position]
        arrays = {"p": param, "g": g, **hyper, **self.states[position]}
        written = reduction_source(stage, param.dtype, g.dtype, self._dtypes(position), given.in_memory)
        reads = [arrays[name] for name in written.reads]
        reads = [x.reshape(-1) if x.flags.c_contiguous else x for x in reads]
        room = param.size, self._space, self._lanes, self._tickets
        arguments = *reads, *self._of_one(stage, position, given), *room, *totals
        launch = self.runtime.compile_kernel(written)
        launches.add(launch, *arguments, size=chunks(param.size) * LANES)

    def _of_one(self, kernel: Kernel, position: int, given: KernelScalars) -> tuple[Any, ...]:
        """The scalars of one array; and its number in the optimizer, if random numbers depend on it."""
        number = (self._numbers[position],) if kernel.random else ()
        return *given.of(position), *number

    def _dtypes(self, position: int) -> Others:
        hyper = self._hyper_arrays[position]
        return tuple((name, array.dtype) for name, array in hyper.items())
