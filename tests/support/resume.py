"""Situations in which an optimizer is saved, pickled or copied, and how that is done.

What is new and keeps something between steps, a kind of state or a piece, gets a situation here.
"""

from __future__ import annotations

import copy
import dataclasses
import pickle
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import gpuopt as go
from gpuopt.arrays.tree import leaves
from tests.support import captures
from tests.support.optimizers import gradients, tree
from tests.support.variants import DTYPES, sample
from tests.support.whole_arrays import Mixed


@dataclasses.dataclass(frozen=True)
class Situation:
    """A rule, arrays of a module, what is given to `init`, and a step's gradients; `pauses` are steps before which it stops."""

    rule: Any
    params: Callable[[Any], Any]
    grads: Callable[[Any, int], Any]
    pauses: range = range(5)
    steps: int = 5
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    hyper: Mapping[str, list[Any]] = dataclasses.field(default_factory=dict)

    def init(self, params: Any) -> Any:
        xp = go.array_module(leaves(params)[0])
        hyper = {name: [None if x is None else xp.asarray(x) for x in given] for name, given in self.hyper.items()}
        return self.rule.init(params, hyper, **self.options)


def missing_once(opt: Any, step: int) -> Any:
    grads = gradients(opt.params, step)
    return {**grads, "scale": None} if step == 1 else grads


def named_arrays(xp: Any, seed: int = 1) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {name: xp.asarray(sample(rng, shape, "float32")) for name, shape in [("a", (3, 2)), ("b", ()), ("frozen", (4,))]}


def frozen_missing(opt: Any, step: int) -> Any:
    return named_arrays(go.array_module(opt.params["a"]), step) | {"frozen": None}


def captured_arrays(xp: Any) -> Any:
    return list(map(xp.asarray, captures.arrays()[0]))


def captured(opt: Any, step: int) -> Any:
    """Gradients in arrays that stay; one is missing once, and one is not finite once."""
    grads = captures.fill([go.array_module(p).empty_like(p) for p in opt.params], step)
    return [None if step == 1 else grads[0], *grads[1:]]


def two_arrays(dtype: str) -> Callable[[Any], Any]:
    def arrays(xp: Any) -> Any:
        rng = np.random.default_rng(2)
        return [xp.asarray(sample(rng, shape, dtype)) for shape in ((4, 3), (3,))]

    return arrays


def one_large(xp: Any) -> Any:
    rng = np.random.default_rng(2)
    return [xp.asarray(sample(rng, shape, "float32")) for shape in ((70, 100), (3,))]


def two_matrices(xp: Any) -> Any:
    return [xp.asarray(sample(np.random.default_rng(4), shape, "complex64")) for shape in ((4, 3), (2, 5))]


def second_missing(opt: Any, step: int) -> Any:
    first, second = gradients(opt.params, step)
    return [first, None if step == 1 else second]


def layers(xp: Any) -> Any:
    embed, w, b = (xp.asarray(np.random.default_rng(3).normal(size=shape)) for shape in (4, (2, 3), 3))
    return {"embed": embed, "layers": [{"w": w, "b": b}]}


def embed_missing(opt: Any, step: int) -> Any:
    grads = gradients(opt.params, step)
    return {**grads, "embed": None} if step == 1 else grads


def scaled(opt: Any, step: int) -> Any:
    xp = go.array_module(opt.params)
    return xp.asarray(np.full(20, np.inf if step == 3 else step, "float32")) * opt.loss_scale


class Numbers(go.Rule):
    """States that are one number: of all arrays, begun with a norm of them, and of each array."""

    lr: go.NonNegative = 0.1

    def start(self, p: Any) -> Any:
        return go.tree_norm(p), 1.0

    def update(self, t: Any, p: Any, g: Any, most: Any, product: Any) -> Any:
        most, product = np.maximum(most, go.tree_norm(g)), product * (1 - 0.5**t)
        return p - self.lr / most * product * g, most, product


EVERYTHING = go.chain(
    go.skip_nonfinite(),
    go.freeze("frozen"),
    go.accumulate(3),
    go.clip_global_norm(2.0),
    go.gradient_noise(0.1, seed=3),
    go.weight_decay(0.1),
    go.Adam(0.1),
    go.decoupled_weight_decay(0.2),
    go.lookahead(2),
    go.average(0.5),
)
GROUPS = {"layers/*/w": go.chain(go.accumulate(2), go.Adam(0.1)), "*": go.chain(go.clip(0.5), go.Momentum(0.2))}
PRECISIONS: list[tuple[str, str, dict[str, Any]]] = [
    ("float16", "master", {"master": True}),
    ("bfloat16", "master", {"master": True}),
    ("bfloat16", "stochastic rounding", {"stochastic_rounding": True, "seed": 2**32 - 5}),
    ("bfloat16", "rounded state", {"master": True, "state_dtype": "bfloat16", "seed": 3}),
]
EIGHT_BITS: dict[str, Any] = {"state_dtype": "dynamic8", "seed": 7}
AVERAGED = go.chain(go.Adam(0.1), go.average(0.5))
SITUATIONS = {
    "momentum": Situation(go.Momentum(), tree, missing_once),
    "rmsprop": Situation(go.RMSProp(centered=True, momentum=0.5), tree, missing_once),
    "adamw": Situation(go.AdamW(amsgrad=True), tree, missing_once),
    "a long chain": Situation(EVERYTHING, named_arrays, frozen_missing, range(1, 8), 14),
    "a partition": Situation(go.chain(go.clip_global_norm(2.0), go.partition(GROUPS), go.average(0.9)), layers, embed_missing),
    "counts on the device": Situation(
        go.chain(go.skip_nonfinite(), go.Adam(captures.SCHEDULE)),
        captured_arrays,
        captured,
        range(1, 7),
        7,
        {"capturable": True},
    ),
    "decays that change": Situation(go.Adam(0.1, beta1=go.schedules.WarmUp(0.9, 4)), captured_arrays, captured),
    "numbers": Situation(go.chain(go.accumulate(2), Numbers()), tree, missing_once, range(1, 7), 8),
    "numbers on the device": Situation(
        go.chain(go.skip_nonfinite(), Numbers()), captured_arrays, captured, range(1, 7), 7, {"capturable": True}
    ),
    "a scaled loss": Situation(
        go.chain(go.LossScale(64.0, interval=2), go.clip_global_norm(1.0), go.Adam(0.1)),
        lambda xp: xp.linspace(-1, 1, 20, dtype="float32"),
        scaled,
        range(8),
        7,
    ),
    "steps taken back": Situation(
        go.chain(go.backtrack(), go.NAdam(0.1), go.average(0.5)),
        two_arrays("float32"),
        lambda opt, step: gradients(opt.params, step),
    ),
    "functions of whole arrays": Situation(Mixed(), two_matrices, second_missing),
    "state in 8 bits": Situation(go.Adam(0.1), one_large, second_missing, range(0, 5, 2), options=EIGHT_BITS),
    "arrays for hyperparameters": Situation(
        AVERAGED,
        two_arrays("float32"),
        second_missing,
        hyper={"lr": [np.array([0.1, 0.2, 0.3], np.float32), None]},
    ),
    **{
        f"{dtype}, {name}": Situation(AVERAGED, two_arrays(dtype), second_missing, options=options)
        for dtype, name, options in PRECISIONS
        if dtype in DTYPES
    },
}
PAUSES = [(name, step) for name, situation in SITUATIONS.items() for step in situation.pauses]


def anew(opt: Any, situation: Situation) -> Any:
    """As in a new process: arrays of its own, and another learning rate."""
    lr = {name: 0.123 for name, value in opt.rule.hyperparameters.items() if name == "lr" and isinstance(value, float)}
    return dataclasses.replace(situation, rule=opt.rule.replace(lr)).init(copy.deepcopy(opt.params))


def loaded(opt: Any, situation: Situation) -> Any:
    """All but the parameters from what was saved."""
    again = anew(opt, situation)
    again.load_state_dict(pickle.loads(pickle.dumps(opt.state_dict())))
    return again


def from_file(opt: Any, situation: Situation) -> Any:
    """All from a file, the parameters too."""
    again = anew(opt, situation)
    for array in leaves(again.params):
        array[...] = 7
    with tempfile.TemporaryDirectory() as folder:
        go.save(f"{folder}/a.npz", opt, extra=opt.t)
        assert go.load(f"{folder}/a.npz", again) == opt.t
    return again


WAYS: dict[str, Callable[[Any, Situation], Any]] = {
    "state_dict": loaded,
    "file": from_file,
    "pickle": lambda opt, situation: pickle.loads(pickle.dumps(opt)),
    "copy": lambda opt, situation: copy.copy(opt),
    "deepcopy": lambda opt, situation: copy.deepcopy(opt),
}
