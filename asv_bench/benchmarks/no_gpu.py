"""CuPy's own arrays where there is no GPU: in the host's memory, with the device's work noted instead of done.

An executor's host code is then what runs on a GPU, object for object: ``cupy.ndarray`` itself, in memory that CuPy does not
own. Replaced are only kernels, events, pinned memory, the arrays that the executor makes, and the device to enter: each of them
needs a driver.
"""

import contextlib
import ctypes
import functools
import importlib
import importlib.util
import types
from unittest import mock

import numpy as np

MODULES = [
    "executors.cuda.launch",
    "executors.cuda.tables",
    "executors.cuda.uploads",
    "executors.cupy_kernel",
    "executors.cupy_phases",
    "executors.cupy_table",
    "executors.cupy_upload",
    "optimizer.steps.device",
]
"""Modules that used CuPy by themselves, by the names they have had: on a commit before `gpuopt.executors.using`."""


class Device(contextlib.nullcontext):
    """A device that needs no driver to be entered."""

    id = 0


class Log:
    """What was asked of the device, in order: each what it was ("launch", "copy", "record" …) and what it was done to."""

    def __init__(self):
        self.events = []

    def note(self, *event):
        self.events.append(event)

    def count(self, what):
        return sum(event[0] == what for event in self.events)

    def clear(self):
        self.events.clear()


def why_not():
    """None if CuPy is installed, else that it is not."""
    return None if importlib.util.find_spec("cupy") else "CuPy is not installed"


@functools.cache
def _classes():
    """Classes of arrays: as a user has them, and as the executor makes them, which can be copied to.

    What `init` computes with arrays is done by NumPy.
    """
    cupy = importlib.import_module("cupy")

    class Array(cupy.ndarray):
        device = Device()

        def __setitem__(self, key, value):
            to_host(self)[key] = to_host(value) if isinstance(value, cupy.ndarray) else value

        def astype(self, *arguments, **options):
            return to_device(to_host(self).astype(*arguments, **options))

        def copy(self, order="C"):
            return to_device(to_host(self).copy(order))

    class Made(Array):
        log = None

        @property
        def data(self):
            return _Pointer(super().data, self.log)

    return Array, Made


class _Pointer:
    """A pointer of CuPy's with a copy that needs no driver."""

    def __init__(self, pointer, log):
        self.ptr, self.device_id, self._log = pointer.ptr, pointer.device_id, log

    def copy_from_host_async(self, source, nbytes):
        self._log.note("copy", self.ptr, source, nbytes)
        ctypes.memmove(self.ptr, source, nbytes)


def to_device(array, kind=None):
    """A CuPy array in a copy of a NumPy array's memory, as CuPy's allocator aligns it, with the same strides."""
    cupy = importlib.import_module("cupy")
    kind = kind or _classes()[0]
    memory = np.zeros(array.nbytes + 512, np.uint8)
    start = -memory.ctypes.data % 512
    order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    flat = memory[start : start + array.nbytes].view(array.dtype)
    flat.reshape([array.shape[axis] for axis in order])[...] = array.transpose(order)
    owned = cupy.cuda.memory.UnownedMemory(memory.ctypes.data + start, max(array.nbytes, 1), memory, 0)
    made = kind([array.shape[axis] for axis in order], array.dtype, cupy.cuda.MemoryPointer(owned, 0))
    return made.transpose(np.argsort(order))


def to_host(array):
    """A NumPy array of a CuPy array's memory."""
    interface = {
        "data": (array.data.ptr, False),
        "shape": array.shape,
        "strides": array.strides,
        "typestr": array.dtype.str,
        "version": 3,
    }
    return np.asarray(types.SimpleNamespace(__array_interface__=interface, array=array))


def imported(name):
    """The module of that name, or None where this commit has none."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            return None
        raise


@contextlib.contextmanager
def simulated(launch=lambda written, arguments, size: None):
    """Meanwhile the executor of CuPy arrays runs without a GPU; give the log. `launch` is called in place of a kernel."""
    cupy, log = importlib.import_module("cupy"), Log()
    kind = type("Made", (_classes()[1],), {"log": log})
    library = _Library(cupy, log, kind)

    def compile_kernel(written):
        def kernel(*arguments, size=None):
            log.note("launch", written.name)
            launch(written, arguments, size)

        return kernel

    executors = importlib.import_module("gpuopt.executors")
    with (_using if hasattr(executors, "using") else _patched)(library, compile_kernel):
        yield log


def _using(library, compile_kernel):
    """Let an executor whose runtime is `library` run all arrays."""
    executors = importlib.import_module("gpuopt.executors")
    base = importlib.import_module("gpuopt.executors.cuda.launch").CupyExecutor
    runtime = importlib.import_module("gpuopt.executors.cuda.runtime").Runtime(library, library.cuda, compile_kernel)
    return executors.using(type("Simulated", (base,), {"runtime": runtime}))


@contextlib.contextmanager
def _patched(library, compile_kernel):
    """On an old commit: put `library` in place of CuPy in every module that uses it."""
    replaced = {"cupy": library, "made": compile_kernel, "compile_kernel": compile_kernel}
    with contextlib.ExitStack() as patches:
        for name in MODULES:
            if (module := imported(f"gpuopt.{name}")) is not None:
                for attribute in replaced.keys() & vars(module).keys():
                    patches.enter_context(mock.patch.object(module, attribute, replaced[attribute]))
        yield


class _Library:
    """CuPy with what needs a driver replaced."""

    def __init__(self, cupy, log, kind):
        def making(name):
            def make(*arguments, **options):
                log.note("allocate", name)
                return to_device(np.asarray(getattr(np, name)(*arguments, **options)), kind)

            return make

        self._cupy = cupy
        self.zeros, self.empty, self.full, self.asarray = map(making, ("zeros", "empty", "full", "asarray"))
        stream = types.SimpleNamespace(is_capturing=lambda: False, synchronize=lambda: log.note("wait"))
        self.cuda = types.SimpleNamespace(
            alloc_pinned_memory=lambda nbytes: log.note("allocate", "pinned") or bytearray(nbytes),
            Event=functools.partial(_Event, log),
            Stream=functools.partial(_Stream, log),
            get_current_stream=lambda: stream,
        )

    def __getattr__(self, name):
        return getattr(self._cupy, name)


class _Stream(contextlib.nullcontext):
    def __init__(self, log, *, non_blocking):
        super().__init__()
        self._log = log

    def synchronize(self):
        self._log.note("wait")


class _Event:
    done = True

    def __init__(self, log, **_):
        self._log = log

    def record(self, stream=None):
        self._log.note("record", self)

    def synchronize(self):
        self._log.note("synchronize", self)
