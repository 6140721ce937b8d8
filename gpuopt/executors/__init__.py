"""Executors: what runs a trace. Each is a class of groups, arrays of one dtype and their state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from gpuopt.arrays.backend import cpu_executor, is_cupy
from gpuopt.tracing.trace import Trace

__all__ = ["Executor", "Scalars", "executor_of"]

Scalars = tuple[float, ...] | list[tuple[float, ...]]
"""The scalars of a trace; or a row of them for each array of a group, where they differ."""


class Executor(Protocol):
    """Arrays of one dtype under one update. Made from its whole trace, the update, and the arrays; and for each of them a
    dict of the arrays that stand for hyperparameters, in its shape, by the names they have in the trace; its number in the
    optimizer; and whether what a step launches may be captured.

    Attributes
    ----------
    name : str
        The executor's name.
    on_device : bool
        Whether the arrays are elsewhere, and reductions are to stay there; then `reduce_into` takes the place of `reduce`.
    states : list of dict
        For each array, its state by name, as arrays of the parameter's shape.
    """

    name: str
    on_device: bool
    states: list[dict[str, Any]]

    def __init__(
        self,
        trace: Trace,
        update: Any,
        params: Sequence[Any],
        others: Sequence[dict[str, Any]] = (),
        numbers: Sequence[int] = (),
        capturable: bool = False,
    ) -> None: ...

    def prepare(self, trace: Trace) -> None:
        """Make ready to run `trace`, whose states are among those of the first."""

    def run(self, trace: Trace, grads: Sequence[Any], scalars: Any, indices: list[int] | None = None) -> None:
        """Update the arrays at `indices` (all by default); `grads` holds a gradient for each array of the group.

        `scalars` are numbers; on a device they may be rows of numbers, one for each array of the group, or an array there.
        """


def executor_of(array: Any) -> type[Executor]:
    """The executor that runs arrays like `array`."""
    if is_cupy(array):
        from gpuopt.executors.cuda.launch import CupyExecutor

        return CupyExecutor
    if cpu_executor() == "numba":
        from gpuopt.executors.cpu.numba import NumbaExecutor

        return NumbaExecutor
    from gpuopt.executors.cpu.numpy import NumpyExecutor

    return NumpyExecutor
