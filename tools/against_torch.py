"""Compare every rule with PyTorch's on a tree of mixed shapes over 300 steps; needs torch.

Prints the largest difference relative to the size of the array, and fails above 1e-11 in float64 or 2e-4 in float32.

    python tools/against_torch.py
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch

import gpuopt as go

torch.set_default_dtype(torch.float64)  # in which ASGD keeps its learning rate
STEPS = 300
SHAPES = [(3, 4), (), (0,), (100, 30), (7,), (2, 3, 5), (20_000,)]
BOUNDS = {"float64": 1e-11, "float32": 2e-4}
PAIRS: list[tuple[Any, Any]] = [
    (go.GradientDescent(0.01), lambda p: torch.optim.SGD(p, 0.01)),
    (go.Momentum(0.01, dampening=0.0), lambda p: torch.optim.SGD(p, 0.01, momentum=0.9)),
    (go.Momentum(0.01, dampening=0.0, nesterov=True), lambda p: torch.optim.SGD(p, 0.01, momentum=0.9, nesterov=True)),
    (go.RMSProp(0.01), lambda p: torch.optim.RMSprop(p, 0.01, alpha=0.9)),
    (go.RMSProp(0.01, momentum=0.9), lambda p: torch.optim.RMSprop(p, 0.01, alpha=0.9, momentum=0.9)),
    (go.RMSProp(0.01, centered=True), lambda p: torch.optim.RMSprop(p, 0.01, alpha=0.9, centered=True)),
    (go.Adam(0.01), lambda p: torch.optim.Adam(p, 0.01)),
    (go.Adam(0.01, amsgrad=True), lambda p: torch.optim.Adam(p, 0.01, amsgrad=True)),
    (go.AdamW(0.01), lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.01)),
    (go.AdamW(0.01, weight_decay=0.1, amsgrad=True), lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1, amsgrad=True)),
    (go.Adamax(0.01), lambda p: torch.optim.Adamax(p, 0.01)),
    (go.NAdam(0.01, momentum_decay=0.3), lambda p: torch.optim.NAdam(p, 0.01, momentum_decay=0.3)),
    (go.RAdam(0.01), lambda p: torch.optim.RAdam(p, 0.01)),
    (go.RAdam(0.01, beta2=0.9), lambda p: torch.optim.RAdam(p, 0.01, betas=(0.9, 0.9))),
    (go.AdaGrad(0.05), lambda p: torch.optim.Adagrad(p, 0.05)),
    (
        go.AdaGrad(0.05, lr_decay=0.1, initial=0.3),
        lambda p: torch.optim.Adagrad(p, 0.05, lr_decay=0.1, initial_accumulator_value=0.3),
    ),
    (go.AdaDelta(), torch.optim.Adadelta),
    (go.AdaDelta(0.3, rho=0.95, eps=1e-5), lambda p: torch.optim.Adadelta(p, 0.3, rho=0.95, eps=1e-5)),
    (go.Adafactor(0.05), lambda p: torch.optim.Adafactor(p, 0.05)),
    (go.Rprop(), torch.optim.Rprop),
    (
        go.Rprop(0.1, shrink=0.3, grow=1.5, low=1e-3, high=2.0),
        lambda p: torch.optim.Rprop(p, 0.1, etas=(0.3, 1.5), step_sizes=(1e-3, 2.0)),
    ),
    (go.ASGD(), torch.optim.ASGD),
    (
        go.ASGD(0.1, lambd=0.01, alpha=0.5, t0=20.0),
        lambda p: torch.optim.ASGD(p, 0.1, lambd=0.01, alpha=0.5, t0=20.0),
    ),
]


def difference(rule: Any, make: Any, dtype: str) -> float:
    rng = np.random.default_rng(0)
    draw = lambda: [np.asarray(rng.normal(size=shape)).astype(dtype) for shape in SHAPES]  # noqa: E731
    params = draw()
    theirs = [torch.tensor(p) for p in params]
    ours, other = rule.init({"a": params[:3], "b": tuple(params[3:])}), make(theirs)
    for _ in range(STEPS):
        gradients = draw()
        ours.step({"b": gradients[3:], "a": gradients[:3]})
        for tensor, g in zip(theirs, gradients, strict=True):
            tensor.grad = torch.tensor(g)
        other.step()
    pairs = [(p, t.numpy()) for p, t in zip(params, theirs, strict=True) if p.size]
    return max(float(np.abs(p - t).max() / np.abs(t).max()) for p, t in pairs)


def main() -> int:
    failed = False
    for rule, make in PAIRS:
        found = {dtype: difference(rule, make, dtype) for dtype in BOUNDS}
        failed |= any(found[dtype] > bound for dtype, bound in BOUNDS.items())
        print(f"{found['float64']:9.1e} float64 {found['float32']:9.1e} float32  {rule}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
