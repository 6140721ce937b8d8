"""The updates of the scientific examples as one writes them by hand, with the same formulas; tools/science.py runs both."""

from __future__ import annotations

import math
from typing import Any

import gpuopt as go

xp = go.xp()


class PtychographyByHand:
    def __init__(self, params: dict[str, Any], mask: Any) -> None:
        self.params, self.mask = params, mask
        self.m = {name: xp.zeros_like(array) for name, array in params.items()}
        self.v = {name: xp.zeros_like(array.real) for name, array in params.items()}
        self.t, self.counts = 0, xp.zeros((len(params["positions"]), 1), "float32")

    def adam(self, name: str, g: Any, lr: float, beta2: float, t: Any, rows: Any = ...) -> None:
        m = 0.9 * self.m[name][rows] + 0.1 * g
        v = beta2 * self.v[name][rows] + (1 - beta2) * (g.real**2 + g.imag**2 if xp.iscomplexobj(g) else g**2)
        self.params[name][rows] -= lr * (m / (1 - 0.9**t)) / (xp.sqrt(v / (1 - beta2**t)) + 1e-8)
        self.m[name][rows], self.v[name][rows] = m, v

    def step(self, grads: dict[str, Any]) -> None:
        wave, self.t = 0.5 + 0.5 * math.cos(math.pi * self.t / 900), self.t + 1
        self.adam("object", grads["object"], 0.05 * wave, 0.99, self.t)
        self.params["object"] /= xp.maximum(xp.abs(self.params["object"]), 1)
        self.adam("probe", grads["probe"], 0.02 * wave, 0.99, self.t)
        self.params["probe"] *= self.mask
        rows = xp.asarray(grads["positions"].index)
        self.counts[rows] += 1
        self.adam("positions", grads["positions"].grads, 0.03, 0.9, self.counts[rows], rows)

    def resized(self, functions: dict[str, Any]) -> Any:
        for arrays in (self.params, self.m, self.v):
            arrays["object"] = functions["object"](arrays["object"])
        return self


class TomographyByHand:
    def __init__(self, x: Any) -> None:
        self.params, self.t = x, 0
        self.m, self.v, self.flow = xp.zeros_like(x), xp.zeros_like(x), xp.zeros((2, *x.shape))

    def step(self, g: Any) -> None:
        lr, self.t = 0.1 * (0.5 + 0.5 * math.cos(math.pi * self.t / 200)), self.t + 1
        self.m = 0.9 * self.m + 0.1 * g
        self.v = 0.999 * self.v + 0.001 * g * g
        metric = lr / (xp.sqrt(self.v / (1 - 0.999**self.t)) + 1e-8)
        self.params[...] = xp.maximum(self.flat(self.params - metric * self.m / (1 - 0.9**self.t), metric), 0)

    def flat(self, x: Any, metric: Any, weight: float = 0.5, iterations: int = 10) -> Any:
        rows = 4 * (2 * metric + self.differences(metric)).max(axis=0)  # no row of D·metric·Dᵀ is larger
        ahead, flow, momentum = self.flow, self.flow, 1.0
        for _ in range(iterations):
            new = ahead + self.differences(x - metric * self.adjoint(ahead)) / rows
            new *= weight / xp.maximum(weight, xp.sqrt((new * new).sum(axis=0)))
            after = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
            ahead, flow, momentum = new + (momentum - 1) / after * (new - flow), new, after
        self.flow = flow
        return x - metric * self.adjoint(flow)

    def differences(self, x: Any) -> Any:
        found = xp.zeros((2, *x.shape))
        found[0, :-1] = x[1:] - x[:-1]
        found[1, :, :-1] = x[:, 1:] - x[:, :-1]
        return found

    def adjoint(self, flow: Any) -> Any:
        found = xp.zeros(flow.shape[1:])
        found[:-1] -= flow[0, :-1]
        found[1:] += flow[0, :-1]
        found[:, :-1] -= flow[1, :, :-1]
        found[:, 1:] += flow[1, :, :-1]
        return found


class FitByHand:
    def __init__(self, params: dict[str, Any], rates: dict[str, Any]) -> None:
        self.params, self.rates, self.t = params, rates, 0
        self.m, self.v = ({name: xp.zeros_like(array) for name, array in params.items()} for _ in range(2))

    def step(self, grads: dict[str, Any]) -> None:
        self.t += 1
        for name, g in grads.items():
            self.m[name] = 0.9 * self.m[name] + 0.1 * g
            self.v[name] = 0.999 * self.v[name] + 0.001 * g * g
            far = self.m[name] / (1 - 0.9**self.t) / (xp.sqrt(self.v[name] / (1 - 0.999**self.t)) + 1e-8)
            self.params[name] -= self.rates[name] * far
