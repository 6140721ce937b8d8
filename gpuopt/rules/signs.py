"""Rules that step by the sign of a gradient or of an average: SignSGD, Signum, Lion."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from gpuopt.rules.ranges import Decay, NonNegative
from gpuopt.rules.rule import Rule

__all__ = ["Lion", "SignSGD", "Signum"]


class SignSGD(Rule):
    """Descent by signs (Bernstein et al. 2018, "signSGD: compressed optimisation for non-convex
    problems"): ``p ← p - lr·sign(g)``.

    Every element moves by `lr`, whatever the scale of its gradient. The default is optax's
    ``sign_sgd``. In float32 it moves 12 bytes an element. The sign of a complex number is
    ``z/|z|``, as in NumPy and optax, and 0 of 0.

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

    Less noisy than `SignSGD`, for 8 more bytes an element: 20 in float32. The sign of a complex
    number is ``z/|z|``, as in NumPy and optax.

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

    ``u = sign(β₁·m + (1-β₁)·g); m ← β₂·m + (1-β₂)·g; p ← p - lr·(u + wd·p)``: less state than Adam,
    and a learning rate 3 to 10 times smaller. Defaults are optax's, but for its decay, 1e-3; Keras
    decays by ``lr·wd·p`` beforehand, which is the same. In float32 it moves 20 bytes an element.
    The sign of a complex number is ``z/|z|``, as in NumPy and optax.

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
