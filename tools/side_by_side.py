"""Time a step of every rule beside its rivals, in one process: on the CPU, or with --gpu on the GPU.

The rivals are what a user would write by hand, PyTorch's fused and foreach optimizers and optax under jit (each where it is
installed), and a plain copy, which is the memory's speed. Rivals take turns in blocks of a few calls, and medians are
printed: time per element, the bandwidth it means for the bytes that a rule must move, and the ratio to each rival.

    python tools/side_by_side.py [--gpu] [--sizes 1000000 16000000] [--rules Adam Momentum] [--rounds 15]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import gpuopt as go
from gpuopt.rules import rules

Step = Callable[[], object]


def naive(name: str, xp: Any, p: Any, g: Any) -> Step:
    """The update as a user would write it, by hand, with whole-array expressions."""
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
    return {**bodies, "AdamW": lambda: adam(0.01)}[name]


def torch_step(name: str, arrays: list[Any], gradients: list[Any], gpu: bool, how: str) -> Step | None:
    """PyTorch's optimizer of the same rule on the same data; None where it has none of that kind."""
    try:
        import torch
    except ModuleNotFoundError:
        return None
    torch.set_num_threads(go.info()["threads"])
    move = (lambda a: torch.from_dlpack(a).clone()) if gpu else (lambda a: torch.from_numpy(a.copy()))
    params = [move(a) for a in arrays]
    for param, gradient in zip(params, gradients, strict=True):
        param.grad = move(gradient)
    options: dict[str, dict[str, Any]] = {"Momentum": {"momentum": 0.9}, "RMSProp": {"alpha": 0.9}}
    kinds = {"GradientDescent": "SGD", "Momentum": "SGD", "RMSProp": "RMSprop", "Adam": "Adam", "AdamW": "AdamW"}
    try:
        return torch.optim.__dict__[kinds[name]](params, lr=1e-3, **{how: True}, **options.get(name, {})).step  # type: ignore[no-any-return]
    except (KeyError, TypeError, RuntimeError):  # RMSprop has no fused form
        return None


def optax_step(name: str, arrays: list[Any], gradients: list[Any]) -> Step | None:
    """Optax under jit, its arrays donated, on JAX's default device."""
    try:
        import jax
        import optax
    except ModuleNotFoundError:
        return None
    make = {
        "GradientDescent": lambda: optax.sgd(0.01),
        "Momentum": lambda: optax.sgd(0.01, momentum=0.9),
        "RMSProp": lambda: optax.rmsprop(0.01, decay=0.9),
        "Adam": lambda: optax.adam(1e-3),
        "AdamW": lambda: optax.adamw(1e-3, weight_decay=0.01),
    }
    rule = make[name]()
    host = lambda a: jax.numpy.asarray(a.get() if hasattr(a, "get") else a)  # noqa: E731
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


def measure(rivals: dict[str, Step], rounds: int, wait: Step, repeats: int) -> dict[str, float]:
    """Seconds a call of each rival: medians over rounds in which they take turns."""
    for step in rivals.values():
        step()
        step()
    wait()
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(rounds):
        for name, step in rivals.items():
            start = time.perf_counter()
            for _ in range(repeats):
                step()
            wait()
            times[name].append((time.perf_counter() - start) / repeats)
    return {name: statistics.median(values) for name, values in times.items()}


def state_arrays(opt: go.Optimizer) -> int:
    return len(opt.state)


def compare(name: str, xp: Any, size: int, count: int, rounds: int) -> None:
    """Print one row: `count` arrays of `size` float32 numbers under one rule."""
    gpu = xp is not np
    rng = np.random.default_rng(0)
    make = lambda: [xp.asarray(rng.normal(size=size).astype("float32")) for _ in range(count)]  # noqa: E731
    arrays, gradients = make(), make()
    opt = rules()[name]().init(arrays)
    hands = [naive(name, xp, a.copy(), g) for a, g in zip(arrays, gradients, strict=True)]
    source, target = xp.concatenate(arrays), xp.empty(size * count, "float32")
    rivals: dict[str, Step | None] = {
        "gpuopt": lambda: opt.step(gradients),
        "by hand": lambda: [hand() for hand in hands],
        "torch fused": torch_step(name, arrays, gradients, gpu, "fused"),
        "torch foreach": torch_step(name, arrays, gradients, gpu, "foreach"),
        "optax jit": optax_step(name, arrays, gradients),
        "copy": lambda: xp.copyto(target, source),
    }
    wait = xp.cuda.get_current_stream().synchronize if gpu else (lambda: None)
    small = size * count < 1_000_000
    found = measure({k: s for k, s in rivals.items() if s is not None}, rounds, wait, 20 if small or gpu else 4)
    elements = size * count
    bytes_moved = 4 * elements * (3 + 2 * state_arrays(opt))
    ours, copy = found["gpuopt"], found["copy"]
    ratios = "  ".join(f"{k} {found[k] / ours:6.2f}" if k in found else f"{k}      -" for k in list(rivals)[1:5])
    share = (bytes_moved / ours) / (8 * elements / copy)
    print(
        f"{name:16} {count:4} x {size:<10} {ours * 1e6:10.1f} us {ours / elements * 1e9:7.3f} ns/element "
        f"{bytes_moved / ours / 1e9:7.1f} GB/s  {share:5.0%} of a copy's | times longer: {ratios}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--sizes", nargs="+", type=int, default=[1_000_000, 16_000_000])
    parser.add_argument("--many", nargs=2, type=int, default=[300, 1000], metavar=("ARRAYS", "SIZE"))
    parser.add_argument("--rules", nargs="+", choices=list(rules()), default=list(rules()))
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    if options.gpu:
        go.use("cupy")
    xp = go.xp() if options.gpu else np
    print({**go.info()["versions"], "device": go.info()["device"], "threads": go.info()["threads"]})
    for name in options.rules:
        for size in options.sizes:
            compare(name, xp, size, 1, options.rounds)
        compare(name, xp, options.many[1], options.many[0], options.rounds)


if __name__ == "__main__":
    main()
