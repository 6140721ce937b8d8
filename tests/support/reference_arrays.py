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


LOOPS: dict[str, Callable[..., Arrays]] = {
    "LARS": lars,
    "LAMB": lamb,
    "StableAdamW": stable_adamw,
    "BarzilaiBorwein": barzilai_borwein,
    "PolyakStep": polyak_step,
}
ARRAYS = {name: wide(loop) for name, loop in LOOPS.items()}
