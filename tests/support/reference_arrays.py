"""Plain loops over whole arrays in float64, of rules with norms; `support/reference.py` gathers all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Arrays = tuple[Array, dict[str, Array]]


def wide(rule_loop: Callable[..., Arrays]) -> Callable[..., Arrays]:
    """The loop with its arrays in float64, or complex128."""

    def run(rule: Any, p: Any, gradients: Sequence[Any]) -> Arrays:
        dtype = complex if np.iscomplexobj(p) else float
        return rule_loop(rule, np.asarray(p).astype(dtype), [np.asarray(g).astype(dtype) for g in gradients])

    return run


def length(x: Array) -> float:
    return float(np.sqrt(np.sum(np.abs(x) ** 2)))


def lars(rule: Any, p: Array, gradients: Sequence[Array]) -> Arrays:
    b = np.zeros_like(p)
    for g in gradients:
        h = g + rule.weight_decay * p
        trusted = length(p) > 0 and length(h) > 0
        b = rule.beta * b + rule.lr * (rule.trust * length(p) / (length(h) + rule.eps) if trusted else 1.0) * h
        p = p - b
    return p, {"b": b}


def lamb(rule: Any, p: Array, gradients: Sequence[Array]) -> Arrays:
    m, v = np.zeros_like(p), np.zeros(p.shape)
    for t, g in enumerate(gradients, start=1):
        m = rule.beta1 * m + (1 - rule.beta1) * g
        v = rule.beta2 * v + (1 - rule.beta2) * np.abs(g) ** 2
        u = m / (1 - rule.beta1**t) / (np.sqrt(v / (1 - rule.beta2**t)) + rule.eps) + rule.weight_decay * p
        p = p - rule.lr * (length(p) / length(u) if length(p) > 0 and length(u) > 0 else 1.0) * u
    return p, {"m": m, "v": v}


def stable_adamw(rule: Any, p: Array, gradients: Sequence[Array]) -> Arrays:
    m, v = np.zeros_like(p), np.zeros(p.shape)
    for t, g in enumerate(gradients, start=1):
        m = rule.beta1 * m + (1 - rule.beta1) * g
        v = rule.beta2 * v + (1 - rule.beta2) * np.abs(g) ** 2
        root = np.sqrt(v / (1 - rule.beta2**t))
        lr = rule.lr / max(1.0, np.sqrt(np.mean(np.abs(g / np.maximum(root, rule.eps)) ** 2)))
        p = p - lr * (m / (1 - rule.beta1**t) / (root + rule.eps) + rule.weight_decay * p)
    return p, {"m": m, "v": v}


def barzilai_borwein(rule: Any, p: Array, gradients: Sequence[Array]) -> Arrays:
    p_last, g_last, r = p, p, rule.lr
    for t, g in enumerate(gradients):
        if t:
            s, y = p - p_last, g - g_last
            both = np.sum(s.real * y.real + s.imag * y.imag)
            r = rule.lr
            if both > 0:
                r = min(max(length(s) ** 2 / both if rule.kind == "long" else both / length(y) ** 2, rule.low), rule.high)
        p_last, g_last, p = p, g, p - r * g
    return p, {"p_last": p_last, "g_last": g_last}


LOSS = 1.0
"""The loss of each step of a test of all rules, which `tests/conftest.py` gives where one is read."""


def polyak_step(rule: Any, p: Array, gradients: Sequence[Array]) -> Arrays:
    for g in gradients:
        p = p - min(rule.lr, (LOSS - rule.f_min) / (length(g) ** 2 + rule.eps)) * g
    return p, {}


def inner(x: Array, y: Array) -> float:
    return float(np.sum(x.real * y.real + x.imag * y.imag))


def novograd(rule: Any, p: Array, gradients: Sequence[Array]) -> Arrays:
    m, v = np.zeros_like(p), 0.0
    for t, g in enumerate(gradients):
        v = rule.beta2 * v + (1 - rule.beta2) * length(g) ** 2 if t else length(g) ** 2
        m = rule.beta1 * m + g / (np.sqrt(v) + rule.eps) + rule.weight_decay * p
        p = p - rule.lr * m
    return p, {"m": m, "v": np.array(v)}


def accelerated(rule: Any, p: Array, gradients: Sequence[Array]) -> Arrays:
    x, theta = p, 1.0
    for g in gradients:
        new = p - rule.lr * g
        if rule.restart and inner(g, new - x) > 0:
            theta = 1.0
        after = (1 + np.sqrt(1 + 4 * theta**2)) / 2
        x, p, theta = new, new + (theta - 1) / after * (new - x), after
    return p, {"x": x, "theta": np.array(theta)}


def dog(rule: Any, p: Array, gradients: Sequence[Array]) -> Arrays:
    p0, far, total = p, rule.reps_rel * (1 + length(p)), 0.0
    for g in gradients:
        far, total = max(far, length(p - p0)), total + length(g) ** 2
        p = p - rule.lr * far / np.sqrt(total + rule.eps) * g
    return p, {"p0": p0, "far": np.array(far), "total": np.array(total)}


def distant(rule: Any, p: Array, gradients: Sequence[Array]) -> Arrays:
    """Prodigy, and D-adaptation, whose sums have another weight."""
    prodigy, beta3, p0, d, top = type(rule).__name__ == "Prodigy", np.sqrt(rule.beta2), p, rule.first, 0.0
    m, v, s, n = np.zeros_like(p), np.zeros(p.shape), np.zeros_like(p), len(gradients)
    for t, g in enumerate(gradients, start=1):
        rate = d * rule.lr * np.sqrt(1 - rule.beta2**t) / (1 - rule.beta1**t)
        inside, weight = (d, d / rule.first * rate) if prodigy else (rate, (1 - beta3) * rate)
        gain = inner(g, p0 - p) if prodigy else inner(g, s / (np.sqrt(v) + rule.eps))
        m = rule.beta1 * m + (1 - rule.beta1) * inside * g
        v = rule.beta2 * v + (1 - rule.beta2) * np.abs(d * g if prodigy else g) ** 2
        s, top = beta3 * s + weight * g, beta3 * top + weight * gain
        largest = max(d, top / (np.sum(np.abs(s)) * (1.0 if prodigy else 1 - beta3)))
        step = rate * m / (np.sqrt(v) + largest * rule.eps) if prodigy else m / (np.sqrt(v) + rule.eps)
        p, d = p - step - rate * rule.weight_decay * p, largest
    numbers = {name: np.array(float(x)) for name, x in (("d", d), ("top", top), ("n", n))}
    return p, {"m": m, "v": v, "s": s} | ({"p0": p0} if prodigy else {}) | numbers


def momo(rule: Any, p: Array, gradients: Sequence[Array]) -> Arrays:
    m, loss, gamma = np.zeros_like(p), 0.0, 0.0
    for t, g in enumerate(gradients, start=1):
        beta = rule.beta if t > 1 else 0.0
        m, loss = beta * m + (1 - beta) * g, beta * loss + (1 - beta) * LOSS
        gamma = beta * gamma + (1 - beta) * float(np.sum((g.conj() * p).real))
        gap = loss - rule.f_min - gamma + float(np.sum((m.conj() * p).real))
        p = p - min(rule.lr, max(gap, 0.0) / length(m) ** 2) * m
    return p, {"m": m, "loss": np.array(loss), "gamma": np.array(gamma)}


LOOPS: dict[str, Callable[..., Arrays]] = {
    "NovoGrad": novograd,
    "AcceleratedGradient": accelerated,
    "DoG": dog,
    "DAdaptAdam": distant,
    "Prodigy": distant,
    "LARS": lars,
    "LAMB": lamb,
    "StableAdamW": stable_adamw,
    "BarzilaiBorwein": barzilai_borwein,
    "PolyakStep": polyak_step,
    "Momo": momo,
}
ARRAYS = {name: wide(loop) for name, loop in LOOPS.items()}
