"""Ptychography in sixty lines: a complex object from diffraction amplitudes, its gradient written by hand.

A probe is moved over an object in overlapping steps; at each place a detector sees only the amplitude of the far field.
Object and probe are found together by Adam, from the gradient of the squared distance of amplitudes. Runs on a GPU where
there is one, else on the CPU:

    python examples/ptychography.py
"""

from __future__ import annotations

from typing import Any

import numpy as np

import gpuopt as go

xp = go.xp()
SIZE, WINDOW, STEP = 96, 32, 8


def make_data() -> tuple[Any, Any, Any, Any]:
    """A smooth object and probe of our own, and the amplitudes that they give."""
    y, x = xp.mgrid[:SIZE, :SIZE] / SIZE
    obj = (0.7 + 0.3 * xp.cos(9 * x) * xp.sin(7 * y)) * xp.exp(1j * (xp.sin(12 * x * y) + y))
    v, u = xp.mgrid[:WINDOW, :WINDOW] - WINDOW / 2
    probe = xp.exp(-(u**2 + v**2) / 60) * xp.exp(1j * (u**2 + v**2) / 120)
    places = [(i, j) for i in range(0, SIZE - WINDOW + 1, STEP) for j in range(0, SIZE - WINDOW + 1, STEP)]
    rows = xp.asarray([[i] for i, _ in places])[:, :, None] + xp.arange(WINDOW)[None, :, None]
    columns = xp.asarray([[j] for _, j in places])[:, :, None] + xp.arange(WINDOW)[None, None, :]
    amplitudes = xp.abs(xp.fft.fft2(probe * obj[rows, columns], norm="ortho"))
    return obj.astype("complex64"), probe.astype("complex64"), (rows, columns), amplitudes.astype("float32")


def loss_and_grad(params: dict[str, Any], places: tuple[Any, Any], amplitudes: Any) -> tuple[Any, dict[str, Any]]:
    """Half the squared distance of amplitudes, and its gradient ``dL/dx + 1j * dL/dy`` for object and probe."""
    windows = params["object"][places]
    far = xp.fft.fft2(params["probe"] * windows, norm="ortho")
    size = xp.abs(far)
    back = xp.fft.ifft2(far * (1 - amplitudes / xp.maximum(size, 1e-6)), norm="ortho")
    grad_object = xp.zeros_like(params["object"])
    patches = xp.conj(params["probe"]) * back
    for k in range(len(amplitudes)):  # windows overlap: their gradients add up
        grad_object[places[0][k], places[1][k]] += patches[k]
    grad_probe = (xp.conj(windows) * back).sum(axis=0) / len(amplitudes)
    loss = 0.5 * ((size - amplitudes) ** 2).sum()
    return loss, {"object": grad_object, "probe": grad_probe.astype("complex64")}


def main() -> None:
    """Recover object and probe, and print how far the amplitudes are off."""
    obj, probe, places, amplitudes = make_data()
    params = {"object": xp.ones_like(obj), "probe": (probe * xp.exp(0.3j)).astype("complex64") * np.float32(0.8)}
    opt = go.Adam(lr=lambda step: 0.03 * 0.99**step).init(params)
    for step in range(301):
        loss, grads = loss_and_grad(params, places, amplitudes)
        opt.step(grads)
        if step % 100 == 0:
            error = float(xp.sqrt(2 * loss / (amplitudes**2).sum()))
            print(f"step {step:4}: amplitudes off by {error:.2%}, {opt.executor} executor")


if __name__ == "__main__":
    main()
