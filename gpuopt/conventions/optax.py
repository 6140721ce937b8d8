"""The optimizers of ``optax``: ``optax.adam(1e-3)``; those of ``optax.contrib`` in `contrib`.

A mask is a `gpuopt.partition` here.
"""

from __future__ import annotations

from typing import Any

import gpuopt.rules as go
from gpuopt.conventions import optax_contrib as contrib
from gpuopt.conventions.common import Made, around, constant, coupled, decoupled, is_given, refuse
from gpuopt.conventions.optax_contrib import REMEDIES
from gpuopt.conventions.optax_norms import lamb, lars, novograd, polyak_sgd, sm3
from gpuopt.schedules import Debiased

__all__ = [
    "adabelief",
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamaxw",
    "adamw",
    "amsgrad",
    "contrib",
    "lamb",
    "lars",
    "lion",
    "nadam",
    "nadamw",
    "novograd",
    "optimistic_gradient_descent",
    "polyak_sgd",
    "radam",
    "rmsprop",
    "sgd",
    "sign_sgd",
    "sm3",
    "yogi",
]


def sgd(
    learning_rate: Any,
    momentum: float | None = None,
    nesterov: bool = False,
    accumulator_dtype: Any = None,
) -> Made:
    """``optax.sgd``."""
    refuse("optax.sgd", {"accumulator_dtype": accumulator_dtype}, REMEDIES)
    if is_given(momentum):
        return go.Momentum(learning_rate, beta=momentum, dampening=0.0, nesterov=nesterov)
    return go.GradientDescent(learning_rate)


def sign_sgd(learning_rate: Any) -> Made:
    """``optax.sign_sgd``."""
    return go.SignSGD(learning_rate)


def optimistic_gradient_descent(learning_rate: Any, alpha: Any = 1.0, beta: Any = 1.0) -> Made:
    """``optax.optimistic_gradient_descent``."""
    return go.OptimisticGradient(learning_rate, alpha=alpha, beta=beta)


def rmsprop(
    learning_rate: Any,
    decay: float = 0.9,
    eps: float = 1e-8,
    initial_scale: float = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: float | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> Made:
    """``optax.rmsprop``: the epsilon is in the root."""
    given = {"nesterov": nesterov, "bias_correction": bias_correction}
    remedies = dict.fromkeys(given, "gpuopt.Adam has both")
    refuse("optax.rmsprop", given, remedies)
    if is_given(momentum):
        remedy = "its trace would hold the rates of steps before; leave momentum out"
        constant("optax.rmsprop", "learning_rate", learning_rate, remedy)
    return go.RMSProp(
        learning_rate,
        beta=decay,
        eps=eps,
        initial=initial_scale,
        eps_in_root=eps_in_sqrt,
        centered=centered,
        momentum=0.0 if momentum is None else momentum,
    )


def adam(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
) -> Made:
    """``optax.adam``."""
    refuse("optax.adam", {"mu_dtype": mu_dtype}, REMEDIES)
    own = {"beta1": b1, "beta2": b2, "eps": eps, "eps_in_root": eps_root}
    return go.Adam(learning_rate, nesterov=nesterov, **own)


def adamw(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    weight_decay: Any = 1e-4,
    mask: Any = None,
    *,
    nesterov: bool = False,
) -> Made:
    """``optax.adamw``."""
    refuse("optax.adamw", {"mu_dtype": mu_dtype, "mask": mask}, REMEDIES)
    own = {"beta1": b1, "beta2": b2, "eps": eps, "eps_in_root": eps_root}
    return go.AdamW(learning_rate, weight_decay=weight_decay, nesterov=nesterov, **own)


def nadam(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
) -> Made:
    """``optax.nadam``, which is ``optax.adam(nesterov=True)``."""
    return adam(**locals())


def nadamw(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    weight_decay: Any = 1e-4,
    mask: Any = None,
    *,
    nesterov: bool = True,
) -> Made:
    """``optax.nadamw``, which is ``optax.adamw(nesterov=True)``."""
    return adamw(**locals())


def amsgrad(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
) -> Made:
    """``optax.amsgrad``, which takes the maximum of corrected moments; it is not available."""
    what = "optax.amsgrad takes the maximum of corrected moments, which is not available: "
    raise ValueError(what + "gpuopt.Adam(amsgrad=True) takes that of the uncorrected one")


def adamax(learning_rate: Any, b1: Any = 0.9, b2: Any = 0.999, eps: float = 1e-8) -> Made:
    """``optax.adamax``."""
    return go.Adamax(learning_rate, beta1=b1, beta2=b2, eps=eps)


def adamaxw(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: float = 1e-8,
    weight_decay: Any = 1e-4,
    mask: Any = None,
) -> Made:
    """``optax.adamaxw``."""
    refuse("optax.adamaxw", {"mask": mask}, REMEDIES)
    rule = adamax(learning_rate=learning_rate, b1=b1, b2=b2, eps=eps)
    return around(rule, after=decoupled(weight_decay))


def adabelief(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: float = 1e-16,
    eps_root: float = 1e-16,
    *,
    nesterov: bool = False,
) -> Made:
    """``optax.adabelief``."""
    refuse("optax.adabelief", {"nesterov": nesterov}, {"nesterov": "gpuopt.Adam has it"})
    return go.AdaBelief(learning_rate, beta1=b1, beta2=b2, eps=eps, eps_root=eps_root)


def yogi(learning_rate: Any, b1: Any = 0.9, b2: Any = 0.999, eps: float = 1e-3) -> Made:
    """``optax.yogi``."""
    return go.Yogi(learning_rate, beta1=b1, beta2=b2, eps=eps)


def lion(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.99,
    mu_dtype: Any = None,
    weight_decay: Any = 1e-3,
    mask: Any = None,
) -> Made:
    """``optax.lion``."""
    refuse("optax.lion", {"mu_dtype": mu_dtype, "mask": mask}, REMEDIES)
    return go.Lion(learning_rate, beta1=b1, beta2=b2, weight_decay=weight_decay)


def radam(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    threshold: float = 5.0,
    *,
    nesterov: bool = False,
) -> Made:
    """``optax.radam``: the epsilon is added to the corrected root."""
    remedies = {"eps_root": "add it to eps", "nesterov": "gpuopt.Adam has it"}
    refuse("optax.radam", {"eps_root": eps_root, "nesterov": nesterov}, remedies)
    corrected = Debiased(eps, b2, power=0.5)
    return go.RAdam(learning_rate, beta1=b1, beta2=b2, eps=corrected, threshold=threshold)


def adagrad(learning_rate: Any, initial_accumulator_value: float = 0.1, eps: float = 1e-7) -> Made:
    """``optax.adagrad``: the epsilon is in the root."""
    initial = initial_accumulator_value
    return go.AdaGrad(learning_rate, initial=initial, eps=eps, eps_in_root=True)


def adadelta(
    learning_rate: Any = None,
    rho: Any = 0.9,
    eps: float = 1e-6,
    weight_decay: Any = 0.0,
    weight_decay_mask: Any = None,
) -> Made:
    """``optax.adadelta``."""
    refuse("optax.adadelta", {"weight_decay_mask": weight_decay_mask}, REMEDIES)
    if learning_rate is None:
        raise ValueError("optax.adadelta without a learning rate climbs: write adadelta(1.0)")
    return around(go.AdaDelta(learning_rate, rho=rho, eps=eps), coupled(weight_decay))
