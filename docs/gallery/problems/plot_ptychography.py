r"""
Ptychography: phases, and where the probe really was
====================================================

**What to see: the detector records no phases, and the stage misses its places by a pixel. The amplitudes alone
give both back. If you trust the planned places, the image stays distorted.**

A probe :math:`P` (a spot of light) moves over a complex object :math:`O` in overlapping steps. At place
:math:`k` the detector sees the amplitudes :math:`a_k` of the far field, :math:`|F(P_k\,O_k)|`, where
:math:`P_k` is the probe at its true place and :math:`O_k` the window of the object. With :math:`\psi_k =
F(P_k\,O_k)`, loss and gradient are

.. math::  L = \tfrac12 \sum_k \lVert\, |\psi_k| - a_k \rVert^2

.. math::  \nabla_{O_k} = \overline{P_k}\; F^{-1}\bigl(\psi_k - a_k\,\psi_k / |\psi_k|\bigr)

and alike for the probe. gpuopt takes the gradient of a complex array as :math:`\partial L/\partial x +
i\,\partial L/\partial y`.
"""

import matplotlib.pyplot as plt
import numpy as np

import gpuopt as go

xp = go.xp()  # NumPy, or CuPy where there is a GPU
to_host = getattr(xp, "asnumpy", np.asarray)  # for matplotlib
plt.style.use("gpuopt.plot.light")

# %%
# The experiment
# --------------
# 49 windows of 24 × 24 pixels on an object of 48 × 48. A shift of the probe by parts of a pixel is a ramp of
# phases in its Fourier transform.

size, window = 48, 24
corners = [(i, j) for i in range(0, 25, 4) for j in range(0, 25, 4)]
y, x = xp.mgrid[:window, :window] - window / 2
lit = y**2 + x**2 < 10**2  # the probe is dark outside
waves = -2j * np.pi * xp.stack(xp.meshgrid(*2 * [xp.fft.fftfreq(window)], indexing="ij"))


def loss_and_gradients(params, batch, seen):
    at = xp.asarray(batch)
    places = [(slice(i, i + window), slice(j, j + window)) for i, j in (corners[k] for k in batch)]
    shifts = xp.exp(xp.tensordot(params["positions"][at], waves, 1))
    spectra = shifts * xp.fft.fft2(params["probe"])
    probes, windows = xp.fft.ifft2(spectra), xp.stack([params["object"][place] for place in places])
    far = xp.fft.fft2(probes * windows, norm="ortho")
    amplitudes = xp.abs(far)
    back = xp.fft.ifft2(far * (1 - seen / xp.maximum(amplitudes, 1e-6)), norm="ortho")
    grad_object = xp.zeros_like(params["object"])
    for place, patch in zip(places, xp.conj(probes) * back, strict=True):
        grad_object[place] += patch  # windows overlap: their gradients add up
    grad_spectra = xp.fft.fft2(xp.conj(windows) * back)
    grad_probe = xp.fft.ifft2((xp.conj(shifts) * grad_spectra).sum(axis=0))
    grad_positions = (xp.conj(grad_spectra)[:, None] * waves * spectra[:, None]).real.sum(axis=(2, 3)) / window**2
    loss = ((amplitudes - seen) ** 2).sum() / 2
    return loss, {"object": grad_object, "probe": grad_probe, "positions": grad_positions}, amplitudes


# %%
# The object is a star of glass spokes, which delay the light. The probe is curved, and each of its places is
# off by up to 1.2 pixels in each direction.

v, u = xp.mgrid[:size, :size] / size - 0.5
spokes = (xp.sin(12 * xp.arctan2(v, u)) > 0) & (xp.hypot(v, u) < 0.33)
truth = {
    "object": xp.where(spokes, 0.8 * xp.exp(xp.asarray(0.9j)), 0.95),
    "probe": lit * xp.exp((1j / 60 - 1 / 40) * (y**2 + x**2)),
    "positions": xp.asarray(np.random.default_rng(0).uniform(-1.2, 1.2, (len(corners), 2))),
}
everything = range(len(corners))
seen = loss_and_gradients(truth, everything, 0)[2]

# %%
# One rule for each part
# ----------------------
# - The object takes nothing but away from light: :func:`gpuopt.disk` keeps its modulus at most 1.
# - The probe is dark outside of a known circle: :func:`gpuopt.support`.
# - A batch of five places says something about five positions only. ``rows="positions"`` and
#   :func:`gpuopt.rows` update these, and leave the others and their moments alone.


def recover(positions_lr):
    params = {
        "object": xp.ones((size, size), complex),
        "probe": lit * xp.exp(-(y**2 + x**2) / 40).astype(complex),
        "positions": xp.zeros((len(corners), 2)),
    }
    rule = go.partition(
        {
            "object": go.chain(go.Adam(go.schedules.Cosine(0.1, 800), beta2=0.99), go.disk(1.0)),
            "probe": go.chain(go.Adam(go.schedules.Cosine(0.02, 800), beta2=0.99), go.support(lit)),
            "positions": go.Adam(positions_lr, beta2=0.9),
        }
    )
    opt, rng = rule.init(params, rows="positions"), np.random.default_rng(1)
    for _ in range(80):
        for batch in np.array_split(rng.permutation(everything), 10):
            _, grads, _ = loss_and_gradients(params, batch, seen[xp.asarray(batch)])
            opt.step({**grads, "positions": go.rows(batch, grads["positions"])})
    return params


planned, found = recover(positions_lr=0.0), recover(positions_lr=0.05)

# %%
# The picture
# -----------
# Amplitudes do not tell a common factor of the object, nor a ramp of its phase. We take both out before we
# compare. The corners, which hardly any light reached, stay unknown.

middle = 2 * (slice(7, -7),)


def aligned(image):
    ratio = (xp.conj(image) * truth["object"])[middle]
    down, right = (ratio[1:] * xp.conj(ratio[:-1])).sum(), (ratio[:, 1:] * xp.conj(ratio[:, :-1])).sum()
    image = image * xp.exp(1j * size * (xp.angle(down) * v + xp.angle(right) * u))
    return image[middle] * (xp.conj(image) * truth["object"])[middle].sum() / (abs(image[middle]) ** 2).sum()


def error(params):
    true = truth["object"][middle]
    return float(xp.linalg.norm(aligned(params["object"]) - true) / xp.linalg.norm(true))


phases = {
    "truth": xp.angle(truth["object"][middle]),
    "start": xp.zeros((size - 14, size - 14)),
    f"places as planned: off by {error(planned):.0%}": xp.angle(aligned(planned["object"])),
    f"places found: off by {error(found):.1%}": xp.angle(aligned(found["object"])),
}
go.plot.images(phases, limits=(-0.4, 1.3), label="phase of the object")
assert error(found) < 0.3 * error(planned)

# %%
# The places themselves, without the shift that is common to all (the object moves along with it):

shift = (found["positions"] - truth["positions"]).mean(axis=0)
figure, panel = plt.subplots(figsize=(6.4, 6))
for label, at, marker in [
    ("planned", xp.zeros((len(corners), 2)), {"marker": "+", "color": "0.5"}),
    ("true", truth["positions"], {"marker": "o", "facecolors": "none", "edgecolors": "C0", "s": 60}),
    ("found", found["positions"] - shift, {"marker": ".", "color": "C1"}),
]:
    rows, columns = np.array(corners).T + to_host(at).T
    panel.scatter(columns, rows, label=label, **marker)
panel.set(aspect="equal", xlabel="column", ylabel="row", title="Where the probe was: found to parts of a pixel")
panel.invert_yaxis()
panel.legend(ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.1))
off = float((found["positions"] - shift - truth["positions"]).std())
print(f"positions are off by {off:.3f} pixels; the planned ones by {float(truth['positions'].std()):.2f}")
assert off < 0.1

# %%
# **Try it:** let the stage be off by up to 3 pixels. The positions then end far from the true ones: amplitudes
# lead back only from nearby.
#
# **Where next:** :doc:`/rows` explains rows, and shows how to pad or crop the object midway.
# ``examples/ptychography.py`` does so.
