"""The optimizers of ``optax.contrib``, and what is refused of all of optax."""

from __future__ import annotations

from typing import Any

import gpuopt.rules as go
from gpuopt.conventions.common import Made, around, coupled, refuse

__all__ = ["REMEDIES", "ademamix", "adopt", "cocob"]

_DTYPE = "state is float32 for arrays of 16 bits, and of the dtype of its array else"
_MASK = "give gpuopt.partition a rule with it and one without"
REMEDIES = {
    "mu_dtype": _DTYPE,
    "accumulator_dtype": _DTYPE,
    "mask": _MASK,
    "weight_decay_mask": _MASK,
    "trust_ratio_mask": _MASK,
}


def adopt(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.9999,
    eps: float = 1e-6,
    *,
    nesterov: bool = False,
    use_clipping: bool = True,
    **options: Any,
) -> Made:
    """``optax.contrib.adopt``."""
    remedies = {**REMEDIES, "nesterov": "gpuopt.Adam has it", "clip_value_fn": "leave it out"}
    refuse("optax.adopt", {**options, "nesterov": nesterov}, remedies)
    return go.ADOPT(learning_rate, beta1=b1, beta2=b2, eps=eps, clipped=use_clipping)


def ademamix(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    b3: Any = 0.9999,
    alpha: Any = 5.0,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    *,
    weight_decay: Any = 0.0,
    **options: Any,
) -> Made:
    """``optax.contrib.ademamix``."""
    remedies = {**REMEDIES, "eps_root": "add it to eps"}
    refuse("optax.ademamix", {**options, "eps_root": eps_root}, remedies)
    return go.AdEMAMix(
        learning_rate,
        beta1=b1,
        beta2=b2,
        beta3=b3,
        alpha=alpha,
        eps=eps,
        weight_decay=weight_decay,
    )


def cocob(
    learning_rate: Any = 1.0,
    alpha: float = 100.0,
    eps: float = 1e-8,
    weight_decay: Any = 0.0,
    **options: Any,
) -> Made:
    """``optax.contrib.cocob``, whose learning rate is a factor of the gradient."""
    refuse("optax.cocob", options, REMEDIES)
    factor = [] if learning_rate == 1 else [go.scale(learning_rate)]
    return around(go.COCOB(alpha=alpha, eps=eps), [*coupled(weight_decay), *factor])
