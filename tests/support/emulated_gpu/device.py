"""The emulated device: what CuPy calls in place of the CUDA runtime and driver, and whether there is a device."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

os.environ["CUPY_ACCELERATORS"] = ""  # CUB is compiled into CuPy for a GPU
import cupy_backends.cuda.api.driver as driver
import cupy_backends.cuda.api.runtime as runtime

from tests.support.cuda.hostbuild import HostCompileError

from . import blas, graphs, kernels, memory, settings, streams
from .replace import Replaced

__all__ = ["driver", "load", "plug_in", "plugged_in", "runtime", "unplug"]

INVALID_VALUE, TOO_MANY_THREADS = 1, 1024
MAJOR, MINOR = 75, 76  # attributes of a device: its compute capability
PROPERTIES = {
    "name": b"a CPU in place of a GPU",
    "warpSize": 32,
    "major": 9,
    "minor": 0,
    "maxThreadsPerBlock": TOO_MANY_THREADS,
    "multiProcessorCount": 132,
    "sharedMemPerBlock": 49152,
}


class InvalidValue(driver.CUDADriverError):  # type: ignore[misc]  # untyped
    """As CuPy's, which asks the driver for its text."""

    def __init__(self) -> None:
        RuntimeError.__init__(self, "CUDA_ERROR_INVALID_VALUE: invalid argument")
        self.status = INVALID_VALUE


_modules: dict[int, Any] = {}
_kernels: dict[int, kernels.Kernel] = {}
_texts: list[str] = []


def _load_module(image: Any) -> int:
    """The image is the number of a text, as `_compile` has it."""
    handle = next(streams.handles)
    _modules[handle] = kernels.library_of(_texts[int(image)])
    return handle


def _function(module: int, name: str) -> int:
    handle = next(streams.handles)
    _kernels[handle] = kernels.Kernel(_modules[module], name)
    return handle


def _launch(
    f: int, gx: int, gy: int, gz: int, bx: int, by: int, bz: int, shared: int, stream: int, arguments: int, _extra: int
) -> None:
    if bx * by * bz > TOO_MANY_THREADS or not gx * gy * gz * bx * by * bz:
        raise InvalidValue()
    kernel, grid, block = _kernels[f], (gx, gy, gz), (bx, by, bz)
    streams.put(
        stream, kernels.Work(kernel, grid, block, shared, arguments, memory.explain), "launch", kernel.name, grid, block
    )


def _nothing(*_: Any) -> None: ...


def _always(value: Any) -> Callable[..., Any]:
    return lambda *_: value


RUNTIME: dict[str, Callable[..., Any]] = {
    "_deviceEnsurePeerAccess": _nothing,
    "_ensure_context": _nothing,
    "deviceCanAccessPeer": _always(0),
    "deviceGetAttribute": lambda attribute, device: {MAJOR: 9, MINOR: 0}.get(attribute, 0),
    "deviceSynchronize": streams.synchronize_device,
    "driverGetVersion": _always(13000),
    "eventCreate": streams.create_event,
    "eventCreateWithFlags": streams.create_event,
    "eventDestroy": streams.destroy_event,
    "eventElapsedTime": streams.elapsed,
    "eventQuery": streams.query_event,
    "eventRecord": streams.record,
    "eventSynchronize": streams.wait_for_event,
    "free": memory.free,
    "freeHost": memory.free_pinned,
    "getDevice": streams.current_device,
    "getDeviceCount": _always(settings.DEVICES),
    "getDeviceProperties": lambda device: PROPERTIES,
    "graphDestroy": graphs.destroy_graph,
    "graphExecDestroy": graphs.destroy_graph,
    "graphInstantiate": graphs.instantiate,
    "graphLaunch": graphs.launch_graph,
    "graphUpload": _nothing,
    "hostAlloc": memory.alloc_pinned,
    "malloc": memory.malloc,
    "memGetInfo": memory.memory_info,
    "memcpy": memory.memcpy,
    "memcpyAsync": memory.memcpy_async,
    "memcpyPeerAsync": memory.memcpy_peer_async,
    "memset": memory.memset,
    "memsetAsync": memory.memset_async,
    "pointerGetMemoryType": lambda pointer: int(memory.is_pinned(pointer)),
    "runtimeGetVersion": _always(13000),
    "setDevice": streams.set_device,
    "streamBeginCapture": graphs.begin_capture,
    "streamCreate": lambda: streams.create_stream(True),
    "streamCreateWithFlags": lambda flags: streams.create_stream(not flags & 1),
    "streamCreateWithPriority": lambda flags, priority: streams.create_stream(not flags & 1),
    "streamDestroy": streams.destroy_stream,
    "streamEndCapture": graphs.end_capture,
    "streamIsCapturing": graphs.is_capturing,
    "streamQuery": streams.query_stream,
    "streamSynchronize": streams.synchronize,
    "streamWaitEvent": streams.stream_waits,
}
DRIVER: dict[str, Callable[..., Any]] = {
    "ctxGetCurrent": _always(1),
    "ctxGetDevice": streams.current_device,
    "funcGetAttribute": _always(32),
    "launchKernel": _launch,
    "moduleGetFunction": _function,
    "moduleLoadData": _load_module,
    "moduleUnload": _nothing,
    "occupancyMaxActiveBlocksPerMultiprocessor": _always(16),
    "occupancyMaxPotentialBlockSize": _always((132, 256)),
    "streamGetCtx": _always(1),
}
ENDS = {"eventDestroy", "eventQuery", "free", "freeHost", "graphDestroy", "graphExecDestroy", "moduleUnload", "streamDestroy"}
"""What is asked when things come to their end, whether the device is still plugged in or not."""

_replaced: list[Replaced] = []
_compiles: Any = None


def load() -> None:
    """Put the device under CuPy, which must not be imported yet. Nothing is seen of it before it is plugged in."""
    if _replaced:
        return
    if "cupy" in sys.modules:
        raise ImportError("the emulated device must be loaded before CuPy is imported")
    blas.install()
    _replaced.extend([Replaced(runtime, RUNTIME, ENDS), Replaced(driver, DRIVER, ENDS)])


def plug_in() -> None:
    """Let there be a device."""
    global _compiles
    load()
    for replaced in _replaced:
        replaced.switch(True)
    import cupy
    from cupy.cuda import compiler

    if not hasattr(compiler, "_compile_module_with_cache"):
        raise ImportError(f"CuPy {cupy.__version__} has no cupy.cuda.compiler._compile_module_with_cache: see {__file__}")
    if compiler._compile_module_with_cache is not _compile:
        _compiles = compiler._compile_module_with_cache
        compiler._compile_module_with_cache = _compile
    if settings.CHECK:  # each array is an allocation of its own, so that its end is known
        cupy.cuda.set_allocator(None)


def unplug() -> None:
    """Let there be none, as where there is no driver."""
    from cupy.cuda import compiler

    streams.drain_all()
    compiler._compile_module_with_cache = _compiles
    for replaced in _replaced:
        replaced.switch(False)


@contextlib.contextmanager
def plugged_in() -> Iterator[None]:
    """Meanwhile there is a device."""
    was = is_plugged_in()
    plug_in()
    try:
        yield
    finally:
        if not was:
            unplug()


def is_plugged_in() -> bool:
    return any(replaced.plugged for replaced in _replaced)


@contextlib.contextmanager
def checked(level: int, seed: int = 0) -> Iterator[None]:
    """Meanwhile watch kernels that were not compiled before, and arrays that are made; threads change hands at random."""
    import cupy

    before = settings.CHECK, settings.SEED
    with cupy.cuda.using_allocator(None):
        try:
            kernels.watch(level, seed)
            yield
        finally:
            kernels.watch(*before)


def _compile(source: str, options: Any = (), *_: Any, **__: Any) -> Any:
    from cupy.cuda import compiler, function

    try:
        kernels.library_of(source)
    except HostCompileError as error:
        raise compiler.CompileException(str(error), source, "kernel.cu", options, "g++") from error
    _texts.append(source)
    made = function.Module()
    made.load(str(len(_texts) - 1).encode())
    return made
