"""What nothing but a GPU can show, beyond what the other files run on every executor: `tools/gpu_check.sh` runs it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays.dtypes import named

pytestmark = pytest.mark.gpu

SIZES = (0, 1, 7, 1_000, 4_096, 100_003)
CASES: list[tuple[str, dict[str, Any]]] = [
    ("float16", {"master": True}),
    ("bfloat16", {"master": True}),
    ("bfloat16", {"stochastic_rounding": True, "seed": 7, "state_dtype": "bfloat16"}),
]
DECIDES = go.chain(go.skip_nonfinite(), go.clip_global_norm(1.0), go.Adam(0.01), go.average(0.9))
SPIN = """
extern "C" __global__ void spin(long long ticks) {
    long long start = clock64();
    while (clock64() - start < ticks) {}
}
"""


def shifted(xp: Any, values: Any) -> Any:
    """A copy of `values` that begins one element after where the memory was taken: not at a multiple of 16 bytes."""
    array = xp.zeros(values.size + 1, values.dtype)[1:]
    array[...] = xp.asarray(values)
    return array


@pytest.mark.parametrize("aligned", [True, False], ids=["aligned", "shifted"])
@pytest.mark.parametrize(("dtype", "options"), CASES, ids=["float16", "bfloat16", "stochastic"])
@pytest.mark.parametrize(
    "rule", [go.GradientDescent(0.1), go.Momentum(0.1), go.Adam(0.1)], ids=lambda rule: type(rule).__name__
)
def test_copies_and_rounding_have_the_bits_of_the_cpu(
    rule: go.Rule, dtype: str, options: dict[str, Any], aligned: bool, rng: np.random.Generator
) -> None:
    import cupy

    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    kind = named(dtype)
    host = [rng.normal(size=size).astype(kind) for size in SIZES]
    device = [cupy.asarray(a) if aligned else shifted(cupy, a) for a in host]
    on_cpu, on_gpu = rule.init(host, **options), rule.init(device, **options)
    for _ in range(3):
        grads = [rng.normal(size=size).astype(kind) for size in SIZES]
        on_cpu.step(grads)
        on_gpu.step([cupy.asarray(g) if aligned else shifted(cupy, g) for g in grads])
    for a, b in zip(host, device, strict=True):
        assert a.tobytes() == b.get().tobytes()
    for name, tree in on_cpu.state.items():
        for a, b in zip(tree, on_gpu.state[name], strict=True):
            assert a.tobytes() == b.get().tobytes(), name


def test_threads_that_run_at_once_give_the_same_bits_every_time(gpu_is_emulated: bool, rng: np.random.Generator) -> None:
    import cupy

    large, times = (200_017, 4) if gpu_is_emulated else (3_000_017, 30)
    sizes = [large, 5, *[1_000] * 300]
    params, grads = ([cupy.asarray(rng.standard_normal(n, np.float32)) for n in sizes] for _ in range(2))
    found = set()
    for _ in range(times):
        here = [p.copy() for p in params]
        opt = DECIDES.init(here)
        for _ in range(3):
            opt.step(grads)
        found.add(b"".join(p.get().tobytes() for p in here))
    assert len(found) == 1


def test_a_norm_over_many_blocks_has_the_bits_of_the_cpu_at_every_step(rng: np.random.Generator) -> None:
    """The blocks count, by tickets, which of them is the last; each step finds the tickets as the first one did."""
    import cupy

    sizes, rule = (5, 100_003, 1_200_000), go.chain(go.clip_global_norm(1.0), go.clip_norm(0.5), go.GradientDescent(0.1))
    host = [rng.standard_normal(n, np.float32) for n in sizes]
    device = [cupy.asarray(a) for a in host]
    on_cpu, on_gpu = rule.init(host), rule.init(device)
    for _ in range(3):
        grads = [rng.standard_normal(n, np.float32) for n in sizes]
        on_cpu.step(grads)
        on_gpu.step([cupy.asarray(g) for g in grads])
        for a, b in zip(host, device, strict=True):
            assert a.tobytes() == b.get().tobytes()


def test_nothing_makes_the_host_wait(gpu_is_emulated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Norms, skipped steps and scaled losses among it: a step returns while what was launched before it still runs."""
    import cupy

    if gpu_is_emulated:
        monkeypatch.setattr("tests.support.emulated_gpu.settings.LATE", True)

    chains: list[Any] = [go.Adam(), DECIDES]
    if hasattr(go, "LossScale"):
        chains.append(go.chain(go.LossScale(), go.Adam()))
    spin = cupy.RawKernel(SPIN, "spin")
    for chain in chains:
        for capturable in (False, True):
            params, grads = ([cupy.ones(1_000, np.float32) for _ in range(20)] for _ in range(2))
            opt = chain.init(params, capturable=capturable)
            for _ in range(3):
                opt.step(grads)
            end = cupy.cuda.Event()
            cupy.cuda.Device().synchronize()
            spin((1,), (1,), (np.int64(300_000_000),))  # a tenth of a second or more
            opt.step(grads)
            end.record()
            waited = end.done
            cupy.cuda.Device().synchronize()
            assert not waited, (chain, capturable)


@pytest.mark.parametrize("capturable", [False, True], ids=["", "capturable"])
@pytest.mark.parametrize("rule", [go.Adam(), DECIDES], ids=["Adam", "chain"])
def test_a_step_takes_no_memory(rule: Any, capturable: bool) -> None:
    import cupy

    taken = []

    class Count(cupy.cuda.MemoryHook):  # type: ignore[misc]  # untyped
        name = "count"

        def malloc_postprocess(self, **details: Any) -> None:
            taken.append(details["size"])

    params, grads = ([cupy.ones(10_000, np.float32) for _ in range(20)] for _ in range(2))
    opt = rule.init(params, capturable=capturable)
    opt.step(grads)
    with Count():
        for _ in range(3):
            opt.step(grads)
    assert taken == []


@pytest.mark.skipif(not hasattr(go, "graph"), reason="gpuopt.graph is newer than this commit")
@pytest.mark.parametrize("rule", [go.Adam(go.schedules.Cosine(0.1, 100)), DECIDES], ids=["Adam", "chain"])
def test_a_replay_has_the_bits_of_a_step(rule: Any, rng: np.random.Generator) -> None:
    import cupy

    def loss_and_grad(params: Any) -> Any:
        return sum(0.5 * (p * p).sum() for p in params), [p * 1 for p in params]

    start = [rng.standard_normal(n, np.float32) for n in (7, 1_000, 100_003)]
    eager, captured = ([cupy.asarray(a) for a in start] for _ in range(2))
    opt, replayed = rule.init(eager, capturable=True), rule.init(captured, capturable=True)
    replay = go.graph(loss_and_grad, replayed)
    for _ in range(10):
        opt.step(loss_and_grad(eager)[1])
        replay()
    cupy.cuda.Device().synchronize()
    assert replayed.t == opt.t == 10
    for a, b in zip(eager, captured, strict=True):
        assert a.get().tobytes() == b.get().tobytes()
