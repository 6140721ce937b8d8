r"""
The learning rate: too small, right, too large
==============================================

Gradient descent walks downhill. In each step it goes against the gradient, and the
learning rate :math:`\eta` says how far:

.. math:: p \leftarrow p - \eta\, g

This page takes 20 steps on a bowl with three learning rates. One crawls, one arrives,
one flies apart.
"""

import matplotlib.pyplot as plt

import gpuopt as go

plt.style.use("gpuopt.plot.light")
xp = go.xp()  # NumPy, or CuPy where there is a GPU


def bowl(x):
    """A value and its gradient: 4 times as steep along x[1] as along x[0]."""
    curvature = xp.array([1.0, 4.0])
    return (curvature * x**2).sum() / 2, curvature * x


def walk(rate, steps=20):
    x = xp.array([-4.0, 1.5])
    opt = go.GradientDescent(rate).init(x)
    path, losses = [x.copy()], [float(bowl(x)[0])]
    for _ in range(steps):
        opt.step(bowl(x)[1])  # updates x in place
        path.append(x.copy())
        losses.append(float(bowl(x)[0]))
    return path, losses


rates = {"too small: 0.02": 0.02, "right: 0.4": 0.4, "too large: 0.52": 0.52}
paths, losses = {}, {}
for name, rate in rates.items():
    paths[name], losses[name] = walk(rate)

# %%
# Each dot is a step. The small rate has gone a third of the way. The right one reaches
# the minimum, the star. The large one jumps across the valley, and lands higher on the
# other side each time.

slow, right, _ = paths.values()
assert 0.3 < 1 - float(slow[-1][0]) / -4 < 0.36
assert float(abs(right[-1]).max()) < 0.01

view = {"xlim": (-5, 1.5), "ylim": (-8, 8), "minima": [0, 0]}
ax = go.plot.contours(bowl, paths, **view)
ax.set_title("Twenty steps with three learning rates")

# %%
# The same, in motion:

ax = go.plot.contours(bowl, paths, **view)
ax.set_title("Small steps, right steps, and jumps that grow")
moving = go.plot.animate(ax, frames=21)  # one picture for each step

# %%
# What a loss curve tells
# -----------------------
#
# Usually there are too many parameters for a map. The loss remains, and it shows the
# same three cases: a line that hardly falls, one that falls, one that rises.

ax = go.plot.compare(losses, smooth=1)
ax.set_title("A loss that rises: the rate is too large")

crawls, arrives, rises = (losses[name] for name in rates)
assert arrives[-1] < 1e-6 * arrives[0]
assert crawls[-1] > 0.1 * crawls[0]
assert rises[-1] > rises[0]

# %%
# Where the limit is
# ------------------
#
# Along a direction of curvature :math:`h` a step multiplies the distance from the
# minimum by :math:`1 - \eta h`. It shrinks if :math:`\eta < 2/h`. The steepest
# direction sets the limit: here :math:`2/4 = 0.5`, for all directions alike. Just below
# the limit the loss falls, just above it the loss rises.

below, above = walk(0.49)[1], walk(0.51)[1]
assert below[-1] < below[0]
assert above[-1] > above[0]

# %%
# In practice the curvature is unknown. Raise the rate in steps of 3 (0.001, 0.003, 0.01
# …) until the loss rises, then go back one step. A rate may also fall while training
# runs: any of :mod:`gpuopt.schedules` takes the place of the number.
#
# **Try it:** set the rate to 0.25, which is :math:`1/4`. The steep direction is done
# after a single step, and the flat one takes all of the others. No rate is good for
# both: that is what :class:`gpuopt.Momentum` is for.
#
# **Where next:** :doc:`plot_momentum`, and the reference of
# :class:`gpuopt.GradientDescent`.
