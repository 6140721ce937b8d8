r"""
Deconvolution: sharpen an image of few photons
==============================================

**What to see: the most likely image is full of specks. A small price on edges gives
one with little more than half the error of the photo.**

A microscope blurs the image :math:`x` with its point spread function, and the camera
counts single photons. The counts :math:`y` follow Poisson's distribution with the mean
:math:`Hx + b`, where :math:`H` is the blur and :math:`b` a known background. The most
likely image is the one with the least

.. math::  L(x) = \sum_i (Hx + b)_i - y_i\, \log (Hx + b)_i

.. math::  \nabla L = H^\top\Bigl(1 - \frac{y}{Hx + b}\Bigr)
"""

import matplotlib.pyplot as plt
import numpy as np

import gpuopt as go

xp = go.xp()  # NumPy, or CuPy where there is a GPU
to_host = getattr(xp, "asnumpy", np.asarray)  # where random numbers are drawn
plt.style.use("gpuopt.plot.light")

# %%
# The data
# --------
# The cells are disks with smaller disks in them. The blur is a Gaussian, applied by
# FFT: it is symmetric, so :math:`H^\top = H`.

size, background = 64, 2.0
row, column = xp.mgrid[:size, :size]
truth = xp.zeros((size, size))
for i, j, radius, light in [
    (20, 22, 13, 20),
    (16, 26, 4, 40),
    (42, 42, 15, 12),
    (38, 47, 4, 50),
    (50, 38, 3, 50),
    (50, 12, 6, 30),
]:
    truth[(row - i) ** 2 + (column - j) ** 2 < radius**2] = light

away = xp.minimum(row, size - row) ** 2 + xp.minimum(column, size - column) ** 2
spread = xp.exp(-away / (2 * 1.5**2))
transfer = xp.fft.rfft2(spread / spread.sum())


def blur(image):
    return xp.fft.irfft2(transfer * xp.fft.rfft2(image), image.shape)


counts = xp.asarray(np.random.default_rng(0).poisson(to_host(blur(truth) + background)))


def loss_and_gradient(x):
    mean = blur(x) + background
    return (mean - counts * xp.log(mean)).sum(), blur(1 - counts / mean)


with np.errstate(invalid="ignore"):  # it also looks where a mean would be negative
    assert go.check_gradient(loss_and_gradient, truth + 5).ok

# %%
# Two rules
# ---------
# Light is not negative: :func:`gpuopt.nonnegative` keeps the image in that set after
# each step of Adam. :func:`gpuopt.total_variation` charges for each step in brightness
# from a pixel to the next, so that flat cells with few edges are cheap and specks are
# dear.


def error(image):
    return float(xp.linalg.norm(image - truth) / xp.linalg.norm(truth))


adam = go.Adam(go.schedules.Cosine(5.0, 300))
rules = {
    "most likely": go.chain(adam, go.nonnegative()),
    "few edges": go.chain(adam, go.total_variation(0.05), go.nonnegative()),
}
images, errors = {"photo": counts - background}, {}
for name, rule in rules.items():
    opt = rule.init(xp.full((size, size), 10.0))
    errors[name] = []
    for _ in range(300):
        opt.step(loss_and_gradient(opt.params)[1])
        errors[name].append(error(opt.params))
    images[name] = opt.params

# %%
# The picture
# -----------

shown = {"truth": truth}
for name, image in images.items():
    shown[f"{name}: off by {error(image):.0%}"] = image
go.plot.images(shown, limits=(0, 50), label="photons for each pixel")
assert error(images["few edges"]) < 0.6 * error(images["photo"])

# %%
# The specks come late
# --------------------
# The first steps find the large cells, and later ones fit the noise. With the price on
# edges it does not matter when you stop.

ax = go.plot.compare(errors, smooth=1)
ax.set_ylabel("distance from the truth")
ax.set_title("Without a price on edges, the image gets worse in the end")
assert min(errors["most likely"]) < 0.6 * errors["most likely"][-1]
assert errors["few edges"][-1] < 1.01 * min(errors["few edges"])

# %%
# **Try it:** let both rules take 600 steps. Only one of the images changes.
#
# **Where next:** :doc:`/constraints` lists all sets and penalties. The next page
# measures an image by its shadows.
