"""Launches for one array, which no table can hold: it has gaps, or its gradient has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpuopt.codegen.cuda.elementwise import Others, kernel_source
from gpuopt.codegen.cuda.reduction import reduction_source
from gpuopt.codegen.order import LANES, chunks
from gpuopt.executors.cuda.launches import KernelScalars, Launches
from gpuopt.executors.cuda.runtime import Runtime
from gpuopt.executors.layout import ParamView
from gpuopt.tracing.operands import GRAD, PARAM, Operand, state
from gpuopt.tracing.program import Kernel

__all__ = ["SingleArray"]


class SingleArray:
    """An array that can be updated and reduced by launches of its own.

    Parameters
    ----------
    runtime : Runtime
    view : ParamView
    hyper_arrays : dict
        Its arrays for hyperparameters.
    position, index : int
        Which array of the executor it is, and of the optimizer.
    buffers : dict
        The state of all arrays of the executor.
    coded : dict
        State of its own that is coded in bytes. No launch for one array sees it.

    Attributes
    ----------
    state : dict
        Its state by name, as arrays of the parameter's shape.
    """

    def __init__(
        self,
        runtime: Runtime,
        view: ParamView,
        hyper_arrays: dict[Operand, Any],
        position: int,
        index: int,
        buffers: dict[str, Any],
        coded: dict[str, Any],
    ) -> None:
        self._runtime, self._view, self._hyper_arrays = runtime, view, hyper_arrays
        self._position, self._index = position, index
        self._buffers, self.state = buffers, view.state(buffers) | coded
        self._dtypes: Others = tuple((array, x.dtype) for array, x in hyper_arrays.items())

    def add_update(self, launches: Launches, kernel: Kernel, g: Any, given: KernelScalars) -> None:
        """Add the launch that updates the array.

        Its memory is updated if that and all beside it has no gaps; else it goes along the axes.
        """
        view = self._view
        source = kernel_source(kernel, view.param.dtype, g.dtype, self._dtypes, given.in_memory)
        inputs = [g if array == GRAD else self._hyper_arrays[array] for array in source.reads]
        states = [array.name for array in source.arrays[1:]]
        if kernel.random and not view.param.flags.c_contiguous:  # it counts elements in C order
            p, outputs = view.param, [self.state[name] for name in states]
        else:
            inputs = [x.transpose(view.axes) for x in inputs]
            p, outputs = view.nd, [view.part(self._buffers[name]) for name in states]
            if view.flat is not None and all(x.flags.c_contiguous for x in inputs):
                inputs = [x.reshape(-1) for x in inputs]
                p, outputs = view.flat, [x.reshape(-1) for x in outputs]
        launch = self._runtime.compile_kernel(source)
        launches.add(launch, [*inputs, *self._scalars(kernel, given), p, *outputs])
        launches.lasting = False

    def add_reduction(
        self,
        launches: Launches,
        stage: Kernel,
        g: Any,
        given: KernelScalars,
        room: tuple[Any, ...],
        totals: Sequence[Any],
    ) -> None:
        """Add the launch that reduces the array along its axes, into its number of each total."""
        param = self._view.param
        arrays = {PARAM: param, GRAD: g, **self._hyper_arrays}
        arrays |= {state(name): array for name, array in self.state.items()}
        source = reduction_source(stage, param.dtype, g.dtype, self._dtypes, given.in_memory)
        reads = [arrays[array] for array in source.reads]
        reads = [x.reshape(-1) if x.flags.c_contiguous else x for x in reads]
        own = [row[self._index : self._index + 1] for row in totals]
        arguments = [*reads, *self._scalars(stage, given), param.size, *room, *own]
        launch = self._runtime.compile_kernel(source)
        launches.add(launch, arguments, size=chunks(param.size) * LANES)
        launches.lasting = False

    def _scalars(self, kernel: Kernel, given: KernelScalars) -> tuple[Any, ...]:
        """Its scalars; and its index in the optimizer, if random numbers depend on that."""
        numbers = [*kernel.seeds, self._index] if kernel.random else []
        return *given.of(self._position), *numbers
