r"""
Schedule-free, beside a cosine
==============================

Noise of small batches keeps a constant learning rate from settling. A schedule that
falls to 0, such as half a cosine, lets it settle; but only at the step that you name
beforehand. A schedule-free rule needs no such step. It evaluates a mean :math:`x` of
the points :math:`z` that its steps reach:

.. math::

   \begin{aligned}
   z &\leftarrow z - \eta\, \nabla L(y) \\
   x &\leftarrow (1-c)\, x + c\, z \\
   y &= (1-\beta)\, z + \beta\, x
   \end{aligned}
"""

import matplotlib.pyplot as plt

import gpuopt as go

plt.style.use("gpuopt.plot.light")
# of NumPy arrays, or of CuPy's where there is a GPU
problem = go.problems.LogisticRegression(count=500)
epochs, updates = 60, 60 * 125


def excess(rule):
    """The loss above the smallest there is after each epoch, of x if there is one."""
    weights = problem.x0
    fun, data = problem.loss_and_grad, problem.data
    history = go.fit(fun, weights, data, rule, 4, epochs, validation=data)
    return history.validation - problem.minimum


def cosine(rate, steps):
    return go.SGD(go.schedules.Cosine(rate, steps=steps))


curves = {
    "constant": excess(go.SGD(0.3)),
    "cosine, 60 epochs": excess(cosine(0.3, updates)),
    "cosine, 20 epochs": excess(cosine(0.3, updates // 3)),
    "schedule-free": excess(go.ScheduleFreeSGD(0.3)),
}
ax = go.plot.compare(curves, smooth=1)
ax.set_title("Stop when you like: schedule-free is low all along")
ax.set(xlabel="epochs", ylabel="loss above the minimum")

constant, whole, third, free = curves.values()
assert constant[-1] > 10 * free[-1]
assert (free[5:30] < whole[5:30]).all()
assert (free[5:] < third[5:]).all()
assert whole[-1] < free[-1]

# %%
# The rate is 0.3 for all. The constant rate stays high. The cosine of 60 epochs is the
# lowest in the end, and only there: stopped half-way, it is behind. The cosine of 20
# epochs cannot be continued. The schedule-free line is below both from the sixth epoch
# to the 30th, and no number of epochs was named.
#
# How careful must the rate be?
# -----------------------------

for rate in (0.1, 1.0):
    falling = excess(cosine(rate, updates))[-1]
    free = excess(go.ScheduleFreeSGD(rate))[-1]
    print(f"rate {rate}: cosine {falling:.1e}, schedule-free {free:.1e}")
    assert free < falling

# %%
# The cosine's rate was chosen well above: 0.3 suits it best of these three. A rate that
# is 3 times too small or too large costs the schedule-free rule less.
#
# After a loop of your own, ``opt.evaluation()`` gives :math:`x`; the parameters hold
# :math:`y`. :func:`gpuopt.fit` evaluates :math:`x` by itself where it measures
# validation data.
#
# **Try it:** add ``"average": excess(go.chain(go.SGD(0.3), go.average(0.999)))`` to the
# curves, a mean of the usual kind.
#
# **Where next:** :class:`gpuopt.ScheduleFreeSGD`, :class:`gpuopt.ScheduleFreeAdamW` and
# their paper; all schedules are in :mod:`gpuopt.schedules`.
