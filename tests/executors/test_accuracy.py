"""How far rounding may go in one step: from the same state, against the same formula in a wider dtype.

The bounds are in units in the last place (ulp) of what is added: a moving average within 3, an update within 16, a
parameter within half an ulp of its own and 8 of its update. Scalars computed in float32 would miss them by far: ``1 - beta2``
alone would put v off by 200 ulp.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from gpuopt.rules import Adam, AdamW, Momentum, RMSProp, Rule
from gpuopt.tracing.kinds import BEGUN
from gpuopt.tracing.signatures import state_names
from tests.support.reference_arrays import LOSS
from tests.support.variants import STRUCTURES, label, program

AVERAGES = {"m": "beta1", "v": "beta2", "c": "beta"}
ELEMENTS, STEPS = 5_000, 120
WIDER: dict[str, Any] = {"float32": np.float64}
if np.finfo(np.longdouble).eps < np.finfo(np.float64).eps:
    WIDER["float64"] = np.longdouble


def ulp(values: Any, dtype: str) -> Any:
    return np.spacing(np.abs(values).astype(dtype)).astype(np.longdouble)


def trajectory(rule: Rule, dtype: str) -> Any:
    """Steps over 7 decades of gradients: yields (t, p, g, state before) and the optimizer after."""
    rng = np.random.default_rng(7)
    scale = 10.0 ** rng.uniform(-5, 2, ELEMENTS)
    opt = rule.init(rng.normal(size=ELEMENTS).astype(dtype))
    for t in range(1, STEPS + 1):
        g = (scale * rng.normal(size=ELEMENTS)).astype(dtype)
        before = copy.deepcopy((opt.params, opt.state))
        opt.step(g)
        if t in (1, 2, 10, STEPS):
            yield t, *before, g, opt


def exact(rule: Rule, t: int, p: Any, g: Any, state: dict[str, Any], wide: Any) -> dict[str, Any]:
    new = rule.with_loss(LOSS).update(
        t, p.astype(wide), g.astype(wide), **{name: array.astype(wide) for name, array in state.items()}
    )
    return dict(zip(["p", *state_names(rule)], new if isinstance(new, tuple) else (new,), strict=True))


def summands(rule: Rule, name: str, old: Any, new: Any) -> Any:
    """The largest of the two summands of a moving average and their sum: what its rounding is relative to."""
    named = (rule.hyperparameters.get(decay) for decay in (AVERAGES[name], "beta", "rho"))
    beta = next(filter(None, named))
    return np.maximum(np.maximum(np.abs(beta * old), np.abs(new - beta * old)), np.abs(new))


OF_GRADIENTS = [
    rule
    for rule in STRUCTURES
    if not program(rule).stages
    and BEGUN not in (state := rule.init(np.ones(1)).state)
    and not AVERAGES.keys().isdisjoint(state)
]
"""The rules whose averages are of gradients alone: not of what norms or the first parameters make of these."""


@pytest.mark.every("rule", "dtype", dtype=tuple(WIDER), rule=OF_GRADIENTS)
def test_moving_averages(rule: Rule, dtype: str) -> None:
    wide = WIDER[dtype]
    for t, p, state, g, opt in trajectory(rule, dtype):
        wanted = exact(rule, t, p, g, state, wide)
        for name in set(state) & set(AVERAGES):
            scale = ulp(summands(rule, name, state[name].astype(wide), wanted[name]), dtype)
            assert (np.abs(opt.state[name].astype(wide) - wanted[name]) / scale).max() <= 3, (t, name)


@pytest.mark.parametrize(("dtype", "wide"), WIDER.items())
@pytest.mark.parametrize("rule", [Adam(), Adam(amsgrad=True), AdamW(), Momentum(), RMSProp()], ids=label)
def test_update_and_parameter(rule: Rule, dtype: str, wide: Any) -> None:
    """The update from p = 0, which is the step alone; and the parameter. Where the direction's summands cancel, its
    rounding is theirs."""
    direction = {"Adam": "m", "AdamW": "m", "Momentum": "v"}.get(type(rule).__name__)
    for t, p, state, g, opt in trajectory(rule, dtype):
        wanted = exact(rule, t, p, g, state, wide)
        alone = exact(rule, t, 0 * p, g, state, wide)["p"]
        size = np.abs(alone)
        if direction:
            size = (
                size * summands(rule, direction, state[direction].astype(wide), wanted[direction]) / np.abs(wanted[direction])
            )
        assert (np.abs(step_from_zero(rule, t, g, state) - alone) / ulp(size, dtype)).max() <= 16, t
        bound = 0.5 * ulp(wanted["p"], dtype) + 8 * ulp(size, dtype)
        error = np.abs(opt.params.astype(wide) - wanted["p"])
        assert np.all(error <= np.where(size > 0, bound, np.inf)), t


def step_from_zero(rule: Rule, t: int, g: Any, state: dict[str, Any]) -> Any:
    opt = rule.init(np.zeros_like(g))
    opt.load_state_dict({**opt.state_dict(), "t": t - 1, "counts": t - 1, "state": state})
    opt.step(g)
    return opt.params.astype(np.longdouble)
