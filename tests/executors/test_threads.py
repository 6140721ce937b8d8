"""Threads, forks, interrupts and allocations: what may go on around and inside a step."""

from __future__ import annotations

import _thread
import contextlib
import copy
import functools
import itertools
import linecache
import multiprocessing
import queue
import sys
import threading
import tracemalloc
import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays import backend
from gpuopt.executors import executor_of
from gpuopt.executors.cpu import pool
from gpuopt.executors.cpu.numba_kernel import NumbaKernel
from gpuopt.executors.cpu.numpy import NumpyKernel
from gpuopt.executors.cpu.tiles import TileExecutor
from tests.support.examples import spread
from tests.support.flushing import OPERANDS, RESULTS, flushing
from tests.support.interrupts import Stop, stopped_by
from tests.support.optimizers import everything

WAIT = 20.0  # seconds until a thread that does not come is a failure; none is waited for when all is well


@pytest.fixture(params=["numpy", "numba", "numba, awake"])
def tile_group(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[TileExecutor]:
    """The executors that cut arrays into tiles; Numba's also with helpers that stay awake."""
    name, _, awake = request.param.partition(", ")
    if name == "numba" and (reason := backend.why_not_numba()):
        pytest.skip(reason)
    monkeypatch.setenv("GPUOPT_CPU", name)
    monkeypatch.setenv("GPUOPT_SPIN", "1" if awake else "0")
    return cast("type[TileExecutor]", executor_of(np.ones(1)))


@pytest.fixture(autouse=True)
def _tiles(tile_group: type[TileExecutor]) -> None:
    """Every test here runs on each of the executors that cut arrays into tiles."""


@pytest.fixture
def threaded(tile_group: type[TileExecutor], monkeypatch: pytest.MonkeyPatch) -> None:
    """Even small arrays are cut into many tiles that four threads share."""
    monkeypatch.setattr(tile_group, "threaded", 1)
    monkeypatch.setattr(tile_group, "tile", 1_000)
    monkeypatch.setattr(tile_group, "shared", 1, raising=False)
    monkeypatch.setattr("gpuopt.executors.cpu.numba.SMALLEST", 300)
    monkeypatch.setenv("GPUOPT_NUM_THREADS", "4")


def arrays(seed: int) -> list[Any]:
    """A contiguous, a Fortran-ordered, a strided, a float16 and a complex array."""
    rng = np.random.default_rng(seed)
    wide = rng.normal(size=(150, 200))
    return [
        rng.normal(size=20_000),
        np.asfortranarray(rng.normal(size=(100, 90))),
        wide[:, ::2],
        rng.normal(size=9_000).astype("f2"),
        rng.normal(size=9_000) + 1j,
    ]


def trained(seed: int, steps: int = 4) -> Any:
    opt = go.Adam(0.1).init(arrays(seed))
    for step in range(steps):
        opt.step(arrays(1000 * seed + step + 1))
    return everything(opt)


def test_threads_with_their_own_optimizers_equal_one_after_another(threaded: None, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = range(32)
    with ThreadPoolExecutor(len(seeds)) as threads:
        together = list(threads.map(trained, seeds))
    monkeypatch.setenv("GPUOPT_NUM_THREADS", "1")
    assert together == list(map(trained, seeds))


def test_large_arrays_use_the_pool_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the number of threads is set here; the result has the bits of one thread."""
    monkeypatch.setenv("GPUOPT_SPIN", "0")
    jobs, run = list[int](), pool.run

    def noted(task: Any, count: int, threads: int) -> None:
        jobs.append(threads)
        run(task, count, threads)

    monkeypatch.setattr(pool, "run", noted)
    results = []
    for number in (1, 3):
        monkeypatch.setenv("GPUOPT_NUM_THREADS", str(number))
        p = np.linspace(-1, 1, 1_000_000, dtype="f4")
        opt = go.Momentum(0.1).init([p])
        opt.step([p])
        results.append(everything(opt))
        assert jobs == ([] if number == 1 else [3])
    assert results[0] == results[1]


@pytest.mark.parametrize("wrong", ["0", "-1", "two", "1.5"])
def test_a_wrong_number_of_threads_is_refused(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUOPT_NUM_THREADS", wrong)
    message = f"GPUOPT_NUM_THREADS must be a whole number of at least 1, got '{wrong}'"
    with pytest.raises(ValueError) as caught:
        go.SGD().init(np.ones(1))
    assert str(caught.value) == message
    assert go.info()["reasons"]["threads"] == message


class Gate:
    """A schedule that waits inside a step until it is let through."""

    def __init__(self) -> None:
        self.closed, self.reached, self.opened = False, threading.Event(), threading.Event()

    def __call__(self, t: int) -> float:
        if self.closed:
            self.reached.set()
            assert self.opened.wait(WAIT)
        return 0.1


USES = {
    "step": lambda opt: opt.step([np.ones(3)]),
    "rule": lambda opt: setattr(opt, "rule", go.Adam()),
    "state_dict": lambda opt: opt.state_dict(),
    "load_state_dict": lambda opt: opt.load_state_dict({}),
    "copy": copy.copy,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_second_thread_is_refused_while_the_first_is_in_a_step(use: Callable[[Any], Any]) -> None:
    gate = Gate()
    opt, twin = (go.Adam(gate).init([np.ones(3)]) for _ in "ab")
    gate.closed = True
    first = threading.Thread(target=opt.step, args=([np.ones(3)],))
    first.start()
    try:
        assert gate.reached.wait(WAIT)
        before = everything(opt)
        with pytest.raises(RuntimeError, match="in use by another thread"):
            use(opt)
        assert everything(opt) == before
    finally:
        gate.opened.set()
        first.join(WAIT)
    twin.step([np.ones(3)])
    assert everything(opt) == everything(twin)  # the first thread's step is whole


def test_a_step_inside_a_step_is_refused() -> None:
    inner: list[go.Optimizer] = []

    def lr(t: int) -> float:
        for opt in inner:
            opt.step(np.ones(2))
        return 0.1

    opt = go.SGD(lr).init(np.ones(2))
    inner.append(opt)
    before, errors = everything(opt), []

    def outer() -> None:
        with pytest.raises(RuntimeError, match="a call inside its own step") as caught:
            opt.step(np.ones(2))
        errors.append(caught.value)

    thread = threading.Thread(target=outer, daemon=True)  # so that waiting for itself would be a failure, and no hang
    thread.start()
    thread.join(WAIT)
    assert len(errors) == 1
    assert everything(opt) == before


def meet() -> None:
    """Wait inside a call for another call: a helper must come."""
    meeting = threading.Barrier(2, timeout=WAIT)

    def task(index: int, slot: int) -> None:
        meeting.wait()

    pool.run(task, 2, 2)


def child(expected: Any) -> None:
    same = trained(3) == expected
    meet()
    sys.exit(0 if same else 1)


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_another_process_steps_after_threads_ran(method: str, threaded: None) -> None:
    """A forked child has none of the pool's threads: it must not wait for them."""
    expected = trained(3)
    meet()
    context: Any = multiprocessing.get_context(method)
    process = context.Process(target=child, args=(expected,))
    with warnings.catch_warnings():  # from Python 3.12 on, that threads were running
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        process.start()
    process.join(WAIT)
    try:
        assert process.exitcode == 0
    finally:
        process.kill()


@pytest.fixture
def interrupted(tile_group: type[TileExecutor], monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Break a step off at its n-th tile, whichever thread has it; 0 is never."""
    monkeypatch.setenv("GPUOPT_SPIN", "0")  # nothing comes between the calls that helpers share while they are awake
    lock, left = threading.Lock(), [0]

    def counting(update: Callable[..., None]) -> Callable[..., None]:
        def counted(*args: Any) -> None:
            with lock:
                left[0] -= 1
                now = left[0] == 0
            if now:
                raise Stop
            update(*args)

        return counted

    def bound(bind: Callable[..., Any]) -> Callable[..., Any]:
        def bind_counted(*args: Any) -> Any:
            function, one, other = bind(*args)
            return counting(function), one, other

        return bind_counted

    for kind in (NumpyKernel, NumbaKernel):
        monkeypatch.setattr(kind, "bind", bound(kind.bind))
    return lambda n: left.__setitem__(0, n)


@pytest.mark.parametrize("tile", [1, 7, 40])
def test_a_step_broken_off_halfway_is_known(tile: int, threaded: None, interrupted: Callable[[int], None]) -> None:
    opt = go.Adam(0.1).init(arrays(1))
    opt.step(arrays(2))
    saved, params = opt.state_dict(), [p.copy() for p in opt.params]
    expected = everything(opt)
    interrupted(tile)
    with pytest.raises(Stop):
        opt.step(arrays(3))
    interrupted(0)
    assert (opt.t, opt.counts) == (1, [1] * 5)
    for use in (lambda: opt.step(arrays(3)), opt.state_dict, lambda: setattr(opt, "rule", go.Adam()), lambda: copy.copy(opt)):
        with pytest.raises(RuntimeError, match=r"interrupted halfway.*restore the parameters and call load_state_dict"):
            use()
    for p, kept in zip(opt.params, params, strict=True):
        p[...] = kept
    opt.load_state_dict(saved)
    assert everything(opt) == expected
    opt.step(arrays(3))
    twin = go.Adam(0.1).init(arrays(1))
    twin.step(arrays(2))
    twin.step(arrays(3))
    assert everything(opt) == everything(twin)


def stopped_at(action: Callable[[], Any], line: int) -> bool:
    """Do it, but raise at the n-th line run in the library; whether there were so many."""
    count, at = 0, dict[Any, int]()

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal count
        if not frame.f_globals.get("__name__", "").startswith(("gpuopt.", "numpy._core._ufunc_config")):
            return None
        count += event == "line"
        # Between the end of a with block and its exit a tracer may raise, but no signal ever arrives.
        leaving = "uard.exclusive(" in linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        # Python 3.12 and later report a line again inside a comprehension; raising there skips the with block's exit.
        again, at[frame] = at.get(frame) == frame.f_lineno, frame.f_lineno
        if event == "line" and count >= line and not leaving and not again:
            raise Stop
        return trace

    return stopped_by(trace, action)


ACTIONS = {
    "step": lambda opt, saved: opt.step([np.ones(3)]),
    "rule": lambda opt, saved: setattr(opt, "rule", go.Adam(0.5)),
    "load_state_dict": lambda opt, saved: opt.load_state_dict(saved),
}


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_an_interrupt_at_any_line_is_harmless_or_known(action: Callable[[Any, Any], None], threaded: None) -> None:
    """Afterwards nothing has changed, or all, or the optimizer says that it was broken off; it is never stuck.

    Nor does it leave NumPy's error state another one.
    """
    other = go.Adam(0.7).init([np.ones(3)])
    other.step([np.full(3, 2.0)])
    saved, outcomes, reported = other.state_dict(), list[str](), np.geterr()
    whole = go.Adam(0.1).init([np.ones(3)])
    before = everything(whole)
    action(whole, saved)
    after = everything(whole)
    for line in itertools.count(1, spread(3)):
        opt = go.Adam(0.1).init([np.ones(3)])
        if not stopped_at(functools.partial(action, opt, saved), line):
            break
        if opt._guard.inconsistent:
            outcomes.append("known")
            with pytest.raises(RuntimeError, match="interrupted halfway"):
                opt.step([np.ones(3)])
            opt.load_state_dict(saved)
        else:
            outcomes.append("before" if everything(opt) == before else "after")
            assert everything(opt) in (before, after)
        opt.step([np.ones(3)])
        assert np.geterr() == reported  # the caller's own
    assert {"before", "known"} <= set(outcomes)


def test_an_interrupt_of_a_refused_step_is_harmless_or_known(threaded: None) -> None:
    """It launches nothing, and yet changes two numbers of the optimizer."""
    outcomes = set[str]()
    for line in itertools.count():  # at 0 nothing is compiled yet
        opt = go.chain(go.LossScale(), go.SGD(0.1)).init([np.ones(3)])
        opt.step([np.ones(3)])
        stopped = stopped_at(functools.partial(opt.step, [np.full(3, np.inf)]), line or sys.maxsize)
        numbers = [*map(float, opt.numbers.values())]
        outcomes.add("known" if opt._guard.inconsistent else {65536.0: "before", 32768.0: "after"}[numbers[0]])
        assert opt._guard.inconsistent or numbers in ([65536, 1], [32768, 0]), line
        if line and not stopped:
            break
    assert outcomes == {"before", "known", "after"}


@pytest.mark.filterwarnings("error")
def test_a_users_error_state_and_special_values_stop_nothing(threaded: None) -> None:
    special = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-320, 1e308, 1.0])
    with np.errstate(all="raise"):
        for dtype in ("f8", "f4", "f2", "c16"):
            with np.errstate(all="ignore"):
                p, g = (np.resize(np.roll(special, n), 20_000).astype(dtype) for n in (0, 3))
            for rule in (go.Adam(0.1), go.RMSProp(centered=True, momentum=0.5), go.Momentum(nesterov=True)):
                opt = rule.init([p.copy(), p[::2].copy()[::-1]])
                opt.step([g, g[::2]])
                opt.step([g, None])
                opt.load_state_dict(opt.state_dict())
                assert opt.counts == [2, 1]
        opt = go.Adam(0.1).init([np.ones(20_000, "f4")])
        opt.step([np.resize(special, 20_000)])  # 1e308 in a float32
        assert np.geterr()["over"] == "raise"


KINDS = {
    "contiguous": (lambda: np.ones(1_000_000, "f4"), lambda: np.ones(1_000_000, "f4")),
    "strided": (lambda: np.ones((700, 2_000))[:, ::2], lambda: np.ones((700, 1_000))),
    "Fortran": (lambda: np.ones((700, 1_000), order="F"), lambda: np.ones((700, 1_000))),
    "float16": (lambda: np.ones(1_000_000, "f2"), lambda: np.ones(1_000_000, "f2")),
    "complex": (lambda: np.ones(500_000, "c8"), lambda: np.ones(500_000, "c8")),
    "cast": (lambda: np.ones(1_000_000, "f4"), lambda: np.ones(1_000_000)),
    "many": (lambda: [np.ones(2_000, "f4") for _ in range(200)], lambda: [np.ones(2_000, "f4") for _ in range(200)]),
}
SLACK = 40_000  # bytes of Python's own objects (lists of tiles, of arguments, of 200 counts), where the arrays are megabytes


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_nothing_is_allocated_after_the_first_step(
    kind: Any, threads: str, tile_group: type[TileExecutor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPUOPT_NUM_THREADS", threads)
    monkeypatch.setattr(tile_group, "threaded", 1)
    params, grads = kind[0](), kind[1]()
    opt = go.AdamW(amsgrad=True).init(params)
    opt.step(grads)
    tracemalloc.start()
    try:
        for _ in range(3):
            opt.step(grads)
        settled = tracemalloc.get_traced_memory()[0]
        for _ in range(5):
            opt.step(grads)
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < SLACK
    # Python 3.11 keeps each tuple of 20 arguments, up to 2,000 of them. A helper that comes late still holds its last job.
    assert left - settled < (5_000 if threads == "1" else SLACK)


def test_without_another_thread_the_caller_does_the_work(threaded: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no more threads to give, a step is slower, and nothing else."""
    asked = list[Any]()

    def refused(*args: Any) -> None:
        asked.append(args)
        raise RuntimeError("can't start new thread")

    expected = trained(3)
    monkeypatch.setattr(pool, "_helpers", {})
    monkeypatch.setattr(_thread, "start_new_thread", refused)
    assert trained(3) == expected
    assert asked


def test_a_helper_works_in_the_callers_mode_of_floating_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the bits of a step would depend on who took which tile, once a library flushes subnormals to zero."""
    started, start = list[Any](), _thread.start_new_thread

    def noted(serve: Any, args: Any) -> int:
        started.append(args[1])
        return start(serve, args)

    monkeypatch.setattr(pool, "_helpers", {})
    monkeypatch.setattr(_thread, "start_new_thread", noted)
    meet()
    before = pool._mode()
    monkeypatch.setattr(pool, "_mode", lambda: (0.0, 0.0))
    meet()  # with another helper, which was started in that mode
    monkeypatch.setattr(pool, "_mode", lambda: before)
    meet()
    assert started == [before, (0.0, 0.0)]
    jobs: Any = queue.SimpleQueue()
    pool._serve(jobs, (0.0, 0.0), [])  # begun in another mode than it should have: it serves nothing


def test_a_job_that_is_over_holds_no_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a helper that came too late, or not yet, still holds the job."""
    monkeypatch.setattr(pool, "_helpers", {})
    monkeypatch.setattr(_thread, "start_new_thread", lambda *args: 0)  # nobody serves
    array, done = np.ones(3), list[int]()
    alive = weakref.ref(array)

    def task(index: int, slot: int, array: Any = array) -> None:
        done.append(index)

    pool.run(task, 5, 2)
    del task, array
    assert sorted(done) == [0, 1, 2, 3, 4]
    assert alive() is None


@pytest.mark.parametrize("what", [RESULTS, OPERANDS], ids=["results", "operands"])
def test_subnormals_that_the_caller_flushes_are_flushed_by_all(what: int, threaded: None) -> None:
    """As after `torch.set_flush_denormal`, or the import of a library built with -ffast-math."""
    x, g = np.zeros(400_000, "f4"), np.full(400_000, 1e-38, "f4")
    opt = go.SGD(0.25).init(x)
    opt.step(g)  # the helpers begin here
    assert np.count_nonzero(x) == x.size
    flushed = list[int]()
    for flushes in (True, False) * 3:
        x[...] = 0.0
        with flushing(what) if flushes else contextlib.nullcontext():
            opt.step(g)
        flushed.append(int(np.count_nonzero(x == 0)))
    assert flushed == [x.size, 0] * 3
