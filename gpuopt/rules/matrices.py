"""Rules for matrices: Muon."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from gpuopt.rules.ranges import Decay, NonNegative, Positive
from gpuopt.rules.rule import Rule, abs2
from gpuopt.rules.whole_arrays import whole_array

__all__ = ["Muon"]


def adjoint(x: Any) -> Any:
    """The matrices of the last two axes, conjugated and transposed."""
    return x.conj().swapaxes(-1, -2)


@whole_array
def _orthogonal(x: Any, steps: int, eps: Any, scale: str) -> Any:
    """Nearly the orthogonal factor of each matrix of the last two axes, scaled by its shape."""
    if x.ndim < 2:
        raise ValueError(
            f"Muon is for matrices, not for an array of shape {x.shape}: give others another rule, "
            "as in gpuopt.partition({'*/w': gpuopt.Muon(), '*': gpuopt.AdamW()})"
        )
    rows, columns = x.shape[-2:]
    y = x.swapaxes(-1, -2) if rows > columns else x
    y = y / np.maximum(np.sqrt(np.sum(abs2(y), axis=(-2, -1), keepdims=True)), eps)
    for _ in range(steps):
        gram = y @ adjoint(y)
        y = 3.4445 * y + (-4.7750 * gram + 2.0315 * (gram @ gram)) @ y
    y = y.swapaxes(-1, -2) if rows > columns else y
    factor = (
        max(1.0, rows / columns) ** 0.5 if scale == "original" else 0.2 * max(rows, columns) ** 0.5
    )
    return factor * y


class Muon(Rule):
    """Muon (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks").

    ``m ← β·m + (1-β)·g``, and with Nesterov ``h = β·m + (1-β)·g``; ``p ← p·(1 - lr·wd) -
    lr·s·O(h)``. O is nearly the orthogonal factor of a matrix, computed by `ns_steps` of the
    Newton-Schulz iteration: every direction of the matrix gets a step of the same size. ``s =
    √max(1, rows/columns)``. Use it for the matrices of hidden layers, and give vectors, embeddings
    and the last layer another rule with `partition`. An array of more than two axes is a stack of
    matrices. The defaults are PyTorch's. PyTorch computes O in bfloat16, gpuopt in float32 or
    float64. In float32 its fused parts move 32 bytes an element.

    Parameters
    ----------
    lr : float or schedule
        Learning rate, at least 0.
    beta : float or schedule
        Decay of m, in [0, 1); PyTorch calls it ``momentum``.
    nesterov : bool
        Use the momentum one step ahead, ``h``.
    weight_decay : float or schedule
        ``wd``, at least 0; decoupled.
    ns_steps : int
        The number of iterations, at least 1.
    scale : {"original", "match_rms_adamw"}
        The choice of s. ``"match_rms_adamw"`` is ``0.2·√max(rows, columns)``, for the learning
        rates of AdamW.
    eps : float or schedule
        The smallest norm that a matrix is divided by, greater than 0.

    Examples
    --------
    >>> import gpuopt as go
    >>> x = np.zeros((2, 2))
    >>> opt = go.Muon(0.1).init(x)
    >>> opt.step(np.array([[3.0, 0.0], [0.0, -4.0]]))
    >>> x.round(3).tolist()
    [[-0.072, 0.0], [0.0, 0.112]]
    """

    lr: NonNegative = 1e-3
    _: KW_ONLY
    beta: Decay = 0.95
    nesterov: bool = True
    weight_decay: NonNegative = 0.1
    ns_steps: int = 5
    scale: str = "original"
    eps: Positive = 1e-7

    def check(self) -> None:
        if self.ns_steps < 1:
            raise ValueError(f"Muon: ns_steps must be at least 1, got {self.ns_steps}")
        if self.scale not in ("original", "match_rms_adamw"):
            raise ValueError(
                f"Muon: scale must be 'original' or 'match_rms_adamw', got {self.scale!r}"
            )

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0) -> Any:
        m = self.beta * m + (1 - self.beta) * g
        h = self.beta * m + (1 - self.beta) * g if self.nesterov else m
        step = _orthogonal(h, self.ns_steps, self.eps, self.scale)
        return p * (1 - self.lr * self.weight_decay) - self.lr * step, m
