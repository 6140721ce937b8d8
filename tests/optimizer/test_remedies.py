"""Every remedy works when it is typed: the code is taken out of the message, and run."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpuopt
from gpuopt.rules import Rule
from gpuopt.rules.words import ELSEWHERE
from tests.support.foreign import Frame, Sparse

BEFORE = re.compile(r"\b(?:write|pass|make it|call it,|array,|copy,|as in|such as|init:|order is) ")
"""What stands before code in a message."""


def codes(message: str) -> list[str]:
    """The code in a message: after each such word the longest text that is Python, and more than a name."""
    found = []
    for match in BEFORE.finditer(message):
        text = re.split(r"[\n;]", message[match.end() :], maxsplit=1)[0]
        ends = [len(text), *(m.start() for m in reversed(list(re.finditer(r"[\s,)]", text))))]
        code = next((code for end in ends if is_code(code := text[:end].rstrip(" .,:"))), None)
        found += [code] if code else []
    return found


def is_code(code: str) -> bool:
    """Whether it can be typed: words with a comma between them are no tuple."""
    try:
        (statement,) = ast.parse(code).body
    except (SyntaxError, ValueError):
        return False
    return bool(re.search(r"[(\[{*=.]", code)) and not isinstance(getattr(statement, "value", None), ast.Tuple)


class Kept:
    """What JAX's arrays are to NumPy: arrays that nobody may write to."""

    dtype = np.dtype("f4")

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        array = np.ones(3, dtype or "f4")
        array.flags.writeable = False
        return array.copy() if copy else array


class Tensor:
    """A tensor of PyTorch on the CPU that requires a gradient: NumPy takes what is detached from it."""

    requires_grad = True
    shape = (3,)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")

    def detach(self) -> Any:
        return np.ones(3, "f4")


class Whole(Frame):
    """A DataFrame of whole numbers."""

    def __init__(self) -> None:
        self.values = np.ones((20, 3), int)


def kind(value: Any) -> str:
    """A name for a value among the tests, the same in each process."""
    if isinstance(value, dict):
        return f"dict of {' '.join(map(kind, value.values()))}"
    return value if isinstance(value, str) else type(value).__name__


def namespace(**more: Any) -> dict[str, Any]:
    """What a user has at hand."""
    names = {name: getattr(gpuopt, name) for name in gpuopt.__all__}
    params = {"w": np.ones(3)}
    own = {"np": np, "gpuopt": gpuopt, "params": params, "rule": gpuopt.Adam(), "grads": {"w": np.ones(3)}, "x": np.ones(3)}
    return {**names, **own, "fun": lambda x: (float(x @ x), 2 * x), **more}


def message(wrong: str, scope: dict[str, Any]) -> str:
    with pytest.raises((TypeError, ValueError, AttributeError)) as caught:
        exec(wrong, scope)
    return str(caught.value)


def works(made: Any, scope: dict[str, Any]) -> None:
    """Use what a remedy gives as its user would: a rule to make an optimizer, an optimizer to step."""
    if isinstance(made, gpuopt.Optimizer):
        made.step(None if isinstance(made.params, np.ndarray) else dict.fromkeys(made.params))
    elif hasattr(made, "init"):
        made.init(np.ones(3)).step(np.ones(3))
    else:
        assert isinstance(made, (np.ndarray, gpuopt.GradientPiece, gpuopt.ParameterPiece, float, int))


ADAM = "gpuopt.Adam(lr=0.1)"
CONVENTIONS = [
    ("SGD(lr=0.1, momentum=0.9)", "gpuopt.Momentum(lr=0.1, beta=0.9, dampening=0.0)"),
    ("SGD(0.1, 0.9)", "gpuopt.Momentum(lr=0.1, beta=0.9, dampening=0.0)"),
    ("SGD(0.1, momentum=0.9, nesterov=True)", "gpuopt.Momentum(lr=0.1, beta=0.9, dampening=0.0, nesterov=True)"),
    ("SGD(0.1, momentum=0.9, dampening=0.5)", "gpuopt.Momentum(lr=0.1, beta=0.9, dampening=0.5)"),
    ("SGD(0.1, nesterov=True)", "gpuopt.Momentum(lr=0.1, nesterov=True, dampening=0.0)"),
    ("SGD(0.1, momentum=0.0)", "gpuopt.GradientDescent(lr=0.1)"),
    ("Momentum(0.1, momentum=0.9)", "gpuopt.Momentum(lr=0.1, beta=0.9, dampening=0.0)"),
    ("Momentum(0.1, 0.9)", "gpuopt.Momentum(lr=0.1, beta=0.9)"),
    ("Adam(learning_rate=0.1)", ADAM),
    ("Adam(step_size=0.1)", ADAM),
    ("Adam(alpha=0.1)", ADAM),
    ("Adan(0.1, betas=(0.98, 0.92, 0.99))", "gpuopt.Adan(lr=0.1, beta1=0.98, beta2=0.92, beta3=0.99)"),
    ("Adam(0.1, betas=(0.9, 0.99))", "gpuopt.Adam(lr=0.1, beta1=0.9, beta2=0.99)"),
    ("Adam(0.1, (0.9, 0.99), 1e-3)", "gpuopt.Adam(lr=0.1, beta1=0.9, beta2=0.99, eps=0.001)"),
    ("Adam(0.1, beta_1=0.8, beta_2=0.9)", "gpuopt.Adam(lr=0.1, beta1=0.8, beta2=0.9)"),
    ("Adam(0.1, b1=0.8, b2=0.9)", "gpuopt.Adam(lr=0.1, beta1=0.8, beta2=0.9)"),
    ("Adam(0.1, 0.8, 0.9)", "gpuopt.Adam(lr=0.1, beta1=0.8, beta2=0.9)"),
    ("Adam(0.1, beta=0.8)", "gpuopt.Adam(lr=0.1, beta1=0.8)"),
    ("Adam(0.1, epsilon=1e-7)", "gpuopt.Adam(lr=0.1, eps=1e-07)"),
    ("Adam(0.1, weight_decay=0.01)", f"gpuopt.chain(gpuopt.weight_decay(0.01), {ADAM})"),
    ("Adam(0.1, weight_decay=0.01)", "gpuopt.AdamW(lr=0.1, weight_decay=0.01)"),
    ("Adam(0.1, weight_decay=0.0)", ADAM),
    ("Adam(0.1, weight_decay=0.1, decoupled_weight_decay=True)", "gpuopt.AdamW(lr=0.1, weight_decay=0.1)"),
    ("SGD(0.1, weight_decay=0.01)", "gpuopt.chain(gpuopt.weight_decay(0.01), gpuopt.GradientDescent(lr=0.1))"),
    ("AdamW(0.1, wd=0.01)", "gpuopt.AdamW(lr=0.1, weight_decay=0.01)"),
    ("RMSProp(0.1, alpha=0.99)", "gpuopt.RMSProp(lr=0.1, beta=0.99)"),
    ("RMSProp(0.1, rho=0.99)", "gpuopt.RMSProp(lr=0.1, beta=0.99)"),
    ("RMSProp(0.1, decay=0.99)", "gpuopt.RMSProp(lr=0.1, beta=0.99)"),
    ("Adam(0.1, decay=0.01)", "gpuopt.Adam(lr=lambda step: 0.1 / (1 + 0.01 * step))"),
    ("Adam(0.1, clipnorm=1.0)", f"gpuopt.chain(gpuopt.clip_norm(1.0, eps=0.0), {ADAM})"),
    ("Adam(0.1, clipvalue=1.0)", f"gpuopt.chain(gpuopt.clip(1.0), {ADAM})"),
    ("Adam(0.1, global_clipnorm=1.0)", f"gpuopt.chain(gpuopt.clip_global_norm(1.0, eps=0.0), {ADAM})"),
    ("Adam(0.1, maximize=True)", f"gpuopt.chain(gpuopt.maximize(), {ADAM})"),
    ("Adam(0.1, maximize=False, foreach=None, fused=True)", ADAM),
    ("Adam(0.1, use_ema=True, ema_momentum=0.9)", f"gpuopt.chain({ADAM}, gpuopt.average(0.9))"),
    ("Adam(0.1, gradient_accumulation_steps=4)", f"gpuopt.chain(gpuopt.accumulate(4), {ADAM})"),
    ("Adam(0.1, capturable=True)", f"opt = {ADAM}.init(params, capturable=True)"),
    ("Adam(params, lr=0.1)", f"opt = {ADAM}.init(params)"),
    ("Adam(params, 0.1)", f"opt = {ADAM}.init(params)"),
    ("Adam(params.values(), lr=0.1)", f"opt = {ADAM}.init(params)"),
    ("Adam(x, 0.1)", f"opt = {ADAM}.init(params)"),
    ("Adam(params=params, lr=0.1)", f"opt = {ADAM}.init(params)"),
    ("Adam([x], 0.1, weight_decay=0.1, clipvalue=2.0)", "gpuopt.AdamW(lr=0.1, weight_decay=0.1)"),
    ("Adam(0.1, eps_root=1e-3, mu_dtype=None)", "gpuopt.Adam(lr=0.1, eps_in_root=0.001)"),
    (
        "RMSProp(0.1, decay=0.8, eps_in_sqrt=True, initial_scale=1.0)",
        "RMSProp(lr=0.1, beta=0.8, eps_in_root=True, initial=1.0)",
    ),
    ("AdaGrad(0.1, initial_accumulator_value=0.1)", "gpuopt.AdaGrad(lr=0.1, initial=0.1)"),
    ("Rprop(0.1, etas=(0.4, 1.3), step_sizes=(1e-5, 1.0))", "Rprop(lr=0.1, shrink=0.4, grow=1.3, low=1e-05, high=1.0)"),
    ("LARS(0.1, momentum=0.8, trust_coefficient=0.01)", "gpuopt.LARS(lr=0.1, beta=0.8, trust=0.01)"),
    ("ADOPT(0.1, use_clipping=False)", "gpuopt.ADOPT(lr=0.1, clipped=False)"),
    ("Adam({'*': 0.1})", "gpuopt.partition({'*': gpuopt.Adam(lr=0.1)})"),
    ("COCOB(50.0)", "gpuopt.COCOB(alpha=50.0)"),
    ("clip(max_norm=1.0)", "gpuopt.clip(value=1.0)"),
    ("average(beta=0.9)", "gpuopt.average(decay=0.9)"),
    ("lookahead(sync_period=6, slow_step_size=0.5)", "gpuopt.lookahead(k=6, alpha=0.5)"),
]


@pytest.mark.parametrize(("wrong", "line"), CONVENTIONS)
def test_another_librarys_spelling(wrong: str, line: str) -> None:
    """The message has the own spelling, and that works as it stands."""
    scope = namespace()
    said = message(wrong, scope)
    assert said.startswith(wrong.partition("(")[0].replace("SGD", "GradientDescent"))
    assert line in said
    run(line, scope)
    for code in codes(said):
        run(code, scope)


def run(code: str, scope: dict[str, Any]) -> None:
    """Type a line, and use what it gives."""
    if isinstance(ast.parse(code).body[0], ast.Expr):
        works(eval(code, scope), scope)
    else:
        exec(code, scope)
        works(scope["opt"], scope)


@pytest.mark.parametrize("name", [*ELSEWHERE, "SGDM", "GradScaler", "StepLR"])
def test_another_librarys_name_of_a_class(name: str) -> None:
    scope = namespace()
    (code,) = codes(message(f"gpuopt.{name}", scope))
    if "schedules" in code:
        assert 0 <= eval(code, scope)(0) <= 0.1
    else:
        run(code, scope)


def test_a_class_that_is_nowhere() -> None:
    assert message("gpuopt.Quux", namespace()).endswith(
        "; dir(gpuopt) lists all rules, and a subclass of gpuopt.Rule is a rule of your own"
    )


def test_a_value_that_cannot_be_typed_is_called_by_its_name() -> None:
    rate = gpuopt.schedules.Cosine(0.1, 10)
    scope = namespace(learning_rate=rate)
    said = message("Adam(learning_rate=learning_rate, beta_1=0.8)", scope)
    assert codes(said) == ["gpuopt.Adam(lr=learning_rate, beta1=0.8)"]
    assert eval(codes(said)[0], scope) == gpuopt.Adam(rate, beta1=0.8)


def test_a_name_that_says_nothing_is_not_translated() -> None:
    said = message("Adam(0.1, amsgrd=True)", namespace())
    assert said == (
        "Adam has no hyperparameter 'amsgrd'; it has lr, beta1, beta2, eps, bias_correction, amsgrad, nesterov, eps_in_root; "
        "did you mean amsgrad?"
    )
    assert "takes no positional argument 2; it has decay" in message("average(0.9, 3)", namespace())


def test_a_users_own_rule_is_called_as_it_is() -> None:
    class Mine(Rule):
        lr: gpuopt.NonNegative = 0.1
        beta: gpuopt.Decay = 0.5

        def update(self, t: Any, p: Any, g: Any) -> Any:
            return p - self.lr * g

    assert codes(message("Mine(0.1, momentum=0.2)", namespace(Mine=Mine))) == ["Mine(lr=0.1, beta=0.2)"]


SLIPS = [
    "Adam.init(params)",
    "chain(clip(1.0), Adam()).init(params, lr=0.1)",
    "chain(Adam)",
    "chain(clip, Adam())",
    "chain([clip(1.0), Adam()])",
    "chain(accumulate, Adam())",
    "chain(freeze, Adam())",
    "partition({'*': Adam})",
    "partition({'*': clip(1.0)})",
    "partition(Adam())",
    "minimize(fun, x, Adam)",
    "minimize(x, fun, Adam())",
    "minimize(fun, Adam(), x)",
    "fit(lambda p, d: (0.0, p), x, np.ones((80, 3)), Adam)",
    "fit(x, lambda p, d: (0.0, p), data, Adam())",
    "fit(loss_and_grad, x, Adam(), data)",
    "Optimizer(Adam, params)",
    "rule.init(params).rule = Adam",
    "rule.init(params).rule = SGD()",
    "rule.init(params).rule = 0.2",
    "rule.init(params).rule = 1",
    "rule.init(params).rule = np.float32(0.2)",
    "chain(clip(1.0), rule).init(params).rule = 0.2",
    "rule.replace(betas=(0.9, 0.99))",
    "rule.betas = [0.9, 0.99]",
    "piece.replace(0.2)",
    "opt.lr = np.float64(0.2)",
    "rule.replace(learning_rate=0.2)",
    "rule.replace({'lrr': 0.2})",
    "rule.replace(value=0.2)",
    "rule.replace(0.2)",
    "piece.replace(max_norm=0.2)",
    "opt.nesterov = True",
    "opt.amsgrad = True",
    "opt.params = params",
    "rule.step(grads)",
    "Adam.step(grads)",
    "rule.load_state_dict({})",
    "chain(Adam()).step(grads)",
    "partition({'*': Adam()}).zero_grad()",
    "piece.init(params)",
    "average().init(params)",
    "opt.zero_grad()",
    "opt.lr",
    "opt.lr = 0.1",
    "Adam().lr = 0.1",
    "clip(1.0).value = 0.1",
    "opt.rule.lr = 0.1",
    "rule.lr = 0.1",
    "chain(clip(1.0), Adam()).value = 0.1",
    "gpuopt.adam",
    "gpuopt.RMSprop",
    "gpuopt.Sgd",
    "gpuopt.tree_Norm",
    "Adam(lr=lr)",
    "Adam(beta1=beta1)",
    "Adam(lr=rates)",
    "Adam(lr={'w': 0.1})",
    "Adam(lr=np.array([0.1]))",
    "Adam(lambda: 0.1).init(params)",
    "rule.init(params, lr)",
    "chain(Adam(), bounds(0.0, 1.0)).init(np.ones(3, complex))",
]


PARTS = gpuopt.partition({"w": gpuopt.Adam(0.1), "*": gpuopt.Momentum(0.2)})


def scope_of_slips() -> dict[str, Any]:
    full = {"w": np.full(3, 0.5)}
    both = gpuopt.chain(gpuopt.clip(1.0), gpuopt.Adam(), gpuopt.bounds(-9.0, 9.0))
    names = {"lr": full, "beta1": full, "rates": np.ones(3), "hyper": full, "data": np.ones((80, 3))}
    more = {
        "piece": gpuopt.clip(1.0),
        "pieces": [gpuopt.clip(1.0), gpuopt.Adam()],
        "x0": np.ones(3),
        "optimizer": gpuopt.Adam(),
    }
    scope = namespace(**names, **more, loss_and_grad=lambda p, d: (0.0, p), step=0)
    return {**scope, "opt": gpuopt.Adam().init(scope["params"]), "rule": both}


@pytest.mark.parametrize("wrong", SLIPS)
def test_an_everyday_slip_is_mended_by_what_is_typed(wrong: str) -> None:
    scope = scope_of_slips()
    if "=lr" in wrong or "beta1=beta1" in wrong:
        scope.update({name: np.full(3, 0.5) for name in ("lr", "beta1")})
    if "rates" in wrong:
        scope.update(rates=[0.1, 0.2, 0.3], lr=[0.1, 0.2, 0.3])
    if "[0.1]" in wrong:
        scope["lr"] = np.array([0.1])
    if "lambda: 0.1" in wrong:
        scope["lr"] = lambda: 0.1
    said = message(wrong, scope)
    found = codes(said)
    assert found, said
    for name in ("lr", "beta1", "value", "lo"):  # an array for the one parameter stands in a tree like params
        if isinstance(scope.get(name), np.ndarray) and ".item(" not in said:
            scope[name] = {"w": scope[name]}
    if "np.asarray(lr)" in said:
        scope["params"] = np.ones(3)
    if "average()" in wrong:
        scope["piece"] = gpuopt.average()
    if "complex" in said:
        scope["params"] = np.ones(3, complex)
    for code in found:
        exec(code, scope)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("rule", [gpuopt.chain(gpuopt.SGD(1.0), gpuopt.bounds(-1, 2)), gpuopt.Rprop()], ids=["bounds", "Rprop"])
def test_real_and_imaginary_parts_are_two_numbers(rule: Any, dtype: str) -> None:
    """A view of complex64 as float64 would hold other numbers."""
    params = np.array([1 + 2j, 3 - 4j], dtype)
    scope = namespace(rule=rule, params=params)
    (code,) = codes(message("rule.init(params)", scope))
    assert eval(code, scope).params.tolist() == [1.0, 2.0, 3.0, -4.0]


@pytest.mark.parametrize("name", ["lr", "learning_rate", "lrr"])
@pytest.mark.parametrize("rule", [gpuopt.Adam(), gpuopt.chain(gpuopt.clip(1.0), gpuopt.Adam()), PARTS], ids=kind)
def test_an_assignment_is_mended_with_the_number_that_was_assigned(name: str, rule: Any) -> None:
    """In every group, whether a name is that of another library or mistyped; a number that is read stays as it is."""
    scope = namespace(opt=rule.init({"w": np.ones(3), "b": np.ones(1)}), rule=rule)
    for owner, given in (("opt", "opt.rule"), ("rule", "rule"), ("opt.rule", "rule")):
        (code,) = codes(message(f"{owner}.{name} = 0.25", scope))
        exec(code, scope)
        rates = {full: value for full, value in eval(given, scope).hyperparameters.items() if full.endswith("lr")}
        assert set(rates.values()) == {0.25}
    before = scope["opt"].rule
    exec(codes(message("opt.lr", scope))[0], scope)
    assert scope["opt"].rule == before


CALLS = [
    ("rule.replace('lr', 0.2)", "rule.replace(lr=0.2)"),
    ("rule.replace('learning_rate', 0.2)", "rule.replace(lr=0.2)"),
    ("rule.replace(0.2, 0.9)", "rule.replace(lr=0.1)"),
    ("clip(1.0).replace('value', 0.2)", "piece.replace(value=0.2)"),
    ("chain(clip(1.0), rule).replace('clip.value', 0.2)", "rule.replace({'clip.value': 0.2})"),
    ("rule.replace({'lr': 0.1}, lr=0.2)", "rule.replace(lr=0.2)"),
    ("rule.replace({'lr': 0.1, 'beta1': 0.5}, lr=0.2)", "rule.replace(lr=0.2, beta1=0.5)"),
    ("partition({'*': rule}).replace({'*/lr': 0.1}, **{'*/lr': 0.2})", "rule.replace({'*/lr': 0.2})"),
    ("opt.minimize(fun)", "gpuopt.minimize(fun, opt.params, opt.rule)"),
    ("opt.fit(loss_and_grad, data)", "gpuopt.fit(loss_and_grad, opt.params, data, opt)"),
    ("rule.minimize(fun, x0)", "gpuopt.minimize(fun, x0, rule)"),
    ("Adam.fit(params, data)", "gpuopt.fit(loss_and_grad, params, data, rule)"),
    ("minimize(fun, gpuopt.Adam())", "gpuopt.minimize(fun, x0, gpuopt.Adam())"),
    ("fit(loss_and_grad, params)", "gpuopt.fit(loss_and_grad, params, data, gpuopt.Adam())"),
    ("iterate(fun, x0)", "gpuopt.iterate(fun, x0, gpuopt.Adam())"),
    ("LBFGS(3, 4)", "gpuopt.LBFGS(memory=20)"),
    ("NonlinearCG('hager-zhang', 4)", "gpuopt.NonlinearCG()"),
    ("ProximalGradient(1, None, True, True, 4)", "gpuopt.ProximalGradient(prox=gpuopt.l1(0.1))"),
    ("check_gradient(fun)", "gpuopt.check_gradient(fun, x)"),
    ("Checkpointer()", "gpuopt.Checkpointer('folder-of-this-run')"),
    ("conventions.torch.Adam([x], lr=0.1)", "opt = gpuopt.conventions.torch.Adam(lr=0.1).init(params)"),
    (
        "conventions.torch.SGD(params.values(), 0.1, 0.9)",
        "opt = gpuopt.conventions.torch.SGD(lr=0.1, momentum=0.9).init(params)",
    ),
    ("conventions.torch.Adam(x, 0.1)", "opt = gpuopt.conventions.torch.Adam(lr=0.1).init(params)"),
    (
        "conventions.torch.Adam(params=params, betas=(0.8, 0.9))",
        "opt = gpuopt.conventions.torch.Adam(betas=(0.8, 0.9)).init(params)",
    ),
    (
        "conventions.torch.Adam(params, lr=0.1, foreach=None)",
        "opt = gpuopt.conventions.torch.Adam(lr=0.1, foreach=None).init(params)",
    ),
    (
        "conventions.keras.AdamW(params, weight_decay=0.1)",
        "opt = gpuopt.conventions.keras.AdamW(weight_decay=0.1).init(params)",
    ),
    ("conventions.torch.Adam({'w': x})", "opt = gpuopt.conventions.torch.Adam().init(params)"),
    ("conventions.optax.nadam(x)", "opt = gpuopt.conventions.optax.nadam(learning_rate=0.1).init(params)"),
    ("conventions.torch.Adam(0.1, lr=0.2)", "gpuopt.conventions.torch.Adam(lr=0.1)"),
    ("conventions.optax.sgd()", "gpuopt.conventions.optax.sgd(learning_rate=0.1)"),
    ("conventions.keras.Adam(0.1, decay=0.01)", "learning_rate=lambda step: 0.1 / (1 + 0.01 * step)"),
    ("conventions.keras.SGD(rate, decay=0.01)", "learning_rate=lambda step: learning_rate(step) / (1 + 0.01 * step)"),
]


@pytest.mark.parametrize(("wrong", "line"), CALLS)
def test_a_wrong_call_is_mended_by_what_is_typed(wrong: str, line: str) -> None:
    own = {"rate": gpuopt.schedules.Constant(0.1), "loss_and_grad": lambda x, d: (0.0, x), "x0": np.ones(3)}
    scope = namespace(**own, conventions=gpuopt.conventions, params=np.ones(3), data=np.ones((80, 3)))
    scope = {**scope, "opt": gpuopt.Adam().init(scope["params"]), "piece": gpuopt.clip(1.0)}
    if "params.values" in wrong:
        scope["params"] = {"w": np.ones(3)}
    found = codes(message(wrong, scope))
    assert line in found
    if "chain" in wrong or "partition" in wrong:
        scope["rule"] = eval(wrong.partition(".replace")[0], scope)
    for code in found:
        exec(code, scope | {"grads": scope["params"]})


def test_files_are_written_by_functions(tmp_path: Path) -> None:
    scope = namespace(opt=gpuopt.Adam().init(np.ones(3)), path=tmp_path / "run.npz")
    for wrong in ("opt.save(path)", "opt.load(path)"):
        (code,) = codes(message(wrong, scope))
        exec(code, scope)


def test_an_array_that_no_rule_of_a_partition_updates() -> None:
    scope = namespace(params={"w": np.ones(3), "b": np.ones(1)})
    (code,) = codes(message("partition({'w': None, '*': rule})", scope))
    opt = gpuopt.partition({"w": eval(code, scope), "*": gpuopt.Adam()}).init(scope["params"])
    opt.step({"w": None, "b": np.ones(1)})
    assert opt.counts == {"w": 0, "b": 1}


def test_a_list_in_place_of_an_array_of_a_piece() -> None:
    said = message("support([True, False, True])", namespace())
    assert said.endswith("; write mask=np.asarray(mask)")
    x = np.ones(3)
    gpuopt.chain(gpuopt.SGD(0.0), gpuopt.support(mask=np.asarray([True, False, True]))).init(x).step(x)
    assert x.tolist() == [1.0, 0.0, 1.0]


def test_another_librarys_decay_of_the_learning_rate() -> None:
    """What is typed in its place gives the numbers of Keras 2."""
    scope = namespace(conventions=gpuopt.conventions)
    (code,) = codes(message("conventions.keras.Adam(0.2, decay=0.5)", scope))
    rule = eval(f"conventions.keras.Adam({code})", scope)
    assert [rule.hyper(step)["lr"] for step in range(3)] == [0.2, 0.2 / 1.5, 0.1]
    assert gpuopt.conventions.keras.Adam(0.2, decay=0.0) == gpuopt.conventions.keras.Adam(0.2)


UNKNOWN = {
    "LBFGS(m=3)": "LBFGS has no argument 'm'; it has memory; did you mean memory?$",
    "LBFGS(lr=1.0)": "LBFGS has no argument 'lr'; it has memory$",
    "ProximalGradient(nonsense=1)": "it has step, prox, accelerate, search$",
    "problems.Rosenbrock(dimension=2)": "Rosenbrock has no argument 'dimension'; it has size, xp, dtype; did you mean size?$",
    "problems.Quadratic(conditon=2)": "; did you mean condition?$",
    "Checkpointer('runs', evry=3)": "Checkpointer has no argument 'evry'; it has folder, every, keep; did you mean every?$",
    "rule.replace({'lr': 0.1}, lr=0.2)": "Adam: replace got lr twice, 0.1 and 0.2; write",
    "fit(fun, x, x, rule, batchsize=3)": "fit has no argument 'batchsize'; it has loss_and_grad, .*; did you mean batch_size?$",
    "fit(fun, x, x, rule, lr=3)": r"; hyperparameters belong to the rule, as in gpuopt\.Adam\(lr=0\.1\)$",
    "minimize(fun, x, LBFGS(), maxcor=9)": r"; it belongs to the method, as in gpuopt\.LBFGS\(memory=20\)$",
    "iterate(fun, x, LBFGS(), memory=9)": r"; it belongs to the method, as in gpuopt\.LBFGS\(memory=20\)$",
    "fit(fun, x, x, rule, n=3)": "it has loss_and_grad, .*, checkpoint$",
    "cautious().replace(0.5)": r"^cautious has no hyperparameters to replace, got 0\.5$",
    "rule.replace(rule=0.5)": "Adam has no hyperparameter 'rule'; it has lr",
    "conventions.torch.Adam(np.array(0.1), (0.9, 0.99))": r"; write lr=lr\.item\(\)$",
    "fit(fun, x, x, rule, weight_decay=3)": r"; hyperparameters belong to the rule, as in gpuopt\.Adam\(lr=0\.1\)$",
    "minimize(fun, x, rule, betas=(0.9, 0.99))": r"; hyperparameters belong to the rule, as in gpuopt\.Adam\(lr=0\.1\)$",
    "minimize(fun, x, rule=rule)": "did you mean method?$",
    "iterate(fun, x, optimizer=rule)": "did you mean method?$",
    "fit(fun, x, x, optimizer=rule)": "did you mean rule?$",
    "fit(fun, x, x, method=rule)": "did you mean rule?$",
    "minimize(fun, x, rule, tol=1e-3)": "minimize has no argument 'tol'; it has .*; did you mean gtol?$",
    "iterate(fun, x, rule, max_iter=3)": "iterate has no argument 'max_iter'; it has fun, .*; did you mean maxiter?$",
    "check_gradient(fun, x, direction=3)": "did you mean directions?$",
    "check_gradient(fun, x, args=(1,))": r"has no argument 'args'; it has fun, x, \*args, directions, seed; did",
    "rule.replace(betas=0.9)": "eps_in_root$",
    "rule.replace(betas=(0.9, 0.99, 0.999))": "eps_in_root$",
    "COCOB().replace(0.2)": r"as in rule\.replace\(alpha=100\.0\), or a dict",
    "COCOB().init(x).rule = 0.2": "got 0.2$",
    "COCOB().init(x).lr": "opt.rule has no learning rate; it has alpha, eps$",
    "conventions.tensorflow": "it has VelocityOfSteps, keras, optax, sklearn, torch$",
    "conventions.optax.contrib.nonsense": "it has ademamix, ",
    "rule.init(params, hyper={'learning_rate': params})": "has a float hyperparameter .*; did you mean lr?$",
    "problems.rosenbrock": "write gpuopt.problems.Rosenbrock$",
    "plot.contour": "write gpuopt.plot.contours$",
    "conventions.torch.adam": "write gpuopt.conventions.torch.Adam$",
    "conventions.optax.contrib.Prodigy": "write gpuopt.conventions.optax.contrib.prodigy$",
    "problems.nonsense": "module 'gpuopt.problems' has no attribute 'nonsense'; it has Beale, ",
    "opt.update(grads)": r"write opt\.step\(grads\)$",
}


@pytest.mark.parametrize("wrong", UNKNOWN)
def test_an_unknown_name_is_refused_with_the_nearest_or_all(wrong: str) -> None:
    modules = {name: getattr(gpuopt, name) for name in ("problems", "plot", "conventions")}
    scope = namespace(**modules, opt=gpuopt.Adam().init(np.ones(3)))
    assert re.search(UNKNOWN[wrong].replace("?$", r"\?$"), message(wrong, scope))


def test_known_arguments_pass() -> None:
    """Also those of `iterate`, which hands its options on."""
    found = [*gpuopt.iterate(lambda x: (x @ x, 2 * x), np.ones(3), gpuopt.SGD(), maxiter=1, bounds=(0, 1), jac=True)]
    assert found[-1].nit == 1


TREES = [
    ("params", [0.0, 1.0, 2.0]),
    ("params", [[0, 1], [2, 3]]),
    ("params", (1.0, 2j)),
    ("params", {"w": [0.0, 1.0], "b": np.ones(2)}),
    ("params", {"w": [[1.0], [2.0, 3.0]]}),
    ("params", [np.ones(2), 1.0]),
    ("params", {"a": 1, "b": 2j}),
    ("params", {0: 1.0, 1: 2.0}),
    ("params", 1.0),
    ("params", np.float32(1)),
    ("params", np.arange(3)),
    ("params", np.ones(3, bool)),
    ("params", np.ones(3, ">f4")),
    ("params", np.broadcast_to(np.ones(1), (3,))),
    ("params", np.ma.ones(3)),
    ("params", {"w": Frame()}),
    ("params", {"w": Whole()}),
    ("params", {"w": Sparse()}),
    ("params", {"w": Kept()}),
    ("params", {"w": Tensor()}),
    ("params", {"a": np.ones(3)}.values()),
    ("params", {"w": (np.ones(n) for n in (1, 2))}),
    ("grads", {"w": 0.3}),
    ("grads", {"w": 1}),
    ("grads", {"w": [1, 2, 3]}),
    ("grads", {"w": [0.1, 0.2, 0.3]}),
    ("grads", {"w": (0.1, 0.2, 0.3)}),
    ("grads", {"w": [np.ones(3)]}),
    ("grads", {"w": {"g": np.ones(3)}}),
    ("grads", {"w": np.array(0.3)}),
    ("grads", {"w": np.ones((3, 1))}),
    ("grads", {"w": np.ones(3, int)}),
    ("grads", {"w": np.ma.ones(3)}),
    ("grads", {"w": Kept()}),
    ("grads", {"w": Tensor()}),
    ("grads", np.ones(3)),
]


@pytest.mark.parametrize(("name", "tree"), TREES, ids=kind)
def test_a_tree_is_mended_by_what_is_typed(name: str, tree: Any) -> None:
    """Each message mends one place, with code that is assigned to that place: one after another, until it works."""
    scope = namespace(**{name: tree})
    for _ in range(6):
        try:
            opt = gpuopt.Adam().init(scope["params"])
            return opt.step(scope["grads"]) if name == "grads" else None
        except (TypeError, ValueError) as error:
            said = str(error)
        (code,) = codes(said)[-1:]
        place = said.partition(" ")[0]
        if "list of numbers" in said:
            place = re.findall(r"params(?:\[[^\]]*\])*", code)[0]
        value = eval(code, scope)
        for _ in range(place.count("[") + 1):
            try:
                exec(f"{place} = _value", {**scope, "_value": value}, scope)
                break
            except TypeError:  # a tuple: what holds it is replaced
                place = place.rpartition("[")[0]
    pytest.fail(f"still refused: {said}")


@pytest.mark.parametrize("value", [0.1, 1, [0.1, 0.2, 0.3], [1, 2, 3], Kept(), Tensor()], ids=kind)
def test_an_array_for_a_hyperparameter_is_mended_by_what_is_typed(value: Any) -> None:
    hyper = {"lr": value}
    with pytest.raises(TypeError, match="hyper\\['lr'\\] must be a NumPy or CuPy array") as caught:
        gpuopt.Adam().init(np.ones(3), hyper)
    (code,) = codes(str(caught.value))
    gpuopt.Adam().init(np.ones(3), {"lr": eval(code, {"np": np, "hyper": hyper})}).step(np.ones(3))


def test_one_remedy_is_enough_for_an_array_that_nobody_may_write_to() -> None:
    params = {"w": Kept()}
    (code,) = codes(message("rule.init(params)", namespace(params=params)))
    gpuopt.Adam().init({"w": eval(code, {"np": np, "params": params})}).step({"w": np.ones(3)})


class Words(Frame):
    """A DataFrame of words."""

    def __init__(self) -> None:
        self.values = np.array([["a"]], object)


@pytest.mark.parametrize("value", [Words(), "abc", len, iter([1.0]), {"a": 1.0}], ids=kind)
def test_what_cannot_be_an_array_has_no_code(value: Any) -> None:
    """A remedy that fails is worse than none."""
    said = message("rule.init(params).step({'w': value})", namespace(value=value))
    assert codes(said) == []
    assert said.endswith("(params['w'] is one array)")


@pytest.mark.parametrize(
    ("shape", "given"), [((2, 3), (3, 2)), ((2, 3), (6,)), ((1,), ()), ((), (1,)), ((3,), (1, 3)), ((2, 2, 1), (4,))]
)
def test_a_gradient_of_another_shape(shape: tuple[int, ...], given: tuple[int, ...]) -> None:
    params, grads = np.ones(shape), np.ones(given)
    opt = gpuopt.Adam().init(params)
    with pytest.raises(ValueError, match="must have the shape") as caught:
        opt.step(grads)
    (code,) = codes(str(caught.value))
    opt.step(eval(code, {"np": np, "params": params, "grads": grads}))


def test_a_reduction_of_less_than_the_array_is_refused_in_words_of_the_user() -> None:
    for less in ("g.mean(axis=0)", "g.max(0)", "g.sum(keepdims=True)"):
        scope = namespace()
        exec(f"class R(gpuopt.Rule):\n def update(self, t, p, g):\n  return p - {less}", scope)
        said = message("R().init(x)", scope)
        assert "keepdims=True), which broadcasts" in said or "leave keepdims out" in said


class Counting(gpuopt.Rule):
    lr: gpuopt.NonNegative = 0.1

    def numbers(self) -> dict[str, float]:
        return {"made": 0.0}

    def adapt(self, p: Any, g: Any, accepted: Any) -> Any:
        return (self.made + 1.0,)  # type: ignore[attr-defined]

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return p - self.lr * g


@pytest.mark.parametrize("wrong", ["chain(accumulate(2), Counting())", "partition({'a': Counting(), '*': SGD(0.1)})"])
def test_a_rule_with_numbers_is_told_nothing_that_is_impossible(wrong: str) -> None:
    said = message(wrong, namespace(Counting=Counting))
    assert "let it keep them as states instead, as in update(self, t, p, g, name=0.0)" in said
    assert "must stand" not in said


def test_a_class_in_place_of_a_schedule() -> None:
    assert "Cosine is a class: make a schedule of it" in message("Adam(schedules.Cosine)", namespace())


def test_a_text_in_place_of_a_number() -> None:
    assert message("Adam('0.05')", namespace()).endswith("got '0.05'; a number has no quotes, as in lr=0.05")


def test_what_a_property_raises_is_heard() -> None:
    assert "put gpuopt.LossScale() first" in message("Adam().init(x).loss_scale", namespace())
    assert message("Adam().nonsense", namespace()) == "'Adam' object has no attribute 'nonsense'"


def test_a_hyperparameter_may_have_a_name_that_is_elsewhere() -> None:
    """What is not here takes no name away."""
    scope = namespace()
    exec("class R(gpuopt.Rule):\n step: gpuopt.Hyper\n def update(self, t, p, g):\n  return p - self.step * g", scope)
    opt = scope["R"](step=0.5).init(np.ones(3))
    opt.step(np.ones(3))
    assert opt.params.tolist() == [0.5] * 3
    assert not hasattr(gpuopt.Adam(), "step")
    assert not hasattr(gpuopt.Adam, "step")
    assert "zero_grad" in message("Adam.zero_grad()", namespace())
