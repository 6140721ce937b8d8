r"""
Where Adam goes wrong, and AMSGrad
==================================

Adam divides by the root of a mean of squared gradients. If a large gradient is rare,
the mean forgets it before the next one comes. Reddi, Kale and Kumar (2018) made a
problem of one number that shows what follows. In every third step the gradient is 3, in
the other two it is -1. Their mean is positive, so the way is down, to -1. AMSGrad
divides by the largest mean so far:

.. math::

   \begin{aligned}
   \hat v &\leftarrow \max(\hat v, v) \\
   p &\leftarrow p - \frac{\eta_t}{\sqrt{\hat v} + \epsilon}\, g
   \end{aligned}
"""

import matplotlib.pyplot as plt

import gpuopt as go

plt.style.use("gpuopt.plot.light")
problem = go.problems.Reddi()  # of a NumPy array, or CuPy's where there is a GPU


def train(amsgrad, cycles=600):
    """Where x is after each cycle of three steps."""
    falling = go.schedules.InverseSquareRoot(0.1, steps=1)
    rule = go.Adam(
        falling, beta1=0.0, beta2=0.1, bias_correction=False, amsgrad=amsgrad
    )
    x, seen = problem.x0, []
    opt = go.chain(rule, go.bounds(-1.0, 1.0)).init(x)
    for _ in range(cycles):
        for slope in problem.data[0]:
            opt.step(problem.loss_and_grad(x, slope)[1])
        seen.append(float(x[0]))
    return seen


ends = {"Adam": train(amsgrad=False), "AMSGrad": train(amsgrad=True)}
ax = go.plot.compare(ends, smooth=1)
ax.set_title("Adam climbs to 1, AMSGrad goes down to -1")
ax.set(xlabel="cycles of three steps", ylabel="x")

assert ends["Adam"][-1] > 0.99
assert ends["AMSGrad"][-1] < -0.99

# %%
# Three steps of each
# -------------------
#
# What happens in a cycle? Adam takes the large gradient with a step of about 1, since
# its own square is in the mean. The next two are divided by less and less. Together
# they undo more than the large one did.


def cycle(amsgrad):
    """The three steps of a cycle, far from the start, in units of the learning rate."""
    x = problem.x0
    opt = go.Adam(
        1.0, beta1=0.0, beta2=0.1, bias_correction=False, amsgrad=amsgrad
    ).init(x)
    for _ in range(30):
        moves = []
        for slope in problem.data[0]:
            before = float(x[0])
            opt.step(problem.loss_and_grad(x, slope)[1])
            moves.append(float(x[0]) - before)
    return moves


steps = {"Adam": cycle(amsgrad=False), "AMSGrad": cycle(amsgrad=True)}
for name, (large, *small) in steps.items():
    others = " and ".join(f"{each:+.2f}" for each in small)
    total = large + sum(small)
    print(f"{name}: {large:+.2f} for the large gradient, then {others}: {total:+.2f}")

assert sum(steps["Adam"]) > 0 > sum(steps["AMSGrad"])

# %%
# Does it matter?
# ---------------
#
# The decay here is 0.1, which forgets within a step; the usual 0.999 remembers a
# thousand. Look at ``amsgrad=True`` if a training with rare, large gradients (few
# positive examples, say) ends above where it should.
#
# **Try it:** with ``go.problems.Reddi(large=10.0)`` and ``beta2=1 / (1 + 10**2)`` the
# same happens. With ``beta2=0.99`` Adam goes the right way.
#
# **Where next:** the other idea is to divide by a mean that leaves the present gradient
# out, so that a large one cannot hide behind itself: :class:`gpuopt.ADOPT`. The problem
# is :class:`gpuopt.problems.Reddi`.
