"""Every executor as a name: NumPy, Numba, CuPy on a GPU or on the emulated one, and the CUDA text run as C++.

"cuda text" is the CuPy executor as it is, for NumPy arrays: its kernels are compiled by g++ and run on the CPU. It is for
tests that cannot take CuPy's arrays. A test is skipped if what it asks for is not installed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gpuopt.arrays import backend
from gpuopt.executors import Executor, executor_of, using
from tests.support.cuda.hostgroup import host_executor

ON_CPU = ("numpy", "numba")
"""Those of an installation without CUDA."""
ON_NUMPY = (*ON_CPU, "cuda text")
"""Those that run NumPy arrays."""
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
        if name == "cuda text":
            entered.enter_context(using(host_executor()))
        elif executor_of(np.empty(0)).name != name:  # another is in place, inside of whose block this one is
            entered.enter_context(using(_cpu_executor(name)))
        yield


def called(name: str) -> str:
    """What optimizers call it: the CUDA text is the executor of CuPy."""
    return "cupy" if name == "cuda text" else name


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


of_numpy_arrays = only(*ON_NUMPY)
beside_numpy = only(*(name for name in ON_NUMPY if name != "numpy"))
"""For what is compared with NumPy's executor."""
