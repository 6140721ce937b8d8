"""Steps of PyTorch's and optax's optimizers on the same data, if they are installed and have such a
rule.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from typing import Any

import numpy as np

from gpuopt.arrays import backend
from gpuopt.bench.measure import Step, copied

__all__ = ["PRECISION", "optax_step", "torch_step"]

PRECISION = ("master", "stochastic_rounding")
"""The options of `init` that the optimizers of these libraries do not have."""
_TORCH: dict[str, tuple[str, dict[str, Any]]] = {
    "GradientDescent": ("SGD", {}),
    "Momentum": ("SGD", {"momentum": 0.9}),
    "RMSProp": ("RMSprop", {"alpha": 0.9}),
    "Adam": ("Adam", {}),
    "AdamW": ("AdamW", {}),
}
"""The class of ``torch.optim`` for each rule that it has, and the arguments beside the rate."""


def torch_step(
    name: str,
    arrays: list[Any],
    gradients: list[Any],
    gpu: bool,
    how: str,
    options: Collection[str] = (),
) -> Step | None:
    """PyTorch's optimizer of the same rule on the same data; None if it has no such rule, or is not
    installed.

    It keeps the state of parameters of 16 bits in 16 bits.
    """
    if name not in _TORCH or not set(options).isdisjoint(PRECISION):
        return None
    if (torch := _optional("torch")) is None:
        return None
    torch.set_num_threads(backend.cpu_threads())
    params = [_tensor(torch, a, gpu) for a in arrays]
    for param, gradient in zip(params, gradients, strict=True):
        param.grad = _tensor(torch, gradient, gpu)
    kind, arguments = _TORCH[name]
    try:
        step: Step = getattr(torch.optim, kind)(params, lr=1e-3, **{how: True}, **arguments).step
    except (TypeError, RuntimeError):  # RMSprop has no fused form
        return None
    return step


def _tensor(torch: Any, array: Any, gpu: bool) -> Any:
    """A copy of the array as PyTorch's."""
    # PyTorch does not know NumPy's bfloat16.
    bits = array.view(np.int16) if array.dtype.name == "bfloat16" else array
    tensor = torch.from_dlpack(copied(bits)) if gpu else torch.from_numpy(copied(bits))
    return tensor if bits is array else tensor.view(torch.bfloat16)


def optax_step(
    name: str, arrays: list[Any], gradients: list[Any], options: Collection[str] = ()
) -> tuple[Step, Step] | None:
    """Optax under jit, its arrays donated, on JAX's default device, and what waits for it.

    None if it is not installed, has no such rule, or JAX lacks the dtype. It keeps the state of
    parameters of 16 bits in 16 bits.
    """
    if not set(options).isdisjoint(PRECISION):
        return None
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

    return step, lambda: jax.block_until_ready(held)


def _optional(module: str) -> Any:
    """The module, or None if it cannot be imported."""
    try:
        return import_module(module)
    except ImportError:
        return None
