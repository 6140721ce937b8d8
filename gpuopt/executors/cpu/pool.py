"""The threads that the CPU executors share.

The caller works too, and helpers join as they are free. If many threads step optimizers of their
own at once, nobody waits for a helper, and no more than the pool's threads are added. A forked
child starts with no helpers.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable

import numpy as np

__all__ = ["run"]


class _Job:
    """Calls of one task, taken in order by whoever is free."""

    def __init__(self, task: Callable[[int, int], None], count: int) -> None:
        self._task, self._count, self._next = task, count, 0
        self._changed = threading.Condition(threading.Lock())
        self._active, self._closed = 0, False
        self._error: BaseException | None = None

    def _take(self) -> int:
        with self._changed:
            index, self._next = self._next, self._next + 1
        return index

    def work(self, slot: int) -> None:
        """Do what is left of the job, as one of its threads."""
        with self._changed:
            if self._closed:
                return
            self._active += 1
        try:
            while (index := self._take()) < self._count:
                self._task(index, slot)
        except BaseException as error:
            self._stop(error)
        finally:
            with self._changed:
                self._active -= 1
                self._changed.notify_all()

    def _stop(self, error: BaseException) -> None:
        with self._changed:
            self._error, self._next = self._error or error, self._count

    def finish(self) -> None:
        """Let no helper begin any more, wait for those at work, and raise what went wrong."""
        while not self._closed or self._active:
            try:
                with self._changed:
                    self._closed = True
                    self._changed.wait_for(lambda: not self._active)
            except BaseException as error:  # Ctrl-C while waiting: nobody may write after this
                self._stop(error)
        if self._error:
            raise self._error


_jobs: queue.SimpleQueue[tuple[_Job, int]] = queue.SimpleQueue()
_helpers: list[threading.Thread] = []
_starting = threading.Lock()


def _serve(jobs: queue.SimpleQueue[tuple[_Job, int]]) -> None:
    with np.errstate(all="ignore"):  # a thread has its own; gradients may hold any value
        while True:
            job, slot = jobs.get()
            job.work(slot)
            del job  # or the last arrays would live until the next job


def _forget() -> None:
    """Begin anew in a forked child, where the helpers do not exist."""
    global _jobs, _helpers, _starting
    _jobs, _helpers, _starting = queue.SimpleQueue(), [], threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def run(task: Callable[[int, int], None], count: int, threads: int) -> None:
    """Call ``task(index, slot)`` for every index below `count`, on up to `threads` threads.

    `slot`, below `threads`, tells calls that run at the same time apart. The calling thread is one
    of them.
    """
    job, helpers = _Job(task, count), min(threads, count) - 1
    with _starting:
        while len(_helpers) < helpers:
            thread = threading.Thread(
                target=_serve, args=(_jobs,), name=f"gpuopt-{len(_helpers)}", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:  # no more threads are to be had: the caller does the work
                break
            _helpers.append(thread)
        helpers = min(helpers, len(_helpers))
    for slot in range(1, helpers + 1):
        _jobs.put((job, slot))
    try:
        job.work(0)
    finally:
        job.finish()
