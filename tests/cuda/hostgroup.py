"""The CuPy executor on the CPU: its own launches, on NumPy arrays, each kernel run from its complete text."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

from .hostrun import HostKernel


class _DeviceArray(np.ndarray[Any, Any]):
    """A NumPy array with what the executor asks of a CuPy array: a device to enter."""

    device = contextlib.nullcontext()


@contextlib.contextmanager
def cupy_on_the_cpu() -> Iterator[Callable[..., Any]]:
    """Give what makes a `CupyGroup` from a trace, its rule and NumPy arrays, which it then updates on the CPU.

    Meanwhile every optimizer of NumPy arrays has it for its executor.
    """
    groups, phases = (import_module(f"gpuopt.executors.{name}") for name in ("cupy_kernel", "cupy_phases"))
    real, kernel = groups.made, import_module("cupy").ElementwiseKernel
    library = SimpleNamespace(zeros=np.zeros, full=np.full, asarray=np.asarray, ElementwiseKernel=kernel)

    def made(written: Any) -> Callable[..., None]:
        return lambda *arguments, size=None: launch(real(written), arguments, size)

    def group(trace: Any, update: Any, params: Sequence[Any], *rest: Any) -> Any:
        return groups.CupyGroup(trace, update, [p.view(_DeviceArray) for p in params], *rest)

    with contextlib.ExitStack() as patches:
        for module in (groups, phases):
            patches.enter_context(mock.patch.object(module, "made", made))
            patches.enter_context(mock.patch.object(module, "cupy", library))
        group.on_device = True  # type: ignore[attr-defined]
        group.name = "cupy"  # type: ignore[attr-defined]
        for module in (import_module("gpuopt.bundle"), import_module("gpuopt.optimizer")):
            patches.enter_context(mock.patch.object(module, "executor", return_value=group))
        yield group


def launch(kernel: Any, arguments: tuple[Any, ...], size: int | None = None) -> None:
    """Call an ``ElementwiseKernel`` as CuPy would: as a loop over one axis where all arrays but raw ones are C-contiguous."""
    text = import_module("gpuopt.executors.cupy_text").complete_text
    raw = [parameter.raw for parameter in kernel.params[: len(arguments)]]
    inner = [a for a, is_raw in zip(arguments, raw, strict=True) if isinstance(a, np.ndarray) and not is_raw]
    if all(a.flags.c_contiguous for a in inner):
        flat = [
            a.reshape(-1) if isinstance(a, np.ndarray) and not is_raw else a for a, is_raw in zip(arguments, raw, strict=True)
        ]
        arguments = tuple(flat)
    dtypes = [a.dtype if isinstance(a, np.ndarray) else None for a in arguments]
    flags = [bool(a.flags.c_contiguous) if isinstance(a, np.ndarray) else True for a in arguments]
    ndims = [a.ndim if isinstance(a, np.ndarray) else 0 for a in arguments]
    loop = next((n for n, is_raw, d in zip(ndims, raw, dtypes, strict=True) if d is not None and not is_raw), 1)
    with np.errstate(all="ignore"):  # a scalar is converted to the parameter's dtype
        _compiled(text(kernel, dtypes, ndim=loop, contiguous=flags, raw_ndims=ndims)).run(arguments, size)


@cache
def _compiled(text: str) -> HostKernel:
    return HostKernel(text)
