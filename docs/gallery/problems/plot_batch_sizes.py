r"""
Must a batch size be a power of two?
====================================

**What to see: an update with 16 examples takes hardly longer than one with a single
example, so larger batches are cheaper for each example. Powers of two (orange) lie on
the curve of all the others.**

The gradient of a batch is the mean of the gradients of its examples,

.. math::  g = \frac{1}{B} \sum_{i=1}^{B} \nabla \ell_i(w).

Nothing in it prefers a power of two. What may prefer one is the hardware, which works
on blocks of numbers. So we measure.
"""

import time

import matplotlib.pyplot as plt
import numpy as np

import gpuopt as go
from gpuopt.demo.network import initial_params, load_digits, loss_and_grad

xp = go.xp()  # NumPy, or CuPy where there is a GPU
plt.style.use("gpuopt.plot.light")

# %%
# The network
# -----------
# It is that of ``gpuopt demo``: 64 pixels, 32 hidden units, ten digits. The next page
# writes one like it.

learn, test = load_digits(seed=0, xp=xp)
images, labels = learn

# %%
# The time of an update
# ---------------------
# Each size is timed many times, the sizes in turns, and the fastest time counts: other
# work on the machine only adds to a time.

powers = [2**k for k in range(1, 10)]
sizes = {1, 12, 24, 48, 96, 192, 384}.union(*({k - 1, k, k + 1} for k in powers))
sizes = sorted(sizes)
fastest = dict.fromkeys(sizes, np.inf)
opt = go.Adam(1e-5).init(initial_params(0, xp))
for _ in range(40):
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
    ticks = [size for size in powers if size in values]
    panel.set(xlabel="batch size", ylabel=label, xticks=ticks, xticklabels=ticks)
    panel.xaxis.minorticks_off()


figure, panels = plt.subplots(2, 1, figsize=(6.4, 7))
draw(panels[0], fastest, "µs for an update")
panels[0].set_title("Powers of two (orange) are on the curve of the others")
panels[0].set_ylim(0)
an_example = {size: each / size for size, each in fastest.items()}
draw(panels[1], an_example, "µs for an example")
panels[1].set_title("The larger the batch, the cheaper an example")
panels[1].set_yscale("log")


def against_neighbours(values):
    """By how much powers of two differ from the mean of the sizes beside them."""
    inside = [k for k in powers if k - 1 in values and k + 1 in values]
    return np.array(
        [2 * values[k] / (values[k - 1] + values[k + 1]) - 1 for k in inside]
    )


off = against_neighbours(fastest)
print(
    f"From the mean of its neighbours a power of two differs by {np.median(off):+.1%}"
)
print(f"(median), and by {off.min():+.1%} to {off.max():+.1%}.")
times = 512 * fastest[1] / fastest[512]
print(
    f"In a batch of 512, an example takes {times:.0f} times less than in a batch of 1."
)
assert fastest[16] < 8 * fastest[1]  # loosely: other work disturbs a clock
assert fastest[512] / 512 < 0.5 * fastest[1]

# %%
# What a batch size does decide
# -----------------------------
# In as many epochs a large batch makes fewer updates. With one learning rate for all
# sizes the loss of new digits grows with the batch. The powers of two are in line
# again.

reached = {}
for power in 8, 16, 32, 64, 128:
    for size in power * 3 // 4, power - 1, power, power + 1:
        params, rule = initial_params(0, xp), go.Adam(3e-3)
        go.fit(loss_and_grad, params, learn, rule, batch_size=size, epochs=10)
        reached[size] = float(loss_and_grad(params, *test)[0])

figure, panel = plt.subplots()
draw(panel, reached, "loss of new digits after 10 epochs")
panel.set_title("The loss follows the size of the batch, not its factors")
panel.set_ylim(0)
assert reached[8] < reached[32] < reached[128]
assert abs(against_neighbours(reached)).max() < 0.1

# %%
# **So:** begin with 32 or 64 because they are round numbers, not because others are
# slow. If memory holds 100 examples, take 100.
#
# **Try it:** run the page on a GPU. The blocks of its matrix units are larger: is a
# multiple of 8 any faster there?
#
# **Where next:** :doc:`/training` has all of :func:`gpuopt.fit`. If you change the
# batch, look for the learning rate anew.
