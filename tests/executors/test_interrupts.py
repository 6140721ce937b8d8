"""Ctrl-C while several threads work: nothing hangs, and nothing is written after it was raised."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import pytest

from gpuopt.executors.cpu import pool
from tests.support.executors import ON_CPU, only
from tests.support.interrupts import Stop, stopped_at

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@only(*ON_CPU)
def test_signals_to_a_process(executor: str) -> None:
    """A hundred presses; the tool presses 2,000 times."""
    command = [sys.executable, "tools/interrupts.py", "--presses", "100", "--executor", executor]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert f"{executor}: 100 presses, no hang, no late write" in done.stdout, done.stdout + done.stderr


def test_at_every_bytecode_of_a_hand_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The helpers have finished once it is raised, and the pool goes on."""
    monkeypatch.setattr(pool, "_helpers", {})
    at, raised, done = 0, True, list[int]()
    while raised:
        at += 1
        done.clear()
        raised = stopped_at(at, lambda: pool.run(functools.partial(slow, done), 5, 3), pool.__file__)
        seen = len(done)
        time.sleep(0.001)
        assert len(done) == seen, f"written late, after an interrupt at bytecode {at}"
    assert at > 30
    assert sorted(done) == [0, 1, 2, 3, 4]


def slow(done: list[int], index: int, slot: int) -> None:
    """Take a while, and then write."""
    time.sleep(0.0004)
    done.append(index)


class Ticket:
    """A lock whose caller is interrupted again and again before it has it."""

    left = 0

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.release = self._lock.release

    def acquire(self, blocking: bool = True) -> bool:
        if blocking and Ticket.left:
            Ticket.left -= 1
            raise Stop
        return self._lock.acquire(blocking)


def test_again_and_again_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_helpers", {})
    monkeypatch.setattr(pool, "threading", types.SimpleNamespace(RLock=Ticket))
    for _ in range(5):
        done = list[int]()
        monkeypatch.setattr(Ticket, "left", 9)
        with pytest.raises(Stop):
            pool.run(functools.partial(slow, done), 5, 3)
        assert len(done) == 5
    monkeypatch.setattr(Ticket, "left", 0)
    pool.run(functools.partial(slow, done), 5, 3)
    assert len(done) == 10


def test_a_helper_that_comes_late_does_nothing() -> None:
    """It takes no call, even if one were left."""
    job, done = pool._Job(lambda index, slot: done.append(index), 3, 1), list[int]()
    job.finish()
    job._stopped = False
    helper = threading.Thread(target=job.help, args=(1,))
    helper.start()
    helper.join(20)
    assert next(job._numbers) == 0


def test_the_error_of_a_helper_is_raised_by_the_caller() -> None:
    here = threading.get_ident()
    begun = threading.Event()

    def task(index: int, slot: int) -> None:
        if threading.get_ident() == here:
            assert begun.wait(20)
        else:
            begun.set()
            raise Stop("in a helper")

    with pytest.raises(Stop, match="in a helper"):
        pool.run(task, 50, 2)
