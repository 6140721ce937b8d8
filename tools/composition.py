"""What pieces and arrays for hyperparameters cost beside Adam alone: prints a table in Markdown.

    python tools/composition.py

Steps of all of them take turns in one process; medians, as multiples of Adam's.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import gpuopt as go
from gpuopt.arrays import backend

ROUNDS = 15
SIZES = {"16,000,000": (16_000_000, 1), "1,000,000": (1_000_000, 1), "300 x 1,000": (1_000, 300)}
AROUND = (go.weight_decay(0.01), go.Adam(), go.bounds(-5.0, 5.0), go.average(0.99))
RULES: dict[str, Any] = {
    "Adam": go.Adam(),
    "an array for `lr`": go.Adam(),
    "`clip_norm`": go.chain(go.clip_norm(1.0), go.Adam()),
    "`clip_global_norm`": go.chain(go.clip_global_norm(1.0), go.Adam()),
    "weight decay, bounds, average": go.chain(*AROUND),
    "all of these with `clip_global_norm`": go.chain(go.clip_global_norm(1.0), *AROUND),
}
BYTES = (28, 32, 32, 32, 36, 40)


def stepper(name: str, size: int, count: int) -> Callable[[], None]:
    """A step of the rule called `name` for `count` arrays of `size` elements."""
    rng = np.random.default_rng(0)
    params, grads = ([rng.normal(size=size).astype("float32") for _ in range(count)] for _ in range(2))
    hyper = {"lr": [np.full(size, 1e-3, "float32") for _ in range(count)]} if "`lr`" in name else None
    opt = RULES[name].init(params, hyper)
    return lambda: opt.step(grads)


def medians(size: int, count: int) -> list[float]:
    """Seconds of a step of each rule, which take turns."""
    steps = [stepper(name, size, count) for name in RULES]
    times: list[list[float]] = [[] for _ in steps]
    for _ in range(ROUNDS + 1):
        for step, found in zip(steps, times, strict=True):
            start = time.perf_counter()
            step()
            found.append(time.perf_counter() - start)
    return [statistics.median(found[1:]) for found in times]


def main() -> int:
    print(f"| executor | arrays | {' | '.join(RULES)} |\n|---|---|{'---:|' * len(RULES)}")
    print(f"| bytes an element | | {' | '.join(f'{n / BYTES[0]:.2f} ({n})' for n in BYTES)} |")
    for executor in ("numpy", "numba"):
        if executor == "numba" and backend.why_not_numba():
            continue
        os.environ["GPUOPT_CPU"] = executor
        for label, (size, count) in SIZES.items():
            first, *others = medians(size, count)
            print(f"| {executor} | {label} | {1e3 * first:.2f} ms | {' | '.join(f'{x / first:.2f}' for x in others)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
