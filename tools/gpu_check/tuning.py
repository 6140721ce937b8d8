"""The share of a device copy's bandwidth that an update reaches for each setting of a launch: what decides its constants.

    python -m tools.gpu_check.tuning [--size N] [--small] [--output FILE.jsonl] [--new] [--profile]

A copy of as many bytes is timed beside each, after its bits were compared with those of the first setting. `--small`
takes one rule and few settings. `--profile` only launches each kernel twice, for a profiler. `--new` is as in smoke.py.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cupy

import gpuopt as go
from gpuopt.arrays.dtypes import named
from gpuopt.bench.measure import bytes_a_step
from tools.gpu_check.device import go_on_if_dead
from tools.gpu_check.rows import BEGUN, Rows, latest
from tools.gpu_check.settings import REDUCTIONS, SETTINGS, Setting, applied

ROUNDS, CALLS, ODD = 7, 10, 100_003
Case = tuple[Any, str, dict[str, bool]]
CASES: dict[str, Case] = {
    "Adam": (go.Adam(), "float32", {}),
    "GradientDescent": (go.GradientDescent(), "float32", {}),
    "Adam, bfloat16": (go.Adam(), "bfloat16", {}),
    "Adam, bfloat16, rounded": (go.Adam(), "bfloat16", {"stochastic_rounding": True}),
}
MORE: dict[str, Case] = {"Adam, bfloat16, master": (go.Adam(), "bfloat16", {"master": True})}
"""Measured in the first setting alone."""
REDUCED: dict[str, Case] = {"clip_global_norm, Adam": (go.chain(go.clip_global_norm(1.0), go.Adam()), "float32", {})}
"""Measured in the settings for reductions; they read their gradients twice."""
EVERY = CASES | MORE | REDUCED


def seconds(call: Callable[[], object]) -> float:
    """Median seconds of a call, by the device's own clock."""
    found: list[float] = []
    for _ in range(ROUNDS + 1):
        begin, end = cupy.cuda.Event(), cupy.cuda.Event()
        begin.record()
        for _ in range(CALLS):
            call()
        end.record()
        end.synchronize()
        found.append(cupy.cuda.get_elapsed_time(begin, end) / CALLS / 1e3)
    return statistics.median(found[1:])


def copy(moved: int) -> float:
    """Seconds of a copy that reads and writes as many bytes."""
    source, target = (cupy.zeros(max(1, moved // 8), "float32") for _ in range(2))
    return seconds(lambda: target.data.copy_from_device_async(source.data, source.nbytes))


def bound(case: Case, size: int) -> tuple[Any, Any]:
    """An optimizer of one array, and a gradient."""
    rule, dtype, options = case
    spread = cupy.arange(size, dtype="float32") * 0.61803 % 1 - 0.5
    return rule.init(spread.astype(named(dtype)), **options), (spread * 1e-2).astype(named(dtype))


@functools.cache
def bits(name: str, setting: Setting) -> bytes:
    """What two steps make of an array that fills no chunk."""
    with applied(setting):
        opt, g = bound(EVERY[name], ODD)
        opt.step(g)
        opt.step(g)
    found: bytes = opt.params.tobytes()
    return found


def measured(name: str, setting: Setting, size: int) -> dict[str, float]:
    """Bytes, seconds of a step and of a copy; raises where the setting gives other bits than what steps use."""
    if bits(name, setting) != bits(name, SETTINGS[0]):
        raise ArithmeticError("other bits")
    cupy.get_default_memory_pool().free_all_blocks()
    with applied(setting):
        opt, g = bound(EVERY[name], size)
        opt.step(g)
    moved = bytes_a_step(opt) + int(g.nbytes) * (name in REDUCED)
    took, floor = seconds(lambda: opt.step(g)), copy(moved)
    return {"moved": moved, "seconds": took, "copy": floor}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64_000_000)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--new", action="store_true")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args(arguments)
    if options.profile:
        for case in EVERY.values():
            opt, g = bound(case, options.size)
            opt.step(g)
            opt.step(g)
        cupy.cuda.Device().synchronize()
        return 0
    return tuned(options)


def jobs(small: bool) -> list[tuple[Setting, str]]:
    """What is measured: each case in each setting, and more cases in the first one."""
    if small:
        return [(setting, next(iter(CASES))) for setting in SETTINGS[:3]]
    used, *others = SETTINGS
    found = [(used, name) for name in EVERY]
    found += [(setting, name) for setting in others for name in CASES]
    return found + [(setting, name) for setting in REDUCTIONS[1:] for name in REDUCED]


def tuned(options: argparse.Namespace) -> int:
    """Measure each job that no earlier run measured; the exit code."""
    rows = Rows(options.output)
    earlier = {key: row.get("error", "") for key, row in latest(rows.all, "setting", "case").items()}
    asked = {(str(setting), name): setting for setting, name in jobs(options.small)}
    left = [job for job in asked if (job not in earlier if options.new else earlier.get(job) != "")]
    for job in sorted(left, key=lambda job: earlier.get(job) == BEGUN):
        setting, name = asked[job], job[1]
        rows.add(setting=str(setting), case=name, error=BEGUN)
        try:
            found = measured(name, setting, options.size)
        except Exception as error:
            rows.add(setting=str(setting), case=name, error=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
            print(f"{name}: {setting}: {type(error).__name__}: {error}", flush=True)
            if options.output is not None:
                given = ["--size", str(options.size), *["--small"] * options.small, "--output", str(options.output), "--new"]
                go_on_if_dead("tools.gpu_check.tuning", *given)
        else:
            rows.add(setting=str(setting), case=name, of="reductions" if name in REDUCED else "updates", **found)
            share, speed = found["copy"] / found["seconds"], found["moved"] / found["seconds"] / 1e12
            print(f"{name}: {setting}: {speed:.3f} TB/s, {share:.1%} of a copy", flush=True)
    return int(any("error" in row for row in latest(rows.all, "setting", "case").values()))


if __name__ == "__main__":
    sys.exit(main())
