"""Formulas of other libraries' optimizers, as each writes them: what `docs/coming-from.md` is compared with.

Each gives a function of the first parameters and the gradients, one a step, to the last parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Reference = Callable[[Any, Any], Any]
"""The parameters after the steps with these gradients, from these parameters."""
Step = Callable[..., Any]
"""From the number of a step, its gradient, and a dict that is kept, to what is subtracted from the parameters."""


def stepping(step: Step) -> Reference:
    def run(p: Any, gs: Any) -> Any:
        kept: dict[str, Any] = {}
        for t, g in enumerate(gs, start=1):
            p = p - step(t, g, kept)
        return p

    return run


def average(kept: dict[str, Any], name: str, beta: float, x: Any, initial: float = 0.0) -> Any:
    kept[name] = beta * kept.get(name, initial) + (1 - beta) * x
    return kept[name]


def adagrad(eps: float, initial: float = 0.0, decay: float = 0.0, inside: bool = False) -> Reference:
    def step(t: int, g: Any, kept: dict[str, Any]) -> Any:
        kept["s"] = kept.get("s", initial) + g * g
        root = np.sqrt(kept["s"] + eps) if inside else np.sqrt(kept["s"]) + eps
        return 0.1 / (1 + (t - 1) * decay) * g / root

    return stepping(step)


def adadelta(t: int, g: Any, kept: dict[str, Any]) -> Any:
    before = kept.get("u", 0.0)
    d = np.sqrt(before + 1e-6) / np.sqrt(average(kept, "v", 0.9, g * g) + 1e-6) * g
    average(kept, "u", 0.9, d * d)
    return d


def adamax(t: int, g: Any, kept: dict[str, Any]) -> Any:
    kept["u"] = np.maximum(0.999 * kept.get("u", 0.0), np.abs(g) + 1e-8)
    return 0.01 / (1 - 0.9**t) * average(kept, "m", 0.9, g) / kept["u"]


def radam(t: int, g: Any, kept: dict[str, Any]) -> Any:
    m, v = average(kept, "m", 0.9, g), average(kept, "v", 0.999, g * g)
    most = 2 / (1 - 0.999) - 1
    rho = most - 2 * t * 0.999**t / (1 - 0.999**t)
    if rho <= 5:
        return 0.01 * m / (1 - 0.9**t)
    r = np.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))
    return 0.01 * m / (1 - 0.9**t) * r * np.sqrt(1 - 0.999**t) / (np.sqrt(v) + 1e-8)


def lion(t: int, g: Any, kept: dict[str, Any]) -> Any:
    u = np.sign(0.9 * kept.get("m", 0.0) + 0.1 * g)
    average(kept, "m", 0.99, g)
    return 0.01 * u


def nadam_of_optax(t: int, g: Any, kept: dict[str, Any]) -> Any:
    m, v = average(kept, "m", 0.9, g), average(kept, "v", 0.999, g * g)
    ahead = 0.9 * m / (1 - 0.9 ** (t + 1)) + 0.1 * g / (1 - 0.9**t)
    return 0.01 * ahead / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)


def adabelief(t: int, g: Any, kept: dict[str, Any]) -> Any:
    m = average(kept, "m", 0.9, g)
    kept["s"] = average(kept, "s", 0.999, (g - m) ** 2) + 1e-16
    return 0.01 * m / (1 - 0.9**t) / (np.sqrt(kept["s"] / (1 - 0.999**t)) + 1e-16)


def yogi(t: int, g: Any, kept: dict[str, Any]) -> Any:
    m, v = average(kept, "m", 0.9, g, 1e-6), kept.get("v", 1e-6)
    kept["v"] = v = v - 0.001 * np.sign(v - g * g) * g * g
    return 0.01 * m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-3)


FAMILY: dict[str, Reference] = {
    "`Adagrad(params, lr=0.1, lr_decay=0.5)`": adagrad(1e-10, decay=0.5),
    "`Adadelta(params)`": stepping(adadelta),
    "`Adamax(params, lr=0.01)`": stepping(adamax),
    "`RAdam(params, lr=0.01)`": stepping(radam),
    "`Adagrad(0.1)`": adagrad(1e-7, 0.1, inside=True),
    "`Lion(0.01)`": stepping(lion),
    "`adagrad(0.1)`": adagrad(1e-7, 0.1, inside=True),
    "`nadam(0.01)`": stepping(nadam_of_optax),
    "`adabelief(0.01)`": stepping(adabelief),
    "`yogi(0.01)`": stepping(yogi),
    "`lion(0.01, weight_decay=0.0)`": stepping(lion),
}
