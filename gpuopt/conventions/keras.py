"""The optimizers of ``keras.optimizers``: ``keras.Adam(1e-3)``.

Weight decay is decoupled in all of them. Velocities hold the learning rate.
"""

from __future__ import annotations

from typing import Any

import gpuopt.rules as go
from gpuopt.conventions.common import (
    Made,
    VelocityOfSteps,
    around,
    constant,
    decoupled,
    is_given,
    number,
    refuse,
)
from gpuopt.rules.spelling import as_typed
from gpuopt.schedules import Debiased

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Lamb", "Lion", "Nadam", "RMSprop"]

_REMEDIES = {
    "name": "",
    "jit_compile": "",
    "ema_momentum": "",
    "ema_overwrite_frequency": "take opt.evaluation() when you need it",
}
_BEFORE = {
    "loss_scale_factor": lambda x: go.scale(1 / number("loss_scale_factor", x)),
    "gradient_accumulation_steps": go.accumulate,
    "clipnorm": lambda x: go.clip_norm(x, eps=0.0),
    "global_clipnorm": lambda x: go.clip_global_norm(x, eps=0.0),
    "clipvalue": go.clip,
}
"""Options that are pieces before the rule, in the order in which Keras applies them."""
OPTIONS = {**dict.fromkeys((*_BEFORE, *_REMEDIES, "decay")), "use_ema": False, "ema_momentum": 0.99}
"""The arguments that all of these optimizers have, with their defaults."""


def _without_decay(lr: Any, decay: Any) -> str:
    """What to write in place of the decay of the learning rate that Keras 2 had."""
    rate = as_typed("learning_rate", lr) + "(step)" * callable(lr)
    by = as_typed("decay", decay)
    return f"Keras 2 had it; write learning_rate=lambda step: {rate} / (1 + {by} * step)"


def _made(name: str, rule: Made, decay: float | None, options: dict[str, Any]) -> Made:
    """The rule with the options that all of these optimizers have."""
    given = {key: options.pop(key, None) for key in (*_BEFORE, "use_ema")}
    remedies = dict(_REMEDIES)
    if "decay" in options:
        remedies["decay"] = _without_decay(rule.hyperparameters["lr"], options["decay"])
    refuse(f"keras.{name}", options, remedies)
    before = [make(given[key]) for key, make in _BEFORE.items() if is_given(given[key])]
    mean = [go.average(options.get("ema_momentum", 0.99))] if given["use_ema"] else []
    return around(rule, before, [*decoupled(decay), *mean])


def SGD(
    learning_rate: Any = 0.01,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float | None = None,
    **options: Any,
) -> Made:
    """``keras.optimizers.SGD``."""
    rule: go.Rule = go.GradientDescent(learning_rate)
    if is_given(momentum):
        rule = VelocityOfSteps(learning_rate, beta=momentum, nesterov=nesterov)
    return _made("SGD", rule, weight_decay, options)


def RMSprop(
    learning_rate: Any = 0.001,
    rho: float = 0.9,
    momentum: float = 0.0,
    epsilon: float = 1e-7,
    centered: bool = False,
    weight_decay: float | None = None,
    **options: Any,
) -> Made:
    """``keras.optimizers.RMSprop``: the epsilon is in the root."""
    if is_given(momentum):
        remedy = "its velocity would hold the rates of steps before; set momentum=0.0"
        constant("keras.RMSprop", "learning_rate", learning_rate, remedy)
    rule = go.RMSProp(
        learning_rate,
        beta=rho,
        momentum=momentum,
        eps=epsilon,
        centered=centered,
        eps_in_root=True,
    )
    return _made("RMSprop", rule, weight_decay, options)


def Adam(
    learning_rate: Any = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    amsgrad: bool = False,
    weight_decay: float | None = None,
    **options: Any,
) -> Made:
    """``keras.optimizers.Adam``: the epsilon is added to the uncorrected root."""
    eps = Debiased(epsilon, beta_2)
    rule = go.Adam(learning_rate, beta1=beta_1, beta2=beta_2, eps=eps, amsgrad=amsgrad)
    return _made("Adam", rule, weight_decay, options)


def AdamW(
    learning_rate: Any = 0.001,
    weight_decay: float | None = 0.004,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    amsgrad: bool = False,
    **options: Any,
) -> Made:
    """``keras.optimizers.AdamW``."""
    own: dict[str, Any] = {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}
    rule = Adam(learning_rate=learning_rate, amsgrad=amsgrad, **own)
    return _made("AdamW", rule, weight_decay, options)


def Adagrad(
    learning_rate: Any = 0.001,
    initial_accumulator_value: float = 0.1,
    epsilon: float = 1e-7,
    weight_decay: float | None = None,
    **options: Any,
) -> Made:
    """``keras.optimizers.Adagrad``: the epsilon is in the root."""
    initial = initial_accumulator_value
    rule = go.AdaGrad(learning_rate, initial=initial, eps=epsilon, eps_in_root=True)
    return _made("Adagrad", rule, weight_decay, options)


def Adadelta(
    learning_rate: Any = 0.001,
    rho: float = 0.95,
    epsilon: float = 1e-7,
    weight_decay: float | None = None,
    **options: Any,
) -> Made:
    """``keras.optimizers.Adadelta``."""
    return _made(
        "Adadelta", go.AdaDelta(learning_rate, rho=rho, eps=epsilon), weight_decay, options
    )


def Lion(
    learning_rate: Any = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.99,
    weight_decay: float | None = None,
    **options: Any,
) -> Made:
    """``keras.optimizers.Lion``."""
    rule = go.Lion(learning_rate, beta1=beta_1, beta2=beta_2)
    return _made("Lion", rule, weight_decay, options)


def Lamb(
    learning_rate: Any = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    weight_decay: float | None = None,
    **options: Any,
) -> Made:
    """``keras.optimizers.Lamb``."""
    remedy = "Keras decays before it takes norms; gpuopt.LAMB has its decay inside of the ratio"
    refuse("keras.Lamb", {"weight_decay": weight_decay}, {"weight_decay": remedy})
    rule = go.LAMB(learning_rate, beta1=beta_1, beta2=beta_2, eps=epsilon)
    return _made("Lamb", rule, None, options)


def Nadam(
    learning_rate: Any = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    weight_decay: float | None = None,
    **options: Any,
) -> Made:
    """``keras.optimizers.Nadam``, whose decay of the momentum is fixed."""
    own = {"beta1": beta_1, "beta2": beta_2, "momentum_decay": 1.0}
    rule = go.NAdam(learning_rate, eps=epsilon, **own)
    return _made("Nadam", rule, weight_decay, options)
