"""Where parts run: on the GPU, or on an emulated one; this is the only place that knows which.

$GPUOPT_CHECK_DEVICE names a module that puts an emulated device in the GPU's place and runs another one there, or a script:

    python -m tests.support.emulated_gpu -m MODULE [ARGUMENT ...]
"""

from __future__ import annotations

import os
import sys

VARIABLE = "GPUOPT_CHECK_DEVICE"


def emulated() -> str:
    """The module that runs others on an emulated device; empty where the GPU is to be used."""
    return os.environ.get(VARIABLE, "")


def python(what: str, *arguments: str) -> list[str]:
    """The command that runs a module, or a script, on the device."""
    device = ["-m", emulated()] if emulated() else []
    return [sys.executable, *device, *([] if what.endswith(".py") else ["-m"]), what, *arguments]


def is_dead() -> bool:
    """Whether CUDA refuses everything in this process, as after an illegal address."""
    import cupy

    try:
        cupy.cuda.runtime.deviceSynchronize()
    except Exception:
        return True
    return False


def go_on_if_dead(module: str, *arguments: str) -> None:
    """Go on as a new process if the device is dead in this one."""
    if is_dead():
        command = python(module, *arguments)
        os.execv(command[0], command)
