r"""
RMSProp: a learning rate for each parameter
===========================================

One learning rate has to suit all parameters, though their gradients may differ a
million times in size. RMSProp keeps a running mean of the squared gradient of each
parameter, and divides by its root:

.. math::

   \begin{aligned}
   v &\leftarrow \beta v + (1-\beta)\, g^2 \\
   p &\leftarrow p - \frac{\eta}{\sqrt{v} + \epsilon}\, g
   \end{aligned}

The factor of :math:`g` is the *effective* rate, a number for each parameter.
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np

import gpuopt as go

plt.style.use("gpuopt.plot.light")
xp = go.xp()  # NumPy, or CuPy where there is a GPU


def ravine(x):
    """A value and its gradient: 1,000 times as steep along x[1] as along x[0]."""
    curvature = xp.array([1.0, 1000.0])
    return (curvature * x**2).sum() / 2, curvature * x


def walk(rule, steps=100):
    x = xp.array([-1.0, 1.0])
    opt = rule.init(x)
    path, rates = [x.copy()], []
    for _ in range(steps):
        opt.step(ravine(x)[1])
        path.append(x.copy())
        if "v" in opt.state:
            rates.append(rule.lr / (xp.sqrt(opt.state["v"]) + rule.eps))
    return path, rates


plain, _ = walk(go.GradientDescent(0.0019))  # the limit is 2/1000
scaled, rates = walk(go.RMSProp(0.01))

ax = go.plot.contours(
    ravine,
    {"gradient descent": plain, "RMSProp": scaled},
    xlim=(-1.2, 0.2),
    ylim=(-1.2, 1.2),
    minima=[0, 0],
)
ax.set_title("RMSProp goes straight, however steep a direction is")

assert float(plain[-1][0]) < -0.8
assert float(abs(scaled[-1]).max()) < 0.2

# %%
# A rate of 0.0019 is nearly too large for the steep direction, and some 500 times too
# small for the flat one. RMSProp moves by about the same length in both.
#
# The effective rates
# -------------------
#
# They differ by the factor 1,000, as the curvatures do. Nobody had to find it.

effective = {f"of x[{i}]": [float(rate[i]) for rate in rates] for i in (0, 1)}
ax = go.plot.compare(effective, smooth=1)
ax.set(title="One rate for each parameter", ylabel="effective rate")

ratio = effective["of x[0]"][0] / effective["of x[1]"][0]
assert 999 < ratio < 1001

# %%
# Vanishing and exploding gradients
# ---------------------------------
#
# The gradient of a layer in a deep network is a product over the layers behind it.
# Logistic functions have slopes of 1/4 at most: the gradient vanishes towards the first
# layer. Large weights between rectifiers, ``max(z, 0)``, multiply it in each layer: it
# explodes. Here are two such networks of eight layers, which are to fit a sine.

rng = np.random.default_rng(0)  # on the host: the same numbers on a GPU
inputs = xp.linspace(-2, 2, 64)[:, None]
targets = xp.sin(2 * inputs)


def network(scale, layers=8, width=16):
    """Weights of each layer; a linear network with `scale` 1 keeps a signal's size."""
    sizes = [1] + [width] * layers + [1]
    return [
        xp.asarray(scale * rng.normal(size=(a, b)) / a**0.5)
        for a, b in itertools.pairwise(sizes)
    ]


def loss_and_grad(weights, x, y, squash, slope):
    signals = [x]
    for w in weights[:-1]:
        signals.append(squash(signals[-1] @ w))
    off = signals[-1] @ weights[-1] - y
    loss, back, grads = 0.5 * (off**2).mean(), off / len(x), []
    for w, signal in zip(reversed(weights), reversed(signals), strict=True):
        grads.append(signal.T @ back)
        back = (back @ w.T) * slope(signal)
    return loss, grads[::-1]


def logistic(weights, x, y):
    return loss_and_grad(
        weights, x, y, lambda z: (1 + xp.tanh(z / 2)) / 2, lambda h: h * (1 - h)
    )


def rectifiers(weights, x, y):
    return loss_and_grad(weights, x, y, lambda z: xp.maximum(z, 0), lambda h: h > 0)


def sizes(arrays):
    return [float(xp.sqrt((a**2).mean())) for a in arrays]


gradients, steps = {}, {}
for name, fun, scale in (("vanishing", logistic, 1.0), ("exploding", rectifiers, 3.0)):
    weights = network(scale)
    grads = fun(weights, inputs, targets)[1]
    gradients[name] = sizes(grads)
    steps[name] = sizes(go.RMSProp(0.001).init(weights).direction(grads))

lines = {f"{name} gradient": size for name, size in gradients.items()}
ax = go.plot.compare({**lines, "RMSProp's step, both": steps["exploding"]}, smooth=1)
ax.set_title("Gradients differ from layer to layer, RMSProp's steps do not")
ax.set(xlabel="layer", ylabel="root mean square", xlim=(1, 9))

assert gradients["vanishing"][0] < 1e-3 * gradients["vanishing"][-1]
assert min(gradients["exploding"]) > 1e3
assert max(map(max, steps.values())) < 3 * min(map(min, steps.values()))

# %%
# So RMSProp trains the network whose gradients vanish. Gradient descent does not, with
# any of three rates.

start = network(1.5)
rules = {
    "RMSProp": go.RMSProp(0.003),
    **{f"descent, {rate}": go.GradientDescent(rate) for rate in (0.01, 0.1, 1.0)},
}
histories = {}
for name, rule in rules.items():
    weights = [w.copy() for w in start]
    histories[name] = go.fit(
        logistic, weights, (inputs, targets), rule, batch_size=None, epochs=1500
    )
ax = go.plot.compare(histories, smooth=1)
ax.set_title("Gradient descent stands still, RMSProp learns")

learnt, *stuck = (float(history.loss[-1]) for history in histories.values())
assert learnt < 0.2 * min(stuck)

# %%
# **Try it:** add ``"Adam": go.Adam(0.003)`` to the rules.
#
# **Where next:** :doc:`plot_adam` adds momentum. The rule's options (centred, with
# momentum) are in the reference of :class:`gpuopt.RMSProp`.
