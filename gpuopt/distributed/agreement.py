"""What processes agree on: that they describe the same, and that a step can be made by all.

Comes in: what this process has, or the error that it met. If one process cannot continue, all raise
the same error, which names its rank; none waits for another.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np

from gpuopt.arrays.backend import is_array, on_host
from gpuopt.arrays.tree import leaves
from gpuopt.rules.base import Bindable
from gpuopt.rules.written import is_written

__all__ = ["Said", "agree", "described", "heard", "shown", "together", "token_of"]

T = TypeVar("T")


_STEPS = (0, 1, 10, 100, 1_000, 10_000)


def described(rule: Bindable) -> str:
    """A rule in words that are the same in all processes."""
    return f"{rule.outline} with { ({n: shown(x) for n, x in rule.hyperparameters.items()}) }"


def shown(value: Any) -> str:
    """What says a value: the checksum of arrays; what a schedule gives at some steps."""
    if is_written(value):
        arrays = [on_host(x) for x in leaves(value) if is_array(x)]
        return f"arrays of the checksums {[zlib.crc32(x.tobytes()) for x in arrays]}"
    if callable(value):
        with contextlib.suppress(Exception):  # it may be for fewer steps
            return f"a schedule of {[float(value(step)) for step in _STEPS]}"
        return getattr(value, "__qualname__", type(value).__qualname__)
    return repr(value)


def token_of(rule: Bindable) -> int:
    """A number that tells rules apart."""
    return zlib.crc32(described(rule).encode())


def together(comm: Any, what: str, action: Callable[[], T]) -> T:
    """What `action` gives, if it raises an error in no process."""
    found, error, text = None, None, None
    try:
        found = action()
    except Exception as caught:  # told to all
        error, text = caught, f"{type(caught).__name__}: {caught}"
    _raise_first(what, comm.allgather(text), error)
    return found  # type: ignore[return-value]


def agree(comm: Any, what: str, mine: dict[str, str]) -> None:
    """Raise ValueError in all processes if one describes something else than the first."""
    first, *others = comm.allgather(mine)
    for rank, other in enumerate(others, start=1):
        for name in dict.fromkeys((*first, *other)):
            if first.get(name) != other.get(name):
                raise ValueError(
                    f"{what}: rank {rank} has {name} = {other.get(name, 'none')}, and rank 0 has "
                    f"{first.get(name, 'none')}: give every rank the same"
                )


def _raise_first(what: str, texts: list[str | None], mine: Exception | None) -> None:
    """Raise the error of the first that has one; where all have the same, as it was."""
    if mine is not None and len(set(texts)) == 1:
        raise mine
    for rank, text in enumerate(texts):
        if text is not None:
            raise RuntimeError(f"{what}: rank {rank}: {text}") from mine


class Said(NamedTuple):
    """What a process says before a step: numbers, in one small message."""

    failed: bool
    complete: bool
    t: int
    token: int
    has_loss: bool
    loss: float


def heard(comm: Any, mine: Said, error: Exception | None, given: list[bool]) -> Said:
    """What all say of a step; `given` tells which arrays have a gradient, then in any process.

    Raises
    ------
    RuntimeError, ValueError
        In all processes, if one cannot make the step, or makes another.
    """
    rows = np.empty((comm.size, len(mine)))
    comm.Allgather(np.array(mine, np.float64), rows)
    failed, complete, t, token, has_loss, loss = rows.T
    if failed.any():
        text = None if error is None else f"{type(error).__name__}: {error}"
        _raise_first("step", comm.allgather(text), error)
    counted = f"the count of steps, {', '.join(str(int(each)) for each in t)}"
    for column, name in (
        (t, counted),
        (token, "the rule"),
        (has_loss, "loss=, or none"),
    ):
        if (column != column[0]).any():
            rank = int(np.flatnonzero(column != column[0])[0])
            raise ValueError(
                f"step: rank {rank} does not agree with rank 0 on {name}: let every rank make the "
                "same steps, with the same rule, and pass loss= if another does"
            )
    if not complete.all():
        each = np.empty((comm.size, len(given)), np.uint8)
        comm.Allgather(np.array(given, np.uint8), each)
        given[:] = [bool(column.any()) for column in each.T]
    return mine._replace(loss=float(np.add.accumulate(loss)[-1] / comm.size))
