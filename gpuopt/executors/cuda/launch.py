"""The CuPy executor: one ``ElementwiseKernel`` a rule, generated from its trace, and one for each of its reductions.

One launch updates all arrays of a group that are flat runs with such gradients. Others are launched one by one.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from gpuopt.arrays.dtypes import COMPUTE
from gpuopt.codegen.cuda.elementwise import KernelSource, Others, kernel_source
from gpuopt.codegen.cuda.reduction import fold_space, reduction_source, reductions_source
from gpuopt.codegen.cuda.table import table_source
from gpuopt.codegen.order import LANES, chunks
from gpuopt.executors.cuda.runtime import CUPY, Runtime
from gpuopt.executors.cuda.tables import LaunchPlanner, Table
from gpuopt.executors.cuda.uploads import Turns
from gpuopt.executors.layout import ParamView, new_state
from gpuopt.tracing.trace import Trace

__all__ = ["CupyExecutor", "Launches"]


_process = 0
"""The process that used CUDA here first."""


def _check_process() -> None:
    """Raise RuntimeError in a process that was forked after CUDA was used."""
    global _process
    _process = _process or os.getpid()
    if _process != os.getpid():
        raise RuntimeError(
            "this process was forked after CUDA was used, and CUDA does not work in a forked process: start processes with "
            "multiprocessing.get_context('spawn')"
        )


class Launches:
    """Kernels with their arguments, to be launched in this order on one device; see `gpuopt.executors.Launch`.

    Attributes
    ----------
    calls : list of callable
        Each launches a kernel.
    begun : bool
        Whether the first was launched.
    """

    def __init__(self, device: Any) -> None:
        self.device, self.begun = device, False
        self.calls: list[Callable[[], object]] = []

    def add(self, kernel: Any, *arguments: Any, **size: int) -> None:
        """Add a kernel with its arguments, and with the `size` of its loop unless that follows from them."""
        self.calls.append(functools.partial(kernel, *arguments, **size))

    def join(self, launches: Launches) -> None:
        """Add others, which come next."""
        self.calls += launches.calls

    def __call__(self) -> None:
        with self.device:
            for call in self.calls:
                call()
                self.begun = True


class CupyExecutor:
    """CuPy arrays of one dtype under one rule, and their state; see `gpuopt.executors.Executor`.

    Attributes
    ----------
    runtime : Runtime
        What makes the arrays and launches the kernels.
    """

    name = "cupy"
    on_device = True
    runtime: ClassVar[Runtime] = CUPY

    def __init__(
        self,
        trace: Trace,
        update: Any,
        params: Sequence[Any],
        others: Sequence[dict[str, Any]] = (),
        numbers: Sequence[int] = (),
        capturable: bool = False,
    ) -> None:
        _check_process()
        self._leaves, self._others = [ParamView(p) for p in params], others or [{}] * len(params)
        self._numbers = list(numbers) or list(range(len(params)))
        self.device, self.compute = params[0].device, COMPUTE[params[0].dtype.name]
        with self.device:
            self._buffers = new_state(self.runtime.xp, trace, update, self.compute, self._leaves, (), self._others)
        self.states = [
            {name: leaf.like_param(buffer[leaf.start : leaf.stop]) for name, buffer in self._buffers.items()}
            for leaf in self._leaves
        ]
        self._names = tuple(self._buffers)
        with self.device:
            self._planner = LaunchPlanner(self.runtime, self._leaves, self._others, self.states, self._numbers, capturable)
        self._kernels: dict[tuple[Any, ...], Any] = {}
        self._rows: dict[Trace, Turns] = {}
        self._space = sum(fold_space(leaf.size) for leaf in self._leaves)
        self._lanes: Any = None
        self._tickets: Any = None
        self._scalars: dict[Trace, Any] = {}
        self._prepared: set[Trace] = set()
        self._make_room(trace)
        with self.device:  # a step may run on another stream than the current one
            self.runtime.wait()

    def prepare(self, trace: Trace) -> None:
        """Make room for what `trace` needs, and its kernels for gradients of the parameters' dtype, if its scalars are numbers.

        Where they are made on the device, `rehearsal` gives those kernels.
        """
        if trace in self._prepared:
            return
        self._make_room(trace)
        if not trace.stages and trace.accept is None:
            with self.device:
                self.rehearsal(trace, (0.0,) * len(trace.scalars))()
                self.runtime.wait()  # a step may run on another stream
        self._prepared.add(trace)

    def _make_room(self, trace: Trace) -> None:
        """Make room for scalars of arrays that were updated unequally often, and for what reductions need."""
        with self.device:
            self._planner.make_room(len(self._prepared) + 1)
            for each in (*trace.stages, trace):
                if each not in self._rows:
                    self._rows[each] = Turns(self.runtime, len(self._leaves) * len(each.scalars), self.compute)
            count = max((len(stage.reductions) for stage in trace.stages), default=0)
            if count and (self._lanes is None or self._lanes.size < count * self._space):
                xp, space = self.runtime.xp, self._space
                lanes, tickets = xp.zeros(count * space, self.compute), xp.zeros(space, np.int32)
                self._lanes, self._tickets = lanes, tickets

    def stored(self, trace: Trace, width: int) -> Any:
        """Room for `width` scalars of `trace` for each array, in rows."""
        if trace not in self._scalars:
            self._scalars[trace] = self.runtime.xp.zeros((len(self._leaves), width), self.compute)
        return self._scalars[trace]

    def run(self, trace: Trace, grads: Sequence[Any], scalars: Any, indices: list[int] | None = None) -> None:
        """Update arrays at once, as `plan` says."""
        self.plan(trace, grads, scalars, indices)()

    def plan(self, trace: Trace, grads: Sequence[Any], scalars: Any, indices: list[int] | None = None) -> Launches:
        """The launches that update arrays; `scalars` are numbers, or a row of them for each array: a list, or on the device."""
        launches = Launches(self.device)
        with self.device:
            given = self._uploaded(trace, scalars) if isinstance(scalars, list) else scalars
            plan = self._planner.plan(grads, indices, ordered=bool(trace.random))
            for table, dtype, gradients in plan.launches:
                self._add_update(launches, trace, table, dtype, gradients, given)
            for index in plan.singles:
                self._add_single(launches, trace, index, grads[index], given)
        return launches

    def plan_reduction(
        self, stage: Trace, grads: Sequence[Any], scalars: Any, totals: Sequence[Any], indices: list[int] | None = None
    ) -> Launches:
        """The launches that reduce arrays into `totals`: for each reduction a row, one number for each of the optimizer's."""
        launches = Launches(self.device)
        with self.device:
            given = self._uploaded(stage, scalars) if isinstance(scalars, list) else scalars
            plan = self._planner.plan(grads, indices, ordered=True)
            for table, dtype, gradients in plan.launches:
                self._add_reduction(launches, stage, table, dtype, gradients, given, totals)
            for index in plan.singles:
                number = self._numbers[index]
                rows = [row[number : number + 1] for row in totals]
                self._add_single_reduction(launches, stage, index, grads[index], given, rows)
        return launches

    def rehearsal(self, trace: Trace, scalars: Any, totals: Sequence[Any] = ()) -> Launches:
        """What a step of all arrays launches, with gradients of their dtype, but for none of them: it compiles the kernels."""
        launches = Launches(self.device)
        with self.device:
            nothing = self.runtime.xp.zeros(len(self._leaves), np.int64)
            for table in self._planner.tables:
                arguments = trace, table, self._leaves[0].param.dtype, nothing, scalars
                if trace.reductions:
                    self._add_reduction(launches, *arguments, totals)
                else:
                    self._add_update(launches, *arguments)
        return launches

    def _uploaded(self, trace: Trace, rows: list[tuple[float, ...]]) -> Any:
        """Rows of scalars, on the device."""
        with np.errstate(over="ignore"):
            values = np.array(rows, np.float64).astype(self.compute)
        return self._rows[trace].write(values.reshape(-1)).reshape(values.shape)

    def _add_update(
        self, launches: Launches, trace: Trace, table: Table, dtype: np.dtype[Any], gradients: Any, scalars: Any
    ) -> None:
        """Update the arrays of a table."""
        stored = not isinstance(scalars, tuple)
        given = (scalars.reshape(-1),) if stored else scalars
        kernel = self._kernel(table_source, trace, table, dtype, stored)
        launches.add(kernel, table.chunk, table.rows, gradients, *given, size=table.size)

    def _add_reduction(
        self,
        launches: Launches,
        stage: Trace,
        table: Table,
        dtype: np.dtype[Any],
        gradients: Any,
        scalars: Any,
        totals: Sequence[Any],
    ) -> None:
        """Reduce the arrays of a table."""
        stored = not isinstance(scalars, tuple)
        given = (scalars.reshape(-1),) if stored else scalars
        kernel = self._kernel(reductions_source, stage, table, dtype, stored)
        rest = self._space, self._lanes, self._tickets, *totals
        launches.add(kernel, table.fold, table.rows, gradients, *given, *rest, size=table.fold_size)

    def _kernel(self, text: Callable[..., KernelSource], trace: Trace, table: Table, dtype: np.dtype[Any], stored: bool) -> Any:
        """The kernel for the arrays of a table with gradients of that dtype."""
        key = trace, table, dtype, stored
        if key not in self._kernels:
            p = self._leaves[0].param.dtype
            self._kernels[key] = self.runtime.compile_kernel(text(trace, self._names, p, dtype, table.others, stored))
        return self._kernels[key]

    def _add_single(self, launches: Launches, trace: Trace, index: int, g: Any, scalars: Any) -> None:
        """Update one array: as a flat run where parameter, gradient and the other arrays are one, else along its axes."""
        leaf, others, stored = self._leaves[index], self._others[index], not isinstance(scalars, tuple)
        written = kernel_source(trace, leaf.param.dtype, g.dtype, self._dtypes(index), stored)
        kernel, given = self.runtime.compile_kernel(written), self._given(trace, index, scalars)
        inputs, states = [g if name == "g" else others[name] for name in written.reads], written.arrays[1:]
        if trace.random and not leaf.param.flags.c_contiguous:  # the loop must count the elements in the order of indices
            launches.add(kernel, *inputs, *given, leaf.param, *(self.states[index][name] for name in states))
            return
        inputs = [x.transpose(leaf.axes) for x in inputs]
        runs = [self._buffers[name][leaf.start : leaf.stop] for name in states]
        if leaf.flat is not None and all(x.flags.c_contiguous for x in inputs):
            p, inputs = leaf.flat, [x.reshape(-1) for x in inputs]
        else:
            p, runs = leaf.nd, [run.reshape(leaf.nd.shape) for run in runs]
        launches.add(kernel, *inputs, *given, p, *runs)

    def _add_single_reduction(
        self, launches: Launches, stage: Trace, index: int, g: Any, scalars: Any, totals: Sequence[Any]
    ) -> None:
        """Reduce one array, along its axes, into arrays of one number."""
        leaf = self._leaves[index]
        arrays = {"p": leaf.param, "g": g, **self._others[index], **self.states[index]}
        written = reduction_source(stage, leaf.param.dtype, g.dtype, self._dtypes(index), not isinstance(scalars, tuple))
        reads = [arrays[name] for name in written.reads]
        reads = [x.reshape(-1) if x.flags.c_contiguous else x for x in reads]
        rest = leaf.size, self._space, self._lanes, self._tickets, *totals
        given = self._given(stage, index, scalars)
        launches.add(self.runtime.compile_kernel(written), *reads, *given, *rest, size=chunks(leaf.size) * LANES)

    def _given(self, trace: Trace, index: int, scalars: Any) -> tuple[Any, ...]:
        """The arguments after what is read: numbers, or an array's row of them; and which array it is, for random numbers."""
        given: tuple[Any, ...] = scalars if isinstance(scalars, tuple) else (scalars[index],)
        return (*given, self._numbers[index]) if trace.random else given

    def _dtypes(self, index: int) -> Others:
        return tuple((name, array.dtype) for name, array in self._others[index].items())
