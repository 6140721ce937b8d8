r"""
Stochastic, mini-batch, batch
=============================

The loss of a training is a mean over examples, and so is its gradient. An update may
take the mean over all examples, over a few, or over a single one; :math:`B` of them:

.. math::

   \begin{aligned}
   g &= \frac{1}{B} \sum_{i \in \text{batch}} \nabla L_i(p) \\
   p &\leftarrow p - \eta\, g
   \end{aligned}

Batch gradient descent takes all, stochastic gradient descent one, and a mini-batch is
between. In :func:`gpuopt.fit` this is one argument. Which is best depends on what you
count: updates, examples, or seconds.
"""

import matplotlib.pyplot as plt

import gpuopt as go

plt.style.use("gpuopt.plot.light")
# of NumPy arrays, or of CuPy's where there is a GPU
problem = go.problems.LogisticRegression(count=20_000)
fun, data = problem.loss_and_grad, problem.data

# where Numba compiles the update, it does so here, and not in the times below
go.fit(fun, problem.x0, data, go.SGD(0.05), batch_size=1024, epochs=1)
histories = {
    "batch": go.fit(fun, problem.x0, data, go.SGD(0.05), batch_size=None, epochs=300),
    "mini-batch of 32": go.fit(fun, problem.x0, data, go.SGD(0.05), 32, epochs=3),
    "stochastic": go.fit(fun, problem.x0, data, go.SGD(0.05), batch_size=1, epochs=1),
}

# %%
# Count updates
# -------------
#
# A batch gives the true gradient, so its line is smooth. A single example gives a
# guess, and its line shakes. All go down about equally fast: a guess is right on
# average. Each line is the mean over a 40th of its updates.

ax = go.plot.compare(histories, xlim=(0, 300))
ax.set_title("Update by update: about equally fast")

# %%
# Count examples
# --------------
#
# For one update the batch read 20,000 examples, though a few would have given nearly
# the same direction. Small batches learn far more from each example.

ax = go.plot.compare(histories, against="examples", xlim=(0, 40_000))
ax.set_title("Example by example: small batches are far ahead")


def loss_after(name, examples):
    """The mean loss of the updates before and after so many examples."""
    history = histories[name]
    at = int(examples * history.steps / history.examples)
    return history.loss[max(0, at - 200) : at + 200].mean()


assert loss_after("stochastic", 10_000) < 0.6 * histories["batch"].loss[0]
assert loss_after("mini-batch of 32", 10_000) < 0.6 * histories["batch"].loss[0]
assert histories["batch"].loss[1] > 0.9 * histories["batch"].loss[0]

# %%
# Count seconds
# -------------
#
# An update has a cost of its own, whatever the batch: Python's calls here, launches on
# a GPU. So 32 examples take far less than 32 times as long as one, and stochastic
# updates waste most of the machine. Mini-batches are the usual choice because they do
# well in all three pictures.

ax = go.plot.compare(histories, against="seconds")
ax.set_title("Second by second: what counts in the end")

for name, history in histories.items():
    total = 1e6 * history.seconds
    update, example = total / history.steps, total / history.examples
    print(f"{name}: {update:.0f} µs an update, {example:.2f} µs an example")

mini, single = (
    histories[name].seconds / histories[name].steps
    for name in ("mini-batch of 32", "stochastic")
)
assert mini < 8 * single

# %%
# **Try it:** raise the rates to 1.0. The batch becomes faster, and the stochastic line
# does not settle: a noisy gradient needs a smaller rate, or one that falls
# (:mod:`gpuopt.schedules`).
#
# **Where next:** :doc:`plot_schedule_free` lets the noise settle without a schedule.
# ``gpuopt demo`` trains a network in these three ways.
