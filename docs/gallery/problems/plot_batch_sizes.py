r"""
Must a batch size be a power of two?
====================================

**What to see: an update with 16 examples takes hardly longer than one with a single example, so larger batches
are cheaper for each example. Powers of two (orange) lie on the curve of all the others.**

The gradient of a batch is the mean of the gradients of its examples,

.. math::  g = \frac1B \sum_{i=1}^{B} \nabla \ell_i(w).

Nothing in it prefers a power of two. What may prefer one is the hardware, which works on blocks of numbers. So
we measure.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import gpuopt as go

xp = go.xp()  # NumPy, or CuPy where there is a GPU
plt.style.use("gpuopt.plot.light")

# %%
# The network
# -----------
# It reads handwritten digits; the next page writes it slowly.

digits = load_digits()
order = np.random.default_rng(0).permutation(len(digits.target))
images = xp.asarray(digits.data[order] / 16, "float32")
labels = xp.asarray(np.eye(10)[digits.target[order]], "float32")


def start():
    rng = np.random.default_rng(1)
    shapes = {"w1": (64, 32), "w2": (32, 10)}
    weights = {name: xp.asarray(rng.normal(size=shape) / shape[0] ** 0.5, "float32") for name, shape in shapes.items()}
    return {**weights, "b1": xp.zeros(32, "float32"), "b2": xp.zeros(10, "float32")}


def loss_and_grad(p, x, label):
    hidden = xp.tanh(x @ p["w1"] + p["b1"])
    scores = hidden @ p["w2"] + p["b2"]
    scores -= scores.max(axis=1, keepdims=True)
    total = xp.exp(scores).sum(axis=1, keepdims=True)
    loss = (label * (xp.log(total) - scores)).sum() / len(x)
    d2 = (xp.exp(scores) / total - label) / len(x)
    d1 = d2 @ p["w2"].T * (1 - hidden**2)
    return loss, {"w1": x.T @ d1, "b1": d1.sum(axis=0), "w2": hidden.T @ d2, "b2": d2.sum(axis=0)}


# %%
# The time of an update
# ---------------------
# Each size is timed many times, the sizes in turns, and the fastest time counts: other work on the machine only
# adds to a time.

powers = [2**k for k in range(1, 10)]
sizes = sorted({1, *powers, *(k - 1 for k in powers), *(k + 1 for k in powers), 12, 24, 48, 96, 192, 384})
fastest = dict.fromkeys(sizes, np.inf)
opt = go.Adam(1e-5).init(start())
for _ in range(60):
    for size in sizes:
        begin = time.perf_counter()
        loss, grads = loss_and_grad(opt.params, images[:size], labels[:size])
        opt.step(grads)
        float(loss)  # waits for a GPU
        fastest[size] = min(fastest[size], 1e6 * (time.perf_counter() - begin))


def draw(panel, values, label):
    """A curve over batch sizes, with its powers of two in orange."""
    panel.semilogx(list(values), list(values.values()), "o-", markersize=4, linewidth=1)
    special = {size: value for size, value in values.items() if size in powers}
    panel.plot(list(special), list(special.values()), "s", color="C1", markersize=6)
    ticks = [size for size in (1, 4, 16, 64, 256) if size in values]
    panel.set(xlabel="batch size", ylabel=label, xticks=ticks, xticklabels=ticks)
    panel.xaxis.minorticks_off()


figure, panels = plt.subplots(2, 1, figsize=(6.4, 7))
draw(panels[0], fastest, "µs for an update")
draw(panels[1], {size: each / size for size, each in fastest.items()}, "µs for an example")
panels[0].set(ylim=(0, None), title="Powers of two (orange) are on the curve of the others")
panels[1].set(yscale="log", title="The larger the batch, the cheaper an example")


def against_neighbours(values):
    """By how much each power of two differs from the mean of the sizes before and after it."""
    return np.array([2 * values[k] / (values[k - 1] + values[k + 1]) - 1 for k in powers if {k - 1, k, k + 1} <= set(values)])


gain = -against_neighbours(fastest)
print(f"An update with a power of two is {np.median(gain):.1%} faster than its neighbours (median), {gain.max():.1%} at best.")
print(f"An example in a batch of 512 takes {512 * fastest[1] / fastest[512]:.0f} times less than in a batch of 1.")
assert fastest[16] < 2 * fastest[1]
assert fastest[512] / 512 < 0.1 * fastest[1]

# %%
# What a batch size does decide
# -----------------------------
# In as many epochs a large batch makes fewer updates. With one learning rate for all sizes the loss of new
# digits grows with the batch. The powers of two are in line again.

reached = {}
for size in [4, 6, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 96, 127, 128, 129]:
    history = go.fit(
        loss_and_grad, start(), (images[:1000], labels[:1000]), go.Adam(3e-3), batch_size=size, epochs=10,
        validation=(images[1000:], labels[1000:]),
    )  # fmt: skip
    reached[size] = history.validation[-1]
figure, panel = plt.subplots()
draw(panel, reached, "loss of new digits after 10 epochs")
panel.set(ylim=(0, None), title="The loss follows the size of the batch, not its factors")
assert reached[8] < reached[32] < reached[128]
assert abs(against_neighbours(reached)).max() < 0.1

# %%
# **So:** begin with 32 or 64 because they are round numbers, not because others are slow. If memory holds 100
# examples, take 100.
#
# **Try it:** run the page on a GPU. The blocks of its matrix units are larger: is a multiple of 8 any faster
# there?
#
# **Where next:** :doc:`/training` has all of :func:`gpuopt.fit`. If you change the batch, look for the learning
# rate anew.
