"""What a step asks of the emulated GPU: launches, copies, memory and waits, each counted where CuPy asks for it."""

from __future__ import annotations

import contextlib
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

import numpy as np

WITHIN = 4
"""How CUDA's copies say that it does not matter what is where: from one place of the device to another."""


@contextlib.contextmanager
def idle_device() -> Iterator[deque[tuple[Any, ...]]]:
    """Let launches do nothing on the emulated device, which must be plugged in; and give what it was asked for, in order."""
    from tests.support.emulated_gpu import device, streams

    with device.idle():
        streams.log.clear()
        yield streams.log


def arrays(count: int, dtype: str = "float32", shape: tuple[int, ...] = (4, 2)) -> list[Any]:
    """CuPy arrays of ones, which no kernel makes."""
    return [on_device(np.ones(shape, dtype)) for _ in range(count)]


def on_device(array: Any) -> Any:
    """A copy of a NumPy array on the device, with the same strides if it has no gaps."""
    import cupy

    return cupy.asarray(array, order="A")


def during(log: deque[tuple[Any, ...]], opt: Any, grads: Any) -> Counter[str]:
    """How often a step asks for each thing."""
    log.clear()
    opt.step(grads)
    return asked(log)


def asked(log: deque[tuple[Any, ...]]) -> Counter[str]:
    """How often each thing was asked for."""
    return Counter(what for what, *_ in log)
