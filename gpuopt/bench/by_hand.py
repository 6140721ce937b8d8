"""The updates as a user would write them without a library: expressions of whole arrays, with
16-bit arrays widened to float32.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from gpuopt.bench.measure import Step, copied

__all__ = ["CHAIN", "CLIP", "naive"]

CHAIN = "chain"
"""A chain to measure beside the rules: pieces around Adam, one with a norm of all arrays."""

CLIP = "clip_norm"
"""Adam behind a limit for the norm of each array."""

Update = Callable[[Any, Any], Any]


def naive(
    name: str, xp: Any, params: list[Any], gradients: list[Any], options: Collection[str] = ()
) -> Step | None:
    """The update by hand on copies of the parameters, with those options of `init`.

    None for a rule that is not written here, and for stochastic rounding, which takes more than an
    expression.
    """
    if "stochastic_rounding" in options:
        return None
    master = "master" in options
    if name == CHAIN:
        return _chain_by_hand(xp, [copied(p) for p in params], gradients, master)
    bodies = [
        _by_hand(name, xp, copied(p), g, master) for p, g in zip(params, gradients, strict=True)
    ]
    found = [body for body in bodies if body is not None]
    return (lambda: [body() for body in found]) if len(found) == len(bodies) else None


def _by_hand(name: str, xp: Any, p: Any, g: Any, master: bool = False) -> Step | None:
    m, t = xp.zeros(p.shape, _computed(p)), [0]
    v = m.copy() if name == "Momentum" else m.real.copy()

    def descent(p: Any, g: Any) -> Any:
        return p - 0.01 * g

    def momentum(p: Any, g: Any) -> Any:
        v[...] = 0.9 * v + (1 - 0.9) * g
        return p - 0.01 * v

    def rmsprop(p: Any, g: Any) -> Any:
        v[...] = 0.9 * v + (1 - 0.9) * _square(g)
        return p - 0.01 * g / (xp.sqrt(v) + 1e-8)

    def adam(p: Any, g: Any, decay: float = 0.0) -> Any:
        t[0] += 1
        if decay:
            p = p * (1 - 1e-3 * decay)
        m[...] = 0.9 * m + (1 - 0.9) * g
        v[...] = 0.999 * v + (1 - 0.999) * _square(g)
        m_hat, v_hat = m / (1 - 0.9 ** t[0]), v / (1 - 0.999 ** t[0])
        return p - 1e-3 * m_hat / (xp.sqrt(v_hat) + 1e-8)

    def clipped(p: Any, g: Any) -> Any:
        return adam(p, g * xp.minimum(1.0 / (xp.sqrt(_square(g).sum()) + 1e-6), 1.0))

    bodies: dict[str, Update] = {
        "GradientDescent": descent,
        "Momentum": momentum,
        "RMSProp": rmsprop,
        "Adam": adam,
        CLIP: clipped,
    }
    update = {**bodies, "AdamW": lambda p, g: adam(p, g, 0.01)}.get(name)
    return None if update is None else _stored(update, p, g, master)


def _stored(update: Update, p: Any, g: Any, master: bool) -> Step:
    """A function that updates `p` in place; 16 bits in float32, with `master` through a copy."""
    copy: Any = p.astype(_computed(p)) if master else None

    def plain() -> None:
        p[...] = update(p, g)

    def widened() -> None:
        p[...] = update(_wide(p), _wide(g))

    def copied() -> None:
        copy[...] = update(copy, _wide(g))
        p[...] = copy

    return copied if master else widened if _narrow(p) else plain


def _chain_by_hand(xp: Any, params: list[Any], gradients: list[Any], master: bool = False) -> Step:
    t = [0]
    state = [[xp.zeros(p.shape, _computed(p)) for _ in range(3)] for p in params]
    copies = [p.astype(_computed(p)) if master else None for p in params]

    def step() -> None:
        t[0] += 1
        wide = [_wide(g) for g in gradients]
        norm = xp.sqrt(sum(xp.sum(g * g) for g in wide))
        factor = xp.minimum(1.0 / (norm + 1e-6), 1.0)
        for p, copy, g, (m, v, mean) in zip(params, copies, wide, state, strict=True):
            x = _wide(p) if copy is None else copy
            clipped = factor * g + 1e-4 * x
            m[...] = 0.9 * m + (1 - 0.9) * clipped
            v[...] = 0.999 * v + (1 - 0.999) * clipped**2
            m_hat, v_hat = m / (1 - 0.9 ** t[0]), v / (1 - 0.999 ** t[0])
            x[...] = xp.clip(x - 1e-3 * m_hat / (xp.sqrt(v_hat) + 1e-8), -1.0, 1.0)
            mean[...] = x if t[0] == 1 else 0.999 * mean + (1 - 0.999) * x
            if x is not p:
                p[...] = x

    return step


def _square(array: Any) -> Any:
    """The square of the modulus."""
    return (array * array.conj()).real if array.dtype.kind == "c" else array**2


def _narrow(array: Any) -> bool:
    return bool(array.dtype.itemsize == 2)


def _computed(array: Any) -> Any:
    return np.dtype("float32") if _narrow(array) else array.dtype


def _wide(array: Any) -> Any:
    """The array in the dtype in which it is computed."""
    return array.astype(np.float32) if _narrow(array) else array
