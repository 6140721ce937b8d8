"""The threads that the CPU executors share.

The caller works too, and helpers join as they are free. If many threads step optimizers of their
own at once, nobody waits for a helper, and no more than the pool's threads are added. A forked
child starts with no helpers.

An interrupt may reach the caller between any two bytecodes. So the caller takes no lock that
another thread waits for and adds to no count; what it calls is written in C; and it leaves a job
only once each helper has finished it or can no longer begin it.
"""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import itertools
import math
import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

__all__ = ["Helpers", "helpers", "run"]

_Mode = tuple[float, float]
_SMALLEST, _SUBNORMAL, _HALF, _LARGE = sys.float_info.min, math.ulp(0.0), 0.5, 1e300


def _unknown() -> int:
    return -1


_processor: Callable[[], int] = _unknown
"""Tells on which processor this thread is."""

if hasattr(os, "sched_setaffinity"):
    _processor = getattr(ctypes.PyDLL(None), "sched_getcpu", _unknown)


def _mode() -> _Mode:
    """Tell this thread's mode of floating point: a subnormal result, and a subnormal operand's.

    Either may be 0. Any library may change the mode of the thread that loads or calls it.
    """
    return _SMALLEST * _HALF, _SUBNORMAL * _LARGE


def _nothing(index: int, slot: int) -> None:
    """Do the task of a job that is over, whose arrays nobody holds any more."""


class _Job:
    """Calls of one task, taken in order by whoever is free.

    Each helper has a ticket, a lock that it holds while it works. If the caller has it, the helper
    can no longer begin. The caller may take it twice, so it may begin to take them again.
    """

    def __init__(self, task: Callable[[int, int], None], count: int, helpers: int) -> None:
        self._task, self._count, self._numbers = task, count, itertools.count()
        self._stopped = False
        self._errors: list[BaseException] = []
        self._tickets = [threading.RLock() for _ in range(helpers)]

    def hand_to(self, jobs: _Jobs) -> None:
        """Call the helpers that wait there."""
        for slot in range(1, len(self._tickets) + 1):
            jobs.put((self, slot))

    def work(self, slot: int) -> None:
        """Do what is left of the job, as one of its threads."""
        while not self._stopped and (index := next(self._numbers)) < self._count:
            self._task(index, slot)

    def help(self, slot: int) -> None:
        """Work as a helper, unless the caller has finished."""
        ticket = self._tickets[slot - 1]
        if not ticket.acquire(blocking=False):
            return
        try:
            self.work(slot)
        except BaseException as error:
            self._errors, self._stopped = [error], True
        finally:
            ticket.release()

    def finish(self) -> None:
        """Let no helper begin any more, and wait for those at work.

        The caller has done its part, or gives up. An interrupt ends no wait: it is raised after it.
        """
        self._stopped = True
        interrupt: list[BaseException] = []
        while True:
            try:
                for ticket in self._tickets:
                    ticket.acquire()
                self._task = _nothing
                break
            except BaseException as error:  # no call in here, so no other interrupt either
                interrupt = [error]
        if interrupt:
            raise interrupt.pop()

    def check(self) -> None:
        """Raise what went wrong in a helper."""
        if self._errors:
            raise self._errors.pop()


class Meeting(Protocol):
    """Where helpers look for work before they sleep."""

    def help(self, slot: int) -> None:
        """Work as a helper."""

    def dissolve(self) -> None:
        """Let the helpers look for other work."""


_Jobs = queue.SimpleQueue[tuple["_Job | Meeting", int]]


class Helpers:
    """Threads that wait for jobs, all in one mode of floating point.

    Attributes
    ----------
    jobs : queue
        What one of them is to help, and as which of its threads.
    meeting : Meeting or None
        Where they may be awake.
    """

    def __init__(self, mode: _Mode) -> None:
        self.jobs: _Jobs = queue.SimpleQueue()
        self.meeting: Any = None
        self._mode, self._count, self._starting = mode, 0, threading.RLock()
        self._threads, self._apart = list[int](), (-1, 0, set[int]())

    def up_to(self, wanted: int) -> int:
        """How many of so many helpers there are, once those that are missing were started."""
        if self._count < wanted and self._starting.acquire(blocking=False):
            try:
                while self._count < wanted:
                    given = self.jobs, self._mode, self._threads
                    _thread.start_new_thread(_serve, given)
                    self._count += 1
            except RuntimeError:  # no more threads are to be had: the caller does the work
                pass
            finally:
                self._starting.release()
        return min(self._count, wanted)

    def keep_apart(self) -> None:
        """Let helpers work on the processors of this thread, except the one that it is on now.

        If it has one processor alone, they work there too. Linux may wake a helper on the processor
        of its caller, and leave it, for many milliseconds: on a virtual machine a processor that
        sleeps looks busy.
        """
        if (here := _processor()) < 0:
            return
        with contextlib.suppress(OSError):  # what is allowed may change at any time
            allowed = os.sched_getaffinity(0)
            now = here, len(self._threads), allowed
            if now != self._apart:
                self._apart = now
                for thread in self._threads:
                    os.sched_setaffinity(thread, allowed - {here} or allowed)


def _serve(jobs: _Jobs, mode: _Mode, threads: list[int]) -> None:
    if _mode() != mode:
        return  # a system where a thread does not begin in the mode of the one that starts it
    threads.append(_thread.get_native_id())
    with np.errstate(all="ignore"):  # a thread has its own; gradients may hold any value
        while True:
            job, slot = jobs.get()
            job.help(slot)


_helpers: dict[_Mode, Helpers] = {}

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.clear)  # where they do not exist


def helpers() -> Helpers:
    """Those in this thread's mode of floating point."""
    mode = _mode()
    return _helpers.get(mode) or _helpers.setdefault(mode, Helpers(mode))


def run(task: Callable[[int, int], None], count: int, threads: int) -> None:
    """Call ``task(index, slot)`` for every index below `count`, on up to `threads` threads.

    `slot`, below `threads`, tells calls that run at the same time apart. The calling thread is one
    of them. No call is left running when this returns or raises.
    """
    those = helpers()
    job = _Job(task, count, those.up_to(min(threads, count) - 1))
    try:
        try:
            those.keep_apart()
            job.hand_to(those.jobs)
            if those.meeting is not None:
                those.meeting.dissolve()
            job.work(0)
        finally:
            job.finish()
    finally:
        job.finish()  # an interrupt may come on the way into the first, or out of its handler
    job.check()
