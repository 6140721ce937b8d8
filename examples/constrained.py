"""Non-negative deblurring: a chain with bounds, a step for every pixel, and an average for the result.

A row of sources is seen through a blur that gets wider along the row, with noise. The sources cannot be negative:

    python examples/constrained.py
"""

from __future__ import annotations

import numpy as np

import gpuopt as go

SIZE = 200


def main() -> None:
    """Recover the sources with and without the bound, and print how far off they are."""
    rng = np.random.default_rng(0)
    at = np.arange(SIZE)
    blur = np.exp(-0.5 * ((at[:, None] - at) / (1 + at / 100)) ** 2)
    sources = np.where(rng.random(SIZE) < 0.1, rng.exponential(1.0, SIZE), 0.0)
    seen = blur @ sources + 0.05 * rng.normal(size=SIZE)
    steps = 1 / (blur.T @ blur).sum(axis=0)  # a diagonal preconditioner: with it, no step is too long
    pieces = {"free": [], "not negative": [go.bounds(lo=0.0)]}
    for name, after in pieces.items():
        x = np.zeros(SIZE)
        opt = go.chain(go.GradientDescent(), *after, go.average(0.99)).init(x, hyper={"lr": steps})
        for _ in range(3000):
            opt.step(blur.T @ (blur @ x - seen))
        error = np.linalg.norm(opt.evaluation() - sources) / np.linalg.norm(sources)
        print(f"{name + ':':13} off by {error:.0%}, {np.count_nonzero(x < 0)} of {SIZE} negative")


if __name__ == "__main__":
    main()
