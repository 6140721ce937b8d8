"""How near each CPU executor comes to the memory's limit, at sizes from 1 to 10^8: tables and a plot.

Times a step of the usual rules with NumPy and with Numba in one process, taking turns, beside the fastest way to read and write
as many bytes with as many threads: a copy, or a scaling in place (a copy also reads what it overwrites, on most machines).
Writes FOLDER/performance-cpu.md, the tables for docs/performance.md, and FOLDER/performance-cpu.png. Needs numba, matplotlib.

    python tools/performance.py FOLDER [--largest 100000000]
"""

from __future__ import annotations

import argparse
import functools
import platform
from datetime import date
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

import gpuopt as go
from gpuopt.arrays.backend import cpu_threads
from gpuopt.bench.measure import Step, bytes_a_step, in_turns, medians, optimizer, stream_steps, waiting
from gpuopt.bench.report import cpu_name
from gpuopt.rules import USUAL, rules

EXECUTORS = ("numpy", "numba")
Times = dict[tuple[str, str], dict[int, float]]


def seconds(steps: dict[Any, Step], size: int) -> dict[Any, float]:
    """Median seconds a call of each step, in rounds in which they take turns."""
    repeats, rounds = max(1, 20_000 // max(size, 20)), 5 if size > 2e7 else 9 if size > 2e6 else 25
    return medians(in_turns(steps, rounds, waiting(np), repeats))


def measure(largest: int) -> tuple[Times, dict[int, float], dict[str, int]]:
    """Seconds a step by (rule, executor) and size; of the floor by size; and the bytes an element that each rule moves."""
    found: Times = {(rule, executor): {} for rule in USUAL for executor in EXECUTORS}
    copies: dict[int, float] = {}
    traffic: dict[str, int] = {}
    for size in [10**k for k in range(9) if 10**k <= largest]:
        rng = np.random.default_rng(0)
        g = rng.standard_normal(size, "float32")
        for rule in USUAL:
            steps: dict[Any, Step] = dict(stream_steps(np, size))
            for executor in EXECUTORS:
                opt = optimizer(rules()[rule](), rng.standard_normal(size, "float32"), executor)
                traffic[rule] = bytes_a_step(opt) // size
                steps[rule, executor] = functools.partial(opt.step, g)
            for key, value in seconds(steps, size).items():
                if key in ("copy", "scale"):
                    copies[size] = min(value, copies.get(size, value))
                else:
                    found[key][size] = value
        print(f"{size:>11,} done", flush=True)
    return found, copies, traffic


PER_ELEMENT = 100_000
"""The least number of elements at which a time is one of an element: below, Python's calls decide."""


def cell(seconds_: float, size: int, bytes_: int, copies: dict[int, float]) -> str:
    """Time a step where Python's calls decide, else time an element and the share of the streaming bandwidth."""
    if size < PER_ELEMENT:
        return f"{seconds_ * 1e6:.1f} µs"
    share = (bytes_ * size / seconds_) / (8 * size / copies[size])
    return f"{seconds_ / size * 1e9:.2f} ns ({share:.0%})"


def tables(found: Times, copies: dict[int, float], traffic: dict[str, int]) -> str:
    sizes = sorted(copies)
    largest = sizes[-1]
    lines = [
        (
            f"Measured {date.today()} on {cpu_name()}, {cpu_threads()} threads, Python {platform.python_version()}, "
            f"NumPy {np.__version__}, Numba {go.info()['versions']['numba']}, gpuopt {go.__version__}, float32. "
            f"Streaming bandwidth at {largest:,} numbers: {8 * largest / copies[largest] / 1e9:.0f} GB/s (read and written)."
        ),
    ]
    few, many = ([size for size in sizes if (size < PER_ELEMENT) is small] for small in (True, False))
    for here in filter(None, (few, many)):
        head = " | ".join(f"{size:,}" for size in here)
        lines += ["", f"| rule | executor | {head} |", "|---|---|" + "---|" * len(here)]
        for (rule, executor), times in found.items():
            cells = [cell(times[size], size, traffic[rule], copies) for size in here]
            lines.append(f"| {rule} | {executor} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def plot(found: Times, copies: dict[int, float], traffic: dict[str, int], path: Path) -> None:
    """Time a step over the time that streaming as many bytes takes: 1 is the floor."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    colours = {rule: f"C{number}" for number, rule in enumerate(USUAL)}
    dashes = {"numpy": "--", "numba": "-"}
    with go.plot.style():
        figure, axes = plt.subplots(figsize=(9, 5))
        for (rule, executor), times in found.items():
            ratio = [seconds_ / (copies[size] * traffic[rule] / 8) for size, seconds_ in times.items()]
            axes.loglog(list(times), ratio, dashes[executor], color=colours.get(rule), label=f"{rule}, {executor}")
        axes.axhline(1, color="0.5", lw=0.8)
        axes.annotate(
            "the memory's floor: as many bytes, streamed",
            (1, 1),
            xytext=(2, 3),
            textcoords="offset points",
            color="0.4",
            fontsize=9,
        )
        axes.set(
            xlabel="elements (float32)",
            ylabel="time of a step over the floor",
            title=f"A step on {cpu_name()}, {cpu_threads()} threads",
        )
        axes.set_yticks([1, 2, 5, 10], ["1", "2", "5", "10"])
        axes.legend(fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
        figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--largest", type=int, default=10**8)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    results = measure(options.largest)
    text = tables(*results)
    (options.folder / "performance-cpu.md").write_text(text, encoding="utf-8")
    plot(*results, options.folder / "performance-cpu.png")
    print(text)


if __name__ == "__main__":
    main()
