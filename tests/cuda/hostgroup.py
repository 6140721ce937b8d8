"""The CuPy executor on the CPU: its own launches, on NumPy arrays, each kernel run from its complete text."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from typing import Any
from unittest import mock

import numpy as np

from .hostrun import HostKernel


class _DeviceArray(np.ndarray[Any, Any]):
    """A NumPy array with what the executor asks of a CuPy array: a device to enter."""

    device = contextlib.nullcontext()


@contextlib.contextmanager
def cupy_on_the_cpu() -> Iterator[Callable[..., Any]]:
    """Give what makes a `CupyGroup` from a trace, its rule and NumPy arrays, which it then updates on the CPU."""
    module = import_module("gpuopt.executors.cupy_kernel")
    real, new_state = module.kernel, module.new_state

    def kernel(*description: Any) -> tuple[Callable[..., None], Any]:
        function, written = real(*description)
        return lambda *arguments: launch(function, arguments), written

    def state(_: Any, *description: Any) -> Any:
        return new_state(np, *description)

    with mock.patch.object(module, "kernel", kernel), mock.patch.object(module, "new_state", state):
        yield lambda trace, rule, params: module.CupyGroup(trace, rule, [p.view(_DeviceArray) for p in params])


def launch(kernel: Any, arguments: tuple[Any, ...]) -> None:
    """Call an ``ElementwiseKernel`` as CuPy would: as a loop over one axis where all arrays are C-contiguous."""
    text = import_module("gpuopt.executors.cupy_text").complete_text
    arrays = [a for a in arguments if isinstance(a, np.ndarray)]
    if all(a.flags.c_contiguous for a in arrays):
        arguments = tuple(a.reshape(-1) if isinstance(a, np.ndarray) else a for a in arguments)
        arrays = [a for a in arguments if isinstance(a, np.ndarray)]
    dtypes = [a.dtype if isinstance(a, np.ndarray) else None for a in arguments]
    flags = [bool(a.flags.c_contiguous) if isinstance(a, np.ndarray) else True for a in arguments]
    with np.errstate(all="ignore"):  # a scalar is converted to the parameter's dtype
        _compiled(text(kernel, dtypes, ndim=arrays[0].ndim, contiguous=flags)).run(arguments)


@cache
def _compiled(text: str) -> HostKernel:
    return HostKernel(text)
