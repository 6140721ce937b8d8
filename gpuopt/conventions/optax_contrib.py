"""The optimizers of ``optax.contrib``, and what is refused of all of optax."""

from __future__ import annotations

from typing import Any

import gpuopt.rules as go
from gpuopt.conventions.common import Made, around, coupled, equals, refuse

__all__ = [
    "ademamix",
    "adopt",
    "cocob",
    "dadapt_adamw",
    "dog",
    "madgrad",
    "momo",
    "prodigy",
    "schedule_free_adamw",
    "schedule_free_sgd",
]

_DTYPE = (
    "give state_dtype='bfloat16' to init, or leave state as it is: float32, or its array's dtype"
)
_MASK = "give gpuopt.partition a rule with it and one without"
REMEDIES = {
    "mu_dtype": _DTYPE,
    "accumulator_dtype": _DTYPE,
    "mask": _MASK,
    "weight_decay_mask": _MASK,
    "trust_ratio_mask": _MASK,
}
_FREE = {
    "state_dtype": _DTYPE,
    "warmup_steps": "its first step has the rate 0; gpuopt.ScheduleFreeSGD(warmup=...) has no such",
}


def adopt(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.9999,
    eps: float = 1e-6,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Any = None,
) -> Made:
    """``optax.contrib.adopt``."""
    remedies = {**REMEDIES, "nesterov": "gpuopt.Adam has it", "clip_value_fn": "leave it out"}
    given = {"mu_dtype": mu_dtype, "clip_value_fn": clip_value_fn, "nesterov": nesterov}
    refuse("optax.adopt", given, remedies)
    return go.ADOPT(learning_rate, beta1=b1, beta2=b2, eps=eps, clipped=use_clipping)


def ademamix(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    b3: Any = 0.9999,
    alpha: Any = 5.0,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    weight_decay: Any = 0.0,
    mask: Any = None,
) -> Made:
    """``optax.contrib.ademamix``."""
    remedies = {**REMEDIES, "eps_root": "add it to eps"}
    refuse("optax.ademamix", {"mu_dtype": mu_dtype, "mask": mask, "eps_root": eps_root}, remedies)
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
    mask: Any = None,
) -> Made:
    """``optax.contrib.cocob``, whose learning rate is a factor of the gradient."""
    refuse("optax.cocob", {"mask": mask}, REMEDIES)
    factor = [] if equals(learning_rate, 1) else [go.scale(learning_rate)]
    return around(go.COCOB(alpha=alpha, eps=eps), [*coupled(weight_decay), *factor])


def dog(
    learning_rate: Any = 1.0,
    init_step: tuple[str, float] = ("heuristic", 1e-6),
    eps: float = 1e-8,
    weight_decay: Any = None,
    mask: Any = None,
) -> Made:
    """``optax.contrib.dog``."""
    refuse("optax.dog", {"mask": mask}, REMEDIES)
    if not equals(init_step[0], "heuristic"):
        raise ValueError(f"optax.dog: init_step={init_step!r}: write ('heuristic', 1e-6)")
    rule = go.DoG(learning_rate, reps_rel=init_step[1], eps=eps)
    return around(rule, coupled(weight_decay))


def prodigy(
    learning_rate: Any = 1.0,
    betas: tuple[Any, Any] = (0.9, 0.999),
    beta3: Any = None,
    eps: float = 1e-8,
    estim_lr0: float = 1e-6,
    estim_lr_coef: float = 1.0,
    weight_decay: Any = 0.0,
    safeguard_warmup: bool = False,
) -> Made:
    """``optax.contrib.prodigy``."""
    given = {"beta3": beta3, "safeguard_warmup": safeguard_warmup}
    given["estim_lr_coef"] = None if equals(estim_lr_coef, 1) else estim_lr_coef
    refuse("optax.prodigy", given, dict.fromkeys(given, "leave it out"))
    own = {"beta1": betas[0], "beta2": betas[1], "first": estim_lr0}
    return go.Prodigy(learning_rate, eps=eps, weight_decay=weight_decay, **own)


def dadapt_adamw(
    learning_rate: Any = 1.0,
    betas: tuple[Any, Any] = (0.9, 0.999),
    eps: float = 1e-8,
    estim_lr0: float = 1e-6,
    weight_decay: Any = 0.0,
) -> Made:
    """``optax.contrib.dadapt_adamw``."""
    own = {"beta1": betas[0], "beta2": betas[1], "first": estim_lr0}
    return go.DAdaptAdam(learning_rate, eps=eps, weight_decay=weight_decay, **own)


def momo(
    learning_rate: Any = 1.0,
    beta: Any = 0.9,
    lower_bound: float = 0.0,
    weight_decay: float = 0.0,
    adapt_lower_bound: bool = False,
) -> Made:
    """``optax.contrib.momo``; its ``value`` is the loss of `Optimizer.step`."""
    given = {"weight_decay": weight_decay, "adapt_lower_bound": adapt_lower_bound}
    refuse("optax.momo", given, dict.fromkeys(given, "leave it out"))
    return go.Momo(learning_rate, beta=beta, f_min=lower_bound)


def madgrad(
    learning_rate: Any,
    momentum: float = 0.9,
    weight_decay: Any = 0.0,
    eps: float = 1e-6,
) -> Made:
    """``optax.contrib.madgrad``, with the root of the count in float64."""
    return around(go.MadGrad(learning_rate, beta=momentum, eps=eps), coupled(weight_decay))


def schedule_free_sgd(
    learning_rate: float = 1.0,
    warmup_steps: int | None = None,
    b1: Any = 0.9,
    weight_decay: float | None = None,
    weight_lr_power: float = 2.0,
    state_dtype: Any = None,
) -> Made:
    """``optax.contrib.schedule_free_sgd``."""
    refuse(
        "optax.schedule_free_sgd", {"state_dtype": state_dtype, "warmup_steps": warmup_steps}, _FREE
    )
    own = {"weight_decay": 0.0 if weight_decay is None else weight_decay, "power": weight_lr_power}
    return go.ScheduleFreeSGD(learning_rate, beta=b1, **own)


def schedule_free_adamw(
    learning_rate: float = 0.0025,
    warmup_steps: int | None = None,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    weight_lr_power: float = 2.0,
    state_dtype: Any = None,
) -> Made:
    """``optax.contrib.schedule_free_adamw``."""
    refuse(
        "optax.schedule_free_adamw",
        {"state_dtype": state_dtype, "warmup_steps": warmup_steps},
        _FREE,
    )
    own = {"weight_decay": weight_decay, "power": weight_lr_power}
    return go.ScheduleFreeAdamW(learning_rate, beta1=b1, beta2=b2, eps=eps, **own)
