r"""
Lasso: a penalty behind Adam
============================

**What to see: proximal Adam puts every coefficient on the grey line, where the
solutions of the lasso lie. Plain shrinkage leaves most of them off it.**

The lasso fits a linear model in which few coefficients differ from 0:

.. math::  \min_x\; \tfrac{1}{2}\,\lVert A x - b\rVert^2 + \lambda\,\lVert x\rVert_1

A point is a solution exactly if the gradient :math:`g = A^\top(Ax - b)` balances the
penalty in every coefficient: :math:`g_j = -\lambda\,\mathrm{sign}(x_j)` where
:math:`x_j \ne 0`, and :math:`|g_j| \le \lambda` where :math:`x_j = 0`. With this
condition you can check a result without a second solver.
"""

import matplotlib.pyplot as plt
import numpy as np

import gpuopt as go

xp = go.xp()  # NumPy, or CuPy where there is a GPU
to_host = getattr(xp, "asnumpy", np.asarray)  # for matplotlib
plt.style.use("gpuopt.plot.light")

# %%
# The data
# --------
# There are 60 measurements and 100 unknown coefficients, and ten of these are not 0.
# The columns of :math:`A` differ in size, as columns of real data do.

rng = np.random.default_rng(0)
A = rng.normal(size=(60, 100)) * np.geomspace(0.3, 3.0, 100)
truth = np.zeros(100)
truth[::10] = rng.choice([-1.0, 1.0], 10) * rng.uniform(1.0, 3.0, 10)
b = A @ truth + 0.5 * rng.normal(size=60)
A, b, weight = xp.asarray(A), xp.asarray(b), 8.0


def gradient(x):
    return A.T @ (A @ x - b)


def objective(x):
    return float(((A @ x - b) ** 2).sum() / 2 + weight * abs(x).sum())


def lasso(shrinkage):
    rule = go.chain(go.Adam(go.schedules.Cosine(0.05, 2000)), shrinkage)
    opt = rule.init(xp.zeros(100))
    for _ in range(2000):
        opt.step(gradient(opt.params))
    return opt.params


# %%
# Two ways to shrink
# ------------------
# Adam multiplies each element of the gradient by a number of its own, :math:`s_j =
# \mathrm{lr}/(\sqrt{\hat v_j}+\varepsilon)`. So :func:`gpuopt.l1` behind
# :class:`gpuopt.Adam` shrinks :math:`x_j` by :math:`s_j\lambda`: it takes the proximal
# step in the metric of Adam's step (Melchior, Joseph and Moolekamp 2019).
#
# Plain shrinkage subtracts :math:`\mathrm{lr}\cdot\lambda` from each modulus. That is
# right behind gradient descent, but not here, with any :math:`\lambda`. We try eight,
# and keep the result with the lowest objective.

proximal = lasso(go.l1(weight))
weights = 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0, weight
plain = min((lasso(go.l1(w, metric="euclidean")) for w in weights), key=objective)

# %%
# The picture
# -----------
# The grey line is the condition: :math:`g_j=\lambda` on the left, :math:`g_j=-\lambda`
# on the right, and anything between the two at :math:`x_j = 0`.

limit = 1.1 * float(xp.maximum(abs(plain), abs(proximal)).max())
figure, panels = plt.subplots(2, 1, figsize=(6.4, 6), sharex=True, sharey=True)
line = [-limit, 0, 0, limit], [weight, weight, -weight, -weight]
results = ("Proximal Adam", proximal), ("Plain shrinkage", plain)
for panel, (name, x) in zip(panels, results, strict=True):
    panel.plot(*line, color="0.8", linewidth=7)
    panel.text(limit, 1 - weight, "solutions", ha="right", color="0.4")
    panel.plot(to_host(x), to_host(gradient(x)), "o", markersize=5)
    count = f"{int((x != 0).sum())} of 100 are not 0"
    panel.set_title(f"{name}: objective {objective(x):.1f}, {count}")
    panel.set_ylabel("gradient $g_j$")
panels[1].set_xlabel("coefficient $x_j$")

# %%
# How far is each coefficient from the line?


def distance(x):
    """How far each gradient is from where the condition wants it."""
    g = gradient(x)
    at_zero = xp.maximum(abs(g) - weight, 0)
    return xp.where(x == 0, at_zero, abs(g + weight * xp.sign(x)))


print(f"proximal Adam: off by at most {float(distance(proximal).max()):.1e}")
far = int((distance(plain) > 1).sum())
print(f"plain shrinkage: {far} of 100 are off by more than 1")
assert distance(proximal).max() < 1e-2
assert far > 50
assert objective(proximal) < objective(plain)

# %%
# **Try it:** put :class:`gpuopt.RMSProp` in the place of Adam. It brings its own
# metric, and ``go.l1(weight)`` stays as it is.
#
# **Where next:** :doc:`/constraints` has the other penalties and sets, such as groups,
# total variation and the simplex. ``go.minimize(...,
# go.ProximalGradient(prox=go.l1(weight)))`` solves the same problem, and finds the
# length of its steps itself.
