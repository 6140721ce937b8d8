r"""
Muon beside AdamW
=================

**What to see: for the two large matrices of a small network, Muon reaches a lower loss
than AdamW in as many updates, each with the best of five rates. An update takes
longer.**

Muon (Jordan and others 2024) is a rule for matrices. It takes the momentum :math:`M =
U \Sigma V^\top` of a matrix, and steps by its nearest orthogonal matrix:

.. math::  W \leftarrow W - \mathrm{lr}\; U V^\top

So a step changes all directions by the same amount, also those that the gradients
rarely show. A few matrix products approximate :math:`UV^\top` without a decomposition.
Other parameters need another rule: :func:`gpuopt.partition` gives AdamW to them.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import gpuopt as go

xp = go.xp()  # NumPy, or CuPy where there is a GPU
plt.style.use("gpuopt.plot.light")

# %%
# The network
# -----------
# Two hidden layers of 64 units learn from 1,000 handwritten digits; 797 others test
# them.

digits = load_digits()
order = np.random.default_rng(0).permutation(len(digits.target))
images = xp.asarray(digits.data[order] / 16, "float32")
labels = xp.asarray(np.eye(10)[digits.target[order]], "float32")
learn, test = (images[:1000], labels[:1000]), (images[1000:], labels[1000:])


def start():
    rng = np.random.default_rng(1)
    shapes = {"w1": (64, 64), "w2": (64, 64), "w3": (64, 10)}
    params = {"b1": xp.zeros(64), "b2": xp.zeros(64), "b3": xp.zeros(10)}
    params |= {name: rng.normal(size=shape) / 8 for name, shape in shapes.items()}
    return {name: xp.asarray(array, "float32") for name, array in params.items()}


def loss_and_grad(p, x, label):
    h1 = xp.tanh(x @ p["w1"] + p["b1"])
    h2 = xp.tanh(h1 @ p["w2"] + p["b2"])
    scores = h2 @ p["w3"] + p["b3"]
    scores -= scores.max(axis=1, keepdims=True)
    total = xp.exp(scores).sum(axis=1, keepdims=True)
    loss = (label * (xp.log(total) - scores)).sum() / len(x)
    d3 = (xp.exp(scores) / total - label) / len(x)
    d2 = d3 @ p["w3"].T * (1 - h2**2)
    d1 = d2 @ p["w2"].T * (1 - h1**2)
    grads = {"w1": x.T @ d1, "w2": h1.T @ d2, "w3": h2.T @ d3}
    grads |= {"b1": d1.sum(axis=0), "b2": d2.sum(axis=0), "b3": d3.sum(axis=0)}
    return loss, grads


def accuracy(p, x, label):
    hidden = xp.tanh(xp.tanh(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"])
    return ((hidden @ p["w3"] + p["b3"]).argmax(axis=1) == label.argmax(axis=1)).mean()


# %%
# Two rules, five rates
# ---------------------
# No rule is judged by one rate. Both get the same five, a schedule that falls to 0,
# and 20 epochs of ten updates.


def adamw(lr, updates=200):
    return go.AdamW(go.schedules.Cosine(lr, updates), weight_decay=0.1)


def muon(lr):
    hidden = go.Muon(go.schedules.Cosine(lr, 200))
    return go.partition({"w1": hidden, "w2": hidden, "*": adamw(0.01)})


def train(rule, epochs=20):
    params = start()
    history = go.fit(
        loss_and_grad,
        params,
        learn,
        rule,
        batch_size=100,
        epochs=epochs,
        validation=test,
        metrics={"accuracy": accuracy},
    )
    return history, float(loss_and_grad(params, *learn)[0])


rates = [0.003, 0.01, 0.03, 0.1, 0.3]
losses, best = {}, {}
for name, rule in {"AdamW": adamw, "Muon": muon}.items():
    runs = [train(rule(lr)) for lr in rates]
    losses[name] = [loss for _, loss in runs]
    best[name] = runs[int(np.argmin(losses[name]))][0]

# %%
# Which rate?
# -----------
# A step of Muon has the same length in each direction, whatever the gradient; so its
# rates mean something else than AdamW's, and its best one is another.

figure, panel = plt.subplots()
for name, colour in {"AdamW": "C0", "Muon": "C1"}.items():
    panel.loglog(rates, losses[name], marker="o", color=colour)
    panel.text(0.34, losses[name][-1], name, color=colour, va="center")
panel.set(xlabel="learning rate", ylabel="loss after 200 updates", xlim=(0.0025, 0.7))
panel.set_title("The lowest point of Muon is below the lowest of AdamW")
assert min(losses["Muon"]) < 0.2 * min(losses["AdamW"])

# %%
# Updates, and seconds
# --------------------
# An update of Muon takes longer, because of its matrix products. Against the seconds,
# its lead is smaller; so AdamW gets a second try with twice as many updates.

lr = rates[int(np.argmin(losses["AdamW"]))]
best["AdamW, 400 updates"], longer = train(adamw(lr, 400), epochs=40)
figure, panels = plt.subplots(2, 1, figsize=(6.4, 6.8))
go.plot.compare(best, "updates", smooth=10, ax=panels[0])
go.plot.compare(best, "seconds", smooth=10, ax=panels[1])
panels[0].set_title("Muon needs fewer updates")
panels[1].set_title("An update of Muon takes longer")
for name, history in best.items():
    time = f"{1e3 * history.seconds / history.steps:.2f} ms an update"
    print(
        f"{name:18} {time}, {history.metrics['accuracy'][-1]:.1%} of new digits right"
    )
assert min(losses["Muon"]) < longer
assert best["Muon"].seconds > best["AdamW"].seconds

# %%
# The work of Muon's products does not depend on the batch: with larger ones, the
# passes through the network outweigh it.
#
# **Try it:** give ``scale="match_rms_adamw"`` to :class:`gpuopt.Muon`, which makes its
# steps as long as AdamW's. Which rate is best now?
#
# **Where next:** :class:`gpuopt.SOAP` and :class:`gpuopt.Shampoo` are other rules for
# matrices. :doc:`/composition` has all of ``partition``.
