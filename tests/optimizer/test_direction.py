"""What a step would subtract, seen before it is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuopt as go
from tests.support.optimizers import everything
from tests.support.variants import on_host

RULES = {
    "Adam": go.Adam(lambda step: 0.1 / (1 + step)),
    "chain": go.chain(go.clip_global_norm(1.0), go.weight_decay(0.1), go.Momentum(0.1), go.bounds(-0.5, 0.5), go.average(0.9)),
    "accumulate": go.chain(go.accumulate(2), go.NAdam(0.1)),
    "skip": go.chain(go.skip_nonfinite(), go.freeze("b"), go.AdamW(0.1)),
    "partition": go.partition({"a": go.RMSProp(0.1), "*": go.Lion(0.1)}),
    "loss": go.PolyakStep(),
    "whole": go.Muon(0.1),
}


def two(xp: Any, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    return {"a": xp.asarray(rng.normal(size=(3, 4))), "b": xp.asarray(rng.normal(size=(2, 2)), "float32")}


@pytest.mark.parametrize("name", RULES)
def test_a_direction_is_what_the_step_then_subtracts(name: str) -> None:
    params = two(np, 0)
    opt = RULES[name].init(params)
    for seed in range(1, 4):
        before, old = everything(opt), {key: p.copy() for key, p in params.items()}
        grads = {**two(np, seed), "b": None if seed == 2 else two(np, seed)["b"]}
        found = opt.direction(grads, 0.5)
        assert everything(opt) == before
        opt.step(grads, 0.5)
        for key, p in params.items():
            assert found[key].dtype == p.dtype
            assert np.allclose(old[key] - found[key], p, rtol=0, atol=np.spacing(abs(old[key]).max()))
            assert (found[key] == 0).all() == (old[key] == p).all()


def test_on_every_executor(executor: str, xp: Any) -> None:
    """Small arrays in packs, a larger one, a step that is skipped, and the parameters as their own gradients."""
    params = [xp.full(3, k + 1.0, "float32") for k in range(5)] + [xp.ones(20_000, "float32")]
    opt = go.chain(go.skip_nonfinite(), go.Momentum(0.5)).init(params)
    opt.step(params)
    found = opt.direction(params)
    assert opt.t == 1
    assert all(type(new) is type(p) for new, p in zip(found, params, strict=True))
    old = [on_host(p).copy() for p in params]
    nothing = opt.direction([p * xp.float32("nan") for p in params])
    assert not any(on_host(new).any() for new in nothing)
    opt.step(params)
    assert all(np.allclose(a - on_host(d), on_host(p), rtol=1e-6) for a, d, p in zip(old, found, params, strict=True))


def test_what_does_not_fit_is_refused() -> None:
    opt = go.PolyakStep().init(np.ones(2))
    with pytest.raises(ValueError, match="shape"):
        opt.direction(np.ones(3), 0.1)
    assert opt.t == 0


def test_infinite_elements_warn_of_nothing() -> None:
    """Neither here nor in `evaluation`, as in a step."""
    x = np.array([np.inf, 1.0, 1e308])
    opt = go.ScheduleFreeSGD().init(x)
    with np.errstate(all="raise"):
        opt.step(np.array([1.0, np.inf, -1e308]))
        assert np.isnan(opt.direction(np.ones(3))[:2]).all()
        assert np.isnan(opt.evaluation()[0])
