r"""
Ptychography: phases, and where the probe really was
====================================================

**What to see: the detector records no phases, and the stage misses its places by a
pixel. The amplitudes alone give both back. If you trust the planned places, the image
stays distorted.**

A probe :math:`P` (a spot of light) moves over a complex object :math:`O` in
overlapping steps. At place :math:`k` the detector sees the amplitudes :math:`a_k` of
the far field, :math:`|F(P_k\,O_k)|`, where :math:`P_k` is the probe at its true place
and :math:`O_k` the window of the object. With :math:`\psi_k = F(P_k\,O_k)`, loss and
gradient are

.. math::  L = \tfrac{1}{2} \sum_k \lVert\, |\psi_k| - a_k \rVert^2

.. math::  \nabla_{O_k} = \overline{P_k}\; F^{-1}(\psi_k - a_k\,\psi_k / |\psi_k|)

and alike for the probe. gpuopt takes the gradient of a complex array as
:math:`\partial L/\partial x + i\,\partial L/\partial y`.
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
# 49 windows of 24 × 24 pixels on an object of 48 × 48. A shift of the probe by parts
# of a pixel is a ramp of phases in its Fourier transform.

size, window = 48, 24
corners = [(i, j) for i in range(0, 25, 4) for j in range(0, 25, 4)]
y, x = xp.mgrid[:window, :window] - window / 2
lit = y**2 + x**2 < 10**2  # the probe is dark outside
waves = -2j * np.pi * xp.fft.fftfreq(window)
waves = xp.stack(xp.meshgrid(waves, waves, indexing="ij"))


def loss_and_gradients(params, batch, seen):
    at = xp.asarray(batch)
    places = [tuple(slice(at, at + window) for at in corners[k]) for k in batch]
    shifts = xp.exp(xp.tensordot(params["positions"][at], waves, 1))
    spectra = shifts * xp.fft.fft2(params["probe"])
    probes = xp.fft.ifft2(spectra)
    windows = xp.stack([params["object"][place] for place in places])
    far = xp.fft.fft2(probes * windows, norm="ortho")
    amplitudes = xp.abs(far)
    back = xp.fft.ifft2(far * (1 - seen / xp.maximum(amplitudes, 1e-6)), norm="ortho")
    by_spectra = xp.fft.fft2(xp.conj(windows) * back)
    by_shift = (xp.conj(by_spectra)[:, None] * waves * spectra[:, None]).real
    grads = {
        "object": xp.zeros_like(params["object"]),
        "probe": xp.fft.ifft2((xp.conj(shifts) * by_spectra).sum(axis=0)),
        "positions": by_shift.sum(axis=(2, 3)) / window**2,
    }
    for place, patch in zip(places, xp.conj(probes) * back, strict=True):
        grads["object"][place] += patch  # windows overlap: their gradients add up
    return ((amplitudes - seen) ** 2).sum() / 2, grads, amplitudes


# %%
# The object is a star of glass spokes, which delay the light. The probe is curved, and
# each of its places is off by up to 1.2 pixels in each direction.

v, u = xp.mgrid[:size, :size] / size - 0.5
spokes = (xp.sin(12 * xp.arctan2(v, u)) > 0) & (xp.hypot(v, u) < 0.33)
stage = np.random.default_rng(0).uniform(-1.2, 1.2, (len(corners), 2))
truth = {
    "object": xp.where(spokes, 0.8 * xp.exp(xp.asarray(0.9j)), 0.95),
    "probe": lit * xp.exp((1j / 60 - 1 / 40) * (y**2 + x**2)),
    "positions": xp.asarray(stage),
}
everything = range(len(corners))
seen = loss_and_gradients(truth, everything, 0)[2]

# %%
# One rule for each part
# ----------------------
# - The object takes nothing but away from light: :func:`gpuopt.disk` keeps its modulus
#   at most 1.
# - The probe is dark outside of a known circle: :func:`gpuopt.support`.
# - A batch of five places says something about five positions only.
#   ``rows="positions"`` and :func:`gpuopt.rows` update these, and leave the others and
#   their moments alone.


def recover(positions_lr):
    params = {
        "object": xp.ones((size, size), complex),
        "probe": lit * xp.exp(-(y**2 + x**2) / 40).astype(complex),
        "positions": xp.zeros((len(corners), 2)),
    }
    falling = go.schedules.Cosine(0.1, 800)
    slower = go.schedules.Cosine(0.02, 800)
    rules = {
        "object": go.chain(go.Adam(falling, beta2=0.99), go.disk(1.0)),
        "probe": go.chain(go.Adam(slower, beta2=0.99), go.support(lit)),
        "positions": go.Adam(positions_lr, beta2=0.9),
    }
    opt = go.partition(rules).init(params, rows="positions")
    rng = np.random.default_rng(1)
    for _ in range(80):
        for batch in np.array_split(rng.permutation(everything), 10):
            _, grads, _ = loss_and_gradients(params, batch, seen[xp.asarray(batch)])
            opt.step({**grads, "positions": go.rows(batch, grads["positions"])})
    return params


planned, found = recover(positions_lr=0.0), recover(positions_lr=0.05)

# %%
# The picture
# -----------
# Amplitudes do not tell a common factor of the object, nor a ramp of its phase. We
# take both out before we compare. The corners, which hardly any light reached, stay
# unknown.

middle = 2 * (slice(7, -7),)


def aligned(image):
    ratio = (xp.conj(image) * truth["object"])[middle]
    down = xp.angle((ratio[1:] * xp.conj(ratio[:-1])).sum())
    right = xp.angle((ratio[:, 1:] * xp.conj(ratio[:, :-1])).sum())
    image = (image * xp.exp(1j * size * (down * v + right * u)))[middle]
    return image * xp.vdot(image, truth["object"][middle]) / xp.vdot(image, image)


def error(image):
    return float(xp.linalg.norm(image - true) / xp.linalg.norm(true))


true = truth["object"][middle]
by_plan, by_search = aligned(planned["object"]), aligned(found["object"])
objects = {
    "truth": true,
    "start": xp.ones_like(true),
    f"places as planned: off by {error(by_plan):.0%}": by_plan,
    f"places found: off by {error(by_search):.1%}": by_search,
}
phases = {name: xp.angle(image) for name, image in objects.items()}
go.plot.images(phases, limits=(-0.4, 1.3), label="phase of the object")
assert error(by_search) < 0.3 * error(by_plan)

# %%
# The places themselves, without the shift that is common to all (the object moves
# along with it):

reached = to_host(found["positions"])
reached -= (reached - stage).mean(axis=0)
figure, panel = plt.subplots(figsize=(6.4, 6))
for label, at, marker in [
    ("planned", 0, {"marker": "+", "color": "0.4"}),
    ("true", stage, {"marker": "o", "facecolor": "none", "edgecolor": "C0", "s": 70}),
    ("found", reached, {"marker": ".", "color": "C1"}),
]:
    row, column = (np.array(corners) + at).T
    panel.scatter(column, row, label=label, **marker)
panel.set(aspect="equal", xlabel="column", ylabel="row")
panel.set_title("Where the probe was: found to parts of a pixel")
panel.invert_yaxis()
panel.legend(ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.1))
off = float((reached - stage).std())
print(f"Places are off by {off:.3f} pixels; the planned ones by {stage.std():.2f}.")
assert off < 0.1

# %%
# **Try it:** let the stage be off by up to 2 pixels, and then by 3. The places are
# found again with 2. With 3 a check of this page fails, as amplitudes lead back only
# from nearby.
#
# **Where next:** :doc:`/rows` explains rows, and shows how to pad or crop the object
# midway. ``examples/ptychography.py`` does so.
