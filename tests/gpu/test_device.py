"""What a GPU brings besides kernels: processes, memory that runs out, streams, devices that are not the current one."""

from __future__ import annotations

import multiprocessing
import os
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from tests.support.variants import bits

pytestmark = pytest.mark.gpu
CHAIN = go.chain(go.clip_global_norm(1.0), go.skip_nonfinite(), go.Adam(0.1), go.average(0.9))


def answer(connection: Any, call: Any) -> None:
    """What a call raises, sent to the parent."""
    try:
        call()
        connection.send("nothing raised")
    except Exception as error:
        connection.send(f"{type(error).__name__}: {error}")
    finally:
        connection.close()
        os._exit(0)  # not back into pytest


def in_a_fork(call: Any) -> str:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=answer, args=(theirs, call))
    child.start()
    said = ours.recv() if ours.poll(60) else "no answer"
    child.join(10)
    return str(said)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_process_is_told_to_be_spawned() -> None:
    """Before anything is asked of CUDA, whose own error says nothing."""
    import cupy

    p, g = cupy.ones(3, np.float32), cupy.ones(3, np.float32)
    opt = CHAIN.init(p)
    opt.step(g)
    saved = opt.state_dict()
    calls = [opt.state_dict, opt.evaluation, lambda: opt.load_state_dict(saved), lambda: opt.t, lambda: opt.counts]
    calls += [lambda: opt.step(g), lambda: repr(opt), lambda: setattr(opt, "rule", CHAIN), lambda: go.Adam().init(p)]
    for call in calls:
        said = in_a_fork(call)
        assert said.startswith("RuntimeError: ")
        assert "process was forked after" in said
        assert "multiprocessing.get_context('spawn')" in said
    opt.step(g)  # the parent goes on
    assert opt.t == 2


@pytest.mark.parametrize("rule", [go.Adam(), CHAIN], ids=["rule", "chain"])
def test_memory_that_runs_out_in_init_leaves_everything_as_it_was(rule: Any) -> None:
    """Each allocation of `init` fails once; then there is room, and `init` works."""
    import cupy

    params = {"w": cupy.arange(6, dtype=np.float32).reshape(2, 3), "b": cupy.ones(2, np.float16)}
    before = {name: bits(p) for name, p in params.items()}
    allocations = _count(lambda: rule.init(params))
    assert allocations > 5
    for failing in range(allocations):
        with pytest.raises(MemoryError, match="out of memory"):
            _count(lambda: rule.init(params), failing)
        assert all(np.array_equal(bits(p), before[name]) for name, p in params.items())
    opt = rule.init(params)
    opt.step({name: cupy.ones_like(p) for name, p in params.items()})
    assert opt.t == 1


@pytest.mark.parametrize("rule", [go.Adam(), CHAIN], ids=["rule", "chain"])
def test_a_step_allocates_nothing(rule: Any) -> None:
    """Also where gradients move, are missing, and come back; all is made in `init`."""
    import cupy

    params = [cupy.ones(n, np.float32) for n in (3, 70, 5000)]
    opt = rule.init(params)
    opt.step([cupy.ones_like(p) for p in params])
    kept = [[cupy.ones_like(p) for p in params] for _ in range(3)]

    def steps() -> None:
        for grads in kept:
            opt.step(grads)
            opt.step([grads[0], None, grads[2]])

    assert _count(steps) == 0


def _count(call: Any, failing: int = -1) -> int:
    """How often CuPy is asked for memory meanwhile, of the device or pinned; the one with that number fails."""
    import cupy

    made, pinned = 0, cupy.get_default_pinned_memory_pool().malloc

    def counted(malloc: Any) -> Any:
        def allocate(size: int) -> Any:
            nonlocal made
            made += 1
            if made == failing + 1:
                raise MemoryError("out of memory")
            return malloc(size)

        return allocate

    cupy.cuda.set_pinned_memory_allocator(counted(pinned))
    try:
        with cupy.cuda.using_allocator(counted(cupy.cuda.get_allocator())):
            call()
    finally:
        cupy.cuda.set_pinned_memory_allocator(pinned)
    return made


def test_a_step_runs_on_the_current_stream(gpu_is_emulated: bool) -> None:
    import cupy

    size = 10_000 if gpu_is_emulated else 1_000_000
    p, g = cupy.ones(size, dtype="float32"), cupy.zeros(size, dtype="float32")
    opt = go.GradientDescent(1.0).init(p)
    cupy.cuda.Device().synchronize()
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        for value in range(1, 101):
            g.fill(value)  # ordered before the step on the same stream, and on no other
            opt.step(g)
    stream.synchronize()
    assert bool((p == 1 - 5050).all())


def test_arrays_of_another_device_than_the_current_one() -> None:
    import cupy

    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one GPU")
    with cupy.cuda.Device(1):
        p, g = cupy.ones(1000, dtype="float32"), cupy.ones(1000, dtype="float32")
    with cupy.cuda.Device(0):
        opt = CHAIN.init(p)
        opt.step(g)
        saved, evaluation = opt.state_dict(), opt.evaluation()
        assert {a.device.id for a in (p, evaluation, saved["state"]["m"], opt.state["m"])} == {1}
        with pytest.raises(ValueError, match="device"):
            opt.step(cupy.ones(1000, dtype="float32"))
        opt.load_state_dict(saved)
    host = np.ones(1000, np.float32)
    on_cpu = CHAIN.init(host)
    on_cpu.step(np.ones(1000, np.float32))
    np.testing.assert_allclose(p.get(), host, rtol=1e-6)


def test_a_device_that_is_far_behind_has_the_numbers_of_each_step() -> None:
    """More steps than buffers that take turns, each with a row of numbers for each array, as their counts differ."""
    import cupy

    rule, found = go.Adam(lambda step: 0.1 / (1 + step)), []
    for xp in (np, cupy):
        params, g = [xp.ones(4_096, "f4"), xp.ones(4_096, "f4")], xp.linspace(-1, 1, 4_096, dtype="f4")
        opt = rule.init(params)
        opt.step([g, None])
        for _ in range(60):
            opt.step([g, g])
        assert opt.counts == [61, 60]
        found.append([bits(p.get() if xp is cupy else p) for p in params])
    assert all(map(np.array_equal, *found))
