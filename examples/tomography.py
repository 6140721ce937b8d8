"""Tomography from few, noisy angles: Adam with total variation and non-negativity, and Adam alone.

A pixel's shadow falls on two neighbouring bins of the detector, with linear weights. The projector adds them up; its adjoint
reads the same two bins with the same weights, so that the gradient is exact. Runs on a GPU where there is one:

    python examples/tomography.py
"""

from __future__ import annotations

from typing import Any

import numpy as np

import gpuopt as go

xp = go.xp()
SIZE, ANGLES, BINS, STEPS = 48, 16, 70, 200
ELLIPSES = (  # value added, center, half axes, all in halves of the image
    (1.0, 0.0, 0.0, 0.70, 0.90),
    (-0.8, 0.0, 0.0, 0.62, 0.82),
    (0.4, 0.25, 0.10, 0.15, 0.30),
    (-0.2, -0.25, -0.10, 0.20, 0.35),
    (0.6, 0.0, -0.55, 0.12, 0.08),
)
ADAM = go.Adam(go.schedules.Cosine(0.1, STEPS))
WAYS = {
    "Adam alone": ADAM,
    "not negative": go.chain(ADAM, go.nonnegative()),
    "total variation, not negative": go.chain(ADAM, go.total_variation(0.5, iterations=10), go.nonnegative()),
}


def phantom() -> Any:
    """A head of ellipses, each of one value."""
    y, x = (xp.mgrid[:SIZE, :SIZE] + 0.5) / (SIZE / 2) - 1
    image = xp.zeros((SIZE, SIZE))
    for value, right, up, a, b in ELLIPSES:
        image += value * (((x - right) / a) ** 2 + ((y - up) / b) ** 2 <= 1)
    return image


def geometry() -> tuple[Any, Any]:
    """For each angle and pixel the left bin of its shadow, numbered through all angles, and the share of the right one."""
    y, x = xp.mgrid[:SIZE, :SIZE].reshape(2, -1) - (SIZE - 1) / 2
    angles = xp.arange(ANGLES)[:, None] * (np.pi / ANGLES)
    at = x * xp.cos(angles) + y * xp.sin(angles) + BINS / 2
    left = xp.floor(at)
    return left.astype(int) + BINS * xp.arange(ANGLES)[:, None], at - left


left, share = geometry()


def project(image: Any) -> Any:
    """The sums along rays: ``A @ image``."""
    pixels = image.ravel()
    total = xp.bincount(left.ravel(), ((1 - share) * pixels).ravel(), ANGLES * BINS)
    total += xp.bincount(left.ravel() + 1, (share * pixels).ravel(), ANGLES * BINS)
    return total


def back(rays: Any) -> Any:
    """The adjoint: ``A.T @ rays``."""
    return ((1 - share) * rays[left] + share * rays[left + 1]).sum(axis=0).reshape(SIZE, SIZE)


def gradient(image: Any, seen: Any) -> Any:
    """Of half the squared distance from what was seen."""
    return back(project(image) - seen)


def reconstruct(seen: Any, begin: Any) -> Any:
    """The image that an optimizer finds from nothing."""
    opt = begin(xp.zeros((SIZE, SIZE)))
    for _ in range(STEPS):
        opt.step(gradient(opt.params, seen))
    return opt.params


def make_data() -> tuple[Any, Any]:
    """The phantom, and its shadows with noise of 2 % of the darkest."""
    truth = phantom()
    clean = project(truth)
    return truth, clean + xp.asarray(np.random.default_rng(0).normal(size=clean.shape)) * (0.02 * clean.max())


def main() -> None:
    """Reconstruct in three ways, and print how far each is off."""
    truth, seen = make_data()
    for name, rule in WAYS.items():
        image = reconstruct(seen, rule.init)
        error = xp.linalg.norm(image - truth) / xp.linalg.norm(truth)
        print(f"{name + ':':30} off by {float(error):.1%}, {int((image < 0).sum())} of {image.size} negative")


if __name__ == "__main__":
    main()
