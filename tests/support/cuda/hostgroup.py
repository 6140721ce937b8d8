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
import pytest

from gpuopt.executors import using
from gpuopt.executors.layout import no_values
from gpuopt.optimizer.gradients import GradientReader

from .hostrun import HostKernel, available


class DeviceArray(np.ndarray[Any, Any]):
    """A NumPy array with what the executor asks of a CuPy array: a device to enter, and where its memory is."""

    device: Any = contextlib.nullcontext()

    @property
    def data(self) -> Any:
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

    done = True

    def __init__(self, disable_timing: bool) -> None: ...

    def record(self) -> None: ...

    def synchronize(self) -> None: ...


class Stream(contextlib.nullcontext[None]):
    """A stream of such a device."""

    def __init__(self, non_blocking: bool) -> None:
        super().__init__()

    def synchronize(self) -> None: ...


def _on_device(make: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments, **options: make(*arguments, **options).view(DeviceArray)


def host_runtime() -> Any:
    """What the executor takes from CuPy: arrays are NumPy's, and a kernel's complete text is run as C++.

    The test that asks for it is skipped where that cannot be.
    """
    if (reason := available()) is not None:
        pytest.skip(reason)
    cuda, text = map(import_module, ("gpuopt.executors.cuda.runtime", "gpuopt.codegen.cuda.compile"))
    stream = SimpleNamespace(is_capturing=lambda: False, synchronize=lambda: None)
    device = SimpleNamespace(alloc_pinned_memory=bytearray, Event=_Event, Stream=Stream, get_current_stream=lambda: stream)
    xp = SimpleNamespace(**{name: _on_device(getattr(np, name)) for name in ("zeros", "empty", "full", "asarray")})

    def compile_kernel(written: Any) -> Callable[..., None]:
        return lambda *arguments, size=None: launch(text.compile_kernel(written), arguments, size)

    return cuda.Runtime(xp, device, compile_kernel)


def host_executor(given: Any = None) -> Any:
    """A `CupyExecutor` that updates NumPy arrays, on that runtime."""
    base: Any = import_module("gpuopt.executors.cuda.launch").CupyExecutor

    class HostExecutor(base):  # type: ignore[misc]
        """Takes ordinary arrays."""

        runtime = given or host_runtime()

        def __init__(
            self, program: Any, params: Sequence[Any], initial: Any = no_values, hyper_arrays: Any = (), *rest: Any
        ) -> None:
            hyper = [{name: array.view(DeviceArray) for name, array in own.items()} for own in hyper_arrays]
            super().__init__(program, [p.view(DeviceArray) for p in params], initial, hyper, *rest)

        def plan(self, trace: Any, grads: Sequence[Any], *rest: Any) -> Any:
            return super().plan(trace, [_seen(g) for g in grads], *rest)

        def plan_reduction(self, stage: Any, grads: Sequence[Any], *rest: Any) -> Any:
            return super().plan_reduction(stage, [_seen(g) for g in grads], *rest)

    return HostExecutor


@contextlib.contextmanager
def cupy_on_the_cpu() -> Iterator[Any]:
    """Let every optimizer of NumPy arrays have a `host_executor`, and give that."""
    with using(host_executor()) as executor, gradients_are_recognized():
        yield executor


def gradients_are_recognized() -> Any:
    """Tell steps of NumPy arrays whether they get the arrays of the step before, as steps of CuPy arrays are told."""
    read = GradientReader.read

    def recognizing(self: Any, grads: Any) -> tuple[list[Any], bool, bool]:
        found, complete, _ = read(self, grads)
        same = self._same(found)
        self._same.remember(found)
        return found, complete, same

    return mock.patch.object(GradientReader, "read", recognizing)


@contextlib.contextmanager
def one_by_one() -> Iterator[Any]:
    """The same, with a launch for each array."""
    tables = import_module("gpuopt.executors.cuda.tables")

    class OneByOne:
        """In place of the planner of launches."""

        def __init__(self, leaves: list[Any]) -> None:
            self._views, self.tables = leaves, list[Any]()

        def make_room(self, programs: int) -> None: ...

        def plan(self, grads: Sequence[Any], positions: list[int] | None, *_: bool) -> Any:
            wanted = range(len(grads)) if positions is None else positions
            return tables.LaunchPlan([], [position for position in wanted if self._views[position].size])

    class OneByOneExecutor(host_executor()):  # type: ignore[misc]
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self._planner = OneByOne(self._views)

    with using(OneByOneExecutor) as executor:
        yield executor


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
