"""Where parts run: on the GPU, or on an emulated one; this is the only place that knows which.

$GPUOPT_CHECK_DEVICE names what puts the emulated device in the GPU's place before CuPy is imported: MODULE, by its import, or
MODULE:FUNCTION, by a call.

    python -m tools.gpu_check.device MODULE-OR-SCRIPT [ARGUMENT ...]
"""

from __future__ import annotations

import importlib
import os
import runpy
import sys

VARIABLE = "GPUOPT_CHECK_DEVICE"


def emulated() -> str:
    """What puts an emulated device in the GPU's place; empty where the GPU is to be used."""
    return os.environ.get(VARIABLE, "")


def python(what: str, *arguments: str) -> list[str]:
    """The command that runs a module, or a script, on the device."""
    if emulated():
        return [sys.executable, "-m", "tools.gpu_check.device", what, *arguments]
    return [sys.executable, *([] if what.endswith(".py") else ["-m"]), what, *arguments]


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


if __name__ == "__main__":
    module, _, function = emulated().partition(":")
    getattr(importlib.import_module(module), function, lambda: None)()
    del sys.argv[0]
    if sys.argv[0].endswith(".py"):
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
