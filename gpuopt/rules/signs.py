"""Rules that step by the sign of a gradient or of an average: SignSGD, Signum, Lion, Rprop."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from gpuopt.rules.ranges import Decay, NonNegative, Positive
from gpuopt.rules.rule import Rule, real_only

__all__ = ["Lion", "Rprop", "SignSGD", "Signum"]


class SignSGD(Rule):
    """Descent by signs (Bernstein et al. 2018, "signSGD: compressed optimisation for non-convex
    problems"): ``p ← p - lr·sign(g)``.

    Use it for gradients whose scale varies much: every element moves by `lr`, however large its
    gradient is. The default `lr` is that of optax's ``sign_sgd``. In float32 it moves 12 bytes an
    element. The sign of a complex number is ``z/|z|``, as in NumPy and optax, and the sign of 0 is
    0.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(3)
    >>> opt = go.SignSGD(0.5).init(x)
    >>> opt.step(np.array([3.0, -0.1, 0.0]))
    >>> x.tolist()
    [-0.5, 0.5, 0.0]
    """

    lr: NonNegative = 1e-3

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return p - self.lr * np.sign(g)


class Signum(Rule):
    """Descent by the sign of momentum (Bernstein et al. 2018, "signSGD: compressed optimisation for
    non-convex problems"): ``m ← β·m + (1-β)·g; p ← p - lr·sign(m)``.

    Use it in place of `SignSGD` for noisy gradients. It moves 8 more bytes an element: 20 in
    float32. The sign of a complex number is ``z/|z|``, as in NumPy and optax.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta : float or schedule
        Decay of the average, in [0, 1).

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.Signum(0.5).init(x)
    >>> for g in (np.array([3.0, -0.1]), np.array([-1.0, 0.2])):
    ...     opt.step(g)
    >>> x.tolist()
    [-1.0, 0.0]
    """

    lr: NonNegative = 1e-3
    _: KW_ONLY
    beta: Decay = 0.9

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0) -> Any:
        m = self.beta * m + (1 - self.beta) * g
        return p - self.lr * np.sign(m), m


class Lion(Rule):
    """Lion (Chen et al. 2023, "Symbolic discovery of optimization algorithms").

    ``u = sign(β₁·m + (1-β₁)·g); m ← β₂·m + (1-β₂)·g; p ← p - lr·(u + wd·p)``. Use it for large
    networks: it keeps less state than Adam. It needs a learning rate 3 to 10 times smaller. The
    defaults are optax's, except that optax's decay is 1e-3. Keras decays by ``lr·wd·p`` beforehand,
    which is the same. In float32 it moves 20 bytes an element. The sign of a complex number is
    ``z/|z|``, as in NumPy and optax.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta1, beta2 : float or schedule
        The share of m in the step, and its decay, in [0, 1).
    weight_decay : float or schedule
        ``wd``, at least 0.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.Lion(0.5).init(x)
    >>> opt.step(np.array([3.0, -0.1]))
    >>> x.tolist()
    [-0.5, 0.5]
    """

    lr: NonNegative = 1e-4
    _: KW_ONLY
    beta1: Decay = 0.9
    beta2: Decay = 0.99
    weight_decay: NonNegative = 0.0

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0) -> Any:
        u = np.sign(self.beta1 * m + (1 - self.beta1) * g)
        if self.weight_decay:
            u = u + self.weight_decay * p
        return p - self.lr * u, self.beta2 * m + (1 - self.beta2) * g


class Rprop(Rule):
    """Resilient propagation (Riedmiller & Braun 1993; iRprop- of Igel & Hüsken 2000): ``p ← p -
    r·sign(g)``, with a step r of its own for each element.

    Where the gradient keeps its sign, r grows, up to `high`. Where the sign changes, r shrinks,
    down to `low`, and the element rests for a step. r begins at `lr`. Use it for gradients of all
    the data: the noise of mini-batches changes signs. The defaults are PyTorch's. In float32 it
    moves 28 bytes an element. It refuses complex parameters, which have no order.

    Parameters
    ----------
    lr : float or schedule
        The value of r before the first step, at least 0.
    shrink : float or schedule
        The factor of r where the sign changes, in [0, 1).
    grow : float or schedule
        The factor of r where it does not, greater than 0.
    low, high : float or schedule
        The smallest and the largest r, greater than 0.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros(2)
    >>> opt = go.Rprop(0.5).init(x)
    >>> for g in (np.array([3.0, -0.1]), np.array([2.0, 0.3])):
    ...     opt.step(g)
    >>> x.tolist()
    [-1.1, 0.5]
    """

    lr: NonNegative = 0.01
    _: KW_ONLY
    shrink: Decay = 0.5
    grow: Positive = 1.2
    low: Positive = 1e-6
    high: Positive = 50.0

    def start(self, p: Any) -> Any:
        return 0.0, self.lr

    def update(self, t: Any, p: Any, g: Any, last: Any, r: Any) -> Any:
        real_only(self, g)
        kept = np.sign(g) * np.sign(last)
        r = np.where(kept > 0, self.grow * r, np.where(kept < 0, self.shrink * r, r))
        r = np.clip(r, self.low, self.high)
        g = np.where(kept < 0, 0.0, g)
        return p - r * np.sign(g), g, r
