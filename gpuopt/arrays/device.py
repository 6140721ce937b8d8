"""The device of an array, and the processes in which it does not work."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from gpuopt.arrays.backend import is_cupy

__all__ = ["device_of"]

_process = 0
"""The process that used arrays of a GPU first."""


def device_of(array: Any) -> AbstractContextManager[Any]:
    """A context with the device of `array` as the current one; an empty one for NumPy's arrays.

    RuntimeError in a process that was forked after CUDA was used: it comes before any call of CUDA,
    whose own error says nothing.
    """
    if not is_cupy(array):
        return nullcontext()
    global _process
    _process = _process or os.getpid()
    if _process != os.getpid():
        raise RuntimeError(
            "this process was forked after CUDA was used, and CUDA does not work in a forked "
            "process: start processes with multiprocessing.get_context('spawn')"
        )
    device: AbstractContextManager[Any] = array.device
    return device
