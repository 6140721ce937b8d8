"""What is captured in the tests of captures: rules whose numbers change from step to step, arrays, and their gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import gpuopt as go
from gpuopt.rules import rules
from tests.support.variants import sample

SCHEDULE = go.schedules.WarmUp(go.schedules.Joined((go.schedules.Constant(0.1), go.schedules.Cosine(0.1, 5)), (2,)), 2)
CHAINS = {
    **{name: cls(lr=SCHEDULE) if hasattr(cls, "lr") else cls() for name, cls in rules().items()},
    "norm": go.chain(go.clip_global_norm(0.5), go.Adam(lr=SCHEDULE, beta1=go.schedules.Step(0.9, 2, 0.9))),
    "skip": go.chain(go.skip_nonfinite(), go.clip_norm(0.5), go.Momentum(SCHEDULE), go.average(0.9)),
    "accumulate": go.chain(go.accumulate(2), go.clip_global_norm(0.5), go.Adam(SCHEDULE), go.lookahead(2)),
    "noise": go.chain(go.gradient_noise(0.1, seed=70_000), go.AdamW(SCHEDULE)),
    "partition": go.partition({"0": go.chain(go.clip_norm(0.5), go.Adam(SCHEDULE)), "*": go.Momentum(0.1)}),
}


def arrays(seed: int = 0) -> tuple[list[Any], list[Any]]:
    """Parameters of two dtypes, and gradients of the same shapes."""
    rng = np.random.default_rng(seed)
    shapes = [((40, 3), "float32"), ((7,), "float64"), ((), "float32"), ((0,), "float32")]
    params, grads = ([sample(rng, shape, dtype) for shape, dtype in shapes] for _ in range(2))
    return params, grads


def on_device(arrays: list[Any]) -> list[Any]:
    """Copies in CuPy arrays."""
    import cupy

    return [cupy.asarray(array) for array in arrays]


def captured(work: Callable[[], object]) -> Callable[[], None]:
    """What replays the launches of `work`, none of which is run now."""
    import cupy

    with cupy.cuda.Stream(non_blocking=True) as stream:
        stream.begin_capture()
        work()
        replay: Callable[[], None] = stream.end_capture().launch
    return replay


def fill(grads: list[Any], step: int) -> list[Any]:
    """The gradients of a step, in the same arrays; one is not finite."""
    for number, g in enumerate(grads):
        g[...] = go.array_module(g).asarray(sample(np.random.default_rng(100 * step + number), g.shape, g.dtype.name))
    if step == 3:
        grads[1][2] = np.inf
    return grads
