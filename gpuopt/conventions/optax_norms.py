"""The optimizers of ``optax`` that take norms of each array."""

from __future__ import annotations

from typing import Any

import gpuopt.rules as go
from gpuopt.conventions.common import Made, refuse
from gpuopt.conventions.optax_contrib import REMEDIES

__all__ = ["lamb", "lars", "novograd"]


def lars(
    learning_rate: Any,
    weight_decay: Any = 0.0,
    *,
    trust_coefficient: float = 0.001,
    eps: float = 0.0,
    momentum: float = 0.9,
    nesterov: bool = False,
) -> Made:
    """``optax.lars``, for all arrays alike."""
    refuse("optax.lars", {"nesterov": nesterov}, {"nesterov": "leave it out"})
    return go.LARS(
        learning_rate,
        beta=momentum,
        weight_decay=weight_decay,
        trust=trust_coefficient,
        eps=eps,
    )


def lamb(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: float = 1e-6,
    eps_root: float = 0.0,
    weight_decay: Any = 0.0,
    **options: Any,
) -> Made:
    """``optax.lamb``."""
    refuse(
        "optax.lamb", {**options, "eps_root": eps_root}, {**REMEDIES, "eps_root": "add it to eps"}
    )
    return go.LAMB(learning_rate, beta1=b1, beta2=b2, eps=eps, weight_decay=weight_decay)


def novograd(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.25,
    eps: float = 1e-6,
    eps_root: float = 0.0,
    weight_decay: Any = 0.0,
) -> Made:
    """``optax.novograd``."""
    refuse("optax.novograd", {"eps_root": eps_root}, {"eps_root": "add it to eps"})
    return go.NovoGrad(learning_rate, beta1=b1, beta2=b2, eps=eps, weight_decay=weight_decay)
