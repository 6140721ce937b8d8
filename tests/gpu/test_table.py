"""One launch for many arrays, on a GPU: the bits of the CPU, and nothing allocated, copied or launched that need not be."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.codegen.cuda.table import update_chunk
from gpuopt.executors import using
from gpuopt.rules import Adam, GradientDescent, Rule
from tests.support.variants import DTYPES, bits, sample

pytestmark = pytest.mark.gpu
SHAPES = [
    (0,),
    (1,),
    (3,),
    (),
    (257,),
    (2048,),
    (4095,),
    (4097,),
    (5, 7, 31),
    (12_301,),
    *((number,) for number in range(50, 90)),
]


def tree(rng: np.random.Generator, dtype: str) -> list[Any]:
    """Arrays on the host, one of them in Fortran order."""
    made = [np.asarray(sample(rng, shape, dtype)) for shape in SHAPES]
    return [np.asfortranarray(array) if array.ndim == 3 else array for array in made]


def on_device(arrays: list[Any], offset: int = 0) -> list[Any]:
    """Copies on the GPU in the same layout, `offset` elements after where CuPy's memory begins."""
    import cupy

    made = []
    for array in arrays:
        flat = cupy.empty(array.size + offset, array.dtype)[offset:]
        copy = flat.reshape(array.shape) if array.flags.c_contiguous else flat.reshape(array.shape[::-1]).transpose()
        copy[...] = cupy.asarray(array)
        made.append(copy)
    return made


def check(opt: Any, twin: Any) -> None:
    """Both have the same bits."""
    for one, other in zip(opt.params, twin.params, strict=True):
        assert np.array_equal(bits(one), bits(other)), other.shape
    for name, arrays in twin.state.items():
        for one, other in zip(opt.state[name], arrays, strict=True):
            assert np.array_equal(bits(one), bits(other)), (name, other.shape)


@pytest.mark.every("rule", "dtype", executor=("cupy",))
def test_many_arrays_have_the_bits_of_the_cpu(rule: Rule, dtype: str, rng: np.random.Generator) -> None:
    """Gradients that moved, that begin off 16 bytes, and that are missing."""
    params = tree(rng, dtype)
    opt, twin = rule.init(on_device(params)), rule.init([p.copy(order="K") for p in params])
    for step in range(4):
        grads = tree(rng, dtype)
        given = on_device(grads, offset=step % 2)
        if step == 2:
            given[5], grads[5] = None, None
        opt.step(given)
        twin.step(grads)
    check(opt, twin)


@pytest.mark.parametrize("dtype", DTYPES)
def test_parameters_that_begin_anywhere(dtype: str, rng: np.random.Generator) -> None:
    for offset in (1, 2, 3, 5):
        params = tree(rng, dtype)
        opt, twin = Adam().init(on_device(params, offset)), Adam().init([p.copy(order="K") for p in params])
        for number in range(2):
            grads = tree(rng, dtype)
            opt.step(on_device(grads, number * offset))
            twin.step(grads)
        check(opt, twin)


def test_random_numbers_are_those_of_the_cpu(rng: np.random.Generator) -> None:
    rule, params = go.chain(go.gradient_noise(0.1), GradientDescent()), tree(rng, "float32")
    opt, twin = rule.init(on_device(params)), rule.init([p.copy(order="K") for p in params])
    for _ in range(2):
        grads = tree(rng, "float32")
        opt.step(on_device(grads))
        twin.step(grads)
    check(opt, twin)


def test_gradients_that_moved_while_the_device_is_behind(rng: np.random.Generator) -> None:
    """More steps than there are lists of addresses, none of them waited for, with gradients freed at once."""
    import cupy

    p = sample(rng, (1_000_000,), "float32")
    params = [p[:400_000], p[400_000:]]
    opt, twin = Adam().init(on_device(params)), Adam().init([p.copy() for p in params])
    kept = [on_device([sample(rng, a.shape, "float32") for a in params], offset) for offset in range(12)]
    host = [[g.get() for g in grads] for grads in kept]
    cupy.cuda.Device().synchronize()
    for number in range(60):
        missing = number % 7 == 3
        opt.step([None if missing else kept[number % 12][0].copy(), kept[number % 12][1]])
        twin.step([None if missing else host[number % 12][0], host[number % 12][1]])
    check(opt, twin)


def test_a_step_takes_no_memory(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """Neither on the device nor pinned, once each kernel was compiled."""
    import cupy

    taken: list[Any] = []

    class Count(cupy.cuda.MemoryHook):  # type: ignore[misc]
        name = "count"

        def malloc_preprocess(self, **details: Any) -> None:
            taken.append(details)

    pinned = cupy.cuda.alloc_pinned_memory

    def alloc_pinned_memory(size: int) -> Any:
        taken.append(size)
        return pinned(size)

    monkeypatch.setattr(cupy.cuda, "alloc_pinned_memory", alloc_pinned_memory)
    opt = Adam().init(on_device(tree(rng, "float32")))
    several = [on_device(tree(rng, "float32"), offset) for offset in range(12)]
    with Count(), cupy.cuda.using_allocator(cupy.get_default_memory_pool().malloc):
        opt.step([None, *several[0][1:]])
        taken.clear()
        for grads in several:
            opt.step(grads)
            opt.step([*grads[:4], None, *grads[5:]])
        assert taken == []
        cupy.empty(1000)
        assert len(taken) == 1  # the hook works


def test_one_launch(rng: np.random.Generator) -> None:
    base, launched = import_module("gpuopt.executors.cuda.launch").CupyExecutor, []

    def compile_kernel(written: Any) -> Any:
        kernel = base.runtime.compile_kernel(written)

        def launch(*arguments: Any, **options: Any) -> Any:
            launched.append(written.name)
            return kernel(*arguments, **options)

        return launch

    runtime = dataclasses.replace(base.runtime, compile_kernel=compile_kernel)
    with using(type("Counting", (base,), {"runtime": runtime})):
        opt = Adam().init(on_device(tree(rng, "float32")))
    grads = on_device(tree(rng, "float32"))
    for given in (grads, grads, [None, *grads[1:9], None, *grads[10:]], grads):
        launched.clear()
        opt.step(given)
        assert launched == ["gpuopt_adam_float32"]


def test_two_streams_that_follow_one_another(rng: np.random.Generator) -> None:
    import cupy

    params = tree(rng, "float32")
    opt, twin = Adam().init(on_device(params)), Adam().init([p.copy(order="K") for p in params])
    steps = [tree(rng, "float32") for _ in range(20)]
    given = [on_device(grads) for grads in steps]
    cupy.cuda.Device().synchronize()
    streams, done = [cupy.cuda.Stream(non_blocking=True) for _ in range(2)], cupy.cuda.Event()
    done.record()
    for number, grads in enumerate(given):
        with streams[number % 2] as stream:
            stream.wait_event(done)
            opt.step(grads)
            done = cupy.cuda.Event()
            done.record(stream)
    cupy.cuda.Device().synchronize()
    for grads in steps:
        twin.step(grads)
    check(opt, twin)


@pytest.mark.parametrize("offset", [0, 1])
def test_an_array_of_more_than_two_to_the_31_elements(offset: int) -> None:
    import cupy

    size = 2**31 + 5
    if cupy.cuda.Device().mem_info[0] < 12 * 2**30:
        pytest.skip("there are less than 12 GiB of memory free")
    p, small = cupy.zeros(size + offset, "float16")[offset:], cupy.zeros(3, "float16")
    g = cupy.full(size, 1.0, "float16")
    g[-update_chunk(g.dtype) :] = 2.0
    opt = GradientDescent(lr=0.5).init([small, p])
    opt.step([cupy.ones(3, "float16"), g])
    assert small.tolist() == [-0.5] * 3
    g *= cupy.float16(0.5)
    for start in range(0, size, 2**28):
        stop = min(start + 2**28, size)
        assert bool((p[start:stop] == -g[start:stop]).all()), start
    del p, g, opt
    cupy.get_default_memory_pool().free_all_blocks()
