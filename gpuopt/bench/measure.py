"""The time of a step, and of streaming as many bytes: all candidates take turns in one process, and
the result is the median.

``gpuopt bench``, the asv suite and ``tools/performance.py`` all measure with this module.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from gpuopt.arrays import backend
from gpuopt.arrays.backend import array_module
from gpuopt.arrays.precision import MASTER
from gpuopt.arrays.tree import leaves
from gpuopt.executors.cpu import pool
from gpuopt.optimizer.optimizer import Optimizer
from gpuopt.rules.base import Bindable

__all__ = [
    "EXECUTORS",
    "Step",
    "bytes_a_step",
    "calls_lasting",
    "copied",
    "in_turns",
    "make_arrays",
    "medians",
    "module_of",
    "optimizer",
    "pin_allocator",
    "stream_steps",
    "waiting",
    "why_not",
]

EXECUTORS = ("numpy", "numba", "cupy")
"""The names of the executors."""

Step = Callable[[], object]
Key = TypeVar("Key")

_PIECE = 1_000_000  # elements that a thread streams at a time
_MALLOC = {"trim threshold": -1, "mmap threshold": -3}  # glibc's names for mallopt


def why_not(executor: str) -> str | None:
    """None if `executor` works here, else the reason why not."""
    asked = {"numba": backend.why_not_numba, "cupy": backend.why_not_cupy}.get(executor)
    return asked and asked()


def module_of(executor: str) -> Any:
    """The array module of an executor that works here."""
    return sys.modules["cupy"] if executor == "cupy" and backend.why_not_cupy() is None else np


def waiting(xp: Any) -> Step:
    """A function that waits until the device has finished; on a CPU it does nothing."""
    # The device, not a stream: other libraries have other streams.
    return (lambda: None) if xp is np else (lambda: xp.cuda.Device().synchronize())


def make_arrays(
    xp: Any,
    size: int,
    count: int = 1,
    dtype: Any = "float32",
    seed: int = 0,
    strided: bool = False,
) -> list[Any]:
    """Fresh arrays of normal numbers: `count` of `size` elements each, drawn on the host.

    Both parts of a complex number are normal. Those that are `strided` are every second element of
    a longer array.
    """
    rng, kind = np.random.default_rng(seed), np.dtype(dtype)
    draw = np.float64 if kind in (np.float64, np.complex128) else np.float32
    parts = 2 if kind.kind == "c" else 1
    arrays = []
    for _ in range(count):
        numbers = rng.standard_normal(size * parts, draw)
        array = numbers.view(kind) if parts == 2 else numbers.astype(kind, copy=False)
        arrays.append(copied(xp.asarray(array), 2) if strided else xp.asarray(array))
    return arrays


def copied(array: Any, step: int = 0) -> Any:
    """A flat array as another one is, or with an element at every `step`."""
    step = step or max(1, array.strides[0] // array.itemsize)
    if step == 1:
        return array.copy()
    made = array_module(array).zeros(step * array.size, array.dtype)[::step]
    made[...] = array
    return made


def optimizer(
    rule: Bindable, params: Any, executor: str, hyper: dict[str, Any] | None = None, **options: Any
) -> Optimizer:
    """Bind `rule` to `params`, which `executor` is to update (CuPy arrays: CuPy always), with these
    `options` of `init`.
    """
    if executor == "cupy":
        return rule.init(params, hyper, **options)
    with _environment(backend.CPU_VARIABLE, executor):
        return rule.init(params, hyper, **options)


def bytes_a_step(opt: Optimizer) -> int:
    """The bytes that a step must read and write: state in and out, gradients (of the parameters'
    dtype) in, parameters in and out, but those with a master copy, which are only written.
    """
    params = leaves(opt.params)
    states = {name: leaves(tree) for name, tree in opt._stored.items()}
    copies = states.get(MASTER, [None] * len(params))
    moved = sum(
        (3 if copy is None else 2) * int(p.nbytes) for p, copy in zip(params, copies, strict=True)
    )
    return moved + 2 * sum(
        int(a.nbytes) for arrays in states.values() for a in arrays if a is not None
    )


def stream_steps(xp: Any, size: int, dtype: Any = "float32") -> dict[str, Step]:
    """Copy, and scale in place, `size` numbers; on a CPU in pieces that all threads take.

    Each reads and writes ``2 * size`` numbers. A copy also reads what it overwrites, on most CPUs.
    """
    source, target, one = xp.ones(size, dtype), xp.zeros(size, dtype), xp.ones((), dtype)
    pieces = [slice(k, k + _PIECE) for k in range(0, size, _PIECE)]

    def everywhere(task: Callable[[slice], None]) -> Step:
        if len(pieces) == 1 or xp is not np:
            return lambda: task(slice(None))
        return lambda: pool.run(lambda i, _: task(pieces[i]), len(pieces), backend.cpu_threads())

    def copy(piece: slice) -> None:
        xp.copyto(target[piece], source[piece])

    def scale(piece: slice) -> None:
        xp.multiply(source[piece], one, source[piece])

    return {"copy": everywhere(copy), "scale": everywhere(scale)}


def calls_lasting(step: Step, wait: Step, seconds: float) -> int:
    """The number of calls of `step` in about `seconds`; at least one."""
    step()
    wait()
    start = time.perf_counter()
    step()
    wait()
    return max(1, round(seconds / max(time.perf_counter() - start, 1e-7)))


def in_turns(
    steps: Mapping[Key, Step], rounds: int, wait: Step, calls: int | Mapping[Key, int] = 1
) -> dict[Key, list[float]]:
    """Seconds a call of each step, one number a round; in a round each has a block of calls in its
    turn.

    Parameters
    ----------
    steps : dict of callables
        What is compared, by name.
    rounds : int
        Rounds that count; one before them warms up.
    wait : callable
        Waits for the device; called at the end of each block.
    calls : int or dict of int
        Calls to a block, for all or for each step.

    Returns
    -------
    dict of list of float
    """
    found: dict[Key, list[float]] = {key: [] for key in steps}
    wait()
    for _ in range(rounds + 1):
        for key, step in steps.items():
            number = calls if isinstance(calls, int) else calls[key]
            start = time.perf_counter()
            for _ in range(number):
                step()
            wait()
            found[key].append((time.perf_counter() - start) / number)
    return {key: values[1:] for key, values in found.items()}


def medians(found: Mapping[Key, list[float]]) -> dict[Key, float]:
    """The median of each list."""
    return {key: statistics.median(values) for key, values in found.items()}


def pin_allocator(limit: int = 1 << 30) -> bool:
    """Let glibc keep the memory that arrays free. Otherwise NumPy's temporaries are mapped and
    unmapped at every step, and times jump.

    Returns
    -------
    bool
        Whether it was done: other C libraries are left as they are.
    """
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return all(mallopt(option, limit) for option in _MALLOC.values())


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set a variable of the environment for a while."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
