"""Every executor as a name: NumPy, Numba, and CuPy on a GPU or on the emulated one.

A test is skipped if what it asks for is not installed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest

from gpuopt.arrays import backend
from gpuopt.executors import Executor, executor_of, using

ON_CPU = ("numpy", "numba")
"""Those of an installation without CUDA."""
EXECUTORS = (*ON_CPU, "cupy")
"""Those of the package."""


@contextlib.contextmanager
def running_on(name: str) -> Iterator[None]:
    """Let an executor run the arrays of every optimizer that is made meanwhile."""
    if name == "cupy":  # runs CuPy arrays, whatever runs NumPy's
        yield
        return
    if name == "numba" and (reason := backend.why_not_numba()):
        pytest.skip(reason)
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as entered:
        patch.setenv(backend.CPU_VARIABLE, "numba" if name == "numba" else "numpy")
        if executor_of(np.empty(0)).name != name:  # another is in place, inside of whose block this one is
            entered.enter_context(using(_cpu_executor(name)))
        yield


def _cpu_executor(name: str) -> type[Executor]:
    if name == "numba":
        from gpuopt.executors.cpu.numba import NumbaExecutor

        return NumbaExecutor
    if name == "numpy":
        from gpuopt.executors.cpu.numpy import NumpyExecutor

        return NumpyExecutor
    raise ValueError(f"nothing here runs as {name!r}: say in tests.support.executors what does")


def only(*names: str) -> pytest.MarkDecorator:
    """Run a test that takes the fixture `executor` on these alone."""
    return pytest.mark.parametrize("executor", list(map(parameter, names)), indirect=True)


def parameter(name: str) -> Any:
    """An executor as a value of a parameter: what runs on a GPU is marked."""
    return pytest.param(name, marks=pytest.mark.gpu if name == "cupy" else ())


beside_numpy = only(*(name for name in EXECUTORS if name != "numpy"))
"""For what is compared with NumPy's executor."""


def mostly_asked_for(names: Iterable[str], *everyday: str) -> list[Any]:
    """Values of a parameter: those but `everyday` run where a GPU was asked for, as they compile kernels of their own."""
    return [pytest.param(name, marks=() if name in everyday else pytest.mark.gpu) for name in names]
