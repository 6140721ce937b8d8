"""The CuPy executor on the CPU: its own launches, on NumPy arrays, each kernel run from its complete text."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

from .hostrun import HostKernel


class DeviceArray(np.ndarray[Any, Any]):
    """A NumPy array with what the executor asks of a CuPy array: a device to enter, and where its memory is."""

    device = contextlib.nullcontext()

    @property
    def data(self) -> Any:  # type: ignore[override]
        return _Memory(self.__array_interface__["data"][0])


class _Memory:
    """What CuPy has for a pointer."""

    def __init__(self, ptr: int) -> None:
        self.ptr = ptr

    def copy_from_host_async(self, source: int, size: int) -> None:
        ctypes.memmove(self.ptr, source, size)


def _seen(g: Any) -> Any:
    return g if g is None or isinstance(g, DeviceArray) else g.view(DeviceArray)


class _Event:
    """An event of a device that does everything at once."""

    def __init__(self, disable_timing: bool) -> None: ...

    def record(self) -> None: ...

    def synchronize(self) -> None: ...


def _on_device(make: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments, **options: make(*arguments, **options).view(DeviceArray)


@contextlib.contextmanager
def cupy_on_the_cpu() -> Iterator[Callable[..., Any]]:
    """Give what makes a `CupyExecutor` from a trace, its rule and NumPy arrays, which it then updates on the CPU.

    Meanwhile every optimizer of NumPy arrays has it for its executor.
    """
    names = ("executors.cuda.launch", "optimizer.steps.device", "executors.cuda.tables", "executors.cuda.uploads")
    modules = groups, stages, *_ = [import_module(f"gpuopt.{name}") for name in names]
    real, kernel = groups.compile_kernel, import_module("cupy").ElementwiseKernel
    stream = SimpleNamespace(is_capturing=lambda: False, synchronize=lambda: None)
    device = SimpleNamespace(alloc_pinned_memory=bytearray, Event=_Event, get_current_stream=lambda: stream)
    made_on_device = {name: _on_device(getattr(np, name)) for name in ("zeros", "empty", "full", "asarray")}
    library = SimpleNamespace(**made_on_device, ElementwiseKernel=kernel, cuda=device)

    def compile_kernel(written: Any) -> Callable[..., None]:
        return lambda *arguments, size=None: launch(real(written), arguments, size)

    class Group(groups.CupyExecutor):  # type: ignore[misc, name-defined]
        """Takes ordinary arrays for gradients."""

        def run(self, trace: Any, grads: Sequence[Any], *rest: Any) -> None:
            super().run(trace, [_seen(g) for g in grads], *rest)

        def reduce_into(self, stage: Any, grads: Sequence[Any], *rest: Any) -> None:
            super().reduce_into(stage, [_seen(g) for g in grads], *rest)

    def group(trace: Any, update: Any, params: Sequence[Any], others: Any = (), *rest: Any) -> Any:
        beside = [{name: array.view(DeviceArray) for name, array in found.items()} for found in others]
        return Group(trace, update, [p.view(DeviceArray) for p in params], beside, *rest)

    with contextlib.ExitStack() as patches:
        for module in (groups, stages):
            patches.enter_context(mock.patch.object(module, "compile_kernel", compile_kernel))
        for module in modules:
            patches.enter_context(mock.patch.object(module, "cupy", library))
        group.on_device = True  # type: ignore[attr-defined]
        group.name = "cupy"  # type: ignore[attr-defined]
        for module in map(import_module, ("gpuopt.optimizer.groups", "gpuopt.optimizer.optimizer", "gpuopt.optimizer.steps")):
            patches.enter_context(mock.patch.object(module, "executor_of", return_value=group))
        yield group


@contextlib.contextmanager
def one_by_one() -> Iterator[Callable[..., Any]]:
    """The same, with a launch for each array."""
    tables = import_module("gpuopt.executors.cuda.tables")

    def plan(planner: Any, grads: Sequence[Any], indices: list[int] | None, **_: Any) -> Any:
        wanted = range(len(grads)) if indices is None else indices
        return tables.LaunchPlan([], [position for position in wanted if planner._leaves[position].size])

    with cupy_on_the_cpu() as make, mock.patch.object(tables.LaunchPlanner, "plan", plan):
        yield make


def launch(kernel: Any, arguments: tuple[Any, ...], size: int | None = None) -> None:
    """Call an ``ElementwiseKernel`` as CuPy would: as a loop over one axis where all arrays but raw ones are C-contiguous."""
    text = import_module("gpuopt.codegen.cuda.complete").complete_source
    raw = [parameter.raw for parameter in kernel.params[: len(arguments)]]
    inner = [a for a, is_raw in zip(arguments, raw, strict=True) if isinstance(a, np.ndarray) and not is_raw]
    if all(a.flags.c_contiguous for a in inner):
        flat = [
            a.reshape(-1) if isinstance(a, np.ndarray) and not is_raw else a for a, is_raw in zip(arguments, raw, strict=True)
        ]
        arguments = tuple(flat)
    dtypes = [a.dtype if isinstance(a, np.ndarray) else None for a in arguments]
    flags = [bool(a.flags.c_contiguous) if isinstance(a, np.ndarray) else True for a in arguments]
    ndims = [a.ndim if isinstance(a, np.ndarray) else 0 for a in arguments]
    loop = next((n for n, is_raw, d in zip(ndims, raw, dtypes, strict=True) if d is not None and not is_raw), 1)
    with np.errstate(all="ignore"):  # a scalar is converted to the parameter's dtype
        _compiled(text(kernel, dtypes, ndim=loop, contiguous=flags, raw_ndims=ndims)).run(arguments, size)


@cache
def _compiled(text: str) -> HostKernel:
    return HostKernel(text)
