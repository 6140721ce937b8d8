"""The kernels of a text, compiled for the CPU, and launches of them."""

from __future__ import annotations

import ctypes
import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gpuopt.codegen.cuda.source import PREAMBLE
from tests.support.cuda.hostbuild import compile_by_itself, compile_library

from . import settings

HERE = Path(__file__).parent
_WAITS, _SHARES, _FLUSHES = 1, 2, 4  # as in runtime.hpp
# Without the sanitizers' libraries: memory.cpp has what they would have.
_WATCHED = ("-fsanitize=thread", "-fsanitize=alignment")
_ENTRY = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\(')


class Fault(RuntimeError):
    """What a kernel did that a GPU would not do, or would do something else for."""


@functools.cache
def device_library() -> Any:
    """The C++ part of the device."""
    path = compile_by_itself([HERE / "memory.cpp", HERE / "threads.cpp"], "-O2")
    library = ctypes.PyDLL(str(path), ctypes.RTLD_GLOBAL)  # holds the lock of Python: work is done in the order of calls
    library.emulated_malloc.restype, library.emulated_malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    library.emulated_free.argtypes = library.emulated_written.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    library.emulated_check(settings.CHECK)
    library.emulated_order(settings.WORKERS, settings.SEED)
    return library


def watch(check: int, seed: int) -> None:
    """From now on check accesses as ``EMULATED_CHECK`` says, and let threads change hands as ``EMULATED_SEED`` says."""
    settings.CHECK, settings.SEED = check, seed
    device_library().emulated_check(check)
    device_library().emulated_order(settings.WORKERS, seed)


class Kernel:
    """One function of a text."""

    def __init__(self, library: Any, name: str) -> None:
        self.name = name
        functions = (getattr(library, f"emulated_{what}_{name}") for what in ("pack", "drop", "run"))
        self.pack, self.drop, self.run = functions
        self.pack.restype, self.pack.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
        self.drop.argtypes = [ctypes.c_void_p]
        self.run.restype, self.run.argtypes = ctypes.c_char_p, [ctypes.c_void_p] * 3 + [ctypes.c_uint]


def library_of(source: str) -> Any:
    """The compiled text."""
    return _library(source, settings.CHECK > 0)


@functools.cache
def _library(source: str, watched: bool) -> Any:
    device_library()
    kinds = _WAITS if re.search(r"__sync|__shfl", source) else 0
    kinds |= _SHARES if "__shared__" in source else 0
    own = source.replace(PREAMBLE, "")  # which has functions of both kinds of numbers
    if re.search(r"\bb?float(16)?\b", re.sub("//.*", "", own)):  # a kernel of float64 alone keeps subnormals
        kinds |= _FLUSHES
    entries = "".join(f"EMULATED_ENTRY({name}, {kinds})\n" for name in _ENTRY.findall(source))
    return ctypes.PyDLL(str(compile_library(f"{source}\n{entries}", *(_WATCHED if watched else ()))))


class Work:
    """A launch with its arguments, which are copied when it is made: a stream may come to it later, or several times."""

    def __init__(
        self,
        kernel: Kernel,
        grid: Sequence[int],
        block: Sequence[int],
        shared: int,
        arguments: Any,
        explain: Callable[[str], str],
    ) -> None:
        self._kernel, self._shared, self._explain = kernel, shared, explain
        self._packed = kernel.pack(arguments)
        self._grid, self._block = (ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block)

    def __call__(self) -> None:
        if error := self._kernel.run(self._packed, self._grid, self._block, self._shared):
            raise Fault(f"{self._kernel.name} {self._explain(error.decode())}")

    def __del__(self) -> None:
        self._kernel.drop(self._packed)
