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
from gpuopt.arrays.quiet import quietly
from gpuopt.arrays.tree import leaves
from gpuopt.distributed.transports import Transport
from gpuopt.optimizer.processes import Processes
from gpuopt.rules.base import Bindable
from gpuopt.rules.written import is_written

__all__ = ["Group", "Said", "agree", "described", "each", "heard", "shown", "together", "token_of"]

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


def each(transport: Transport, what: str, action: Callable[[], T]) -> list[T]:
    """What `action` gives in each process, if it raises an error in none."""
    return _told(transport, what, *_tried(action))


def together(transport: Transport, what: str, action: Callable[[], T]) -> T:
    """What `action` gives here, if it raises an error in no process."""
    found, error = _tried(action)
    _told(transport, what, None, error)
    return found  # type: ignore[return-value]


def _tried(action: Callable[[], T]) -> tuple[T | None, Exception | None]:
    """What `action` gives, or its error, unless the action itself has told all of it."""
    try:
        return action(), None
    except Exception as error:
        if getattr(error, _KNOWN, False):
            raise
        return None, error


_KNOWN = "_gpuopt_known_to_all"
"""The attribute of an error that all processes raise."""


def _told(transport: Transport, what: str, found: T | None, error: Exception | None) -> list[T]:
    """What each process has found, if none has an error and all make the same call."""
    transport.gather_numbers(np.array(_NO_STEP, np.float64))  # for one that makes a step
    return _told_in_words(transport, what, found, error)


def _told_in_words(
    transport: Transport, what: str, found: T | None, error: Exception | None
) -> list[T]:
    text = None if error is None else f"{type(error).__name__}: {error}"
    heard = transport.gather((what, text, found))
    said = _first_error(heard)
    if error is not None and len({text for _, text, _ in heard}) == 1:
        setattr(error, _KNOWN, True)
        raise error
    if said is not None:
        setattr(told := RuntimeError(said), _KNOWN, True)
        raise told from error
    return [found for *_, found in heard]


def _first_error(heard: list[tuple[str, str | None, Any]]) -> str | None:
    """The error of the first process that has one, or that makes another call than rank 0."""
    first, *_ = heard[0]
    for rank, (what, text, _) in enumerate(heard):
        if text is not None:
            return f"{what}: rank {rank}: {text}"
    for rank, (what, *_) in enumerate(heard):
        if what != first:
            return (
                f"rank {rank} calls {what}, and rank 0 calls {first}: let every rank make the same "
                "calls"
            )
    return None


def agree(transport: Transport, what: str, mine: dict[str, str]) -> None:
    """Raise ValueError in all processes if one describes something else than the first."""
    first, *others = each(transport, what, lambda: mine)
    for rank, other in enumerate(others, start=1):
        for name in dict.fromkeys((*first, *other)):
            if first.get(name) != other.get(name):
                raise ValueError(
                    f"{what}: rank {rank} has {name} = {other.get(name, 'none')}, and rank 0 has "
                    f"{first.get(name, 'none')}: give every rank the same"
                )


class Said(NamedTuple):
    """What a process says first in each call, in one small message; if it failed, words follow."""

    failed: bool
    complete: bool
    t: int
    token: int
    has_loss: bool
    loss: float


_NO_STEP = Said(True, True, 0, 0, False, 0.0)


def heard(transport: Transport, mine: Said, error: Exception | None, given: list[bool]) -> Said:
    """What all say of a step; `given` tells which arrays have a gradient, then in any process.

    Raises
    ------
    RuntimeError, ValueError
        In all processes, if one cannot make the step, or makes another.
    """
    rows = transport.gather_numbers(np.array(mine, np.float64))
    failed, complete, t, token, has_loss, loss = rows.T
    if failed.any():
        _told_in_words(transport, "step", None, error)
    counted = f"the count of steps, {', '.join(str(int(each)) for each in t)}"
    for column, name in (
        (t, counted),
        (token, "the rule or what its schedules give"),
        (has_loss, "loss=, or none"),
    ):
        if (column != column[0]).any():
            rank = int(np.flatnonzero(column != column[0])[0])
            raise ValueError(
                f"step: rank {rank} does not agree with rank 0 on {name}: let every rank make the "
                "same steps, with the same rule, and pass loss= if another does"
            )
    if not complete.all():
        rows = transport.gather_numbers(np.array(given, np.uint8))
        given[:] = [bool(column.any()) for column in rows.T]
    return mine._replace(loss=float(quietly(np.add.accumulate, loss)[-1] / transport.size))


class Group(Processes):
    """The processes that a transport joins."""

    def __init__(self, transport: Transport) -> None:
        self._transport, self.size, self.rank = transport, transport.size, transport.rank

    def together(self, what: str, action: Callable[[], T]) -> T:
        return together(self._transport, what, action)

    def each(self, what: str, action: Callable[[], T]) -> list[T]:
        return each(self._transport, what, action)

    def means(self, what: str, action: Callable[[], tuple[int, list[Any]]]) -> list[Any]:
        def read() -> tuple[int, list[float]]:
            count, numbers = action()
            return count, [float(x) for x in numbers]

        found = self.each(what, read)
        counts = np.array([count for count, _ in found])
        rows = np.array([numbers for _, numbers in found])
        return list(counts @ rows / counts.sum())

    def agree(self, what: str, mine: dict[str, str]) -> None:
        agree(self._transport, what, mine)

    def fail(self, error: Exception) -> None:
        _told(self._transport, "step", None, error)
