"""Make the golden values of `gpuopt.conventions`: what torch, optax, Keras and scikit-learn compute for each call.

Needs all of them, with Keras on JAX. The parameters after each call's steps go into tests/support/golden_conventions.json.

    python tools/golden_conventions.py
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import jax
import numpy as np
import torch

from tests.support.golden import CALLS, LOSSES, gradients, start

os.environ["KERAS_BACKEND"] = "jax"
keras, optax = import_module("keras"), import_module("optax")
sklearn = import_module("sklearn.neural_network._stochastic_optimizers")

PATH = Path(__file__).resolve().parents[1] / "tests" / "support" / "golden_conventions.json"
keras.backend.set_floatx("float64")
jax.config.update("jax_enable_x64", True)
torch.set_default_dtype(torch.float64)
# Muon multiplies matrices in bfloat16, gpuopt in the dtype of the array.
torch.Tensor.bfloat16 = torch.Tensor.clone  # type: ignore[assignment]
Arrays = list[np.ndarray[Any, Any]]


def falling(step: Any) -> Any:
    """The learning rate of calls with a schedule."""
    return 0.1 * 0.9**step


def in_double(rate: float) -> Callable[[Any], Any]:
    """A rate in whose place `optax.contrib.madgrad` has the root of its count in float64, not in float32."""

    def schedule(count: Any) -> Any:
        narrow = jax.numpy.sqrt(count + 1).astype("float64")
        return (rate + 1e-6) * jax.numpy.sqrt((count + 1).astype("float64")) / narrow - 1e-6

    return schedule


class Falling(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[name-defined, misc]
    def __call__(self, step: Any) -> Any:
        return falling(keras.ops.cast(step, "float64"))


def by_torch(make: Callable[..., Any], params: Arrays, steps: Sequence[Arrays]) -> Arrays:
    tensors = [torch.tensor(p) for p in params]
    optimizer = make(tensors)
    for grads in steps:
        for tensor, g in zip(tensors, grads, strict=True):
            tensor.grad = torch.tensor(g)
        optimizer.step()
    return [tensor.numpy() for tensor in tensors]


def by_optax(make: Callable[..., Any], params: Arrays, steps: Sequence[Arrays]) -> Arrays:
    rule, theirs = optax.with_extra_args_support(make()), [jax.numpy.asarray(p) for p in params]
    state = rule.init(theirs)
    for grads, loss in zip(steps, LOSSES, strict=True):
        updates, state = rule.update([jax.numpy.asarray(g) for g in grads], state, theirs, value=loss)
        theirs = optax.apply_updates(theirs, updates)
    return [np.asarray(p) for p in theirs]


def by_keras(make: Callable[..., Any], params: Arrays, steps: Sequence[Arrays]) -> Arrays:
    variables = [keras.Variable(p, dtype="float64") for p in params]
    optimizer = make()
    optimizer.build(variables)
    for grads in steps:
        optimizer.apply([jax.numpy.asarray(g) for g in grads], variables)
    return [np.asarray(v) for v in variables]


def by_sklearn(make: Callable[..., Any], params: Arrays, steps: Sequence[Arrays]) -> Arrays:
    theirs = [p.copy() for p in params]
    optimizer = make(theirs)
    for grads in steps:
        optimizer.update_params(theirs, grads)
    return theirs


def evaluated(library: str, call: str) -> Arrays:
    """What the library makes of a call, such as ``Adam(0.01)``."""
    name, _, arguments = call.partition("(")
    module = {"torch": torch.optim, "optax": optax, "keras": keras.optimizers, "sklearn": sklearn}[library]
    for part in name.split("."):
        module = getattr(module, part)
    scope = {"made": module, "falling": Falling() if library == "keras" else falling, "in_double": in_double}
    first = "params, " if library in ("torch", "sklearn") else ""
    make = eval(f"lambda params=None: made({first}{arguments}", scope)
    run = {"torch": by_torch, "optax": by_optax, "keras": by_keras, "sklearn": by_sklearn}[library]
    return run(make, start(call), gradients(call))


def main() -> None:
    found = {
        f"{library}.{call}": [float(x) for p in evaluated(library, call) for x in p.ravel()]
        for library, calls in CALLS.items()
        for call in calls
    }
    PATH.write_text(json.dumps(found, indent=0) + "\n", encoding="utf-8")
    print(f"{len(found)} calls")


if __name__ == "__main__":
    main()
