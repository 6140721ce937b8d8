"""Every rule as a plain loop over single numbers in float64: what the library is compared with.

Written from the papers, with nothing of the library but the hyperparameters. A rule without a loop here fails the suite.
A loop takes the rule, the parameter and its gradients, one a step, all Python numbers, and gives the final parameter and
state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

Number = float | complex
Result = tuple[Number, dict[str, Number]]


def gradient_descent(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    for g in gradients:
        p = p - rule.lr * g
    return p, {}


def momentum(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    v: Number = 0.0
    dampening = rule.beta if rule.dampening is None else rule.dampening
    for g in gradients:
        v = rule.beta * v + (1 - dampening) * g
        step = rule.beta * v + (1 - dampening) * g if rule.nesterov else v
        p = p - rule.lr * step
    return p, {"v": v}


def qhm(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    m: Number = 0.0
    for g in gradients:
        m = rule.beta * m + (1 - rule.beta) * g
        p = p - rule.lr * ((1 - rule.nu) * g + rule.nu * m)
    return p, {"m": m}


def optimistic_gradient(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    last: Number = gradients[0]
    for g in gradients:
        p = p - rule.lr * ((rule.alpha + rule.beta) * g - rule.beta * last)
        last = g
    return p, {"last": last}


def sign(x: Number) -> Number:
    return x / abs(x) if x else 0.0


def sign_sgd(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    for g in gradients:
        p = p - rule.lr * sign(g)
    return p, {}


def signum(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    m: Number = 0.0
    for g in gradients:
        m = rule.beta * m + (1 - rule.beta) * g
        p = p - rule.lr * sign(m)
    return p, {"m": m}


def lion(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    m: Number = 0.0
    for g in gradients:
        step = sign(rule.beta1 * m + (1 - rule.beta1) * g)
        m = rule.beta2 * m + (1 - rule.beta2) * g
        p = p - rule.lr * (step + rule.weight_decay * p)
    return p, {"m": m}


def rmsprop(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    v, c, b = 0.0, 0.0, 0.0
    for g in gradients:
        v = rule.beta * v + (1 - rule.beta) * abs(g) ** 2
        c = rule.beta * c + (1 - rule.beta) * g
        spread = max(v - abs(c) ** 2, 0.0) if rule.centered else v
        b = rule.momentum * b + g / (math.sqrt(spread) + rule.eps)
        p = p - rule.lr * b
    state: dict[str, Number] = {"v": v}
    if rule.centered:
        state["c"] = c
    if rule.momentum > 0:
        state["b"] = b
    return p, state


def adam(rule: Any, p: Number, gradients: Sequence[Number], decay: float = 0.0) -> Result:
    m, v, largest = 0.0, 0.0, 0.0
    for t, g in enumerate(gradients, start=1):
        p = p * (1 - rule.lr * decay)
        m = rule.beta1 * m + (1 - rule.beta1) * g
        v = rule.beta2 * v + (1 - rule.beta2) * abs(g) ** 2
        largest = max(largest, v)
        second = largest if rule.amsgrad else v
        first = m
        if rule.bias_correction:
            first, second = m / (1 - rule.beta1**t), second / (1 - rule.beta2**t)
        p = p - rule.lr * first / (math.sqrt(second) + rule.eps)
    state: dict[str, Number] = {"m": m, "v": v}
    if rule.amsgrad:
        state["v_max"] = largest
    return p, state


def adamw(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    return adam(rule, p, gradients, decay=rule.weight_decay)


LOOPS: dict[str, Callable[..., Result]] = {
    "GradientDescent": gradient_descent,
    "Momentum": momentum,
    "QHM": qhm,
    "OptimisticGradient": optimistic_gradient,
    "SignSGD": sign_sgd,
    "Signum": signum,
    "Lion": lion,
    "RMSProp": rmsprop,
    "Adam": adam,
    "AdamW": adamw,
}
