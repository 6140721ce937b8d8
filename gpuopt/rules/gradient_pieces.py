"""Pieces that change the gradient before the rule sees it, simplest first.

Those that decide whether there is a step are in `step_pieces.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuopt.rules.noise import standard_normal
from gpuopt.rules.piece import GradientPiece
from gpuopt.rules.ranges import EachHyper, NonNegative, Positive
from gpuopt.rules.reductions import tree_norm
from gpuopt.rules.rule import abs2, clipped
from gpuopt.rules.whole_arrays import whole_array

__all__ = [
    "centralize",
    "clip",
    "clip_global_norm",
    "clip_norm",
    "gradient_noise",
    "maximize",
    "scale",
    "weight_decay",
]


class maximize(GradientPiece):
    """Ascend instead of descending: ``g ← -g``. If it stands before `weight_decay`, decay still
    shrinks the parameters.
    """

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return -g


class scale(GradientPiece):
    """Multiply the gradient: ``g ← factor·g``. An array for `factor` is a mask or a diagonal
    preconditioner.

    Parameters
    ----------
    factor : float or schedule
        Any finite number.
    """

    factor: EachHyper

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return self.factor * g


class weight_decay(GradientPiece):
    """Weight decay coupled with the gradient, the gradient of an L2 penalty: ``g ← g +
    weight_decay·p``.

    Parameters
    ----------
    weight_decay : float or schedule
        At least 0.
    """

    weight_decay: NonNegative

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return g + self.weight_decay * p


class clip(GradientPiece):
    """Clip every element to ``[-value, value]``; a complex element to the modulus `value`, with its
    phase kept.

    Parameters
    ----------
    value : float or schedule
        Greater than 0. NaN stays NaN. An infinite complex number has no phase and becomes NaN.
    """

    value: Positive

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return clipped(g, self.value)


class clip_norm(GradientPiece):
    """Clip the norm of each array (Pascanu et al. 2013): ``g ← g·min(1, max_norm/(‖g‖ + eps))``.

    Parameters
    ----------
    max_norm : float or schedule
        Greater than 0.
    eps : float or schedule
        At least 0; 1e-6 as in PyTorch.
    """

    max_norm: Positive
    eps: NonNegative = 1e-6

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return _shortened(g, np.sqrt(np.sum(abs2(g))), self.max_norm, self.eps)


class clip_global_norm(GradientPiece):
    """Clip the norm of all arrays together (Pascanu et al. 2013): ``g ← g·min(1, max_norm/(‖all g‖
    + eps))``.

    PyTorch's ``clip_grad_norm_``; optax's ``clip_by_global_norm`` is ``eps=0.0``. If the norm is
    not finite, for example because squares overflow (beyond 1.8e19 in float32), every gradient
    becomes 0 or NaN. To skip gradients that are not finite themselves, put `skip_nonfinite` before
    it.

    Parameters
    ----------
    max_norm : float or schedule
        Greater than 0.
    eps : float or schedule
        At least 0; 1e-6 as in PyTorch.
    """

    max_norm: Positive
    eps: NonNegative = 1e-6

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return _shortened(g, tree_norm(g), self.max_norm, self.eps)


def _shortened(g: Any, norm: Any, max_norm: Any, eps: Any) -> Any:
    """The gradient with that norm, scaled down to `max_norm` if it is longer."""
    return np.minimum(max_norm / (norm + eps), 1.0) * g


class centralize(GradientPiece):
    """Gradient centralization (Yong et al. 2020): ``g ← g - mean(g)``.

    Parameters
    ----------
    axis : {None, "rows"}
        None subtracts the mean of each whole array. ``"rows"`` subtracts the mean of each slice
        along the first axis, and leaves vectors unchanged, as in the paper and in optax; it calls a
        function of whole arrays.
    """

    axis: str | None = None

    def check(self) -> None:
        if self.axis not in (None, "rows"):
            raise ValueError(f"centralize: axis must be None or 'rows', got {self.axis!r}")

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return g - (np.mean(g) if self.axis is None else _mean_of_rows(g))


@whole_array
def _mean_of_rows(g: Any) -> Any:
    """The mean of each slice along the first axis; 0 for vectors."""
    axes = tuple(range(1, g.ndim))
    return g.mean(axis=axes, keepdims=True) if axes else np.zeros_like(g)


class gradient_noise(GradientPiece):
    """Add normal noise of variance ``eta / t**gamma`` to every element (each complex part).

    Neelakantan et al. 2015. The noise depends only on the seed, the step `t`, the array's place in
    the tree and the element's index: it is the same on every executor, in every layout, and in a
    resumed run.

    Parameters
    ----------
    eta : float or schedule
        Variance at the first step, at least 0.
    gamma : float or schedule
        Exponent of its decrease, at least 0.
    seed : int
        From 0 to 2**32 - 1. Two such pieces in one chain need different seeds; otherwise their
        noise is the same.
    """

    eta: NonNegative = 0.01
    gamma: NonNegative = 0.55
    seed: int = 0

    def check(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"gradient_noise: seed must be from 0 to 2**32 - 1, got {self.seed!r}")

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return g + (self.eta / t**self.gamma) ** 0.5 * standard_normal(g, self.seed, t)
