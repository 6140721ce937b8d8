"""Rules by themselves: hyperparameters that check themselves, and ``update`` as plain Python."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays import backend
from gpuopt.rules import Rule, rules
from gpuopt.rules.hooks import has_hook
from gpuopt.rules.tuples import flat
from gpuopt.tracing.trace import trace
from tests.support.executors import ON_CPU
from tests.support.interrupts import stopped_at
from tests.support.reference import LOOPS
from tests.support.reference_arrays import LOSS
from tests.support.refusals import refused, table
from tests.support.variants import label

every_rule = pytest.mark.every("rule")
every_class = pytest.mark.parametrize("cls", rules().values())


@every_rule
def test_repr_gives_the_rule_back(rule: Rule) -> None:
    assert eval(repr(rule), vars(go)) == rule
    assert hash(eval(repr(rule), vars(go))) == hash(rule)


def test_a_repr_is_whole_after_one_that_was_interrupted() -> None:
    """At any bytecode: a state dict holds the repr, and is of no rule without it."""
    rule, at = go.Adam(0.1), 1
    wanted = repr(rule)
    while stopped_at(at, lambda: repr(rule)):
        assert repr(rule) == wanted
        at += 1
    assert repr(rule) == wanted
    assert at > 5


def loose(cls: Any) -> Any:
    """A class that may be called in a way that type checkers refuse."""
    return cls


DEFAULTS = {
    "GradientDescent(lr=0.01)",
    "Momentum(lr=0.01, beta=0.9, dampening=None, nesterov=False)",
    "QHM(lr=0.001, beta=0.999, nu=0.7)",
    "OptimisticGradient(lr=0.01, alpha=1.0, beta=1.0)",
    "SignSGD(lr=0.001)",
    "Signum(lr=0.001, beta=0.9)",
    "Lion(lr=0.0001, beta1=0.9, beta2=0.99, weight_decay=0.0)",
    "RMSProp(lr=0.01, beta=0.9, eps=1e-08, centered=False, momentum=0.0, eps_in_root=False, initial=0.0)",
    "AdaGrad(lr=0.01, lr_decay=0.0, eps=1e-10, initial=0.0, eps_in_root=False)",
    "AdaDelta(lr=1.0, rho=0.9, eps=1e-06)",
    "Adam(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-08, bias_correction=True, amsgrad=False, nesterov=False, eps_in_root=0.0)",
    (
        "AdamW(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-08, weight_decay=0.01, bias_correction=True, amsgrad=False, "
        "nesterov=False, eps_in_root=0.0)"
    ),
    "MadGrad(lr=0.01, beta=0.9, eps=1e-06)",
    "Adamax(lr=0.002, beta1=0.9, beta2=0.999, eps=1e-08)",
    "AdaBelief(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-16, eps_root=1e-16)",
    "Yogi(lr=0.01, beta1=0.9, beta2=0.999, eps=0.001, initial=1e-06)",
    "ADOPT(lr=0.001, beta1=0.9, beta2=0.9999, eps=1e-06, clipped=True)",
    "LaProp(lr=0.0004, beta1=0.9, beta2=0.999, eps=1e-15)",
    "QHAdam(lr=0.001, beta1=0.995, beta2=0.999, nu1=0.7, nu2=1.0, eps=1e-08)",
    "Adan(lr=0.001, beta1=0.98, beta2=0.92, beta3=0.99, eps=1e-08, weight_decay=0.0)",
    "AdEMAMix(lr=0.001, beta1=0.9, beta2=0.999, beta3=0.9999, alpha=5.0, warmup=0.0, eps=1e-08, weight_decay=0.0)",
    "AdaBound(lr=0.001, final_lr=0.1, gamma=0.001, beta1=0.9, beta2=0.999, eps=1e-08)",
    "RAdam(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-08, threshold=5.0)",
    "Rprop(lr=0.01, shrink=0.5, grow=1.2, low=1e-06, high=50.0)",
    "ASGD(lr=0.01, lambd=0.0001, alpha=0.75, t0=1000000.0)",
    "BarzilaiBorwein(lr=0.001, kind='long', low=1e-10, high=10000000000.0, tree=False)",
    "COCOB(alpha=100.0, eps=1e-08)",
    "NAdam(lr=0.002, beta1=0.9, beta2=0.999, eps=1e-08, momentum_decay=0.004)",
    "AcceleratedGradient(lr=0.01, restart=True)",
    "ScheduleFreeSGD(lr=1.0, beta=0.9, weight_decay=0.0, warmup=0.0, r=0.0, power=2.0)",
    "ScheduleFreeAdamW(lr=0.0025, beta1=0.9, beta2=0.999, eps=1e-08, weight_decay=0.0, warmup=0.0, r=0.0, power=2.0)",
    "DoG(lr=1.0, reps_rel=1e-06, eps=1e-08)",
    "DAdaptAdam(lr=1.0, beta1=0.9, beta2=0.999, eps=1e-08, first=1e-06, weight_decay=0.0)",
    "Prodigy(lr=1.0, beta1=0.9, beta2=0.999, eps=1e-08, first=1e-06, weight_decay=0.0)",
    "NovoGrad(lr=0.001, beta1=0.9, beta2=0.25, eps=1e-06, weight_decay=0.0)",
    "LARS(lr=1.0, beta=0.9, weight_decay=0.0, trust=0.001, eps=0.0)",
    "LAMB(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-06, weight_decay=0.0)",
    "Momo(lr=1.0, beta=0.9, f_min=0.0)",
    "PolyakStep(lr=1.0, f_min=0.0, eps=0.0)",
    "StableAdamW(lr=0.001, beta1=0.9, beta2=0.99, eps=1e-08, weight_decay=0.01)",
}


def test_defaults_of_the_contract() -> None:
    """Users rely on them; a rule that is not there is new."""
    assert {repr(cls()) for cls in rules().values()} >= DEFAULTS


def test_sgd_is_gradient_descent() -> None:
    assert go.SGD is go.GradientDescent


@every_class
def test_fields(cls: type[Rule]) -> None:
    """lr may be positional, all others are keyword-only; nothing can be set afterwards; integers become floats."""
    make: Any = cls
    first = "lr" in FIELDS[cls]
    rule = make(0) if first else make()
    assert not first or (rule.lr == 0.0 and type(rule.lr) is float)
    with pytest.raises(TypeError, match="positional"):
        make(*[0.1, 0.2][not first :])
    others = {name for _, name, _ in BAD} - {field.name for field in dataclasses.fields(cls)}
    for name in ("nonsense", *others):
        with pytest.raises(TypeError, match=name):
            make(**{name: 1})
    with pytest.raises(dataclasses.FrozenInstanceError):
        rule.eps = 1.0


DECAYS = ("beta", "beta1", "beta2", "beta3", "rho", "dampening", "momentum")
FLAGS = ("nesterov", "centered", "amsgrad", "bias_correction", "clipped")
BAD = [
    *[(value, "lr", ValueError) for value in (-1e-9, math.nan, math.inf, -math.inf)],
    *[(value, "lr", TypeError) for value in (True, "0.1", np.True_, 1j, [0.1], np.ones(2))],
    *[(value, decay, ValueError) for value in (1.0, -0.1, math.nan, 2) for decay in DECAYS],
    *[(value, "eps", ValueError) for value in (0.0, -1e-8, math.nan, math.inf)],
    *[(value, "weight_decay", ValueError) for value in (-0.1, math.nan)],
    *[(value, flag, TypeError) for value in (1, "yes", None) for flag in FLAGS],
]


FIELDS = {cls: {field.name for field in dataclasses.fields(cls)} for cls in rules().values()}
BAD_OF = [(cls, *bad) for cls, fields in FIELDS.items() for bad in BAD if bad[1] in fields]
WIDER = {  # what they take nevertheless
    ("OptimisticGradient", "beta"): (1.0, -0.1, 2),
    ("LARS", "eps"): (0.0,),
    ("PolyakStep", "eps"): (0.0,),
}
BAD_OF = [bad for bad in BAD_OF if bad[1] not in WIDER.get((bad[0].__name__, bad[2]), ())]


@pytest.mark.parametrize(("cls", "value", "name", "error"), BAD_OF)
def test_refused(cls: type[Rule], value: Any, name: str, error: type[Exception]) -> None:
    """Every rule that has the hyperparameter refuses the value, and names both."""
    with pytest.raises(error, match=rf"{cls.__name__}: {name} must be") as caught:
        cls(**{name: value})
    assert str(value) in str(caught.value) or repr(value) in str(caught.value)


def test_nesterov_needs_momentum() -> None:
    with pytest.raises(ValueError, match=r"nesterov=True needs beta > 0, got beta=0.0"):
        go.Momentum(beta=0.0, nesterov=True)


def started(rule: Any, p: Any) -> list[Any]:
    """What the state starts at by the rule's hook ``start``, like p; without one, ``update`` has defaults."""
    return [0 * p + value for value in rule.start(p)] if has_hook(rule, "start") else []


@every_rule
def test_update_runs_as_plain_python(rule: Rule) -> None:
    """On single numbers and on arrays, without an optimizer; to rounding what the loop gives."""
    gradients = [0.3, -2.0, 0.01]
    for kind in (float, lambda x: np.full((2, 3), x), np.float32):
        p, state = kind(1.5), started(rule, kind(1.5))
        for t, g in enumerate(gradients, start=1):
            result = rule.with_loss(LOSS).update(t, p, kind(g), *state)
            p, *state = result if isinstance(result, tuple) else (result,)
        wanted, state_wanted = LOOPS[type(rule).__name__](rule, kind(1.5), [kind(g) for g in gradients])
        tolerance = 1e-5 if isinstance(kind(1.0), np.float32) else 1e-12
        assert np.allclose(p, wanted, rtol=tolerance)
        state = flat(state)
        assert len(state_wanted) <= len(state)


@every_rule
def test_float32_stays_float32_in_plain_python(rule: Rule) -> None:
    """Hyperparameters are Python numbers, which do not widen arrays."""
    p = np.ones(2, "float32")
    result = rule.with_loss(LOSS).update(3, p, p, *started(rule, p))
    assert (result[0] if isinstance(result, tuple) else result).dtype == np.float32


def test_an_end_of_an_interval_may_be_infinite_and_never_nan() -> None:
    assert go.bounds(lo=-math.inf, hi=math.inf).hi == math.inf
    with pytest.raises(ValueError, match="bounds: lo must be a number, which may be infinite, got nan"):
        go.bounds(lo=math.nan)


GROWING = {"COCOB", "DoG", "DAdaptAdam", "Prodigy"}
"""Their steps grow without bound along one gradient, as a good bet or an estimate of a distance does."""


@every_rule
def test_long_runs_of_one_gradient(rule: Rule) -> None:
    """Differences that are 0 in the end may be rounded to less, and what is divided by may vanish."""
    if type(rule).__name__ in GROWING:
        pytest.skip("its steps grow without bound")
    opt, g = rule.init(np.zeros(50, "float32")), np.linspace(0.1, 0.7, 50, dtype="float32")
    for _ in range(3000):
        opt.step(g)
    still = rule.init(np.ones(3, "float16"))
    for _ in range(300):
        still.step(np.zeros(3, "float16"))
    assert np.isfinite([*opt.params, *still.params]).all()


def test_a_variance_of_gradients_that_do_not_vary() -> None:
    """The difference of the moments, which is 0 in the end, may be rounded to less."""
    opt = go.RMSProp(0.01, beta=0.7, centered=True).init(np.zeros(100, "f4"))
    for _ in range(60):
        opt.step(np.linspace(0.1, 0.7, 100, dtype="f4"))
    assert np.isfinite(opt.params).all()


@pytest.mark.parametrize("rule", [go.Adam(), go.Adam(bias_correction=False), go.AdamW(weight_decay=0.1)], ids=label)
def test_first_adam_step_by_hand(rule: Any) -> None:
    """The formulas of the papers, written out for one step from zero state."""
    p, g = np.array([1.0, -2.0]), np.array([0.5, -0.25])
    opt = rule.init(p.copy())
    opt.step(g)
    m, v = 0.1 * g, 0.001 * g**2
    m_hat, v_hat = (m / (1 - 0.9), v / (1 - 0.999)) if rule.bias_correction else (m, v)
    decayed = p * (1 - 1e-3 * getattr(rule, "weight_decay", 0.0))
    wanted = decayed - 1e-3 * m_hat / (np.sqrt(v_hat) + 1e-8)
    assert np.allclose(opt.params, wanted, rtol=1e-12, atol=0)


def test_beta_zero_needs_no_guard_of_the_user() -> None:
    """With both decays 0 Adam is the sign of the gradient."""
    opt = go.Adam(lr=0.5, beta1=0.0, beta2=0.0, eps=1e-300).init(np.zeros(3))
    opt.step(np.array([3.0, -2.0, 0.0]))
    assert opt.params.tolist() == [-0.5, 0.5, 0.0]


class Lion(go.Rule):
    """A rule as a user writes it."""

    lr: go.NonNegative = 1e-4
    beta1: go.Decay = 0.9
    beta2: float = 0.99
    power: int = 1

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0) -> Any:
        step = np.sign(self.beta1 * m + (1 - self.beta1) * g)
        return p - self.lr * step, self.beta2 * m + (1 - self.beta2) * g


def test_a_users_own_rule() -> None:
    opt = Lion(lr=0.5, beta2=0.5).init({"w": np.zeros(3, "float32")})
    opt.step({"w": np.array([1, -1, 0], "float32")})
    opt.step({"w": np.array([1, 1, 0], "float32")})
    assert opt.params["w"].tolist() == [-1.0, 1.0, 0.0]
    assert opt.state["m"]["w"].tolist() == [0.75, 0.25, 0.0]
    assert eval(repr(Lion()), {"Lion": Lion}) == Lion()
    with pytest.raises(ValueError, match=r"Lion: beta2 must be a finite number, got nan"):
        Lion(beta2=math.nan)
    with pytest.raises(TypeError, match=r"Lion: power must be an int, got 1.5"):
        loose(Lion)(power=1.5)


def test_state_that_starts_at_the_parameter() -> None:
    class Anchored(go.Rule):
        lr: go.NonNegative = 0.1

        def start(self, p: Any) -> Any:
            return (p,)

        def update(self, t: Any, p: Any, g: Any, origin: Any) -> Any:
            return p - self.lr * (g + (p - origin)), origin

    for dtype in ("float32", "float16", "complex64"):
        opt = Anchored().init([np.full((2, 3), 2.0, dtype).T, np.ones((), dtype)])
        assert opt.state["origin"][0].tolist() == [[2.0, 2.0]] * 3
        assert opt.state["origin"][0].dtype == ("complex64" if dtype == "complex64" else "float32")
        opt.step([np.zeros((3, 2), dtype), None])
        assert opt.params[0].tolist() == [[2.0, 2.0]] * 3


def rule_of(**body: Any) -> Any:
    """A class with that in its body, beside an ``update``."""
    return type("Odd", (go.Rule,), {"update": lambda self, t, p, g: p, **body})


@table(
    ("no update", lambda: type("Empty", (go.Rule,), {}), TypeError, ("rule Empty has no method update(self, t, p, g, ...)",)),
    ("base class", go.Rule, TypeError, ("Rule is a base class: use one such as gpuopt.Adam()",)),
    ("list", lambda: rule_of(__annotations__={"k": list}), TypeError, ("rule Odd: k is annotated <class 'list'>",)),
    ("tuple", lambda: rule_of(__annotations__={"k": tuple[float]}), TypeError, ("rule Odd: k is annotated tuple[float]",)),
    (
        "no annotation",
        lambda: rule_of(k=2.0),
        TypeError,
        ("rule Odd: k = 2.0 has no annotation: write k: gpuopt.Hyper = 2.0 for a hyperparameter, or k: ClassVar = 2.0",),
    ),
    (
        "default a list",
        lambda: rule_of(__annotations__={"betas": tuple[go.Decay, ...]}, betas=[0.9, 0.99]),
        TypeError,
        ("the default of betas must be a number", "write betas: tuple[gpuopt.Hyper, ...] = (0.9, 0.99)"),
    ),
    (
        "default an array",
        lambda: rule_of(__annotations__={"mask": go.Hyper}, mask=np.ones(3)),
        TypeError,
        ("the default of mask must be", "got array([1., 1., 1.]): give arrays to init, hyper={'mask': arrays}"),
    ),
    (
        "a hook's name",
        lambda: rule_of(__annotations__={"start": float}, start=1.0),
        TypeError,
        ("rule Odd: 'start' is a method of rules: give the hyperparameter another name",),
    ),
)
def test_a_rule_that_cannot_be(action: Any, error: type[Exception], words: tuple[str, ...]) -> None:
    refused(action, error, words)


def test_constants_and_static_fields() -> None:
    class Fixed(go.Rule):
        k: ClassVar[float] = 3.0
        power: int
        name: str = "x"

        def update(self, t: Any, p: Any, g: Any) -> Any:
            return p - self.k * self.power * g

    opt = Fixed(power=2).init(np.zeros(2))
    opt.step(np.ones(2))
    assert opt.params.tolist() == [-6.0, -6.0]
    for wrong in ("x", 1.5, True):
        with pytest.raises(TypeError, match="Fixed: power must be an int, got"):
            loose(Fixed)(power=wrong)


BROKEN: list[tuple[Any, str]] = [
    (lambda self, t, p, g: None, r"Broken.update must return \(p\); it returned None: is a return missing\?"),
    (lambda self, t, p, g: (p, None), r"must return \(p\), 1 values; it returned 2"),
    (lambda self, t, p, g: ["p"], r"for p it returned str 'p'"),
    (lambda self, t, p, g: np.where(p), r"np.where\(…\) is not available in a rule with these arguments"),
    (lambda self, t, p, g: np.clip(p, 0, 1, out=p), r"np.clip\(…, out=…\) is not available"),
    (lambda self, t, p, g: p * float(f"{p:.3f}"), "an array in a rule is not a single number"),
    (lambda self, t, p, g: p * math.sqrt(self.lr), "a hyperparameter or t is a symbol here"),
    (lambda self, t, p, g: p * np.float32(self.lr), "a hyperparameter or t is a symbol here"),
    (lambda self, t, p, g: p * ((g > 0) - (g < 0)), "NumPy has no subtract of truth values"),
    (lambda self, t, p, g: np.where(~(t > 3), p, g), "~ is for comparisons of arrays: use np.logical_not"),
    (lambda self, t, p, g: p - g[0], "it cannot index, iterate or ask for a length"),
]


@pytest.mark.parametrize(("update", "message"), BROKEN)
def test_what_cannot_be_traced_says_why(update: Any, message: str) -> None:
    broken = type("Broken", (go.Rule,), {"__annotations__": {"lr": float}, "lr": 0.1, "update": update})
    with pytest.raises(go.TraceError, match=message):
        broken().init(np.zeros(3))


LITTLE: list[Any] = [
    pytest.param(lambda self, t, p, g: np.clip(p, 0, 1), 1.0, id="only p"),
    pytest.param(lambda self, t, p, g: p * (1 - self.lr), 1.0, id="p and a hyperparameter"),
    pytest.param(lambda self, t, p, g: 0.25, 0.25, id="a constant"),
    pytest.param(lambda self, t, p, g: p, 2.0, id="nothing"),
    pytest.param(lambda self, t, p, g: np.where(t % 2 == 0, p, p - g) - t // 2, 1.0, id="every second step"),
]


@pytest.mark.parametrize("name", ON_CPU)
@pytest.mark.parametrize(("update", "wanted"), LITTLE)
def test_rules_that_touch_little(update: Any, wanted: float, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "numba" and (reason := backend.why_not_numba()):
        pytest.skip(reason)
    monkeypatch.setenv("GPUOPT_CPU", name)
    rule = type("add", (go.Rule,), {"__annotations__": {"lr": float}, "lr": 0.5, "update": update})()
    params = [np.full(2, 2.0), np.full(2, 2.0)]
    opt = rule.init(params)
    opt.step([np.ones(2), np.ones(2)])
    assert [p.tolist() for p in params] == [[wanted, wanted], [wanted, wanted]]


def test_a_start_that_needs_a_scheduled_hyperparameter() -> None:
    class Steps(go.Rule):
        lr: go.NonNegative = 0.1

        def start(self, p: Any) -> Any:
            return self.lr + 0 * p

        def update(self, t: Any, p: Any, g: Any, size: Any) -> Any:
            return p - size * g, size * 0.5

    opt = Steps(lr=lambda step: 0.25).init(np.zeros(2))
    assert opt.state["size"].tolist() == [0.25, 0.25]


def test_hyperparameters_with_and_without_default() -> None:
    class Needy(go.Rule):
        lr: go.NonNegative
        width: go.Positive

        def update(self, t: Any, p: Any, g: Any) -> Any:
            return p - self.lr * self.width * g

    assert Needy(1, width=2).width == 2.0
    with pytest.raises(TypeError, match="width"):
        loose(Needy)(1)


def test_a_class_in_a_function_may_use_its_local_names() -> None:
    from dataclasses import KW_ONLY as rest_by_name
    from typing import ClassVar as Constant

    number = go.NonNegative

    class Local(go.Rule):
        lr: number = 0.1  # type: ignore[valid-type]
        _: rest_by_name
        factor: number = 2.0  # type: ignore[valid-type]
        twice: Constant[float] = 2.0

        def update(self, t: Any, p: Any, g: Any) -> Any:
            return p - self.twice * self.factor * self.lr * g

    assert repr(Local(0.5)).endswith("Local(lr=0.5, factor=2.0)")
    assert Local(0.5).update(1, 3.0, 1.0) == 1.0
    with pytest.raises(ValueError, match="factor must be a finite number >= 0, got -1"):
        Local(factor=-1)
    with pytest.raises(TypeError, match="positional"):
        loose(Local)(0.5, 1.0)


@pytest.mark.parametrize("name", ["Bound", "Decay", "Hyper", "NonNegative", "Positive"])
def test_what_annotates_a_hyperparameter_says_what_it_is(name: str) -> None:
    """As IPython's ``?`` shows it, which does not go by the class of the alias."""
    alias = getattr(go, name)
    (allowed,) = alias.__metadata__
    assert f"gpuopt.{name}" in alias.__doc__
    assert allowed.text in alias.__doc__
    assert repr(allowed) == f"Range({allowed.text!r})"
    assert allowed.text in repr(alias)


@pytest.mark.parametrize("beta", [0.9, 0, 0.0, np.float64(0.9), 1e-300], ids=repr)
@pytest.mark.parametrize("count", [lambda t: t, lambda t: np.maximum(t - 2, 1), lambda t: 5], ids=["t", "an expression", "5"])
def test_debias_of_a_constant(beta: Any, count: Any) -> None:
    """Traced and as it stands, where the decay is no hyperparameter."""

    class Corrected(go.Rule):
        lr: go.NonNegative = 0.1

        def update(self, t: Any, p: Any, g: Any, m: Any = 0.0) -> Any:
            m = beta * m + (1 - beta) * g
            return p - self.lr * go.debias(m, beta, count(t)), m

    x, p, m = np.ones(1), 1.0, 0.0
    opt = Corrected().init(x)
    for t in (1, 2, 3):
        opt.step(np.array([2.0]))
        p, m = Corrected().update(t, p, 2.0, m)
    assert x[0] == pytest.approx(p, rel=1e-14)


@pytest.mark.parametrize("name", ["_ranges", "_static", "_hooks", "_arguments", "_gives"])
def test_a_hyperparameter_is_called_like_nothing_of_gpuopt(name: str) -> None:
    """Not even like what is private; and a class that is refused leaves no trace."""
    body = {"__annotations__": {"lr": float, name: go.Hyper}, "lr": 0.1, name: 0.5, "update": lambda self, t, p, g: p}
    with pytest.raises(TypeError, match=f"rule Odd: '{name}' is a method of rules: give the hyperparameter another name"):
        type("Odd", (Rule,), body)
    type("Fine", (Rule,), {"__annotations__": {"lr": float}, "lr": 0.1, "update": lambda self, t, p, g: p})


@pytest.mark.parametrize("name", ["number", "hyper", "replace", "parts", "update_for", "init", "_scheduled"])
@pytest.mark.parametrize("base", [go.Rule, go.GradientPiece, go.ParameterPiece])
def test_a_method_is_called_like_nothing_of_gpuopt(base: Any, name: str) -> None:
    """A helper of a user's formula would take the place of the library's own method, in silence."""
    methods = {"update": lambda self, *arguments: arguments[1], name: lambda self, x: x}
    with pytest.raises(TypeError, match=f"rule Odd: '{name}' is what gpuopt calls something of its own"):
        type("Odd", (base,), methods)
    type("Fine", (base,), {"update": methods["update"], "check": lambda self: None, "helper": methods[name]})


def test_the_heavy_ball_has_no_factor_of_one() -> None:
    """Which would be a pass over the gradient."""
    ops = {
        name: len(trace(go.Momentum(dampening=d)).update.ops)
        for name, d in {"ball": 0.0, "average": None, "other": 0.5}.items()
    }
    assert ops == {"ball": 4, "average": 5, "other": 5}
