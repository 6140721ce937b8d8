"""Kernels with their arguments, left to be launched; and the scalars among these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

__all__ = ["InMemory", "KernelScalars", "Launches", "Passed"]


class _Call(NamedTuple):
    """A kernel, its arguments in order, and the options of the call."""

    kernel: Callable[..., object]
    before: Sequence[Any]
    gradients: Passed
    scalars: KernelScalars
    after: Sequence[Any]
    options: dict[str, int]


class Launches:
    """Kernels with their arguments, to be launched in this order; see `gpuopt.executors.Launch`.

    Attributes
    ----------
    device : device
        Where they are launched.
    calls : list of _Call
        Each launches a kernel.
    lasting : bool
        Whether they may be made again by a step with the same gradients: they hold none of these,
        which would live as long.
    held : list of array
        What lives until they are made.
    begun : bool
        Whether one may have been launched. It was not if the first could not be, as without a
        compiler.
    """

    def __init__(self, device: Any) -> None:
        self.device, self.begun, self.lasting = device, False, True
        self.calls: list[_Call] = []
        self.held: list[Any] = []

    def add(
        self,
        kernel: Callable[..., object],
        before: Sequence[Any] = (),
        scalars: KernelScalars | None = None,
        after: Sequence[Any] = (),
        gradients: Passed | None = None,
        **size: int,
    ) -> None:
        """Add a kernel with its arguments, and its loop's `size` unless that follows from them.

        Addresses of gradients come before scalars.
        """
        call = _Call(kernel, before, gradients or _NONE, scalars or _NONE, after, size)
        self.calls.append(call)

    def join(self, launches: Launches) -> None:
        """Add others, which come next."""
        self.lasting = self.lasting and launches.lasting
        self.calls += launches.calls
        self.held += launches.held

    def in_order(self, grads: Sequence[Any], xp: Any) -> Sequence[Any]:
        """The gradients, if all are in C order; else copies that are."""
        if all(g is None or g.flags.c_contiguous for g in grads):
            return grads
        self.lasting = False
        own = [g if g is None else xp.ascontiguousarray(g) for g in grads]
        self.held += own
        return own

    def at_once(self) -> None:
        """Launch what there is, and forget it: functions of whole arrays, which may fail, and what
        comes before them write nothing that lasts.
        """
        self()
        self.calls, self.begun, self.lasting = [], False, False

    def __call__(self) -> None:
        with self.device:
            for number, call in enumerate(self.calls):
                kernel, before, gradients, scalars, after, options = call
                self.begun = True  # before it is, for an interrupt may come as it is launched
                try:
                    kernel(*before, *gradients.of_all, *scalars.of_all, *after, **options)
                except Exception:
                    self.begun = number > 0
                    raise


class Passed:
    """Arguments of a kernel that are others when a step is made again: scalars that are the same
    for all arrays, or the addresses of gradients.

    Attributes
    ----------
    of_all : tuple
        Those that it is launched with next.
    """

    in_memory = False

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        self.of_all = arguments

    def of(self, position: int) -> tuple[Any, ...]:
        """The arguments of a kernel for one array."""
        return self.of_all


class InMemory:
    """Scalars that a kernel reads from the device's memory: a row for each array."""

    in_memory = True

    def __init__(self, rows: Any) -> None:
        self._rows, self.of_all = rows, (rows.reshape(-1),)

    def of(self, position: int) -> tuple[Any]:
        """The arguments of a kernel for one array."""
        return (self._rows[position],)


KernelScalars = Passed | InMemory

_NONE = Passed(())
