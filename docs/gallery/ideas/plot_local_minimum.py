r"""
Momentum: over the hill
=======================

A loss may have several minima. Gradient descent goes downhill only, and so it ends in
the first one. With momentum the point moves like a ball: it has speed, and may roll
over a low hill into a deeper valley.

.. math::

   \begin{aligned}
   v &\leftarrow \beta v + g \\
   p &\leftarrow p - \eta\, v
   \end{aligned}
"""

import matplotlib.pyplot as plt

import gpuopt as go

plt.style.use("gpuopt.plot.light")
xp = go.xp()  # NumPy, or CuPy where there is a GPU


def two_valleys(x):
    """A value and its gradient: a shallow minimum near -0.8, a deep one near 1.1."""
    return ((x**2 - 1) ** 2 - 0.8 * x).sum(), 4 * x * (x**2 - 1) - 0.8


def roll(rule, start=-1.6, steps=120):
    x = xp.array([start])
    opt = rule.init(x)
    path = [x.copy()]
    for _ in range(steps):
        opt.step(two_valleys(x)[1])  # updates x in place
        path.append(x.copy())
    return path


plain = roll(go.GradientDescent(0.01))
ball = roll(go.Momentum(0.01, beta=0.9, dampening=0.0))

view = {"xlim": (-1.75, 1.75)}
ax = go.plot.landscape(
    two_valleys, {"gradient descent": plain, "momentum": ball}, **view
)
ax.set_title("Both start on the left; momentum rolls on")

assert float(plain[-1][0]) < -0.7
assert float(ball[-1][0]) > 1.0

# %%
# The same, in motion. The ball climbs the hill in the middle with the speed that it
# has, swings in the deep valley, and comes to rest there.

ax = go.plot.landscape(
    two_valleys, {"gradient descent": plain, "momentum": ball}, **view
)
ax.set_title("The ball has speed when it comes to the hill")
moving = go.plot.animate(ax, frames=36)

# %%
# It takes enough speed
# ---------------------
#
# Momentum finds *a* deeper minimum here; it does not search for the deepest. With less
# of it, or with a lower start, the ball stays in the shallow valley, too.

ends = {
    "β = 0.9, from the top": ball,
    "β = 0.9, from half-way": roll(
        go.Momentum(0.01, beta=0.9, dampening=0.0), start=-1.2
    ),
    "β = 0.5, from the top": roll(go.Momentum(0.01, beta=0.5, dampening=0.0)),
}
ax = go.plot.compare(
    {name: [float(x[0]) for x in path] for name, path in ends.items()}, smooth=1
)
ax.set(title="Only the fast ball gets across", ylabel="x")

assert [float(path[-1][0]) > 0 for path in ends.values()] == [True, False, False]

# %%
# **Try it:** find the smallest β that still crosses, to two digits.
#
# **Where next:** :doc:`plot_rmsprop`, which gives each parameter a rate of its own. All
# options of momentum are in the reference of :class:`gpuopt.Momentum`.
