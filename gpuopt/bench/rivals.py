"""What a step is measured against: the expression a user would write, PyTorch, optax, and streaming through memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from gpuopt import backend
from gpuopt.bench.measure import Step, bytes_a_step, in_turns, make_arrays, medians, module_of, optimizer, stream_steps, waiting
from gpuopt.rules import Adam, average, bounds, chain, clip_global_norm, rules, weight_decay
from gpuopt.rules.base import Bindable

__all__ = ["CHAIN", "RIVALS", "Case", "compare", "naive", "optax_step", "subjects", "torch_step"]

RIVALS = ("by hand", "torch fused", "torch foreach", "optax jit")
"""The rivals by name, in the order of the columns."""
CHAIN = "chain"
"""What is measured beside the rules: pieces around Adam, one of them with a norm of all arrays."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One rule on some arrays: what was measured.

    Attributes
    ----------
    rule : str
    count, size : int
        Arrays, and elements of each.
    dtype : str
    moved : int
        Bytes that a step must move.
    ours, rivals : dict of float
        Seconds a step, by executor and by rival; a rival that is not installed, or has no such rule, is not there.
    floor : float
        Seconds that streaming as many bytes takes.
    """

    rule: str
    count: int
    size: int
    dtype: str
    moved: int
    ours: dict[str, float]
    rivals: dict[str, float]
    floor: float


def subjects() -> dict[str, Callable[[], Bindable]]:
    """What makes each rule, with its defaults, and the chain, by name."""
    return {**rules(), CHAIN: _chain}


def _chain() -> Bindable:
    return chain(clip_global_norm(1.0), weight_decay(1e-4), Adam(1e-3), bounds(-1.0, 1.0), average(0.999))


def compare(name: str, executors: list[str], size: int, count: int, dtype: str, rounds: int) -> Case:
    """Measure `name` on `count` arrays of `size` elements: executors, of one array module, and rivals take turns."""
    xp = module_of(executors[0])
    arrays, gradients = make_arrays(xp, size, count, dtype), make_arrays(xp, size, count, dtype, seed=1)
    steps: dict[str, Step] = {}
    moved = 0
    for executor in executors:
        opt = optimizer(subjects()[name](), [a.copy() for a in arrays], executor)
        moved = bytes_a_step(opt) + (sum(int(g.nbytes) for g in gradients) if name == CHAIN else 0)  # read for their norm
        steps[executor] = _bound(opt, gradients)
    others = {
        "by hand": naive(name, xp, arrays, gradients),
        "torch fused": torch_step(name, arrays, gradients, xp is not np, "fused"),
        "torch foreach": torch_step(name, arrays, gradients, xp is not np, "foreach"),
        "optax jit": optax_step(name, arrays, gradients),
    }
    steps |= {rival: step for rival, step in others.items() if step is not None}
    steps |= stream_steps(xp, size * count, dtype)
    few = xp is np and size * count >= 1_000_000
    found = medians(in_turns(steps, rounds, waiting(xp), 4 if few else 20))
    streamed = 2 * size * count * np.dtype(dtype).itemsize
    floor = min(found["copy"], found["scale"]) * moved / streamed
    ours = {executor: found[executor] for executor in executors}
    return Case(name, count, size, dtype, moved, ours, {rival: found[rival] for rival in RIVALS if rival in found}, floor)


def _bound(opt: Any, gradients: list[Any]) -> Step:
    return lambda: opt.step(gradients)


def naive(name: str, xp: Any, params: list[Any], gradients: list[Any]) -> Step | None:
    """The update as a user would write it, by hand, with whole-array expressions; None for a rule not written here."""
    if name == CHAIN:
        return _chain_by_hand(xp, [p.copy() for p in params], gradients)
    bodies = [_by_hand(name, xp, p.copy(), g) for p, g in zip(params, gradients, strict=True)]
    found = [body for body in bodies if body is not None]
    return (lambda: [body() for body in found]) if len(found) == len(bodies) else None


def _by_hand(name: str, xp: Any, p: Any, g: Any) -> Step | None:
    m, v, t = xp.zeros_like(p), xp.zeros_like(p), [0]

    def descent() -> None:
        p[...] = p - 0.01 * g

    def momentum() -> None:
        v[...] = 0.9 * v + (1 - 0.9) * g
        p[...] = p - 0.01 * v

    def rmsprop() -> None:
        v[...] = 0.9 * v + (1 - 0.9) * g**2
        p[...] = p - 0.01 * g / (xp.sqrt(v) + 1e-8)

    def adam(decay: float = 0.0) -> None:
        t[0] += 1
        if decay:
            p[...] = p * (1 - 1e-3 * decay)
        m[...] = 0.9 * m + (1 - 0.9) * g
        v[...] = 0.999 * v + (1 - 0.999) * g**2
        m_hat, v_hat = m / (1 - 0.9 ** t[0]), v / (1 - 0.999 ** t[0])
        p[...] = p - 1e-3 * m_hat / (xp.sqrt(v_hat) + 1e-8)

    bodies: dict[str, Step] = {"GradientDescent": descent, "Momentum": momentum, "RMSProp": rmsprop, "Adam": adam}
    return {**bodies, "AdamW": lambda: adam(0.01)}.get(name)


def _chain_by_hand(xp: Any, params: list[Any], gradients: list[Any]) -> Step:
    t, state = [0], [(xp.zeros_like(p), xp.zeros_like(p), xp.zeros_like(p)) for p in params]

    def step() -> None:
        t[0] += 1
        norm = xp.sqrt(sum(xp.sum(g * g) for g in gradients))
        factor = xp.minimum(1.0 / (norm + 1e-6), 1.0)
        for p, g, (m, v, mean) in zip(params, gradients, state, strict=True):
            clipped = factor * g + 1e-4 * p
            m[...] = 0.9 * m + (1 - 0.9) * clipped
            v[...] = 0.999 * v + (1 - 0.999) * clipped**2
            m_hat, v_hat = m / (1 - 0.9 ** t[0]), v / (1 - 0.999 ** t[0])
            p[...] = xp.clip(p - 1e-3 * m_hat / (xp.sqrt(v_hat) + 1e-8), -1.0, 1.0)
            mean[...] = p if t[0] == 1 else 0.999 * mean + (1 - 0.999) * p

    return step


def torch_step(name: str, arrays: list[Any], gradients: list[Any], gpu: bool, how: str) -> Step | None:
    """PyTorch's optimizer of the same rule on the same data; None where it has none of that kind, or is not installed."""
    torch = _optional("torch")
    kinds = {"GradientDescent": "SGD", "Momentum": "SGD", "RMSProp": "RMSprop", "Adam": "Adam", "AdamW": "AdamW"}
    if torch is None or name not in kinds:
        return None
    torch.set_num_threads(backend.cpu_threads())

    def move(a: Any) -> Any:
        return torch.from_dlpack(a).clone() if gpu else torch.from_numpy(a.copy())

    params = [move(a) for a in arrays]
    for param, gradient in zip(params, gradients, strict=True):
        param.grad = move(gradient)
    options: dict[str, dict[str, Any]] = {"Momentum": {"momentum": 0.9}, "RMSProp": {"alpha": 0.9}}
    try:
        step: Step = getattr(torch.optim, kinds[name])(params, lr=1e-3, **{how: True}, **options.get(name, {})).step
    except (TypeError, RuntimeError):  # RMSprop has no fused form
        return None
    return step


def optax_step(name: str, arrays: list[Any], gradients: list[Any]) -> Step | None:
    """Optax under jit, its arrays donated, on JAX's default device; None where it is not installed, or JAX lacks the dtype."""
    jax, optax = _optional("jax"), _optional("optax")
    if jax is None or optax is None:
        return None
    make = {
        "GradientDescent": lambda: optax.sgd(0.01),
        "Momentum": lambda: optax.sgd(0.01, momentum=0.9),
        "RMSProp": lambda: optax.rmsprop(0.01, decay=0.9),
        "Adam": lambda: optax.adam(1e-3),
        "AdamW": lambda: optax.adamw(1e-3, weight_decay=0.01),
    }
    if name not in make or arrays[0].dtype == np.float64:  # which JAX would make float32
        return None
    rule = make[name]()

    def host(a: Any) -> Any:
        return jax.numpy.asarray(a.get() if hasattr(a, "get") else a)

    params, grads = [host(a) for a in arrays], [host(g) for g in gradients]
    held = [params, rule.init(params)]

    def update(params: Any, state: Any, grads: Any) -> Any:
        updates, state = rule.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    jitted = jax.jit(update, donate_argnums=(0, 1))

    def step() -> None:
        held[:] = jitted(held[0], held[1], grads)
        jax.block_until_ready(held[0])

    return step


def _optional(module: str) -> Any:
    """The module, or None where it cannot be imported."""
    try:
        return import_module(module)
    except ImportError:
        return None
