"""The first half minute on a GPU: each thing once, the simplest first; a line for each, and nothing stops it.

    python -m tools.gpu_check.smoke [--small] [--output FILE.jsonl] [--new]

Bits are compared with those of NumPy's executor. NCCL is checked where CuPy finds it. `--small` is for a memory checker and an
emulated device: every array is an allocation of its own, and none is large. `--new` leaves out whatever the file speaks of. So
another process tries the rest if a fault has made the device refuse everything in this one.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import cupy
import numpy as np

import gpuopt as go
from gpuopt.arrays.dtypes import named
from tools.gpu_check.device import go_on_if_dead
from tools.gpu_check.rows import BEGUN, Rows, latest

SIZES = (0, 1, 7, 1_000, 4_097, 100_003)
SUMS = (7, 1_000, 16_384, 16_385, 3_000_017)
SKIP = (go.skip_nonfinite(), go.clip_global_norm(1.0), go.Adam(0.1), go.average(0.9))
Check = Callable[[], object]


def made(rng: np.random.Generator, size: int, dtype: str) -> Any:
    """Normal numbers."""
    x = rng.normal(size=size)
    return (x + 1j * rng.normal(size=size) if dtype.startswith("complex") else x).astype(named(dtype))


def sent(array: Any, offset: int = 0) -> Any:
    """The array on the device, so many elements behind the begin of an allocation."""
    found = cupy.empty(array.size + offset, array.dtype)[offset:]
    found[...] = cupy.asarray(array)
    return found


def twin(
    rule: Any,
    dtypes: tuple[str, ...] = ("float32",),
    sizes: tuple[int, ...] = SIZES,
    offset: int = 0,
    missing: int | None = None,
    on_device: Callable[..., Any] | None = None,
    **options: Any,
) -> object:
    """Whether three steps have the same bits on both; with the gradient `missing` absent in the second.

    `on_device` binds the rule there, if it is not ``rule.init`` that does.
    """
    rng, kinds = np.random.default_rng(1), [dtypes[k % len(dtypes)] for k in range(len(sizes))]
    host = [made(rng, *one) for one in zip(sizes, kinds, strict=True)]
    device = [sent(a, offset) for a in host]
    here, there = rule.init(host, **options), (on_device or go.Rule.init)(rule, device, **options)
    for step in range(3):
        gradients = [
            None if step == 1 and k == missing else made(rng, *one) for k, one in enumerate(zip(sizes, kinds, strict=True))
        ]
        here.step(gradients)
        there.step([None if g is None else sent(g, offset) for g in gradients])
    wrong = [size for size, x, y in zip(sizes, host, device, strict=True) if x.tobytes() != y.get().tobytes()]
    return not wrong or f"differs for sizes {wrong}"


def strided() -> bool:
    """Columns of a matrix, each other one."""
    whole = np.arange(2_000, dtype="float32").reshape(40, 50)
    copy = cupy.asarray(whole)
    for xp, array in ((np, whole), (cupy, copy)):
        go.Adam().init(array[:, ::2]).step(xp.ones((40, 25), "float32"))
    return bool(whole.tobytes() == copy.get().tobytes())


def rows(dtype: str) -> bool:
    """Steps of some rows, each with a count of its own."""
    rng, host = np.random.default_rng(1), made(np.random.default_rng(2), 90, dtype).reshape(30, 3)
    device = cupy.asarray(host)
    here, there = go.Adam(0.1).init(host, rows="*"), go.Adam(0.1).init(device, rows="*")
    for count in (3, 30, 7, 1):
        index, grads = rng.permutation(30)[:count], made(rng, 3 * count, dtype).reshape(count, 3)
        here.step(go.rows(index, grads))
        there.step(go.rows(index, cupy.asarray(grads)))
    return bool(host.tobytes() == device.get().tobytes())


def on_another_stream() -> object:
    """Steps on a stream that is not the default one."""
    cupy.cuda.Device().synchronize()
    with cupy.cuda.Stream(non_blocking=True):
        return twin(go.chain(*SKIP), sizes=(7, 1_000))


def dropped() -> bool:
    """What an optimizer sent arrives although it is dropped at once."""
    params = [cupy.zeros(100, "float32") for _ in range(40)]
    for p in params:
        go.GradientDescent(1.0).init([p]).step([cupy.ones(100, "float32")])
        cupy.asarray(np.zeros(8))
    return all(bool((p == -1).all()) for p in params)


def captured(keep: bool) -> bool:
    """Whether replays of a captured step have the bits of eager steps, for a model that keeps its gradient or does not."""
    found = []
    for graph in (False, True):
        p, x = {"w": cupy.zeros(1_000, "float32")}, cupy.full((64, 1_000), 0.5, "float32")
        kept: list[Any] = []
        opt = go.chain(*SKIP).init(p, capturable=True)

        def loss_and_grad(p: Any, x: Any, kept: list[Any] = kept) -> Any:
            r = p["w"] * x - 1
            g = {"w": (2 * r * x).mean(axis=0)}
            kept[:] = [g] if keep else []
            return (r * r).mean(), g

        if graph:
            step = go.graph(loss_and_grad, opt, x)
        for _ in range(5):
            step() if graph else opt.step(loss_and_grad(p, x)[1])
        found.append((p["w"].get().tobytes(), opt.t))
    return found[0] == found[1]


def over_nccl(shard: bool, order: Literal["fast", "fixed"]) -> object:
    """NCCL's functions, though in a communicator of one process: more need as many GPUs."""
    from cupy.cuda import nccl

    one = nccl.NcclCommunicator(1, nccl.get_unique_id(), 0)
    init = functools.partial(go.distributed.init, comm=one, shard=shard, order=order)
    dtypes = ("float32", "bfloat16", "float64", "complex64")
    with cupy.cuda.Stream(non_blocking=True) as stream:
        found = twin(go.Adam(0.1), dtypes, SIZES[1:], missing=3, on_device=init)
        stream.synchronize()
    return found


def has_nccl() -> bool:
    with warnings.catch_warnings(action="ignore"):  # CuPy's, of a library that is not there
        from cupy.cuda import nccl
    return bool(nccl.available)


def far() -> bool:
    """More than 2**31 elements."""
    p, g = cupy.zeros(2**31 + 5, "float16"), cupy.ones(2**31 + 5, "float16")
    go.GradientDescent(0.5).init(p).step(g)
    return all(bool((part == -0.5).all()) for part in (p[:5_000], p[2**31 - 5_000 : 2**31], p[-5_000:]))


def checks(small: bool) -> dict[str, Check]:
    """What is checked, by name."""
    adam, clip = go.Adam(0.1), go.chain(go.clip_global_norm(1.0), go.Adam(0.1))
    scaled = go.chain(go.LossScale(), go.Adam(0.1))
    sums = SUMS[:4] if small else SUMS
    dtypes = ("float32", "float16", "bfloat16", "float64", "complex64", "complex128")
    found: dict[str, Check] = {f"Adam {dtype}": functools.partial(twin, adam, (dtype,)) for dtype in dtypes}
    found |= {
        "arrays 4 bytes off": lambda: twin(adam, offset=1),
        "a gradient is missing": lambda: twin(adam, missing=3),
        "two dtypes": lambda: twin(adam, ("float32", "float64")),
        "bfloat16, float32 copies": lambda: twin(adam, ("bfloat16",), master=True),
        "bfloat16, rounded at random": lambda: twin(adam, ("bfloat16",), stochastic_rounding=True, seed=7),
        "float32, state in bfloat16": lambda: twin(adam, state_dtype="bfloat16", seed=7),
        "a norm of all arrays": lambda: twin(clip, sizes=sums),
        "skip, clip, average": lambda: twin(go.chain(*SKIP), sizes=sums),
        "a loss that is scaled": lambda: twin(scaled, ("float16",)),
        "counted on the device": lambda: twin(clip, sizes=sums, capturable=True),
        "strided": strided,
        "rows": lambda: rows("float32"),
        "rows, bfloat16": lambda: rows("bfloat16"),
        "rows, complex64": lambda: rows("complex64"),
        "another stream": on_another_stream,
        "an optimizer that is dropped": dropped,
        "a graph": lambda: captured(False),
        "a graph, gradients are kept": lambda: captured(True),
    }
    if has_nccl():
        found["NCCL"] = lambda: over_nccl(False, "fast")
        found["NCCL, in the order of ranks"] = lambda: over_nccl(False, "fixed")
        found["NCCL, a share of the state"] = lambda: over_nccl(True, "fast")
    return found if small else {**found, "2**31 + 5 elements": far}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--new", action="store_true")
    options = parser.parse_args(arguments)
    os.environ["GPUOPT_CPU"] = "numpy"
    if options.small:
        cupy.cuda.set_allocator(None)
    rows, every = Rows(options.output), checks(options.small)
    earlier = {name: row["how"] for (name,), row in latest(rows.all, "name").items()}
    if "NCCL" not in every:
        print("CuPy finds no NCCL, so it is not checked: pip install nvidia-nccl-cu13, or -cu12", flush=True)
    left = [name for name in every if (name not in earlier if options.new else earlier.get(name) != "ok")]
    for name in sorted(left, key=lambda name: earlier.get(name) == BEGUN):  # one that hangs takes no other with it
        rows.add(name=name, how=BEGUN, note="")
        start, note = time.perf_counter(), ""
        try:
            found = every[name]()
            how = "ok" if found is True else "wrong bits"
            note = found if isinstance(found, str) else ""
        except Exception as error:
            how, note = "failed", f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            traceback.print_exc(limit=-4)
        took = time.perf_counter() - start
        rows.add(name=name, how=how, note=note, seconds=round(took, 2))
        print(f"{how:10} {name}: {note} [{took:.2f} s]", flush=True)
        if how == "failed" and options.output is not None:
            go_on_if_dead("tools.gpu_check.smoke", *["--small"] * options.small, "--output", str(options.output), "--new")
    return int(any(row["how"] != "ok" for row in latest(rows.all, "name").values()))


if __name__ == "__main__":
    sys.exit(main())
