"""What the executor of NumPy alone decides: threads by the work of a step, and tiles by threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.codegen.passes import nanoseconds
from gpuopt.executors.cpu import pool
from gpuopt.tracing.trace import trace


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tiles each job of the pool has."""
    found, run = list[int](), pool.run

    def noted(task: Any, count: int, threads: int) -> None:
        found.append(count)
        run(task, count, threads)

    monkeypatch.setattr(pool, "run", noted)
    return found


def step(rule: Any, arrays: list[Any]) -> None:
    rule.init([x.copy() for x in arrays]).step(arrays)


@pytest.mark.parametrize(
    ("rule", "dtype", "size", "threaded"),
    [
        (go.Adam(), "float32", 200_000, True),
        (go.Adam(), "float32", 100_000, False),
        (go.Adam(), "float64", 150_000, True),
        (go.Adam(), "float16", 100_000, True),
        (go.Adam(), "complex64", 150_000, True),
        (go.Momentum(), "float32", 300_000, False),
        (go.GradientDescent(), "float32", 1_000_000, False),
        (go.GradientDescent(), "float32", 3_000_000, True),
        (go.chain(go.gradient_noise(0.1), go.SGD()), "float32", 100_000, True),
    ],
)  # fmt: skip
def test_threads_are_chosen_by_work(
    rule: Any, dtype: str, size: int, threaded: bool, jobs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPUOPT_NUM_THREADS", "2")
    step(rule, [np.ones(size, dtype)])
    assert bool(jobs) == threaded


@pytest.mark.parametrize(
    ("sizes", "threads", "tiles"),
    [
        ([400_000], 1, []),  # a thread alone has no job
        ([400_000], 2, [2]),
        ([500_000], 2, [2]),
        ([700_000], 3, [3]),
        ([1_000_000], 64, [16]),  # of 65,536
        ([2_000_000], 2, [8]),  # of at most 262,144
        ([2_100_000], 2, [10]),  # five for each, not four and five
        ([200_000] * 4, 2, [4]),
        ([400_000, 100_000], 2, [3]),
    ],
)
def test_tiles_are_as_large_as_threads_allow(
    sizes: list[int], threads: int, tiles: list[int], jobs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPUOPT_NUM_THREADS", str(threads))
    step(go.Adam(), [np.ones(size, "f4") for size in sizes])
    assert jobs == tiles


def test_packed_arrays_count_less(jobs: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Their calls are short, and hold Python's lock for most of their time."""
    monkeypatch.setenv("GPUOPT_NUM_THREADS", "2")
    step(go.Adam(), [np.ones(1_000, "f4") for _ in range(300)])
    assert jobs == []
    step(go.Adam(), [np.ones(1_000, "f4") for _ in range(1_100)])
    assert len(jobs) == 1


def work(rule: Any) -> float:
    return nanoseconds(trace(rule).update.ops, ())


def test_more_calls_are_more_work() -> None:
    rules = [go.GradientDescent(), go.Momentum(), go.RMSProp(), go.Adam(), go.AdamW(), go.AdamW(amsgrad=True)]
    costs = [work(rule) for rule in rules]
    assert costs == sorted(costs)
    assert costs[0] > 0.1
