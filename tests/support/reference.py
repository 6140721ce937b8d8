"""Every rule as a plain loop over single numbers in float64: what the library is compared with.

Written from the papers, with nothing of the library but the hyperparameters. A rule without a loop here fails the suite.
A loop takes the rule, the parameter and its gradients, one a step, all Python numbers, and gives the final parameter and
state. That of a rule with norms takes whole arrays (`support/reference_arrays.py`), and so do all in `LOOPS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.support.reference_arrays import ARRAYS, Arrays
from tests.support.reference_moments import LOOPS as MOMENTS
from tests.support.reference_moments import Number, Result


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


def rmsprop(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    v, c, b = rule.initial, 0.0, 0.0
    for g in gradients:
        v = rule.beta * v + (1 - rule.beta) * abs(g) ** 2
        c = rule.beta * c + (1 - rule.beta) * g
        spread = max(v - abs(c) ** 2, 0.0) if rule.centered else v
        divisor = math.sqrt(spread + rule.eps) if rule.eps_in_root else math.sqrt(spread) + rule.eps
        b = rule.momentum * b + g / divisor
        p = p - rule.lr * b
    state: dict[str, Number] = {"v": v}
    if rule.centered:
        state["c"] = c
    if rule.momentum > 0:
        state["b"] = b
    return p, state


def qhm(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    m: Number = 0.0
    for g in gradients:
        m = rule.beta * m + (1 - rule.beta) * g
        p = p - rule.lr * ((1 - rule.nu) * g + rule.nu * m)
    return p, {"m": m}


def aggmo(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    v = [0.0 * p for _ in rule.betas]
    for g in gradients:
        v = [beta * old + g for beta, old in zip(rule.betas, v, strict=True)]
        p = p - rule.lr * sum(v) / len(v)
    return p, {f"v[{number}]": x for number, x in enumerate(v)}


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


def rprop(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    last: Number = 0.0
    r = rule.lr
    for g in gradients:
        kept = sign(g) * sign(last)
        r = min(max(r * {1: rule.grow, -1: rule.shrink, 0: 1.0}[int(kept.real)], rule.low), rule.high)
        last = 0.0 if kept == -1 else g
        p = p - r * sign(last)
    return p, {"last": last, "r": r}


def asgd(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    ax = p
    for done, g in enumerate(gradients):
        eta = rule.lr / (1 + rule.lambd * rule.lr * done) ** rule.alpha
        p = p * (1 - eta * rule.lambd) - eta * g
        ax = ax + (p - ax) / max(1, done - rule.t0)
    return p, {"ax": ax}


def cocob(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    p0, largest, n, won = p, rule.eps, 0.0, 0.0
    total: Number = 0.0
    for g in gradients:
        largest, n = max(largest, abs(g)), n + abs(g)
        won = max(won - (g * (p - p0).conjugate()).real, 0.0)
        total = total - g
        p = p0 + total / (largest * max(n + largest, rule.alpha * largest)) * (largest + won)
    return p, {"p0": p0, "total": total, "largest": largest, "n": n, "won": won}


def adagrad(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    s: float = rule.initial
    for t, g in enumerate(gradients, start=1):
        s = s + abs(g) ** 2
        divisor = math.sqrt(s + rule.eps) if rule.eps_in_root else math.sqrt(s) + rule.eps
        p = p - rule.lr / (1 + (t - 1) * rule.lr_decay) * g / divisor
    return p, {"s": s}


def adadelta(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    v, u = 0.0, 0.0
    for g in gradients:
        v = rule.rho * v + (1 - rule.rho) * abs(g) ** 2
        step = math.sqrt(u + rule.eps) / math.sqrt(v + rule.eps) * g
        u = rule.rho * u + (1 - rule.rho) * abs(step) ** 2
        p = p - rule.lr * step
    return p, {"v": v, "u": u}


def madgrad(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    origin, v, s = p, 0.0, 0.0 * p
    for t, g in enumerate(gradients, start=1):
        weight = (rule.lr + rule.eps) * math.sqrt(t)
        v, s = v + weight * abs(g) ** 2, s + weight * g
        p = rule.beta * p + (1 - rule.beta) * (origin - s / (v ** (1 / 3) + rule.eps))
    return p, {"v": v, "s": s, "origin": origin}


ELEMENTS: dict[str, Callable[..., Result]] = {
    "GradientDescent": gradient_descent,
    "Momentum": momentum,
    "QHM": qhm,
    "AggMo": aggmo,
    "OptimisticGradient": optimistic_gradient,
    "SignSGD": sign_sgd,
    "Signum": signum,
    "Lion": lion,
    "Rprop": rprop,
    "ASGD": asgd,
    "COCOB": cocob,
    "RMSProp": rmsprop,
    "AdaGrad": adagrad,
    "AdaDelta": adadelta,
    "MadGrad": madgrad,
    **MOMENTS,
}


def for_each(loop: Callable[..., Result]) -> Callable[..., Arrays]:
    """A loop over numbers, run for each element of an array."""

    def run(rule: Any, p: Any, gradients: Sequence[Any]) -> Arrays:
        number, shape = complex if np.iscomplexobj(p) else float, np.shape(p)
        found = [loop(rule, number(np.asarray(p)[i]), [number(np.asarray(g)[i]) for g in gradients]) for i in np.ndindex(shape)]
        state = {name: np.array([own[name] for _, own in found]).reshape(shape) for name in found[0][1]}
        return np.array([each for each, _ in found]).reshape(shape), state

    return run


LOOPS = {name: for_each(loop) for name, loop in ELEMENTS.items()} | ARRAYS
