"""The libraries that own arrays and make new ones: NumPy, or CuPy if a GPU really works.

CuPy is imported at its first use, never by ``import gpuopt``. The first use compiles and runs one
small kernel to see whether CuPy works; `info` shows the reason if it does not.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import platform
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Literal, TypedDict

import numpy as np

from gpuopt.arrays.packages import CUPY_MISSING, command, cupy_fault, version

__all__ = ["array_module", "info", "optional_import", "use", "xp"]

VARIABLE, CPU_VARIABLE, THREADS_VARIABLE = "GPUOPT_BACKEND", "GPUOPT_CPU", "GPUOPT_NUM_THREADS"
SPIN_VARIABLE = "GPUOPT_SPIN"
CHOICES = ("auto", "numpy", "cupy")
cpu_choices = ["numpy", "numba"]
"""The executors of NumPy arrays, to which `gpuopt.executors.register` adds."""
_chosen: str | None = None


def is_cupy(array: Any) -> bool:
    """Whether `array` is a CuPy array; imports nothing."""
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(array, getattr(cupy, "ndarray", ()))


def is_array(x: Any) -> bool:
    return isinstance(x, np.ndarray) or is_cupy(x)


def on_host(array: Any) -> Any:
    """A NumPy array with the values of `array`: itself, or a copy of one of CuPy."""
    return array.get() if is_cupy(array) else array


def array_module(*arrays: Any) -> ModuleType:
    """The module that owns `arrays`.

    Parameters
    ----------
    *arrays : array
        NumPy or CuPy arrays. Anything else counts as an array of NumPy, as in
        ``cupy.get_array_module``.

    Returns
    -------
    module
        ``cupy`` if one of them is a CuPy array, else ``numpy``.
    """
    return sys.modules["cupy"] if any(map(is_cupy, arrays)) else np


def use(name: Literal["auto", "numpy", "cupy"]) -> None:
    """Choose where `xp` makes new arrays.

    Parameters
    ----------
    name : {"auto", "numpy", "cupy"}
        ``"auto"`` takes CuPy if a small kernel compiles and runs with it.

    Raises
    ------
    ValueError
        For another name.
    RuntimeError
        For ``"cupy"`` if it does not work; the message says why.
    """
    global _chosen
    _check_choice(name, "go.use")
    if name == "cupy":
        require_cupy()
    _chosen = name


def xp() -> ModuleType:
    """The module for new arrays: the choice of `use`, else ``GPUOPT_BACKEND``, else ``"auto"``."""
    name = _chosen
    if name is None:
        name = os.environ.get(VARIABLE) or "auto"
        _check_choice(name, VARIABLE)
    if name == "cupy":
        return require_cupy()
    return np if name == "numpy" or why_not_cupy() is not None else sys.modules["cupy"]


def cpu_executor() -> str:
    """The executor of NumPy arrays: the choice of ``GPUOPT_CPU``, else Numba if it is installed."""
    name = os.environ.get(CPU_VARIABLE)
    if not name:
        return "numpy" if why_not_numba() else "numba"
    if name not in cpu_choices:
        raise ValueError(f"{CPU_VARIABLE} must be one of {', '.join(cpu_choices)}, got {name!r}")
    if name == "numba" and (reason := why_not_numba()):
        raise RuntimeError(f"{CPU_VARIABLE}=numba was asked for but cannot be used: {reason}")
    return name


@functools.cache
def why_not_numba() -> str | None:
    """None if Numba compiles here, else the reason why not; the first call imports it."""
    try:
        if importlib.util.find_spec("numba") is None:
            return f"Numba is not installed ({command('numba')})"
        import numba

        if getattr(numba.config, "DISABLE_JIT", 0):
            return "Numba compiles nothing, because NUMBA_DISABLE_JIT is set"
    except Exception as error:  # Numba refuses a NumPy that is newer than it knows
        return _reason(error)
    return None


def cpu_threads() -> int:
    """The number of threads for a step: ``GPUOPT_NUM_THREADS``, else the CPUs of this process."""
    asked = os.environ.get(THREADS_VARIABLE)
    if not asked:
        return (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
    if not asked.strip().isdecimal() or int(asked) < 1:
        raise ValueError(f"{THREADS_VARIABLE} must be a whole number of at least 1, got {asked!r}")
    return int(asked)


def helpers_stay_awake() -> bool:
    """Whether helping threads look for work for some time before they sleep: ``GPUOPT_SPIN``."""
    asked = os.environ.get(SPIN_VARIABLE) or "1"
    if asked not in ("0", "1"):
        raise ValueError(f"{SPIN_VARIABLE} must be 0 or 1, got {asked!r}")
    return asked == "1"


class Info(TypedDict):
    """The result of `info`."""

    backend: str | None
    cpu: str | None
    device: str | None
    threads: int | None
    versions: dict[str, str | None]
    reasons: dict[str, str]


def info() -> Info:
    """The backend, executor, device and versions in use, and why the others are not used.

    Returns
    -------
    dict
        ``backend`` (the name of `xp`), ``cpu`` (the executor of NumPy arrays), ``device`` (the
        GPU's name, or None), ``threads``, ``versions`` (by package; None if it is not installed)
        and ``reasons`` (why each of the others was not chosen).
    """
    reasons: dict[str, str] = {}

    def found(name: str, ask: Callable[[], Any]) -> Any:
        """The result of `ask`; None, and a reason, if an environment variable is wrong."""
        try:
            return ask()
        except (ValueError, RuntimeError) as error:
            reasons[name] = str(error)
            return None

    backend = found("backend", lambda: xp().__name__)
    cpu = found("cpu", cpu_executor)
    if reason := why_not_cupy():
        reasons["cupy"] = reason
    elif backend == "numpy":
        reasons["cupy"] = f"works, but {'go.use' if _chosen else VARIABLE} chose numpy"
    if reason_numba := why_not_numba():
        reasons["numba"] = reason_numba
    elif cpu not in {None, "numba"}:
        reasons["numba"] = f"works, but {CPU_VARIABLE} chose {cpu}"
    packages = ("numpy", "numba", "cupy", "ml_dtypes")
    own = {"gpuopt": sys.modules["gpuopt"].__version__, "python": platform.python_version()}
    return {
        "backend": backend,
        "cpu": cpu,
        "device": None if reason else _device_name(),
        "threads": found("threads", cpu_threads),
        "versions": {**own, **{name: version(name) for name in packages}},
        "reasons": reasons,
    }


def _check_choice(name: str, where: str) -> None:
    if name not in CHOICES:
        raise ValueError(f"{where} must be one of {', '.join(CHOICES)}, got {name!r}")


def require_cupy() -> ModuleType:
    """CuPy; RuntimeError if it does not work."""
    if (reason := why_not_cupy()) is not None:
        raise RuntimeError(f"CuPy was asked for but cannot be used: {reason}")
    return sys.modules["cupy"]


@functools.cache
def why_not_cupy() -> str | None:
    """None if CuPy works here, else the reason why not; the first call compiles and runs a small
    kernel.
    """
    try:
        if (spec := importlib.util.find_spec("cupy")) is None:
            return CUPY_MISSING
        if spec.origin is None:
            folders = list(spec.submodule_search_locations or ())
            return f"{CUPY_MISSING}; {folders} has only its empty folder"
        import cupy

        return cupy_fault(cupy) or _probe(cupy)
    except Exception as error:  # a broken driver, toolkit or cache shows as any of a dozen types
        return _reason(error)


def _probe(cupy: Any) -> str | None:
    """None if a small kernel compiles and runs, else the reason why not."""
    if cupy.cuda.runtime.getDeviceCount() == 0:
        return "CuPy finds no CUDA device"
    double = cupy.ElementwiseKernel("float32 x", "float32 y", "y = x + x", "gpuopt_probe")
    if float(double(cupy.ones(1, dtype="float32"))[0]) != 2.0:
        return "CuPy's kernels run but give wrong results"
    return None


def _reason(error: Exception) -> str:
    """One line for an error; CuPy wraps what went wrong in a page of advice."""
    cause = error.__cause__ or error
    lines = str(cause).strip().splitlines()
    return f"{type(cause).__name__}: {lines[0]}" if lines else type(cause).__name__


def _device_name() -> str:
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    return str(properties["name"].decode())


def optional_import(module: str, what: str) -> Any:
    """Import a module that only some uses need, or say what to type for it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        name = module.partition(".")[0]
        raise ImportError(f"{what} needs {name}: {command(name)}") from error
