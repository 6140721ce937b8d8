"""The emulated device: whether there is one, and whether it does what it is asked for."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

os.environ["CUPY_ACCELERATORS"] = ""  # CUB is compiled into CuPy for a GPU
import cupy_backends.cuda.api.driver as driver
import cupy_backends.cuda.api.runtime as runtime

from . import blas, calls, kernels, nccl, settings, streams
from .replace import Replaced, Switch

__all__ = ["driver", "load", "plug_in", "plugged_in", "runtime", "unplug"]

REPLACED = ((runtime, calls.RUNTIME), (driver, calls.DRIVER))
_replaced: list[Replaced] = []
_compiles: Any = None


def load() -> None:
    """Put the device under CuPy, which must not be imported yet. Nothing is seen of it before it is plugged in."""
    if _replaced:
        return
    if "cupy" in sys.modules:
        raise ImportError("the emulated device must be loaded before CuPy is imported")
    blas.install()
    nccl.install()
    _replaced.extend(Replaced(module, functions, calls.ENDS, calls.AT_ONCE) for module, functions in REPLACED)


def plug_in() -> None:
    """Let there be a device."""
    global _compiles
    load()
    _switch(Switch.ON)
    import cupy
    from cupy.cuda import compiler

    if not hasattr(compiler, "_compile_module_with_cache"):
        raise ImportError(f"CuPy {cupy.__version__} has no cupy.cuda.compiler._compile_module_with_cache: see {__file__}")
    if compiler._compile_module_with_cache is not calls.compile_module:
        _compiles = compiler._compile_module_with_cache
        compiler._compile_module_with_cache = calls.compile_module
    if settings.CHECK:  # each array is an allocation of its own, so that its end is known
        cupy.cuda.set_allocator(None)


def unplug() -> None:
    """Let there be none, as where there is no driver."""
    from cupy.cuda import compiler

    streams.drain_all()
    compiler._compile_module_with_cache = _compiles
    _switch(Switch.OFF)


def _switch(to: Switch) -> None:
    for replaced in _replaced:
        replaced.switch(to)


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
def idle() -> Iterator[None]:
    """Meanwhile kernels are neither compiled nor run: their launches are only noted."""
    calls.idle = True
    try:
        yield
    finally:
        calls.idle = False


@contextlib.contextmanager
def answering_at_once() -> Iterator[None]:
    """Meanwhile the default device does nothing and notes nothing of what a step asks for, and takes no time for it.

    What is measured then is the host's own time.
    """
    _switch(Switch.AT_ONCE)
    try:
        yield
    finally:
        _switch(Switch.ON)


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
