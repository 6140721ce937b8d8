"""Executors, which run kernels on arrays.

Each is a class whose objects hold arrays of one dtype and their state. Comes in: programs,
gradients, scalars. It imports the wings before it: arrays, rules, tracing, codegen. An executor is
known by its name; `register` says where it is, and it is imported when arrays first need it.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from gpuopt.arrays.backend import cpu_choices, cpu_executor, is_cupy
from gpuopt.arrays.packages import cupy_fault
from gpuopt.executors.layout import Initial, no_values
from gpuopt.executors.rows import HostRows, RowUpdates
from gpuopt.executors.scalars import AnyScalars, ScalarRows, Scalars, StoredScalars
from gpuopt.tracing.operands import Operand
from gpuopt.tracing.program import Kernel, UpdateProgram

__all__ = [
    "AnyScalars",
    "CpuExecutor",
    "Executor",
    "Launch",
    "RowUpdates",
    "ScalarRows",
    "Scalars",
    "StoredScalars",
    "executor_of",
    "register",
    "row_updates_of",
    "using",
]


class Launch(Protocol):
    """A planned update. A call runs it.

    Attributes
    ----------
    begun : bool
        Whether it may have written something: on a GPU, whether a kernel was launched.
    """

    @property
    def begun(self) -> bool: ...
    def __call__(self) -> None: ...


class Executor(Protocol):
    """Arrays of one dtype under one update, and their state.

    Parameters
    ----------
    program : UpdateProgram
        The program of the update.
    params : sequence of array
    initial : Initial
        The initial values of their state.
    hyper_arrays : sequence of dict
        For each of them the arrays that stand for hyperparameters, in its shape, by their names in
        the program.
    indices : sequence of int
        Which arrays of the optimizer they are; random numbers depend on that.
    capturable : bool
        Whether the launches of a step may be captured.

    Attributes
    ----------
    name : str
        The executor's name.
    on_device : bool
        Whether the arrays are on a device, where the results of reductions stay.
    states : list of dict
        For each array, its state by name, as arrays of the parameter's shape.
    """

    name: str
    on_device: bool
    states: list[dict[str, Any]]

    def __init__(
        self,
        program: UpdateProgram,
        params: Sequence[Any],
        initial: Initial = no_values,
        hyper_arrays: Sequence[dict[Operand, Any]] = (),
        indices: Sequence[int] = (),
        capturable: bool = False,
    ) -> None: ...

    def prepare(self, program: UpdateProgram) -> None:
        """Make ready to run the kernels of `program`: the first, or one with no other state."""

    def plan(
        self,
        kernel: Kernel,
        grads: Sequence[Any],
        scalars: AnyScalars,
        positions: list[int] | None = None,
    ) -> Launch:
        """Find what updates the arrays at `positions` (all by default), and write nothing.

        This compiles the kernels. `grads` holds a gradient for each array of the executor. On a
        CPU, `scalars` are numbers.
        """


class CpuExecutor(Executor, Protocol):
    """An executor of NumPy arrays, whose reductions give numbers."""

    def reduce(
        self, stage: Kernel, grads: Sequence[Any], scalars: Scalars, positions: list[int] | None
    ) -> list[list[float]]:
        """For each reduction of a stage, the result for each of the arrays at `positions` (None for
        all).
        """


Loader = Callable[[], type[Executor]]
_loaders: dict[str, Loader] = {}
_in_place: type[Executor] | None = None
"""The executor of all arrays inside `using`."""


def register(name: str, loader: Loader, of_numpy: bool = True) -> None:
    """Make an executor known by a name; `loader` is called, and may import, when arrays need it.

    If it is one of NumPy arrays, ``GPUOPT_CPU`` may choose it.
    """
    _loaders[name] = loader
    if of_numpy and name not in cpu_choices:
        cpu_choices.append(name)


def executor_of(array: Any) -> type[Executor]:
    """The executor of arrays like `array`: ``"cupy"``, or for NumPy's what ``GPUOPT_CPU`` says."""
    return _in_place or _loaders["cupy" if is_cupy(array) else cpu_executor()]()


def row_updates_of(array: Any) -> Callable[..., RowUpdates]:
    """What makes the updates of rows of arrays like `array`."""
    if not is_cupy(array):
        return functools.partial(HostRows, executor_of(array))
    from gpuopt.executors.cuda.rows import DeviceRows

    return DeviceRows


@contextlib.contextmanager
def using(executor: type[Executor]) -> Iterator[type[Executor]]:
    """A context in which every new optimizer uses `executor`; for tests."""
    global _in_place
    before, _in_place = _in_place, executor
    try:
        yield executor
    finally:
        _in_place = before


def _numpy() -> type[Executor]:
    from gpuopt.executors.cpu.numpy import NumpyExecutor

    return NumpyExecutor


def _numba() -> type[Executor]:
    from gpuopt.executors.cpu.numba import NumbaExecutor

    return NumbaExecutor


def _cupy() -> type[Executor]:
    if reason := cupy_fault(sys.modules["cupy"]):
        raise RuntimeError(f"CuPy arrays cannot be updated here: {reason}")
    from gpuopt.executors.cuda.launch import CupyExecutor

    return CupyExecutor


register("numpy", _numpy)
register("numba", _numba)
register("cupy", _cupy, of_numpy=False)
