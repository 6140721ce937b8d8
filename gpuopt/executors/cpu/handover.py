"""Calls of compiled loops that threads share without Python: a helper begins at once, because it
still looks for work some time after the last.

A helper that finds none for 200 µs goes to sleep until the pool wakes it. Nothing depends on
helpers: the caller takes the calls that nobody takes, and waits only for those that have begun.
"""

from __future__ import annotations

import functools
import time
from typing import Any

import numpy as np

from gpuopt.codegen.numba_handover import CALLED, HANDOVER, POLLING, WORDS
from gpuopt.executors.cpu import pool
from gpuopt.executors.cpu.numba_compile import compiled
from gpuopt.executors.layout import lines

__all__ = ["machine_code", "prepare", "run"]

LASTING = 200e-6
"""Seconds for which a helper looks for work."""


def prepare() -> None:
    """Compile what `run` calls."""
    _lead()
    _serve()
    _turns()


def machine_code(loop: Any) -> int:
    """The address of a loop, which was compiled for one signature."""
    (signature,) = loop.signatures
    result = loop.overloads[signature]  # to go over the values makes an interrupt a KeyError
    found: int = result.library.get_pointer_to_function(result.fndesc.llvm_func_name)
    return found


def run(rows: Any, threads: int) -> None:
    """Make the calls that are the rows of an array, on up to so many threads.

    It returns when all have returned. An interrupt comes before the first or after the last.
    """
    helpers = pool.helpers()
    if helpers.meeting is None:
        helpers.meeting = _Meeting(helpers)
    helpers.meeting.run(rows, helpers.up_to(min(threads, len(rows)) - 1))


class _Meeting:
    """The block of memory in which callers and helpers meet, in one mode of floating point."""

    def __init__(self, helpers: pool.Helpers) -> None:
        self._helpers, self._block = helpers, lines(WORDS, np.dtype(np.int64))
        self._block[:] = 0
        self._at = self._block.__array_interface__["data"][0]

    def run(self, rows: Any, helpers: int) -> None:
        """Lead so many helpers; those that sleep are woken."""
        self._helpers.keep_apart()
        if self._block[POLLING] < helpers and self._helpers.jobs.empty():
            for _ in range(helpers - int(self._block[POLLING])):
                self._helpers.jobs.put((self, 0))
        _lead()(self._at, rows.__array_interface__["data"][0], len(rows), helpers)

    def help(self, slot: int) -> None:
        """Work as a helper, for callers that come soon."""
        _serve()(self._at, _turns())

    def dissolve(self) -> None:
        """Let the helpers look for other work."""
        self._block[CALLED] += 1


@functools.cache
def _lead() -> Any:
    return compiled(HANDOVER, "lead", _words(4))


@functools.cache
def _serve() -> Any:
    return compiled(HANDOVER, "serve", _words(2))


def _words(count: int) -> tuple[Any, ...]:
    import numba

    return (numba.types.int64,) * count


@functools.cache
def _turns() -> int:
    """How many turns a helper looks for work: as many pauses as last so long here."""
    wait, number = compiled(HANDOVER, "wait", _words(1)), 2_000
    took = []
    for _ in range(3):
        start = time.perf_counter()
        wait(number)
        took.append(time.perf_counter() - start)
    return max(1, round(LASTING * number / max(min(took), 1e-9)))
