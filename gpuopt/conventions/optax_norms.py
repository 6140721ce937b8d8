"""The optimizers of ``optax`` that take norms, sums or the loss."""

from __future__ import annotations

from typing import Any

import gpuopt.rules as go
from gpuopt.conventions.common import Made, equals, refuse
from gpuopt.conventions.optax_contrib import REMEDIES

__all__ = ["lamb", "lars", "novograd", "polyak_sgd", "sm3"]


def lars(
    learning_rate: Any,
    weight_decay: Any = 0.0,
    weight_decay_mask: Any = True,
    trust_coefficient: float = 0.001,
    eps: float = 0.0,
    trust_ratio_mask: Any = True,
    momentum: float = 0.9,
    nesterov: bool = False,
) -> Made:
    """``optax.lars``, for all arrays alike."""
    masks = {"weight_decay_mask": weight_decay_mask, "trust_ratio_mask": trust_ratio_mask}
    given = {name: mask for name, mask in masks.items() if mask is not True}
    remedies = {**REMEDIES, "nesterov": "leave it out"}
    refuse("optax.lars", {**given, "nesterov": nesterov}, remedies)
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
    mask: Any = None,
) -> Made:
    """``optax.lamb``."""
    refuse(
        "optax.lamb",
        {"mask": mask, "eps_root": eps_root},
        {**REMEDIES, "eps_root": "add it to eps"},
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


def polyak_sgd(
    max_learning_rate: float = 1.0,
    scaling: Any = 1.0,
    f_min: float = 0.0,
    eps: float = 0.0,
    variant: str = "sps",
) -> Made:
    """``optax.polyak_sgd``; its ``value`` is the loss of `Optimizer.step`."""
    given = {"scaling": None if equals(scaling, 1) else scaling}
    given["variant"] = None if equals(variant, "sps") else variant
    remedies = {"scaling": "leave it out", "variant": "write 'sps'"}
    refuse("optax.polyak_sgd", given, remedies)
    return go.PolyakStep(max_learning_rate, f_min=f_min, eps=eps)


def sm3(learning_rate: Any, momentum: float = 0.9) -> Made:
    """``optax.sm3``."""
    return go.SM3(learning_rate, beta=momentum)
