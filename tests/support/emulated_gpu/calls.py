"""What CuPy calls in place of the CUDA runtime and driver, and of the compiler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cupy_backends.cuda.api.driver as driver

from tests.support.cuda.hostbuild import HostCompileError

from . import graphs, kernels, memory, settings, streams

INVALID_VALUE, TOO_MANY_THREADS = 1, 1024
MAJOR, MINOR = 75, 76  # attributes of a device: its compute capability
PROPERTIES = {
    "name": b"an emulated GPU, whose times mean nothing",
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


_modules: dict[int, str] = {}
_functions: dict[int, tuple[str, str]] = {}
_kernels: dict[int, kernels.Kernel] = {}
_texts: list[str] = []
idle = False


def _load_module(image: Any) -> int:
    """The image is the number of a text, as `compile_module` has it."""
    handle = next(streams.handles)
    _modules[handle] = _texts[int(image)]
    return handle


def _function(module: int, name: str) -> int:
    handle = next(streams.handles)
    _functions[handle] = _modules[module], name
    return handle


def _kernel(function: int) -> kernels.Kernel:
    """What runs a function; made when that is launched, as an idle device runs none."""
    if function not in _kernels:
        source, name = _functions[function]
        _kernels[function] = kernels.Kernel(kernels.library_of(source), name)
    return _kernels[function]


def compile_module(source: str, options: Any = (), *_: Any, **__: Any) -> Any:
    from cupy.cuda import compiler, function

    streams.log.append(("compile", source))
    try:
        if not idle:
            kernels.library_of(source)
    except HostCompileError as error:
        raise compiler.CompileException(str(error), source, "kernel.cu", options, "g++") from error
    _texts.append(source)
    made = function.Module()
    made.load(str(len(_texts) - 1).encode())
    return made


def _launch(
    f: int, gx: int, gy: int, gz: int, bx: int, by: int, bz: int, shared: int, stream: int, arguments: int, _extra: int
) -> None:
    if bx * by * bz > TOO_MANY_THREADS or not gx * gy * gz * bx * by * bz:
        raise InvalidValue()
    grid, block = (gx, gy, gz), (bx, by, bz)
    work = None if idle else kernels.Work(_kernel(f), grid, block, shared, arguments, memory.explain)
    streams.put(stream, work, "launch", _functions[f][1], grid, block)


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
AT_ONCE = {"_ensure_context", "eventRecord", "eventSynchronize", "getDevice", "launchKernel", "memcpyAsync", "setDevice"}
AT_ONCE |= {"streamIsCapturing"}
"""What a step asks for, which may be answered at once, by 0."""
