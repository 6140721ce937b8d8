r"""
A network that reads digits, written by hand
============================================

**What to see: a network and its gradient in twenty lines of NumPy read 97 of 100
handwritten digits. The last picture shows what they misread.**

scikit-learn has 1,797 handwritten digits of 8 × 8 pixels. A network of one hidden
layer turns an image :math:`x` into ten scores, and these into probabilities:

.. math::  h = \tanh(x W_1 + b_1)

.. math::  p = \operatorname{softmax}(h W_2 + b_2)

.. math::  L = -\operatorname{mean}\, \log p_{\text{digit}}
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import gpuopt as go

xp = go.xp()  # NumPy, or CuPy where there is a GPU
plt.style.use("gpuopt.plot.light")

# %%
# The data
# --------
# 1,000 digits to learn from, 297 to watch while it learns, and 500 for the end.

digits = load_digits()
order = np.random.default_rng(0).permutation(len(digits.target))
images = xp.asarray(digits.data[order] / 16, "float32")
labels = xp.asarray(np.eye(10)[digits.target[order]], "float32")  # 1 at the digit
learn, watch, test = slice(0, 1000), slice(1000, 1297), slice(1297, None)

# %%
# The network
# -----------
# The forward pass keeps what the backward pass needs. The gradient of the scores is
# simply :math:`p - \text{label}`.


def forward(params, x):
    hidden = xp.tanh(x @ params["w1"] + params["b1"])
    scores = hidden @ params["w2"] + params["b2"]
    scores -= scores.max(axis=1, keepdims=True)  # else exp may overflow
    return hidden, scores


def loss_and_grad(params, x, label):
    hidden, scores = forward(params, x)
    total = xp.exp(scores).sum(axis=1, keepdims=True)
    loss = (label * (xp.log(total) - scores)).sum() / len(x)
    back = (xp.exp(scores) / total - label) / len(x)
    below = back @ params["w2"].T * (1 - hidden**2)
    return loss, {
        "w1": x.T @ below,
        "b1": below.sum(axis=0),
        "w2": hidden.T @ back,
        "b2": back.sum(axis=0),
    }


def accuracy(params, x, label):
    return (forward(params, x)[1].argmax(axis=1) == label.argmax(axis=1)).mean()


rng = np.random.default_rng(1)
shapes = {"w1": (64, 32), "b1": (32,), "w2": (32, 10), "b2": (10,)}
params = {name: xp.zeros(shape, "float32") for name, shape in shapes.items()}
for name in "w1", "w2":  # of variance 1 / inputs
    scale = shapes[name][0] ** -0.5
    params[name] += xp.asarray(rng.normal(0, scale, shapes[name]), "float32")
assert go.check_gradient(loss_and_grad, params, images[:50], labels[:50]).ok

# %%
# Train
# -----
# :func:`gpuopt.fit` takes batches of 32 digits in a new order in each epoch. After the
# epoch it measures the digits to watch.

rule = go.AdamW(go.schedules.Cosine(0.01, 40 * 32), weight_decay=0.1)
history = go.fit(
    loss_and_grad,
    params,
    (images[learn], labels[learn]),
    rule,
    batch_size=32,
    epochs=40,
    validation=(images[watch], labels[watch]),
    metrics={"accuracy": accuracy},
)
ax = history.plot()
ax.set_title("New digits gain less from the later epochs than those it learns from")
right = float(accuracy(params, images[test], labels[test]))
print(f"{history.steps} updates in {history.seconds:.1f} s")
print(f"{right:.1%} of the last 500 digits are right")
assert right >= 0.97
assert history.loss[-100:].mean() < 0.5 * history.validation[-1]

# %%
# What it misreads
# ----------------

read = forward(params, images[test])[1].argmax(axis=1).tolist()
true = labels[test].argmax(axis=1).tolist()
wrong = [k for k in range(500) if read[k] != true[k]][:8]
misread = {
    f"{true[k]}, read as {read[k]}\nno. {k}": images[test][k].reshape(8, 8)
    for k in wrong
}
go.plot.images(misread, columns=4, cmap="gray_r", label="ink")

# %%
# **Try it:** pass ``patience=5`` to ``fit``. Training then stops once the loss of the
# digits to watch has not fallen for five epochs.
#
# **Where next:** the first page of this folder asks how large a batch should be.
# ``gpuopt demo`` trains this network with five rules in three ways, and
# :doc:`/training` has what else :func:`gpuopt.fit` does, such as early stopping and
# checkpoints.
