"""The optimizers of ``torch.optim``, without their parameters: ``torch.Adam(1e-3)``.

A complex parameter is two real ones in PyTorch; here it has one second moment, of the modulus.
"""

from __future__ import annotations

from typing import Any

import gpuopt.rules as go
from gpuopt.conventions.common import Made, around, coupled, decoupled, is_given, number, refuse
from gpuopt.schedules import Piecewise

__all__ = [
    "ASGD",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Muon",
    "NAdam",
    "RAdam",
    "RMSprop",
    "Rprop",
]

_REMEDIES = {
    "foreach": "",
    "fused": "",
    "capturable": "give capturable=True to init",
    "differentiable": "gpuopt updates arrays and records no gradient of that",
}
OPTIONS = {"maximize": False, **dict.fromkeys(_REMEDIES)}
"""The arguments that these optimizers have in common, with their defaults."""


def _made(
    name: str,
    rule: go.Rule,
    decay: float,
    options: dict[str, Any],
    apart: bool = False,
) -> Made:
    """The rule with the options that all of these optimizers have."""
    maximize = options.pop("maximize", False)
    refuse(f"torch.{name}", options, _REMEDIES)
    before = [go.maximize()] if maximize else []
    if apart:
        return around(rule, before, decoupled(decay))
    return around(rule, [*before, *coupled(decay)])


def SGD(
    lr: Any = 1e-3,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    **options: Any,
) -> Made:
    """``torch.optim.SGD``: it dampens no first step."""
    rule: go.Rule = go.GradientDescent(lr)
    if nesterov and (not is_given(momentum) or is_given(dampening)):
        raise ValueError("torch.SGD: nesterov=True needs momentum, and no dampening")
    if is_given(momentum):
        later: Any = Piecewise((0.0, dampening), (1,)) if is_given(dampening) else 0.0
        rule = go.Momentum(lr, beta=momentum, dampening=later, nesterov=nesterov)
    return _made("SGD", rule, weight_decay, options)


def Adam(
    lr: Any = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
    *,
    decoupled_weight_decay: bool = False,
    **options: Any,
) -> Made:
    """``torch.optim.Adam``."""
    rule = go.Adam(lr, beta1=betas[0], beta2=betas[1], eps=eps, amsgrad=amsgrad)
    return _made("Adam", rule, weight_decay, options, decoupled_weight_decay)


def AdamW(
    lr: Any = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
    amsgrad: bool = False,
    **options: Any,
) -> Made:
    """``torch.optim.AdamW``."""
    rule = go.AdamW(
        lr, beta1=betas[0], beta2=betas[1], eps=eps, weight_decay=weight_decay, amsgrad=amsgrad
    )
    return _made("AdamW", rule, 0.0, options)


def RMSprop(
    lr: Any = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
    **options: Any,
) -> Made:
    """``torch.optim.RMSprop``."""
    rule = go.RMSProp(lr, beta=alpha, eps=eps, momentum=momentum, centered=centered)
    return _made("RMSprop", rule, weight_decay, options)


def Adagrad(
    lr: Any = 1e-2,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
    **options: Any,
) -> Made:
    """``torch.optim.Adagrad``."""
    rule = go.AdaGrad(lr, lr_decay=lr_decay, eps=eps, initial=initial_accumulator_value)
    return _made("Adagrad", rule, weight_decay, options)


def Adadelta(
    lr: Any = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0, **options: Any
) -> Made:
    """``torch.optim.Adadelta``."""
    return _made("Adadelta", go.AdaDelta(lr, rho=rho, eps=eps), weight_decay, options)


def Adamax(
    lr: Any = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    **options: Any,
) -> Made:
    """``torch.optim.Adamax``."""
    rule = go.Adamax(lr, beta1=betas[0], beta2=betas[1], eps=eps)
    return _made("Adamax", rule, weight_decay, options)


def RAdam(
    lr: Any = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    **options: Any,
) -> Made:
    """``torch.optim.RAdam``."""
    rule = go.RAdam(lr, beta1=betas[0], beta2=betas[1], eps=eps)
    return _made("RAdam", rule, weight_decay, options, decoupled_weight_decay)


def Rprop(
    lr: Any = 1e-2,
    etas: tuple[float, float] = (0.5, 1.2),
    step_sizes: tuple[float, float] = (1e-6, 50.0),
    **options: Any,
) -> Made:
    """``torch.optim.Rprop``."""
    rule = go.Rprop(lr, shrink=etas[0], grow=etas[1], low=step_sizes[0], high=step_sizes[1])
    return _made("Rprop", rule, 0.0, options)


def ASGD(
    lr: Any = 1e-2,
    lambd: float = 1e-4,
    alpha: float = 0.75,
    t0: float = 1e6,
    weight_decay: float = 0.0,
    **options: Any,
) -> Made:
    """``torch.optim.ASGD``; `Optimizer.evaluation` gives its ``ax``."""
    rule = go.ASGD(lr, lambd=lambd, alpha=alpha, t0=t0)
    return _made("ASGD", rule, weight_decay, options)


def NAdam(
    lr: Any = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum_decay: float = 4e-3,
    decoupled_weight_decay: bool = False,
    **options: Any,
) -> Made:
    """``torch.optim.NAdam``."""
    own = {"beta1": betas[0], "beta2": betas[1], "momentum_decay": momentum_decay}
    rule = go.NAdam(lr, eps=eps, **own)
    return _made("NAdam", rule, weight_decay, options, decoupled_weight_decay)


def Adafactor(
    lr: Any = 1e-2,
    beta2_decay: float = -0.8,
    eps: tuple[float | None, float] = (None, 1e-3),
    d: float = 1.0,
    weight_decay: float = 0.0,
    **options: Any,
) -> Made:
    """``torch.optim.Adafactor``."""
    own: dict[str, Any] = {"eps1": eps[0], "eps2": eps[1], "clip": d}
    rule = go.Adafactor(
        lr, power=-number("beta2_decay", beta2_decay), weight_decay=weight_decay, **own
    )
    return _made("Adafactor", rule, 0.0, options)


def Muon(
    lr: Any = 1e-3,
    weight_decay: float = 0.1,
    momentum: float = 0.95,
    nesterov: bool = True,
    ns_coefficients: tuple[float, ...] = (3.4445, -4.775, 2.0315),
    eps: float = 1e-7,
    ns_steps: int = 5,
    adjust_lr_fn: str | None = None,
) -> Made:
    """``torch.optim.Muon``, with products in the dtype of the array and not in bfloat16."""
    if tuple(ns_coefficients) != (3.4445, -4.775, 2.0315):
        raise ValueError(
            f"torch.Muon: ns_coefficients={ns_coefficients!r} is not available: leave it out"
        )
    return go.Muon(
        lr,
        beta=momentum,
        nesterov=nesterov,
        weight_decay=weight_decay,
        ns_steps=ns_steps,
        scale="original" if adjust_lr_fn is None else adjust_lr_fn,
        eps=eps,
    )
