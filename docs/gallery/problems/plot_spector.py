r"""
Logistic regression that matches a statistics package
=====================================================

**What to see: coefficients and confidence intervals from gpuopt lie on those of
statsmodels, to all printed digits.**

Spector and Mazzeo (1980) asked whether a new way of teaching economics (PSI) improved
the grades of 32 students. The table is in many textbooks, so the right numbers are
known. The probability that a grade improves is

.. math::  p_i = \frac{1}{1 + e^{-x_i^\top w}}

.. math::  L(w) = -\sum_i y_i\,\log p_i + (1-y_i)\,\log(1-p_i)

.. math::  \nabla L = X^\top(p - y)
"""

import matplotlib.pyplot as plt
import numpy as np
import statsmodels.api as sm

import gpuopt as go

xp = go.xp()  # NumPy, or CuPy where there is a GPU
to_host = getattr(xp, "asnumpy", np.asarray)  # for matplotlib and statsmodels
plt.style.use("gpuopt.plot.light")

spector = sm.datasets.spector.load_pandas()
names = ["grade average", "earlier test", "new method", "constant"]
table = sm.add_constant(spector.exog.to_numpy(), prepend=False)
X, y = xp.asarray(table), xp.asarray(spector.endog.to_numpy())


def loss_and_gradient(w):
    score = X @ w
    loss = (xp.logaddexp(0, score) - y * score).sum()
    return loss, X.T @ (1 / (1 + xp.exp(-score)) - y)


# %%
# Fit
# ---
# The loss is smooth and all the data fit into one call, so L-BFGS needs the fewest
# calls. A gradient written by hand is worth a check first.

assert go.check_gradient(loss_and_gradient, xp.zeros(4)).ok
found = go.minimize(loss_and_gradient, xp.zeros(4), go.LBFGS(), gtol=1e-8)
print(f"{found.nfev} calls, loss {float(found.fun):.6f}")

# %%
# Standard errors
# ---------------
# The curvature of the loss at its minimum says how well the data determine the
# coefficients: :math:`H = X^\top \operatorname{diag}(p(1-p))\, X`. The standard errors
# are the roots of the diagonal of :math:`H^{-1}`.

p = 1 / (1 + xp.exp(-(X @ found.x)))
hessian = (X.T * (p * (1 - p))) @ X
coefficients = to_host(found.x)
errors = to_host(xp.sqrt(xp.diag(xp.linalg.inv(hessian))))

reference = sm.Logit(to_host(y), table).fit(disp=False)
columns = coefficients, errors, reference.params, reference.bse
print(f"{'':14}coefficient, error   statsmodels")
for name, *row in zip(names, *columns, strict=True):
    print("{:13} {:9.4f} {:8.4f}   {:9.4f} {:8.4f}".format(name, *row))
assert np.allclose(coefficients, reference.params, rtol=1e-5)
assert np.allclose(errors, reference.bse, rtol=1e-5)

# %%
# The picture
# -----------
# The axis counts standard errors, so that all four coefficients fit on it. An interval
# of 95 % that leaves out 0 is evidence of an effect: the new method has one.

figure, panel = plt.subplots(figsize=(6.4, 3.6))
rows = np.arange(4)[::-1]
panel.axvline(0, color="0.6", linewidth=1)
for at, how in [
    (reference.params / reference.bse, {"color": "0.8", "elinewidth": 9}),
    (coefficients / errors, {"color": "C0", "marker": "o", "capsize": 4}),
]:
    panel.errorbar(at, rows, xerr=1.96, linestyle="none", **how)
panel.text(-4.5, 2.6, "statsmodels", color="0.5")
panel.text(-4.5, 2.2, "gpuopt", color="C0")
panel.set(xlabel="coefficient in standard errors", ylim=(-0.7, 3.5))
panel.set_yticks(rows, names)
panel.set_title("gpuopt and statsmodels give the same intervals")
assert abs(coefficients[2]) > 1.96 * errors[2]

# %%
# **Try it:** replace L-BFGS with ``go.GradientDescent(1e-4)`` and give
# ``maxiter=10_000``. It ends far from the minimum, because the columns have different
# units, and the comparison fails. Divide each column except the constant by its
# standard deviation, and take ``go.Adam(0.1)``: now the loss arrives at the same
# minimum.
#
# **Where next:** :class:`gpuopt.LBFGS`, :func:`gpuopt.check_gradient`, and
# :doc:`/gradients`. ``go.problems.LogisticRegression`` makes larger problems of this
# kind.
