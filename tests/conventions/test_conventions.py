"""Other libraries' calls against what they compute, in golden values that `tools/golden_conventions.py` makes."""

from __future__ import annotations

import inspect
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from tests.support.golden import CALLS, LOSSES, gradients, start

GOLDEN = json.loads((Path(__file__).parents[1] / "support" / "golden_conventions.json").read_text(encoding="utf-8"))
LIBRARIES = {name: getattr(go.conventions, name) for name in go.conventions.__all__ if name.islower()}


def made(call: str, **names: Any) -> Any:
    return eval(call, {**LIBRARIES, "falling": lambda step: 0.1 * 0.9**step, "in_double": float, **names})


@pytest.mark.parametrize("call", GOLDEN)
def test_a_call_gives_the_librarys_numbers(call: str) -> None:
    params, rule = start(call), made(call)
    opt = rule.init(params)
    for grads, loss in zip(gradients(call), LOSSES, strict=True):
        opt.step(grads, loss=loss)
    np.testing.assert_allclose(np.concatenate([p.ravel() for p in params]), GOLDEN[call], rtol=1e-12, atol=1e-14)
    if "falling" not in call:
        assert eval(repr(rule), {**vars(go), **vars(go.conventions)}) == rule


def test_every_function_has_golden_values() -> None:
    assert list(GOLDEN) == [f"{library}.{call}" for library, calls in CALLS.items() for call in calls]
    functions = {f"{name}.{f}" for name, module in LIBRARIES.items() for f in module.__all__ if f != "contrib"}
    functions |= {f"optax.contrib.{f}" for f in go.conventions.optax.contrib.__all__ if f.islower()}
    assert functions - {"optax.amsgrad"} == {call.partition("(")[0] for call in GOLDEN}


REFUSED = {
    "optax.amsgrad(0.1, b1=0.8, mu_dtype=None)": "Adam(amsgrad=True) takes that of the uncorrected one",
    "optax.adadelta()": "write adadelta(1.0)",
    "optax.adam(0.1, mu_dtype='bfloat16')": "optax.adam: mu_dtype='bfloat16' is not available: give state_dtype='bfloat16'",
    "optax.adamw(0.1, mask=True)": "optax.adamw: mask=True is not available: give gpuopt.partition",
    "optax.rmsprop(falling, momentum=0.9)": "optax.rmsprop: learning_rate cannot follow a schedule here",
    "optax.rmsprop(0.1, nesterov=True)": "optax.rmsprop: nesterov=True is not available",
    "optax.contrib.prodigy(estim_lr_coef=2.0)": "optax.prodigy: estim_lr_coef=2.0 is not available: leave it out",
    "optax.contrib.schedule_free_sgd(warmup_steps=3)": "optax.schedule_free_sgd: warmup_steps=3 is not available",
    "optax.polyak_sgd(scaling=0.5)": "optax.polyak_sgd: scaling=0.5 is not available: leave it out",
    "torch.Muon(ns_coefficients=(2.0, -1.5, 0.5))": "torch.Muon: ns_coefficients=(2.0, -1.5, 0.5) is not available",
    "keras.Lamb(weight_decay=0.1)": "keras.Lamb: weight_decay=0.1 is not available: Keras decays before it takes norms",
    "optax.lars(0.1, nesterov=True)": "optax.lars: nesterov=True is not available",
    "torch.Adam(capturable=True)": "torch.Adam: capturable=True is not available: give capturable=True to init",
    "torch.SGD(nesterov=True)": "torch.SGD: nesterov=True needs momentum",
    "torch.Adam(differentiable=True)": "torch.Adam: differentiable=True is not available",
    "keras.RMSprop(falling, momentum=0.9)": "keras.RMSprop: learning_rate cannot follow a schedule here",
    "keras.Adam(ema_overwrite_frequency=3)": r"keras.Adam: ema_overwrite_frequency=3 is not available: take opt.evaluation()",
    "sklearn.SGDOptimizer(lr_schedule='adaptive')": "lr_schedule='adaptive' is not available",
}


@pytest.mark.parametrize("call", REFUSED)
def test_what_cannot_be_had_is_refused_by_name(call: str) -> None:
    with pytest.raises(ValueError) as caught:
        made(call)
    assert REFUSED[call] in str(caught.value)


UNKNOWN = {
    "torch.Adam(nonsense=1)": "torch.Adam has no argument 'nonsense'; it has lr, betas, eps, weight_decay, amsgrad, ",
    "torch.Muon(learning_rate=1)": "ns_steps, adjust_lr_fn; did you mean lr?",
    "keras.SGD(lr=0.1)": "use_ema; did you mean learning_rate?",
    "keras.Adam(clipnrm=None)": "loss_scale_factor, gradient_accumulation_steps, clipnorm, global_clipnorm, clipvalue, name, ",
    "optax.adam(0.1, nonsense=0)": "'nonsense'; it has learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov",
    "optax.contrib.adopt(lr=0.1)": "optax.contrib.adopt has no argument 'lr'; it has learning_rate, ",
    "optax.amsgrad(0.1, beta1=0.9)": "it has learning_rate, b1, b2, eps, eps_root, mu_dtype; did you mean b1?",
    "sklearn.AdamOptimizer(lr=0.1)": "it has learning_rate_init, beta_1, beta_2, epsilon; did you mean learning_rate_init?",
}


@pytest.mark.parametrize("call", UNKNOWN)
def test_an_unknown_argument_is_refused_with_the_known_ones(call: str) -> None:
    with pytest.raises(TypeError, match=re.escape(UNKNOWN[call])):
        made(call)


@pytest.mark.parametrize("path", sorted({call.partition("(")[0] for call in GOLDEN}))
def test_the_signature_lists_every_argument(path: str) -> None:
    """None is hidden behind ``**options``, and each may be given by its name, with its default."""
    parameters = inspect.signature(made(path)).parameters
    assert not {each.kind for each in parameters.values()} & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
    rate, *_ = parameters
    given = {name: each.default for name, each in parameters.items()} | {rate: 0.1}
    assert made(path)(**given) == made(path)(0.1)


def test_no_rule_is_pointed_at_where_hyperparameters_are_arguments() -> None:
    with pytest.raises(TypeError, match=r"torch.Adam has no argument 'decay'; it has lr, [^;]*$"):
        go.conventions.torch.Adam(1e-3, decay=1)
    with pytest.raises(TypeError, match=r"minimize has no argument 'alpha'.*; hyperparameters belong to the rule"):
        go.minimize(lambda x: (0.0, x), np.zeros(2), go.SGD(), alpha=1)  # type: ignore[call-overload]


RATES = [
    "torch.Adam(lr=x)",
    "keras.AdamW(learning_rate=x)",
    *(f"optax.{n}(learning_rate=x)" for n in ("nadam", "nadamw", "adamaxw")),
]


@pytest.mark.parametrize("call", RATES)
def test_an_array_of_rates_goes_into_init(call: str) -> None:
    with pytest.raises(TypeError, match=r"lr must be .*; an array for each element goes into init"):
        eval(call, {**LIBRARIES, "x": np.array([0.1, 0.2])})


class Rates(list[float]):
    def __call__(self, step: int) -> float:
        return self[step]


def test_a_schedule_may_be_a_list() -> None:
    """Arrays would be the params of another library."""
    rates = Rates([0.1, 0.2])
    assert go.conventions.torch.Adam(rates, (0.8, 0.9)) == go.Adam(rates, beta1=0.8, beta2=0.9)


@pytest.mark.parametrize("function", [go.conventions.torch.Adam, go.conventions.keras.Adam, go.conventions.optax.lamb])
def test_functions_are_pickled_by_their_names(function: Any) -> None:
    assert pickle.loads(pickle.dumps(function)) is function


def test_options_that_are_off_or_choose_nothing() -> None:
    assert made("torch.Adam(foreach=True, fused=None, capturable=False)") == go.Adam()
    assert made("keras.SGD(name='sgd', use_ema=True, ema_momentum=0.9)") == go.chain(go.SGD(), go.average(0.9))
    assert made("optax.adam(0.1, mu_dtype=None)") == go.Adam(0.1)


def test_every_function_is_documented() -> None:
    for module in LIBRARIES.values():
        for name in module.__all__:
            assert inspect.getdoc(getattr(module, name)), name


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    script = (
        "import sys, gpuopt; assert 'gpuopt.conventions' not in sys.modules and 'conventions' in dir(gpuopt); "
        "print(gpuopt.conventions.keras.Adam(0.1))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Adam(lr=0.1, beta1=0.9")


ENTRIES = {
    "torch.Adam(0.1, betas=0.9)": "torch.Adam: betas must have 2 entries, as in betas=(0.9, 0.999), got 0.9",
    "torch.AdamW(betas=x)": "torch.AdamW: betas must have 2 entries",
    "torch.Rprop(etas=(0.5,))": "torch.Rprop: etas must have 2 entries, as in etas=(0.5, 1.2), got (0.5,)",
    "torch.Adafactor(eps=1e-3)": "torch.Adafactor: eps must have 2 entries, as in eps=(None, 0.001), got 0.001",
    "torch.Muon(ns_coefficients=None)": "torch.Muon: ns_coefficients must have 3 entries",
    "optax.contrib.prodigy(betas={})": "optax.contrib.prodigy: betas must have 2 entries",
    "optax.contrib.dog(init_step=1e-6)": "as in init_step=('heuristic', 1e-06), got 1e-06",
    "torch.Adafactor(beta2_decay=None)": "beta2_decay must be a number, got None",
    "keras.SGD(loss_scale_factor='2')": "loss_scale_factor must be a number, got '2'",
    "torch.SGD(maximize=x)": "torch.SGD: maximize must be True or False",
    "keras.Adam(use_ema=x)": "keras.Adam: use_ema must be True or False",
    "optax.adam(0.1, mu_dtype=x)": "give state_dtype='bfloat16'",
    "optax.lars(0.1, weight_decay_mask=x)": "give gpuopt.partition",
    "optax.contrib.prodigy(estim_lr_coef=x)": "is not available: leave it out",
    "optax.polyak_sgd(variant=x)": "write 'sps'",
    "sklearn.SGDOptimizer(momentum=x)": "an array for each element goes into init",
    "torch.SGD(momentum=x)": "an array for each element goes into init",
    "optax.contrib.schedule_free_sgd(weight_decay=x)": "an array for each element goes into init",
}


@pytest.mark.parametrize("call", ENTRIES)
def test_an_argument_of_another_kind_is_refused_with_what_it_takes(call: str) -> None:
    """Not with Python's word for what the function does with it."""
    with pytest.raises((TypeError, ValueError), match=re.escape(ENTRIES[call])):
        made(call, x=np.array([0.1, 0.2, 0.3]))


def test_arrays_where_pieces_take_them() -> None:
    x: Any = np.array([0.1, 0.2])
    optax, torch = go.conventions.optax, go.conventions.torch
    assert optax.contrib.cocob(learning_rate=x) == go.chain(go.scale(x), go.COCOB())
    assert torch.SGD(0.1, weight_decay=x) == go.chain(go.weight_decay(x), go.SGD(0.1))
    assert optax.adamaxw(0.1, weight_decay=x) == go.chain(go.Adamax(0.1), go.decoupled_weight_decay(x))
    assert torch.Adam(betas=np.array([0.8, 0.9])) == go.Adam(beta1=0.8, beta2=0.9)  # type: ignore[arg-type]
