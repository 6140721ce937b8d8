"""Rules that call functions of whole arrays, as plain loops over matrices in float64, written from the papers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.support.reference_arrays import Array, Arrays, wide


def square(x: Array) -> Any:
    return np.abs(x) ** 2


def rms(x: Array) -> float:
    return float(np.sqrt(np.mean(square(x))))


def adafactor(rule: Any, p: Array, gradients: Sequence[Array]) -> Arrays:
    rows, columns = np.zeros((p.shape[0], 1)), np.zeros((1, p.shape[1]))
    eps = np.finfo(float).eps if rule.eps1 is None else rule.eps1
    for t, g in enumerate(gradients, start=1):
        w = t**-rule.power
        rows = (1 - w) * rows + w * square(g).mean(axis=1, keepdims=True)
        columns = (1 - w) * columns + w * square(g).mean(axis=0, keepdims=True)
        u = g / np.sqrt(np.maximum(rows @ columns / max(rows.mean(), eps), eps**2))
        size = max(rule.eps2, rms(p)) * min(rule.lr, 1 / np.sqrt(t))
        p = p * (1 - rule.lr * rule.weight_decay) - size / max(1.0, rms(u) / rule.clip) * u
    return p, {"row": rows, "col": columns}


def came(rule: Any, p: Array, gradients: Sequence[Array]) -> Arrays:
    m, squares, residuals = np.zeros_like(p), np.zeros(p.shape), np.zeros(p.shape)

    def estimate(x: Array) -> Array:
        """The rank-one matrix with the means of rows and columns: as the mean is linear, of the average, too."""
        found: Array = np.outer(x.mean(axis=1), x.mean(axis=0)) / x.mean()
        return found

    for g in gradients:
        squares = rule.beta2 * squares + (1 - rule.beta2) * (square(g) + rule.eps1)
        u = g / np.sqrt(estimate(squares))
        u = u / max(1.0, rms(u) / rule.clip)
        m = rule.beta1 * m + (1 - rule.beta1) * u
        residuals = rule.beta3 * residuals + (1 - rule.beta3) * (square(u - m) + rule.eps2)
        p = p - rule.lr * rule.weight_decay * p - rule.lr * m / np.sqrt(estimate(residuals))
    state = {"m": m}
    for name, x in (("", squares), ("residual_", residuals)):
        state |= {f"{name}row": x.mean(axis=1, keepdims=True), f"{name}col": x.mean(axis=0, keepdims=True)}
    return p, state


def sm3(rule: Any, p: Array, gradients: Sequence[Array]) -> Arrays:
    m, rows, columns = np.zeros_like(p), np.zeros(p.shape[0]), np.zeros(p.shape[1])
    for g in gradients:
        s = np.array([[min(r, c) for c in columns] for r in rows]) + square(g)
        rows, columns = s.max(axis=1), s.max(axis=0)
        m = rule.beta * m + (1 - rule.beta) * g / np.sqrt(s + rule.eps)
        p = p - rule.lr * m
    return p, {"m": m, "v": np.concatenate([rows, columns])}


def adam_mini(rule: Any, p: Array, gradients: Sequence[Array]) -> Arrays:
    m, v = np.zeros_like(p), np.zeros((p.shape[0], 1))
    for t, g in enumerate(gradients, start=1):
        m = rule.beta1 * m + (1 - rule.beta1) * g
        v = rule.beta2 * v + (1 - rule.beta2) * square(g).mean(axis=1, keepdims=True)
        step = m / (1 - rule.beta1**t) / (np.sqrt(v / (1 - rule.beta2**t)) + rule.eps)
        p = p - rule.lr * rule.weight_decay * p - rule.lr * step
    return p, {"m": m, "v": v}


def muon(rule: Any, p: Array, gradients: Sequence[Array]) -> Arrays:
    m, (rows, columns) = np.zeros_like(p), p.shape
    for g in gradients:
        m = rule.beta * m + (1 - rule.beta) * g
        h = rule.beta * m + (1 - rule.beta) * g if rule.nesterov else m
        left, sizes, right = np.linalg.svd(h)
        sizes = sizes / max(np.sqrt((sizes**2).sum()), rule.eps)
        for _ in range(rule.ns_steps):  # the iteration acts on singular values alone
            sizes = 3.4445 * sizes - 4.7750 * sizes**3 + 2.0315 * sizes**5
        step = (left[:, : len(sizes)] * sizes) @ right[: len(sizes)]
        factor = np.sqrt(max(1, rows / columns)) if rule.scale == "original" else 0.2 * np.sqrt(max(rows, columns))
        p = p - rule.lr * rule.weight_decay * p - rule.lr * factor * step
    return p, {"m": m}


def power(matrix: Array, exponent: float) -> Any:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * values**exponent) @ vectors.conj().T


def shampoo(rule: Any, p: Array, gradients: Sequence[Array]) -> Arrays:
    left, right = (np.zeros((n, n), p.dtype) for n in p.shape)
    for t, g in enumerate(gradients, start=1):
        left, right = left + g @ g.conj().T, right + g.T @ g.conj()
        if (t - 1) % rule.every == 0:
            roots = [power(s + rule.eps * np.identity(len(s)), -0.25) for s in (left, right)]
        p = p - rule.lr * roots[0] @ g @ roots[1].T
    both = [np.concatenate([a.reshape(-1), b.reshape(-1)]) for a, b in ((left, right), roots)]
    return p, dict(zip(("sums", "roots"), both, strict=True))


def soap(rule: Any, p: Array, gradients: Sequence[Array]) -> Arrays:
    m, v = np.zeros_like(p), np.zeros(p.shape)
    left, right = (np.zeros((n, n), p.dtype) for n in p.shape)
    a, b = left, right
    beta3 = rule.beta2 if rule.beta3 is None else rule.beta3
    for t, g in enumerate(gradients):
        if t > 0:
            turned = a.conj().T @ g @ b.conj()
            m = rule.beta1 * m + (1 - rule.beta1) * g
            v = rule.beta2 * v + (1 - rule.beta2) * square(turned)
            step = a @ ((a.conj().T @ m @ b.conj()) / (np.sqrt(v) + rule.eps)) @ b.T
            p = p - rule.lr * np.sqrt(1 - rule.beta2**t) / (1 - rule.beta1**t) * step
            p = p - rule.lr * rule.weight_decay * p
        left = beta3 * left + (1 - beta3) * g @ g.conj().T
        right = beta3 * right + (1 - beta3) * g.T @ g.conj()
        if t == 0:
            a, b = (np.linalg.eigh(s)[1][:, ::-1] for s in (left, right))
        elif t % rule.every == 0:
            orders = [np.argsort(-np.diag(q.conj().T @ s @ q).real) for q, s in ((a, left), (b, right))]
            v = v[orders[0]][:, orders[1]]
            a, b = (np.linalg.qr(s @ q[:, o])[0] for q, s, o in ((a, left, orders[0]), (b, right, orders[1])))
    return p, {"m": m, "v": v}


LOOPS: dict[str, Callable[..., Arrays]] = {
    "Adafactor": adafactor,
    "CAME": came,
    "SM3": sm3,
    "AdamMini": adam_mini,
    "Muon": muon,
    "Shampoo": shampoo,
    "SOAP": soap,
}
WHOLE = {name: wide(loop) for name, loop in LOOPS.items()}
