r"""
Adam: momentum and RMSProp together
===================================

Adam smooths the gradient as momentum does, and divides by the root of its mean square
as RMSProp does:

.. math::

   \begin{aligned}
   m &\leftarrow \beta_1 m + (1-\beta_1)\, g \\
   v &\leftarrow \beta_2 v + (1-\beta_2)\, g^2 \\
   p &\leftarrow p -
   \eta\, \frac{m / (1-\beta_1^t)}{\sqrt{v / (1-\beta_2^t)} + \epsilon}
   \end{aligned}

This page shows what it has of each parent, and what the two divisors :math:`1-\beta^t`
are for.
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np

import gpuopt as go

plt.style.use("gpuopt.plot.light")
xp = go.xp()  # NumPy, or CuPy where there is a GPU
curvature = xp.array([1.0, 100.0])


def ravine(x):
    """A value and its gradient: 100 times as steep along x[1] as along x[0]."""
    return (curvature * x**2).sum() / 2, curvature * x


def walk(rule, steps=100):
    """Steps with the gradients of single examples, whose minima are scattered."""
    rng = np.random.default_rng(1)  # on the host: the same numbers on a GPU
    x = xp.array([-1.0, 1.0])
    opt = rule.init(x)
    path = [x.copy()]
    for _ in range(steps):
        opt.step(ravine(x - xp.asarray(rng.normal(scale=0.5, size=2)))[1])
        path.append(x.copy())
    return path


paths = {
    "momentum": walk(go.Momentum(0.01, beta=0.9)),
    "RMSProp": walk(go.RMSProp(0.02)),
    "Adam": walk(go.Adam(0.02)),
}
ax = go.plot.contours(ravine, paths, minima=[0, 0])
ax.set_title("Adam is smooth like one parent, and straight like the other")

# %%
# All gradients here are noisy, as those of small batches are. Momentum smooths the
# noise. Its one rate has to suit the steep direction, so it crawls along the flat one.
# RMSProp heads straight for the minimum, the star, and each step shakes it. Adam does
# neither.


def shaking(path):
    """The mean change from one step to the next."""
    steps = [b - a for a, b in itertools.pairwise(path)]
    return float(sum(abs(b - a).sum() for a, b in itertools.pairwise(steps))) / len(
        steps
    )


def left(path):
    """How far from the minimum a path ends along the flat direction."""
    return abs(float(path[-1][0]))


assert shaking(paths["Adam"]) < 0.5 * shaking(paths["RMSProp"])
assert left(paths["Adam"]) < 0.5 * left(paths["momentum"])

# %%
# Bias correction
# ---------------
#
# Both means start at 0, and know little in the first steps: they are too small. Their
# weights sum to :math:`1-\beta^t`, so that is what Adam divides by. Here is a gradient
# of mean 1 with noise, and the mean that Adam has of it.

rng = np.random.default_rng(1)
x = xp.zeros(1)
rule = go.Adam(0.001)
opt = rule.init(x)
mean, corrected = [], []
for t in range(1, 61):
    opt.step(xp.asarray(1 + 0.3 * rng.normal(size=1)))
    mean.append(float(opt.state["m"][0]))
    corrected.append(mean[-1] / (1 - rule.beta1**t))
ax = go.plot.compare({"m": mean, "corrected": corrected}, smooth=1, yscale="linear")
ax.set(
    title="The corrected mean is right from the first step",
    ylabel="mean of the gradient",
)

assert mean[0] < 0.2
assert max(abs(each - 1) for each in corrected) < 0.5

# %%
# Without the correction Adam does not start slowly, as one might think. Its second mean
# is 100 times as slow as its first, and so the root that it divides by is too small for
# a long time: steps are too long.

lengths = {}
for name, correct in {"corrected": True, "not corrected": False}.items():
    x = xp.zeros(1)
    opt = go.Adam(0.001, bias_correction=correct).init(x)
    lengths[name] = []
    for _ in range(400):
        before = float(x[0])
        opt.step(xp.ones(1))
        lengths[name].append((before - float(x[0])) / 0.001)
ax = go.plot.compare(lengths, smooth=1, yscale="linear")
ax.set(
    title="Steps of a constant gradient, without and with correction",
    ylabel="length / learning rate",
)

assert abs(max(lengths["corrected"]) - 1) < 1e-4
assert 6 < max(lengths["not corrected"]) < 7

# %%
# **Try it:** set ``beta2=0.9``. Both means are then equally slow, and the correction
# matters little after twenty steps.
#
# **Where next:** :doc:`plot_amsgrad` has a problem that Adam does not solve. All
# options: :class:`gpuopt.Adam`; with weight decay: :class:`gpuopt.AdamW`.
