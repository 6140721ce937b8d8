r"""
Tomography from few angles
==========================

**What to see: with 16 angles there are more pixels than measurements. What is known
about the image fills the gap.**

A detector turns around a slice :math:`x` and sees, at each angle, the sums of the
image along parallel rays. These shadows are a linear map :math:`Ax`, and the fit to
what was seen is

.. math::  L(x) = \tfrac{1}{2}\,\lVert Ax - y\rVert^2

.. math::  \nabla L = A^\top (Ax - y)
"""

import matplotlib.pyplot as plt
import numpy as np

import gpuopt as go

xp = go.xp()  # NumPy, or CuPy where there is a GPU
plt.style.use("gpuopt.plot.light")

# %%
# The slice
# ---------
# A head made of ellipses: a skull, and in it regions that absorb more or less.

size, angles, bins = 48, 16, 70
row, column = (xp.mgrid[:size, :size] + 0.5) / (size / 2) - 1
truth = xp.zeros((size, size))
for value, right, down, a, b in [
    (1.0, 0, 0, 0.7, 0.9),
    (-0.8, 0, 0, 0.62, 0.82),
    (0.4, 0.25, 0.1, 0.15, 0.3),
    (-0.2, -0.25, -0.1, 0.2, 0.35),
    (0.6, 0, -0.55, 0.12, 0.08),
]:
    truth[((column - right) / a) ** 2 + ((row - down) / b) ** 2 <= 1] += value

# %%
# The shadows
# -----------
# A pixel's shadow falls on two neighbouring bins of the detector, with weights that
# add up to 1. ``back`` reads the same two bins with the same weights, so it is exactly
# :math:`A^\top`, and the gradient is exact. :func:`gpuopt.check_gradient` confirms it.

y, x = xp.mgrid[:size, :size].reshape(2, -1) - (size - 1) / 2
turn = xp.arange(angles)[:, None] * (np.pi / angles)
place = x * xp.cos(turn) + y * xp.sin(turn) + bins / 2
left = xp.floor(place).astype(int)
share = place - left  # what the right one of the two bins gets
left += bins * xp.arange(angles)[:, None]


def shadows(image):
    weights = (1 - share) * image.ravel(), share * image.ravel()
    total = xp.bincount(left.ravel(), weights[0].ravel(), angles * bins)
    return total + xp.bincount(left.ravel() + 1, weights[1].ravel(), angles * bins)


def back(rays):
    pixels = (1 - share) * rays[left] + share * rays[left + 1]
    return pixels.sum(axis=0).reshape(size, size)


clean = shadows(truth)
noise = xp.asarray(np.random.default_rng(0).normal(size=angles * bins))
noise *= 0.02 * clean.max()
seen = clean + noise


def loss_and_gradient(image):
    off = shadows(image) - seen
    return (off * off).sum() / 2, back(off)


assert go.check_gradient(loss_and_gradient, xp.ones((size, size))).ok
print(f"{angles * bins} measurements of {size * size} pixels, with noise of 2 %")

# %%
# Three rules
# -----------
# A piece behind Adam adds what is known. :func:`gpuopt.nonnegative`: nothing absorbs
# less than nothing. :func:`gpuopt.total_variation`: tissue comes in regions of one
# value, so that most neighbours are alike.

adam = go.Adam(go.schedules.Cosine(0.1, 200))
rules = {
    "Adam alone": adam,
    "not negative": go.chain(adam, go.nonnegative()),
    "and few edges": go.chain(adam, go.total_variation(0.5), go.nonnegative()),
}
found = {}
for name, rule in rules.items():
    opt = rule.init(xp.zeros((size, size)))
    for _ in range(200):
        opt.step(loss_and_gradient(opt.params)[1])
    found[name] = opt.params

# %%
# The picture
# -----------


def error(image):
    return float(xp.linalg.norm(image - truth) / xp.linalg.norm(truth))


shown = {"truth": truth}
for name, image in found.items():
    shown[f"{name}: off by {error(image):.0%}"] = image
go.plot.images(shown, limits=(0, 1.1), cmap="gray", label="absorption")
alone, positive, flat = (error(image) for image in found.values())
assert flat < positive < alone

# %%
# The fit does not tell them apart
# --------------------------------
# All three explain the shadows to within the noise. A good fit alone is no reason to
# believe an image.

for name, image in found.items():
    fit = float(xp.linalg.norm(shadows(image) - seen) / xp.linalg.norm(noise))
    print(f"{name + ':':14} the shadows are off by {fit:.2f} times the noise")
    assert fit < 1

# %%
# **Try it:** set ``angles`` to 64. With more measurements than unknowns, the three
# images come closer to each other.
#
# **Where next:** ``examples/tomography.py`` is this page as a program, and
# :doc:`/science` compares it with the update written by hand.
