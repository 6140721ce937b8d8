"""Ptychography: a complex object, the probe, and where the probe really was, from diffraction amplitudes alone.

A probe moves over an object in overlapping steps, each up to a pixel from where it should be; a detector sees the amplitude of
the far field. Object, probe and positions are found from gradients written by hand, in batches of places: first in the middle
of the scan, then, on a padded object, in all of it. Runs on a GPU where there is one:

    python examples/ptychography.py
"""

from __future__ import annotations

from typing import Any

import numpy as np

import gpuopt as go

xp = go.xp()
SIZE, WINDOW, PAD, BATCH, INNER = 56, 28, 6, 5, 14
SCAN = [(i, j) for i in range(2, 30, 4) for j in range(2, 30, 4)]  # corners of windows: 7 × 7
MIDDLE = [k for k, (i, j) in enumerate(SCAN) if min(i, j) >= PAD and max(i, j) <= SIZE - PAD - WINDOW]
WAVES = -2j * np.pi * xp.stack(xp.meshgrid(*2 * [xp.fft.fftfreq(WINDOW)], indexing="ij")).astype("complex64")
Y, X = xp.mgrid[:WINDOW, :WINDOW] - WINDOW / 2
MASK = Y**2 + X**2 < 11**2  # the probe is dark outside
RULES = {
    "object": go.chain(go.Adam(go.schedules.Cosine(0.05, 900), beta2=0.99), go.disk(1.0)),
    "probe": go.chain(go.Adam(go.schedules.Cosine(0.02, 900), beta2=0.99), go.support(MASK)),
    "positions": go.Adam(0.03, beta2=0.9),
}


def make_data() -> tuple[dict[str, Any], Any]:
    """A smooth object and probe of our own, the errors of the positions, and the amplitudes that they give."""
    y, x = xp.mgrid[:SIZE, :SIZE] / SIZE
    size, phase = 0.75 + 0.25 * xp.cos(25 * x + 9 * y**2) * xp.sin(20 * y), 0.8 * xp.sin(15 * x * y + 12 * y) * xp.cos(20 * x)
    params = {
        "object": (size * xp.exp(1j * phase)).astype("complex64"),
        "probe": (MASK * xp.exp((1j / 60 - 1 / 40) * (Y**2 + X**2))).astype("complex64"),
        "positions": xp.asarray(np.random.default_rng(0).uniform(-1, 1, (len(SCAN), 2)), "float32"),
    }
    probes = xp.fft.ifft2(xp.exp(xp.tensordot(params["positions"], WAVES, 1)) * xp.fft.fft2(params["probe"]))
    windows = xp.stack([params["object"][i : i + WINDOW, j : j + WINDOW] for i, j in SCAN])
    return params, xp.abs(xp.fft.fft2(probes * windows, norm="ortho"))


def loss_and_grad(params: dict[str, Any], batch: Any, margin: int, seen: Any) -> tuple[Any, dict[str, Any]]:
    """Half the squared distance of amplitudes, and ``dL/dx + 1j * dL/dy`` of it: of the positions, the batch's rows."""
    at = xp.asarray(batch)
    places = [tuple(slice(at - margin, at - margin + WINDOW) for at in SCAN[k]) for k in batch]
    shifts = xp.exp(xp.tensordot(params["positions"][at], WAVES, 1))
    spectra = shifts * xp.fft.fft2(params["probe"])
    probes, windows = xp.fft.ifft2(spectra), xp.stack([params["object"][place] for place in places])
    far = xp.fft.fft2(probes * windows, norm="ortho")
    size = xp.abs(far)
    back = xp.fft.ifft2(far * (1 - seen[at] / xp.maximum(size, 1e-6)), norm="ortho")
    grad_object = xp.zeros_like(params["object"])
    for place, patch in zip(places, xp.conj(probes) * back, strict=True):
        grad_object[place] += patch  # windows overlap: their gradients add up
    grad_spectra = xp.fft.fft2(xp.conj(windows) * back)
    grad_probe = xp.fft.ifft2((xp.conj(shifts) * grad_spectra).sum(axis=0))
    grad_positions = (xp.conj(grad_spectra)[:, None] * WAVES * spectra[:, None]).real.sum(axis=(2, 3)) / WINDOW**2
    return 0.5 * ((size - seen[at]) ** 2).sum(), {"object": grad_object, "probe": grad_probe, "positions": grad_positions}


def errors(params: dict[str, Any], truth: dict[str, Any], which: Any, margin: int) -> str:
    """How far object and positions are off, but for what no amplitude tells: a factor, a ramp of the phase, a common shift."""
    found = params["object"][2 * (slice(INNER - margin, SIZE - INNER - margin),)]
    true = truth["object"][2 * (slice(INNER, SIZE - INNER),)]
    ratio = xp.conj(found) * true
    down, right = (ratio[1:] * xp.conj(ratio[:-1])).sum(), (ratio[:, 1:] * xp.conj(ratio[:, :-1])).sum()
    y, x = xp.mgrid[: len(true), : len(true)]
    found = found * xp.exp(1j * (xp.angle(down) * y + xp.angle(right) * x))
    found = found * xp.vdot(found, true) / xp.vdot(found, found)
    off = xp.linalg.norm(found - true) / xp.linalg.norm(true)
    moved = (params["positions"] - truth["positions"])[xp.asarray(which)]
    return f"object off by {float(off):.1%}, positions by {float(moved.std(axis=0).max()):.3f} pixels"


def recover(truth: dict[str, Any], seen: Any, begin: Any) -> Any:
    """Begin an optimizer in the middle, go on everywhere, and print how far everything is off."""
    start = {
        "object": xp.ones((SIZE - 2 * PAD, SIZE - 2 * PAD), "complex64"),
        "probe": (MASK * xp.exp(-(Y**2 + X**2) / 40)).astype("complex64"),
        "positions": xp.zeros((len(SCAN), 2), "float32"),
    }
    opt, rng = begin(start), np.random.default_rng(1)
    for margin, which in [(PAD, MIDDLE), (0, range(len(SCAN)))]:
        if margin == 0:
            opt = opt.resized({"object": lambda a: xp.pad(a, PAD)})
        for _ in range(60):
            for batch in np.array_split(rng.permutation(which), len(which) // BATCH):
                _, grads = loss_and_grad(opt.params, batch, margin, seen)
                opt.step({**grads, "positions": go.rows(batch, grads["positions"])})
        loss, _ = loss_and_grad(opt.params, which, margin, seen)
        off = float(xp.sqrt(2 * loss / (seen[xp.asarray(which)] ** 2).sum()))
        print(f"{len(which)} places: amplitudes off by {off:.2%}, {errors(opt.params, truth, which, margin)}")
    return opt


def main() -> None:
    """Check the gradient, and recover everything."""
    truth, seen = make_data()
    near = {**truth, "positions": truth["positions"][:BATCH]}
    print(go.check_gradient(loss_and_grad, near, range(BATCH), 0, 0.8 * seen))
    opt = recover(truth, seen, lambda params: go.partition(RULES).init(params, rows="positions"))
    print(f"{sorted(set(opt.counts['positions'].tolist()))} updates a position, {opt.executor} executor")


if __name__ == "__main__":
    main()
