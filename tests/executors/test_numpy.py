"""What the executor of NumPy alone decides: threads by the work of a step, and tiles by threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.codegen.passes import nanoseconds
from gpuopt.executors.cpu import pool
from gpuopt.executors.cpu.numpy import NumpyExecutor
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
    ("sizes", "threads", "dtype", "tiles"),
    [
        ([400_000], 1, "float32", []),  # a thread alone has no job
        ([520_000], 2, "float32", [2]),
        ([530_000], 2, "float32", [4]),  # of no more than 1 MiB
        ([400_000], 2, "float32", [2]),
        ([600_000], 3, "float32", [3]),
        ([1_000_000], 64, "float32", [15]),  # of 256 KiB
        ([1_000_000], 64, "float64", [31]),
        ([2_000_000], 2, "float32", [10]),  # of some 768 KiB
        ([2_000_000], 2, "float64", [20]),
        ([2_000_000], 2, "complex64", [20]),
        ([1_000_000], 2, "complex128", [20]),
        ([2_000_000], 2, "float16", [10]),  # scratch has float32
        ([2_200_000], 2, "float32", [12]),  # six for each, not five and six
        ([200_000] * 4, 2, "float32", [4]),
        ([400_000, 100_000], 2, "float32", [3]),
    ],
)
def test_tiles_are_as_large_as_threads_allow(
    sizes: list[int], threads: int, dtype: str, tiles: list[int], jobs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPUOPT_NUM_THREADS", str(threads))
    step(go.Adam(), [np.ones(size, dtype) for size in sizes])
    assert jobs == tiles


def test_the_tiles_of_each_array_have_one_size() -> None:
    arrays = [np.ones(size, "f4") for size in (230_000, 500_000, 500_000)]
    executor = NumpyExecutor(trace(go.Adam()), arrays)
    sizes = [[tile.size for tile, _ in array.work(arrays)] for array in executor._updates.packed]
    assert [len(each) for each in sizes] == [1, 2, 2]
    assert all(max(each) - min(each) < 64 for each in sizes)


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
