"""Compare rules, chains and partitions with optax's on a tree of mixed shapes over 300 steps; needs jax and optax.

Prints the largest difference in float64 relative to the size of the array, and fails above 1e-10.

    python tools/against_optax.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from optax import contrib

import gpuopt as go

jax.config.update("jax_enable_x64", True)
STEPS = 300
SHAPES = {"a": (3, 4), "b": (), "c": (30, 10), "d": (7,)}
BOUND = 1e-10
LR = 0.05


def labels(params: Any) -> dict[str, str]:
    return {name: "matrix" if p.ndim == 2 else "other" for name, p in params.items()}


def average(decay: float) -> tuple[Callable[[Any, Any, int], Any], Callable[[Any], Any]]:
    """How optax keeps an exponential average of the parameters beside them, which starts after the first step."""

    def keep(mean: Any, params: Any, step: int) -> Any:
        return params if step == 1 else optax.incremental_update(params, mean, 1 - decay)

    return keep, lambda mean: mean


def wide(schedule: Any) -> Any:
    """The schedule in float64, whose count optax gives as an int32, which makes it float32."""
    return lambda count: schedule(count.astype("float64"))


def in_double(count: Any) -> Any:
    """A rate in whose place `optax.contrib.madgrad` has the root of its count in float64, not in float32."""
    root = jax.numpy.sqrt(count + 1).astype("float64")
    return (LR + 1e-6) * jax.numpy.sqrt((count + 1).astype("float64")) / root - 1e-6


RULES: list[tuple[Any, Any]] = [
    (go.MadGrad(LR), contrib.madgrad(in_double)),
    (go.PolyakStep(0.3, f_min=0.1, eps=0.2), optax.polyak_sgd(0.3, f_min=0.1, eps=0.2)),
    (go.Momo(0.5, beta=0.8, f_min=0.05), contrib.momo(0.5, beta=0.8, lower_bound=0.05)),
    (go.Adam(LR, nesterov=True, eps_in_root=1e-2), optax.adam(LR, nesterov=True, eps_root=1e-2)),
    (go.AdamW(LR, eps_in_root=1e-2, weight_decay=0.1), optax.adamw(LR, eps_root=1e-2, weight_decay=0.1)),
    (go.RMSProp(LR, eps_in_root=True, initial=0.7), optax.rmsprop(LR, initial_scale=0.7)),
    (go.RMSProp(LR, eps_in_root=True, centered=True), optax.rmsprop(LR, centered=True)),
    (go.AdaGrad(LR, initial=0.1, eps=1e-7, eps_in_root=True), optax.adagrad(LR)),
    (go.AdaDelta(), optax.adadelta(1.0)),
    (go.Adamax(LR), optax.adamax(LR)),
    (go.AdaBelief(LR), optax.adabelief(LR)),
    (go.Yogi(LR), optax.yogi(LR)),
    (go.Lion(LR, weight_decay=0.1), optax.lion(LR, weight_decay=0.1)),
    (go.SignSGD(LR), optax.sign_sgd(LR)),
    (go.Signum(LR), optax.chain(optax.ema(0.9, debias=False), optax.scale_by_sign(), optax.scale(-LR))),
    (go.OptimisticGradient(LR, alpha=0.8, beta=1.3), optax.optimistic_gradient_descent(LR, 0.8, 1.3)),
    (go.LARS(0.5), optax.lars(0.5)),
    (
        go.LARS(0.5, beta=0.8, weight_decay=0.1, trust=0.01, eps=1e-3),
        optax.lars(0.5, momentum=0.8, weight_decay=0.1, trust_coefficient=0.01, eps=1e-3),
    ),
    (go.LAMB(LR, weight_decay=0.1), optax.lamb(LR, weight_decay=0.1)),
    (go.ADOPT(LR), contrib.adopt(LR)),
    (go.ADOPT(LR, clipped=False), contrib.adopt(LR, use_clipping=False)),
    (go.AdEMAMix(LR, weight_decay=0.1), contrib.ademamix(LR, weight_decay=0.1)),
    (go.COCOB(), contrib.cocob()),
    (go.NovoGrad(LR, weight_decay=0.1), optax.novograd(LR, weight_decay=0.1)),
    (go.DoG(0.5, reps_rel=1e-3, eps=1e-4), contrib.dog(0.5, ("heuristic", 1e-3), 1e-4)),
    (go.DAdaptAdam(first=1e-3, weight_decay=0.1), contrib.dadapt_adamw(estim_lr0=1e-3, weight_decay=0.1)),
    (go.Prodigy(first=1e-3, weight_decay=0.1), contrib.prodigy(estim_lr0=1e-3, weight_decay=0.1)),
    # its change is weighed by 1 - b2, and where that is b2 it is the authors'
    (go.Adan(LR, beta2=0.5), optax.adan(LR, b2=0.5, weight_decay=0.0, eps_root=0.0)),
    (go.QHAdam(LR, beta1=0.9, nu1=1.0), optax.adam(LR)),
]
PAIRS: list[tuple[str, Any, Any, Any]] = [
    *((repr(rule), rule, other, None) for rule, other in RULES),
    (
        "trust_ratio",
        go.chain(go.AdamW(LR, eps=1e-6, weight_decay=0.1), go.trust_ratio()),
        optax.lamb(LR, weight_decay=0.1),
        None,
    ),
    ("centralize", go.chain(go.centralize("rows"), go.SGD(LR)), optax.chain(optax.centralize(), optax.sgd(LR)), None),
    (
        "sm3",
        go.partition({"b": go.SGD(LR), "*": go.SM3(LR)}),  # it takes no number
        optax.multi_transform({"a": optax.sm3(LR), "b": optax.sgd(LR)}, {"a": "a", "b": "b", "c": "a", "d": "a"}),
        None,
    ),
    ("clip", go.chain(go.clip(0.3), go.Adam(LR)), optax.chain(optax.clip(0.3), optax.adam(LR)), None),
    (
        "clip_by_global_norm",
        go.chain(go.clip_global_norm(1.0, eps=0.0), go.Adam(LR)),
        optax.chain(optax.clip_by_global_norm(1.0), optax.adam(LR)),
        None,
    ),
    (
        "add_decayed_weights",
        go.chain(go.weight_decay(0.1), go.Adam(LR)),
        optax.chain(optax.add_decayed_weights(0.1), optax.adam(LR)),
        None,
    ),
    ("adamw", go.chain(go.Adam(LR), go.decoupled_weight_decay(0.1)), optax.adamw(LR, weight_decay=0.1), None),
    ("scale, sgd", go.chain(go.scale(-0.5), go.maximize(), go.SGD(LR)), optax.chain(optax.scale(0.5), optax.sgd(LR)), None),
    (
        "keep_params_nonnegative",
        go.chain(go.Adam(LR), go.bounds(lo=0.0)),
        optax.chain(optax.adam(LR), optax.keep_params_nonnegative()),
        None,
    ),
    (
        "MultiSteps",
        go.chain(go.accumulate(4), go.clip_global_norm(0.7, eps=0.0), go.Adam(LR)),
        optax.MultiSteps(optax.chain(optax.clip_by_global_norm(0.7), optax.adam(LR)), 4, accumulator_dtype=np.float64),
        None,
    ),
    ("apply_if_finite", go.chain(go.skip_nonfinite(), go.Adam(LR)), optax.apply_if_finite(optax.adam(LR), 99), None),
    (
        "multi_transform",
        go.partition(
            {"matrix": go.chain(go.clip_global_norm(1.0, eps=0.0), go.Adam(LR)), "other": go.SGD(LR)},
            by=lambda path, a: "matrix" if a.ndim == 2 else "other",
        ),
        optax.multi_transform(
            {"matrix": optax.chain(optax.clip_by_global_norm(1.0), optax.adam(LR)), "other": optax.sgd(LR)}, labels
        ),
        None,
    ),
    (
        "frozen",
        go.chain(go.freeze("a"), go.Adam(LR)),
        optax.multi_transform(
            {"on": optax.adam(LR), "off": optax.set_to_zero()}, {n: "off" if n == "a" else "on" for n in SHAPES}
        ),
        None,
    ),
    ("incremental_update", go.chain(go.Adam(LR), go.average(0.9)), optax.adam(LR), average(0.9)),
    (
        "cosine_decay_schedule",
        go.chain(go.clip(0.5), go.Adam(go.schedules.Cosine(LR, STEPS))),
        optax.chain(optax.clip(0.5), optax.adam(wide(optax.cosine_decay_schedule(LR, STEPS)))),
        None,
    ),
    (
        "exponential_decay",
        go.chain(go.weight_decay(0.1), go.SGD(go.schedules.Exponential(LR, 0.5, steps=10))),
        optax.chain(optax.add_decayed_weights(0.1), optax.sgd(wide(optax.exponential_decay(LR, 10, 0.5)))),
        None,
    ),
    (
        "warmup_cosine_decay_schedule",
        go.chain(go.clip(0.5), go.Adam(go.schedules.WarmUp(go.schedules.Cosine(LR, STEPS - 10), 10))),
        optax.chain(optax.clip(0.5), optax.adam(wide(optax.warmup_cosine_decay_schedule(0.0, LR, 10, STEPS)))),
        None,
    ),
    (
        "polynomial_schedule",
        go.chain(go.clip(0.5), go.Adam(go.schedules.Polynomial(LR, STEPS, end=0.01, power=2.0))),
        optax.chain(optax.clip(0.5), optax.adam(wide(optax.polynomial_schedule(LR, 0.01, 2.0, STEPS)))),
        None,
    ),
]


def difference(pairs: Any) -> float:
    return max(float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-300)) for ours, theirs in pairs)


def gradients(rng: np.random.Generator) -> dict[str, Any]:
    return {name: np.asarray(rng.normal(size=shape)) for name, shape in SHAPES.items()}


def compared(name: str, rule: Any, other: Any, kept: Any) -> float:
    """The largest difference of the parameters after every step, and of the average at the end."""
    rng, worst, held = np.random.default_rng(0), 0.0, None
    params = gradients(rng)
    theirs = {key: jax.numpy.asarray(p.copy()) for key, p in params.items()}
    other = optax.with_extra_args_support(other)
    ours, state, update = rule.init(params), other.init(theirs), jax.jit(other.update)
    for step in range(1, STEPS + 1):
        g = gradients(rng)
        if name == "apply_if_finite" and step % 7 == 0:
            g["c"][3, 4] = np.inf
        loss = 5.0 / step  # which some rules read
        ours.step(g, loss)
        updates, state = update(g, state, theirs, value=loss)
        theirs = optax.apply_updates(theirs, updates)
        held = kept[0](held, theirs, step) if kept else None
        worst = max(worst, difference((params[key], np.asarray(theirs[key])) for key in params))
    if kept:
        mean, found = kept[1](held), ours.evaluation()
        worst = max(worst, difference((found[key], np.asarray(mean[key])) for key in params))
    return worst


def lookahead() -> float:
    """`optax.lookahead`, whose slow parameters are the ones to evaluate with; k = 5, alpha = 0.5."""
    rng = np.random.default_rng(0)
    params = gradients(rng)
    theirs = optax.LookaheadParams.init_synced({key: jax.numpy.asarray(p.copy()) for key, p in params.items()})
    ours, other, worst = go.chain(go.Adam(LR), go.lookahead(5, 0.5)).init(params), optax.lookahead(optax.adam(LR), 5, 0.5), 0.0
    state = other.init(theirs)
    for _ in range(STEPS):
        g = gradients(rng)
        ours.step(g)
        updates, state = other.update(g, state, theirs)
        theirs = optax.apply_updates(theirs, updates)
        for found, wanted in [(params, theirs.fast), (ours.evaluation(), theirs.slow)]:
            worst = max(worst, difference((found[key], np.asarray(wanted[key])) for key in params))
    return worst


PROJECTIONS: list[tuple[Any, Callable[[Any], Any]]] = [
    (go.nonnegative(), optax.projections.projection_non_negative),
    (go.bounds(-0.3, 0.4), lambda x: optax.projections.projection_box(x, -0.3, 0.4)),
    (go.norm_ball(0.7), lambda x: optax.projections.projection_l2_ball(x, 0.7)),
    (go.simplex(1.3), lambda x: optax.projections.projection_simplex(x.ravel(), 1.3).reshape(x.shape)),
]


def projected(piece: Any, other: Callable[[Any], Any]) -> float:
    """The largest difference of projections, of each array by itself."""
    arrays = gradients(np.random.default_rng(0))
    return difference((piece.prox(x), np.asarray(other(jax.numpy.asarray(x)))) for x in arrays.values())


def main() -> int:
    found = {name: compared(name, *rest) for name, *rest in PAIRS}
    found["lookahead"] = lookahead()
    found |= {f"projections: {piece!r}": projected(piece, other) for piece, other in PROJECTIONS}
    for name, value in found.items():
        print(f"{value:9.1e}  {name}", flush=True)
    return int(max(found.values()) > BOUND)


if __name__ == "__main__":
    sys.exit(main())
