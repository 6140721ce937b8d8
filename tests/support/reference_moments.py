"""Plain loops of Adam and its relatives, as those in `support/reference.py`, which gathers all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Number = float | complex
Result = tuple[Number, dict[str, Number]]


def moments(rule: Any, gradients: Sequence[Number]) -> Iterator[tuple[int, Any, Any, Any]]:
    """Of each step: its number, the gradient, and the averages of gradients and of their squared moduli."""
    m, v = 0.0, 0.0
    for t, g in enumerate(gradients, start=1):
        m = rule.beta1 * m + (1 - rule.beta1) * g
        v = rule.beta2 * v + (1 - rule.beta2) * abs(g) ** 2
        yield t, g, m, v


def adam(rule: Any, p: Number, gradients: Sequence[Number], decay: float = 0.0) -> Result:
    largest = m = v = 0.0
    for t, g, m, v in moments(rule, gradients):
        p = p * (1 - rule.lr * decay)
        largest = max(largest, v)
        first, second = m, largest if rule.amsgrad else v
        w1, ahead, w2 = 1.0, 1.0, 1.0
        if rule.bias_correction:
            w1, ahead, w2 = 1 - rule.beta1**t, 1 - rule.beta1 ** (t + 1), 1 - rule.beta2**t
        first = rule.beta1 * m / ahead + (1 - rule.beta1) * g / w1 if rule.nesterov else m / w1
        p = p - rule.lr * first / (math.sqrt(second / w2 + rule.eps_in_root) + rule.eps)
    state: dict[str, Number] = {"m": m, "v": v}
    if rule.amsgrad:
        state["v_max"] = largest
    return p, state


def adamw(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    return adam(rule, p, gradients, decay=rule.weight_decay)


def nadam(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    product = 1.0
    for t, g, m, v in moments(rule, gradients):
        mu, ahead = (rule.beta1 * (1 - 0.5 * 0.96 ** (n * rule.momentum_decay)) for n in (t, t + 1))
        product *= mu
        first = (1 - mu) * g / (1 - product) + ahead * m / (1 - product * ahead)
        p = p - rule.lr * first / (math.sqrt(v / (1 - rule.beta2**t)) + rule.eps)
    return p, {"m": m, "v": v, "product": product}


def schedule_free(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    """Of gradient descent, or of AdamW without its first moment."""
    adam = hasattr(rule, "beta2")
    beta, x, y, z, v, total, most = rule.beta1 if adam else rule.beta, p, p, p, 0.0, 0.0, 0.0
    for t, g in enumerate(gradients, start=1):
        h = g
        if adam:
            v = rule.beta2 * v + (1 - rule.beta2) * abs(g) ** 2
            h = g / (math.sqrt(v / (1 - rule.beta2**t)) + rule.eps)
        lr = rule.lr * (min(1.0, t / rule.warmup) if rule.warmup else 1.0)
        most = max(most, lr)
        weight = t**rule.r * most**rule.power
        total += weight
        z = z - lr * (h + rule.weight_decay * y)
        x = (1 - weight / total) * x + weight / total * z
        y = (1 - beta) * z + beta * x
    return y, {"z": z, "lr_max": most, "total": total} | ({"v": v} if adam else {})


def adamax(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    u = 0.0
    for t, g, m, _ in moments(rule, gradients):
        u = max(rule.beta2 * u, abs(g) + rule.eps)
        p = p - rule.lr / (1 - rule.beta1**t) * m / u
    return p, {"m": m, "u": u}


def adabelief(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    s = 0.0
    for t, g, m, _ in moments(rule, gradients):
        s = rule.beta2 * s + (1 - rule.beta2) * abs(g - m) ** 2 + rule.eps_root
        p = p - rule.lr * m / (1 - rule.beta1**t) / (math.sqrt(s / (1 - rule.beta2**t)) + rule.eps)
    return p, {"m": m, "s": s}


def yogi(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    m, v = rule.initial, rule.initial
    for t, g in enumerate(gradients, start=1):
        m = rule.beta1 * m + (1 - rule.beta1) * g
        square = abs(g) ** 2
        v = v - (1 - rule.beta2) * math.copysign(square, v - square) if v != square else v
        p = p - rule.lr * m / (1 - rule.beta1**t) / (math.sqrt(v / (1 - rule.beta2**t)) + rule.eps)
    return p, {"m": m, "v": v}


def adopt(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    m, v = 0.0, abs(gradients[0]) ** 2
    for t, g in enumerate(gradients[1:], start=1):
        u = g / max(math.sqrt(v), rule.eps)
        if rule.clipped and abs(u) > t**0.25:
            u = u / abs(u) * t**0.25
        m = rule.beta1 * m + (1 - rule.beta1) * u
        v = rule.beta2 * v + (1 - rule.beta2) * abs(g) ** 2
        p = p - rule.lr * m
    return p, {"m": m, "v": v}


def laprop(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    b: Any = 0.0
    for t, g, _, v in moments(rule, gradients):
        b = rule.beta1 * b + (1 - rule.beta1) * g / (math.sqrt(v / (1 - rule.beta2**t)) + rule.eps)
        p = p - rule.lr * b / (1 - rule.beta1**t)
    return p, {"b": b, "v": v}


def qhadam(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    for t, g, m, v in moments(rule, gradients):
        first = (1 - rule.nu1) * g + rule.nu1 * m / (1 - rule.beta1**t)
        second = (1 - rule.nu2) * abs(g) ** 2 + rule.nu2 * v / (1 - rule.beta2**t)
        p = p - rule.lr * first / (math.sqrt(second) + rule.eps)
    return p, {"m": m, "v": v}


def adan(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    m, d, n, last = 0.0, 0.0, 0.0, gradients[0]
    for t, g in enumerate(gradients, start=1):
        m = rule.beta1 * m + (1 - rule.beta1) * g
        d = rule.beta2 * d + (1 - rule.beta2) * (g - last)
        n = rule.beta3 * n + (1 - rule.beta3) * abs(g + rule.beta2 * (g - last)) ** 2
        first = m / (1 - rule.beta1**t) + rule.beta2 * d / (1 - rule.beta2**t)
        p = p - rule.lr * first / (math.sqrt(n / (1 - rule.beta3**t)) + rule.eps)
        p, last = p / (1 + rule.lr * rule.weight_decay), g
    return p, {"m": m, "d": d, "n": n, "last": last}


def ademamix(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    slow, alpha, beta3 = 0.0, rule.alpha, rule.beta3
    for t, g, m, v in moments(rule, gradients):
        if t < rule.warmup:
            part, log1, log3 = t / rule.warmup, math.log(rule.beta1), math.log(rule.beta3)
            alpha, beta3 = part * rule.alpha, math.exp(log1 * log3 / ((1 - part) * log3 + part * log1))
        else:
            alpha, beta3 = rule.alpha, rule.beta3
        slow = beta3 * slow + (1 - beta3) * g
        step = (m / (1 - rule.beta1**t) + alpha * slow) / (math.sqrt(v / (1 - rule.beta2**t)) + rule.eps)
        p = p - rule.lr * (step + rule.weight_decay * p)
    return p, {"m": m, "v": v, "slow": slow}


def adabound(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    for t, _, m, v in moments(rule, gradients):
        rate = rule.lr * math.sqrt(1 - rule.beta2**t) / (1 - rule.beta1**t) / (math.sqrt(v) + rule.eps)
        low, high = 1 - 1 / (rule.gamma * t + 1), 1 + 1 / (rule.gamma * t)
        p = p - min(max(rate, rule.final_lr * low), rule.final_lr * high) * m
    return p, {"m": m, "v": v}


def radam(rule: Any, p: Number, gradients: Sequence[Number]) -> Result:
    most = 2 / (1 - rule.beta2) - 1
    for t, _, m, v in moments(rule, gradients):
        rho = most - 2 * t * rule.beta2**t / (1 - rule.beta2**t)
        step = m / (1 - rule.beta1**t)
        if rho > rule.threshold:
            r = math.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))
            step = step * r * math.sqrt(1 - rule.beta2**t) / (math.sqrt(v) + rule.eps)
        p = p - rule.lr * step
    return p, {"m": m, "v": v}


LOOPS: dict[str, Callable[..., Result]] = {
    "Adam": adam,
    "AdamW": adamw,
    "Adamax": adamax,
    "AdaBelief": adabelief,
    "Yogi": yogi,
    "ADOPT": adopt,
    "LaProp": laprop,
    "QHAdam": qhadam,
    "Adan": adan,
    "AdEMAMix": ademamix,
    "AdaBound": adabound,
    "RAdam": radam,
    "NAdam": nadam,
    "ScheduleFreeSGD": schedule_free,
    "ScheduleFreeAdamW": schedule_free,
}
