"""The emulated device is itself right: it computes what a GPU computes, and refuses or shows what goes wrong on one."""

from __future__ import annotations

import dataclasses
import importlib
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.support import ROOT

pytestmark = pytest.mark.usefixtures("emulated_gpu")


def raw(text: str, name: str = "k") -> Any:
    """The kernel of a text."""
    import cupy

    return cupy.RawKernel(f'extern "C" __global__ void {name}{text}', name)


def late(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.emulated_gpu import settings

    monkeypatch.setattr(settings, "LATE", True)


def stream() -> Any:
    import cupy

    return cupy.cuda.Stream(non_blocking=True)


def status(error: Any) -> int:
    return int(error.value.status)


@dataclasses.dataclass
class Wrong:
    """A kernel that does something that it must not, and what is said about it."""

    text: str
    said: str
    level: int = 1
    prepare: Any = lambda x: x


def freed(x: Any) -> Any:
    """The address where `x` was."""
    address = x.data.ptr
    del x
    return np.uintp(address)


WRONG = {
    "past the end": Wrong("(float* x) { x[threadIdx.x] = 1; }", "k writes out of bounds 0 bytes past the end of array"),
    "before the beginning": Wrong("(float* x) { x[threadIdx.x - 1] = 1; }", r"k writes out of bounds .*\(block 0, thread 0\)"),
    "freed": Wrong("(float* x) { x[0] += 1; }", r"k reads freed memory at byte 0 of array \d+ \(16 bytes, freed\)", 1, freed),
    "null": Wrong("(float* x) { x[0] = 1; }", "k writes at 0x0, which is no array's", 1, lambda x: np.uintp(0)),
    "misaligned": Wrong("(float* x) { *(float4*)(x + 1) = float4{0, 0, 0, 0}; }", "k misaligned access at byte 4 of array"),
    "unwritten": Wrong("(float* x) { x[0] = x[1]; }", r"k reads what nobody wrote at byte 4 of .*\(block 0, thread 0\)", 2),
    "unforeseen": Wrong("(float* x) { __builtin_assume(threadIdx.x < 4); }", r"k assumes what does not hold: .*thread 4\)", 0),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_access_is_named(wrong: Wrong) -> None:
    import cupy

    from tests.support.emulated_gpu import device, kernels

    with device.checked(wrong.level):
        x = cupy.empty(4, np.float32)
        given = wrong.prepare(x)
        del x
        with pytest.raises(kernels.Fault, match=wrong.said):
            raw(wrong.text)((1,), (5,), (given,))


def test_what_is_right_passes_every_check() -> None:
    import cupy

    from tests.support.emulated_gpu import device

    with device.checked(2, seed=3):
        x = cupy.arange(1000) + 0.5
        assert float((x * x).sum()) == sum((n + 0.5) ** 2 for n in range(1000))
        assert cupy.cumsum(x)[-1] == 500_000
        assert x[x > 900].size == 100


TICKET = """(int* ticket, int* last) {
    int before = %s;
    if (before == gridDim.x - 1) *last = 1;
}"""


@pytest.mark.parametrize(("take", "right"), [("atomicAdd(ticket, 1)", True), ("*ticket; *ticket = before + 1", False)])
def test_a_ticket_that_is_not_atomic_is_seen_in_random_orders(take: str, right: bool) -> None:
    import cupy

    from tests.support.emulated_gpu import device

    found = []
    for seed in range(1, 9):
        with device.checked(1, seed):
            ticket, last = cupy.zeros(1, np.int32), cupy.zeros(1, np.int32)
            raw(TICKET % take, f"ticket_{seed}")((12,), (1,), (ticket, last))
            found.append(bool(last[0]))
    assert all(found) == right


def test_threads_of_a_block_wait_for_one_another() -> None:
    import cupy

    x = cupy.arange(256, dtype=np.int32)
    text = """(int* x) { __shared__ int s[256]; s[threadIdx.x] = x[threadIdx.x]; __syncthreads();
        x[threadIdx.x] = s[255 - threadIdx.x] + __shfl_xor_sync(~0u, (int)threadIdx.x, 1); }"""
    raw(text)((1,), (256,), (x,))
    assert x.tolist() == [255 - n + (n ^ 1) for n in range(256)]


def test_subnormals_of_float32_are_flushed() -> None:
    import cupy

    small, tiny = cupy.full(1, 1e-30, np.float32), cupy.full(1, 1e-300)
    assert (float((small * np.float32(1e-9))[0]), float((tiny * 1e-15)[0])) == (0, 1e-300 * 1e-15)
    raw("(double* x) { *x *= 1e-15; }  // no float, no bfloat16", "wide")((1,), (1,), (tiny,))
    assert float(tiny[0]) == 1e-300 * 1e-15


def test_a_text_that_does_not_compile_is_refused_as_cupy_does() -> None:
    import cupy

    with pytest.raises(cupy.cuda.compiler.CompileException, match="misspelt"):
        raw("(float* x) { misspelt(x); }").compile()
    with pytest.raises(cupy.cuda.driver.CUDADriverError, match="INVALID_VALUE"):
        raw("(float* x) {}")((1,), (1025,), (cupy.zeros(1, np.float32),))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64"])
def test_products_of_matrices(dtype: str, rng: np.random.Generator) -> None:
    import cupy

    x, y = (rng.integers(-4, 5, shape).astype(dtype) for shape in ((4, 3), (3, 5)))
    many = rng.integers(-4, 5, (2, 5, 4)).astype(dtype)
    a, b, c = map(cupy.asarray, (x, y, many))
    for got, wanted in (
        (a @ b, x @ y),
        (b.T @ a.T, y.T @ x.T),
        (a @ b[:, 0], x @ y[:, 0]),
        (b[:, 1] @ b[:, 1], y[:, 1] @ y[:, 1]),
    ):
        assert got.tolist() == wanted.tolist()
    if dtype != "float16":
        assert (c @ a).tolist() == (many @ x).tolist()
    assert cupy.tensordot(a, b, 1).tolist() == (x @ y).tolist()
    with pytest.raises(NotImplementedError, match="no cuBLAS function sgemv"):
        importlib.import_module("cupy.cublas").gemv(
            "N", 1.0, cupy.ones((2, 2), np.float32), cupy.ones(2, np.float32), 0.0, cupy.ones(2, np.float32)
        )


# ---- Memory


def test_memory_is_poisoned_and_runs_out() -> None:
    import cupy

    from tests.support.emulated_gpu import memory

    with cupy.cuda.using_allocator(None):
        assert cupy.empty(3, np.uint8).tolist() == [0xAB] * 3
    with cupy.cuda.using_allocator(cupy.cuda.MemoryPool().malloc), memory.limited_to(1024):
        x = cupy.empty(1024, np.uint8)
        with pytest.raises(cupy.cuda.memory.OutOfMemoryError):
            cupy.empty(1, np.uint8)
        del x
        cupy.empty(1024, np.uint8)


def test_a_pinned_buffer_that_is_rewritten_before_its_copy_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    import cupy

    late(monkeypatch)
    x, pinned, event = cupy.zeros(3, np.float32), cupy.cuda.alloc_pinned_memory(12), cupy.cuda.Event()
    host = np.frombuffer(pinned, np.float32, 3)
    cupy.cuda.Device().synchronize()
    for waits, wanted in ((False, 2), (True, 1)):
        host[...] = 1
        with stream() as s:
            x.data.copy_from_host_async(host.ctypes.data, 12)
            event.record()
        if waits:
            event.synchronize()
        host[...] = 2
        s.synchronize()
        assert x.tolist() == [wanted] * 3
    pageable = np.ones(3, np.float32)
    with stream() as s:
        x.data.copy_from_host_async(pageable.ctypes.data, 12)
    pageable[...] = 2
    s.synchronize()
    assert x.tolist() == [1] * 3


def test_devices_have_memory_and_streams_of_their_own() -> None:
    import cupy

    assert cupy.cuda.runtime.getDeviceCount() == 2
    with cupy.cuda.Device(1):
        x = cupy.ones(3)
        assert x.device.id == 1
    assert cupy.ones(3).device.id == 0
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="InvalidDevice"):
        cupy.cuda.Device(2).use()


# ---- Streams, events and captures


def test_a_stream_that_is_not_waited_for_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    import cupy

    late(monkeypatch)
    x = cupy.zeros(1)
    cupy.cuda.Device().synchronize()
    first, second, done = stream(), stream(), cupy.cuda.Event()
    with first:
        x += 1
        done.record()
    assert not done.done
    with second:
        x *= 10
    second.synchronize()
    assert not done.done
    first.synchronize()
    assert done.done
    assert x.tolist() == [1]  # the second did not wait for the first
    with first:
        x += 1
        done.record()
    with second:
        second.wait_event(done)
        x *= 10
    second.synchronize()
    assert x.tolist() == [20]


def test_a_capture_keeps_what_is_launched() -> None:
    import cupy

    x, y = cupy.zeros(1), cupy.ones(1)
    with stream() as s:
        s.begin_capture()
        cupy.add(x, y, out=x)
        with stream() as other:
            other.wait_event(s.record())
            cupy.add(y, 1, out=y)
            s.wait_event(other.record())
        graph = s.end_capture()
        assert not other.is_capturing()
        assert (x.tolist(), y.tolist()) == ([0], [1])
        for _ in range(3):
            graph.launch()
    s.synchronize()
    assert (x.tolist(), y.tolist()) == ([6], [4])


@pytest.mark.parametrize(
    ("what", "code"), [("sync", 900), ("device", 900), ("event", 907), ("isolation", 905), ("implicit", 906), ("fork", 904)]
)
def test_what_must_not_be_done_in_a_capture(what: str, code: int) -> None:
    import cupy

    x, before = cupy.zeros(1), cupy.cuda.Event()
    other = stream()
    before.record()
    s = cupy.cuda.Stream(non_blocking=what != "implicit")
    with s:
        s.begin_capture()
        inside = s.record()

        def fork() -> None:
            other.wait_event(inside)
            with other:
                cupy.add(x, 1, out=x)
            s.end_capture()

        def implicit() -> None:
            with cupy.cuda.Stream.null:
                cupy.add(x, 1, out=x)

        actions: dict[str, Any] = {
            "sync": s.synchronize,
            "device": cupy.cuda.Device().synchronize,
            "event": inside.synchronize,
            "isolation": lambda: s.wait_event(before),
            "implicit": implicit,
            "fork": fork,
        }
        with pytest.raises(cupy.cuda.runtime.CUDARuntimeError) as error:
            actions[what]()
        assert status(error) == code
        if what not in {"event", "fork"}:  # it ends broken
            with pytest.raises(cupy.cuda.runtime.CUDARuntimeError) as error:
                s.end_capture()
            assert status(error) == 901
        elif what == "event":
            s.end_capture()
    assert not s.is_capturing()


# ---- A device that does nothing


def test_an_idle_device_notes_launches_and_runs_none() -> None:
    """What CuPy loaded meanwhile runs afterwards."""
    import cupy

    from tests.support.emulated_gpu import device, kernels, streams

    x, kernel = cupy.zeros(3, np.float32), raw("(float* x) { x[threadIdx.x] += 2; }", "idle")
    with device.idle():
        compiled = kernels._library.cache_info().misses
        for _ in range(3):
            kernel((1,), (3,), (x,))
        assert kernels._library.cache_info().misses == compiled
    assert [what for what, *of in streams.log if of[:1] == ["idle"]] == ["launch"] * 3
    assert x.tolist() == [0, 0, 0]
    kernel((1,), (3,), (x,))
    assert x.tolist() == [2, 2, 2]


def test_a_device_that_answers_at_once_does_nothing() -> None:
    import cupy

    from tests.support.emulated_gpu import device, streams

    x, y, kernel = cupy.zeros(3, np.float32), cupy.ones(3, np.float32), raw("(float* x) { x[threadIdx.x] += 2; }")
    kernel((1,), (3,), (x,))
    asked = len(streams.log)
    with device.answering_at_once():
        kernel((1,), (3,), (x,))
        y.data.copy_from_device_async(x.data, x.nbytes)
        cupy.cuda.Event().record()
    assert len(streams.log) == asked
    assert x.tolist() == [2, 2, 2]
    assert y.tolist() == [1, 1, 1]


# ---- What is run on it


def test_a_module_runs_on_it_and_says_so() -> None:
    command = [sys.executable, "-m", "tests.support.emulated_gpu", "-m", "gpuopt", "bench", "--backend", "cupy"]
    command += ["--rules", "gradientdescent", "--sizes", "10", "--many", "2", "5", "--rounds", "1", "--rivals"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    header, _, columns, *rows = done.stdout.splitlines()
    assert "; an emulated GPU, whose times mean nothing; float32; " in header
    assert columns.split()[:3] == ["rule", "arrays", "executor"]
    assert [row.split("  ")[0] for row in rows[:2]] == ["GradientDescent"] * 2


# ---- What it replaces


def test_without_it_there_is_no_device() -> None:
    import cupy

    from tests.support.emulated_gpu import device

    device.unplug()
    try:
        with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="cudaErrorInsufficientDriver"):
            cupy.ones(1)
    finally:
        device.plug_in()


def test_a_function_that_cupy_changed_is_named() -> None:
    from tests.support.emulated_gpu import device
    from tests.support.emulated_gpu.replace import Replaced

    with pytest.raises(ImportError, match=r"replaces cupy.fake.malloc, which this CuPy does not have"):
        Replaced(SimpleNamespace(__name__="cupy.fake", __pyx_capi__={}), {"malloc": int}, set())
    with pytest.raises(ImportError, match=r"runtime.malloc, which this CuPy declares as 'intptr_t \(size_t"):
        Replaced(device.runtime, {"malloc": lambda size, stream: 0}, set())
