"""Calls of compiled loops that threads share without Python between them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays import backend
from gpuopt.codegen.numba_handover import POLLING
from gpuopt.executors.cpu import handover, pool
from gpuopt.executors.cpu.numba import NumbaExecutor
from gpuopt.executors.cpu.numba_loops import divided
from tests.support.executors import running_on

WAIT = 20.0  # seconds until something that does not come is a failure
ACTIVE, TAKEN_BY_HELPERS = 16, 25  # words of the block


@pytest.fixture(autouse=True)
def _numba(monkeypatch: pytest.MonkeyPatch) -> None:
    if reason := backend.why_not_numba():
        pytest.skip(reason)
    monkeypatch.setenv("GPUOPT_CPU", "numba")
    monkeypatch.setenv("GPUOPT_NUM_THREADS", "3")
    monkeypatch.setattr(NumbaExecutor, "shared", 1)
    monkeypatch.setattr("gpuopt.executors.cpu.numba.SMALLEST", 1_000)
    monkeypatch.setattr(pool, "_helpers", {})


def optimizer(size: int = 40_000) -> Any:
    return go.GradientDescent(1.0).init(np.zeros(size, "f4"))


def block() -> Any:
    return pool.helpers().meeting._block


def until(true: Callable[[], bool]) -> bool:
    """Whether it comes true, soon enough."""
    end = time.monotonic() + WAIT
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(1e-3)
    return True


def test_every_call_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By whomever, in thousands of steps; and helpers have a part in it."""
    opt, g, helped = optimizer(), np.ones(40_000, "f4"), 0
    for step in range(2_000):
        opt.step(g)
        helped += int(block()[TAKEN_BY_HELPERS])
        assert (opt.params == -1 - step).all()
    assert helped > 0


def test_threads_that_share_a_step_draw_the_random_bits_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """In each portion of a tile, and in each tile."""
    pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    monkeypatch.setattr(NumbaExecutor, "tile", 15_000)
    values, found = np.random.default_rng(0).normal(size=(200, 400)).astype("f4"), list[Any]()
    for executor in ("numba", "numpy"):
        p = [values[:100].copy(), values[:, ::2].copy()[:, :300]]
        with running_on(executor):
            opt = go.Momentum(0.1).init(p, state_dtype="bfloat16")
        for _ in range(3):
            opt.step(p)
        found.append(opt.state["v"])
    assert all(map(np.array_equal, *found))


def test_steps_at_the_same_time_do_not_meet() -> None:
    """One leads, the others do their own calls alone."""

    def trained(number: int) -> bool:
        opt, g = optimizer(), np.full(40_000, number, "f4")
        for _ in range(2_000):  # on a quick machine they seldom meet
            opt.step(g)
        return bool((opt.params == -2_000.0 * number).all())

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(trained, range(8)))


def test_helpers_fall_asleep_and_are_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    handover.prepare()
    monkeypatch.setattr(handover, "_turns", lambda: 4_000_000)  # some 0.1 s
    opt, g = optimizer(), np.ones(40_000, "f4")
    for _ in range(3):
        opt.step(g)
        assert until(lambda: block()[POLLING] == 2)
        assert until(lambda: block()[POLLING] == 0)
    start = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - start < 0.15


def test_helpers_that_look_for_work_come_to_another_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long they would look."""
    monkeypatch.setattr(handover, "_turns", lambda: 1 << 40)
    optimizer().step(np.ones(40_000, "f4"))
    assert until(lambda: block()[POLLING] == 2)
    together = threading.Barrier(3, timeout=WAIT)

    def task(index: int, slot: int) -> None:
        together.wait()

    pool.run(task, 3, 3)
    assert block()[POLLING] == 0


@pytest.mark.parametrize("awake", [True, False])
def test_helpers_keep_off_the_processor_of_their_caller(awake: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Linux would leave them, waiting, while another processor sleeps."""
    if sys.platform == "linux":
        assert pool._processor() in os.sched_getaffinity(0)
    here, allowed, moved = [0], {0, 2, 5}, list[Any]()
    monkeypatch.setenv("GPUOPT_SPIN", "01"[awake])
    monkeypatch.setattr(NumbaExecutor, "threaded", 1)
    monkeypatch.setattr(NumbaExecutor, "tile", 20_000)
    monkeypatch.setattr(pool, "_processor", lambda: here[0])
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: allowed, raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", lambda *args: moved.append(args), raising=False)
    opt, g = optimizer(), np.ones(40_000, "f4")

    def moves(processor: int) -> list[Any]:
        here[0] = processor
        moved.clear()
        opt.step(g)
        return moved

    count = 2 if awake else 1  # there are two tiles
    moves(0)
    assert until(lambda: len(pool.helpers()._threads) == count)
    threads = pool.helpers()._threads
    moves(0)
    assert moves(0) == []
    assert moves(5) == [(thread, {0, 2}) for thread in threads]
    assert moves(5) == []
    assert moves(-1) == []  # where the system does not tell
    assert moves(2) == [(thread, {0, 5}) for thread in threads]
    allowed = {2, 5}  # less than before, while the caller stays where it is
    assert moves(2) == [(thread, {5}) for thread in threads]
    allowed = {0}  # one processor alone
    assert moves(0) == [(thread, {0}) for thread in threads]
    assert moves(0) == []


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The calls of each step; helpers look for work some 0.1 s."""
    rows, run = list[Any](), handover.run

    def noted(some: Any, threads: int) -> None:
        rows.append(some.copy())
        run(some, threads)

    handover.prepare()
    monkeypatch.setattr(handover, "_turns", lambda: 4_000_000)
    monkeypatch.setattr(handover, "run", noted)
    return rows


def test_no_more_threads_help_than_were_asked_for(asked: list[Any]) -> None:
    opt, g, run = optimizer(), np.ones(40_000, "f4"), handover._Meeting.run
    opt.step(g)
    assert until(lambda: block()[POLLING] == 2)
    for step in range(1_000):
        run(pool.helpers().meeting, asked[0], 0)
        assert (opt.params == -2 - step).all()
        assert block()[TAKEN_BY_HELPERS] == 0


def test_a_call_that_a_helper_began_is_waited_for(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The last call is by far the longest, and a helper takes it first."""
    monkeypatch.setattr("gpuopt.executors.cpu.numba.SMALLEST", 2_000_000)
    few, many = optimizer(40_000), optimizer(500_000)
    g, h = np.ones(40_000, "f4"), np.ones(500_000, "f4")
    few.step(g)
    many.step(h)
    rows, done, helped, end = np.concatenate(asked), 1.0, 0, time.monotonic() + WAIT
    assert len(rows) == 2
    while helped < 50:
        assert time.monotonic() < end
        handover.run(rows, 3)
        assert block()[ACTIVE] == 0
        done, helped = done + 1, helped + int(block()[TAKEN_BY_HELPERS])
        assert (many.params == -done).all()


@pytest.mark.parametrize(("size", "times"), [(40_000, 2), (30_000, 0)])
def test_a_reduction_is_shared_where_the_update_is(
    size: int, times: int, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The norm moves 4 bytes an element, Adam 28; helpers would fall asleep while one thread takes the norm."""
    monkeypatch.setattr(NumbaExecutor, "shared", 1_000_000)
    opt = go.chain(go.clip_norm(1.0), go.Adam(0.1)).init(np.zeros(size, "f4"))
    opt.step(np.ones(size, "f4"))
    assert len(asked) == times
    np.testing.assert_allclose(opt.params, -0.1, rtol=1e-5)


@pytest.mark.parametrize("asked", ["0", "1", ""])
def test_it_can_be_turned_off(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUOPT_SPIN", asked)
    monkeypatch.setattr(NumbaExecutor, "threaded", 1)
    opt = optimizer(2_000_000)
    opt.step(np.ones(2_000_000, "f4"))
    assert (opt.params == -1).all()
    assert (pool.helpers().meeting is None) == (asked == "0")


def test_a_wrong_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUOPT_SPIN", "yes")
    with pytest.raises(ValueError, match=r"^GPUOPT_SPIN must be 0 or 1, got 'yes'$"):
        optimizer()


CHILD = """
import os, sys
import numpy as np, gpuopt as go
from gpuopt.executors.cpu.numba import NumbaExecutor
NumbaExecutor.shared = 1
opt, g = go.GradientDescent(1.0).init(np.zeros(300_000, "f4")), np.ones(300_000, "f4")
for _ in range(50):
    opt.step(g)
    if not (child := os.fork()):
        opt.step(g)
        os._exit(0 if (opt.params == opt.params[0]).all() else 1)
    if os.waitpid(child, 0)[1]:
        sys.exit("a child ended badly")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_while_helpers_are_awake() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("size", [1, 1_024, 3_000, 10**9])
@pytest.mark.parametrize("lengths", [[0], [1], [5_000], [5_000, 3, 70_000, 0, 9], [1] * 40])
def test_runs_are_divided_without_gaps(lengths: list[int], size: int) -> None:
    """A single one by its elements, several as they are."""
    before = np.cumsum(lengths) - lengths
    runs = np.stack([np.array(lengths), 64 + 4 * before, 128 + 8 * before], axis=1)
    parts = divided(runs, [4, 8], size)
    assert all(len(part) for part in parts)
    found = np.concatenate(parts)
    if len(lengths) > 1:
        assert np.array_equal(found, runs)
        return
    assert found[:, 0].sum() == lengths[0]
    begins = np.cumsum(found[:, 0]) - found[:, 0]
    assert np.array_equal(found[:, 1:], np.stack([64 + 4 * begins, 128 + 8 * begins], axis=1))
    assert all(begins % 1_024 == 0)
