r"""
Momentum: less zigzag in a ravine
=================================

A ravine is steep across and flat along. Plain gradient descent jumps from wall to wall,
and hardly moves along the floor. Momentum steps along a velocity, a sum of past
gradients with weights that decay by :math:`\beta` a step:

.. math::

   \begin{aligned}
   v &\leftarrow \beta v + g \\
   p &\leftarrow p - \eta\, v
   \end{aligned}

Across the ravine the gradients change sign, and cancel in the sum. Along it they agree,
and add up.
"""

import itertools

import matplotlib.pyplot as plt

import gpuopt as go

plt.style.use("gpuopt.plot.light")
xp = go.xp()  # NumPy, or CuPy where there is a GPU


def ravine(x):
    """A value and its gradient: 20 times as steep across, along x[1], as along x[0]."""
    curvature = xp.array([1.0, 20.0])
    return (curvature * x**2).sum() / 2, curvature * x


def walk(rule, steps=60):
    x = xp.array([-9.0, 1.0])
    opt = rule.init(x)
    path = [x.copy()]
    for _ in range(steps):
        opt.step(ravine(x)[1])  # updates x in place
        path.append(x.copy())
    return path


rate = 0.09  # the limit of plain descent is 2/20 = 0.1
plain = walk(go.GradientDescent(rate))
smooth = walk(go.Momentum(rate, beta=0.6, dampening=0.0))

ax = go.plot.contours(
    ravine,
    {"gradient descent": plain[:16], "momentum": smooth[:16]},
    xlim=(-10, 2.5),
    ylim=(-1.3, 1.3),
    minima=[0, 0],
)
ax.set_title("Fifteen steps at the same learning rate")

assert abs(float(smooth[15][0])) < 0.5
assert abs(float(plain[15][0])) > 2

# %%
# Both take 15 steps at the rate 0.09. Momentum is beside the star, the minimum;
# gradient descent still zigzags towards it.
#
# What cancels, and what adds up
# ------------------------------
#
# Here are the gradients of plain descent across the ravine, and those along it. Across,
# each undoes most of the one before. Along, all point the same way.

gradients = [ravine(x)[1] for x in plain[:16]]
across, along = [float(g[1]) for g in gradients], [float(g[0]) for g in gradients]
ax = go.plot.compare({"across": across, "along": along}, smooth=1)
ax.set(
    title="Across the ravine gradients change sign; along it they agree",
    ylabel="gradient",
)

assert all(a * b < 0 for a, b in itertools.pairwise(across))
assert max(along) < 0

# %%
# How much momentum?
# ------------------
#
# With too little the zigzag stays. With too much the point runs past the minimum and
# swings back, like a heavy ball.

losses = {}
for beta in (0.0, 0.6, 0.95):
    path = walk(go.Momentum(rate, beta=beta, dampening=0.0))
    losses[f"β = {beta}"] = [float(ravine(x)[0]) for x in path]
ax = go.plot.compare(losses, smooth=1)
ax.set_title("β = 0.6 is far below both others after 60 steps")

none, right, heavy = (loss[-1] for loss in losses.values())
assert right < 1e-6 * none
assert right < 1e-6 * heavy

# %%
# A gradient that does not change makes a velocity of :math:`1/(1-\beta)` times its
# size: with 0.9, momentum is 10 times as fast. By default :class:`gpuopt.Momentum`
# takes the *average* of the gradients, so that a rate means the same for each β;
# ``dampening=0.0`` is the sum, as in the formula above and in PyTorch.
#
# **Try it:** set the rate to 0.12. Plain descent flies apart, since its limit is 0.1.
# The limit with momentum is :math:`2(1+\beta)/20`, 0.16 for β = 0.6.
#
# **Where next:** :doc:`plot_local_minimum`, where momentum carries a ball over a hill.
