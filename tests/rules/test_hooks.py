"""Hooks: who may have which, and what is refused because it only looks like one."""

from __future__ import annotations

import ast
import functools
import importlib.util
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import gpuopt as go
from gpuopt.codegen.source import kernels
from gpuopt.rules.declared import reserved_names
from gpuopt.rules.hooks import HOOKS, HookName, device_counts, has_hook

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "gpuopt"
BASES: dict[str, type] = {base.__name__: base for base in (go.Rule, go.GradientPiece, go.StepPiece, go.ParameterPiece)}
PAIRS = [(base, name) for base in BASES for name in HOOKS]
ALLOWED = [(base, name) for base, name in PAIRS if base in HOOKS[name].owners]
FORBIDDEN = [pair for pair in PAIRS if pair not in ALLOWED]
WORKING: dict[str, dict[str, Callable[..., Any]]] = {
    "check": {"check": lambda self: None},
    "start": {"start": lambda self, p: (p,)},
    "holds": {"holds": lambda self, paths: [False for _ in paths]},
    "steps": {"steps": lambda self, t: t},
    "accept": {"accept": lambda self, t, p, g: go.tree_max(g) > 0},
    "undo": {"undo": lambda self: 1.0 > 2.0},
    "scale_lr": {"scale_lr": lambda self: 0.5},
    "numbers": {"numbers": lambda self: {"seen": 0.0}, "adapt": lambda self, p, g, accepted: self.seen + 1},
    "adapt": {"numbers": lambda self: {"seen": 0.0}, "adapt": lambda self, p, g, accepted: self.seen + 1},
    "scale": {"scale": lambda self, t, last: 1.0},
    "evaluation": {"evaluation": lambda self, p, last: last},
}
"""For each hook a class body in which it stands as it should."""


def update(self: Any, t: Any, p: Any, g: Any, last: Any = 0.0) -> Any:
    """A formula that serves as one of a rule, and of a gradient piece."""
    return g, g


def update_parameter(self: Any, t: Any, p: Any, new: Any, last: Any = 0.0) -> Any:
    return new, new


def update_step(self: Any, t: Any, p: Any, step: Any, last: Any = 0.0) -> Any:
    return step, step


FORMULAS = {"StepPiece": update_step, "ParameterPiece": update_parameter}


def make(base: str, body: dict[str, Any], *others: type) -> Any:
    """A subclass of that base class called ``Mine``, with such attributes."""
    formula = FORMULAS.get(base, update)
    return type("Mine", (*others, BASES[base]), {"update": formula, **body})


def in_a_chain(formula: Any) -> Any:
    """The rule, or a chain in which the piece has its place."""
    if isinstance(formula, go.Rule):
        return formula
    return go.chain(formula, go.SGD(1.0)) if isinstance(formula, go.GradientPiece) else go.chain(go.SGD(1.0), formula)


def test_the_names_of_hooks_are_those_of_the_table() -> None:
    assert typing.get_args(HookName) == tuple(HOOKS)
    assert all(owner in BASES for hook in HOOKS.values() for owner in hook.owners)


@pytest.mark.parametrize(("base", "name"), ALLOWED)
def test_a_hook_that_a_class_may_have_works(base: str, name: HookName) -> None:
    cls = make(base, WORKING[name])
    assert has_hook(cls(), name)
    opt = in_a_chain(cls()).init(np.zeros(2))
    opt.step(np.ones(2))
    assert opt.t == 1
    assert opt.evaluation().shape == (2,)


@pytest.mark.parametrize(("base", "name"), FORBIDDEN)
def test_a_hook_of_others_is_refused(base: str, name: HookName) -> None:
    message = rf"^Mine\.{name}: gpuopt calls a method of this name to learn .*a {base} may not: give it another name$"
    with pytest.raises(TypeError, match=message):
        make(base, WORKING[name])


@pytest.mark.parametrize(("base", "name"), FORBIDDEN)
def test_a_hook_of_others_is_refused_whatever_it_is_and_wherever_it_comes_from(base: str, name: HookName) -> None:
    for value in (property(lambda self: 1), "text", staticmethod(lambda: 1), functools.partial(int, 1)):
        with pytest.raises(TypeError, match=rf"^Mine\.{name}: .*give it another name"):
            make(base, {name: value})
    mixin = type("Mixin", (), WORKING[name])
    deeper = type("Deeper", (mixin,), {})
    with pytest.raises(TypeError, match=rf"^Mixin\.{name}, which Mine inherits: .*a {base} may not"):
        make(base, {}, deeper)
    with pytest.raises(TypeError, match=rf"^Mixin\.{name}, which Behind inherits: .*a {base} may not"):
        type("Behind", (BASES[base], mixin), {"update": FORMULAS.get(base, update)})


@pytest.mark.parametrize(("base", "name"), ALLOWED)
def test_what_is_no_method_is_no_hook(base: str, name: HookName) -> None:
    for value in (property(lambda self: 1), "text", functools.cached_property(lambda self: 1), None):
        with pytest.raises(TypeError, match=rf"^Mine\.{name}: .*this is not a method: write {name}\(self.*\), or give"):
            make(base, {**WORKING[name], name: value})


@pytest.mark.parametrize(("base", "name"), ALLOWED)
def test_a_method_with_other_arguments_is_no_hook(base: str, name: HookName) -> None:
    needs_more = lambda self, a, b, c, d, e: 0  # noqa: E731
    needs_none = lambda self: 0  # noqa: E731
    for value in (needs_more, *([needs_none] if HOOKS[name].arguments else [])):
        if value is needs_more and HOOKS[name].arguments[-1:] == ("*state",):
            continue  # it may have four states
        with pytest.raises(TypeError, match=rf"^Mine\.{name}: .*this one takes other arguments: write {name}\(self"):
            make(base, {**WORKING[name], name: value})


@pytest.mark.parametrize(("base", "name"), ALLOWED)
def test_hooks_are_inherited(base: str, name: HookName) -> None:
    mixin = type("Mixin", (), WORKING[name])
    first = make(base, {}, mixin)
    second = type("Second", (first,), {})
    assert has_hook(first(), name)
    assert has_hook(second(), name)
    in_a_chain(second()).init(np.zeros(2)).step(np.ones(2))


def test_a_static_and_a_class_method_may_be_a_hook() -> None:
    class every_second(go.GradientPiece):
        @staticmethod
        def steps(t: Any) -> Any:
            return t // 2

        @classmethod
        def accept(cls, t: Any, p: Any, g: Any) -> Any:
            return go.tree_max(g) < 10

        def update(self, t: Any, p: Any, g: Any) -> Any:
            return g

    opt = go.chain(every_second(), go.SGD(1.0)).init(x := np.zeros(1))
    for g in (1.0, 20.0, 2.0, 3.0):
        opt.step(np.array([g]))
    assert (opt.t, x.tolist()) == (3, [-2.0])


def test_a_static_or_a_class_method_with_other_arguments_is_no_hook() -> None:
    for value in (staticmethod(lambda: 0), classmethod(lambda cls: 0)):
        with pytest.raises(TypeError, match=r"^Mine\.steps: .*this one takes other arguments: write steps\(self, t\)"):
            make("GradientPiece", {"steps": value})


def test_of_several_with_one_name_the_message_names_the_one_that_counts() -> None:
    mixin = type("Mixin", (), {"steps": lambda self, t: t})
    with pytest.raises(TypeError, match=r"^Mine\.steps: "):
        make("Rule", {"steps": lambda self, t: t // 2}, mixin)


def test_a_class_without_hooks_has_none() -> None:
    formulas = (go.Lion(), go.clip(1.0), go.lookahead())
    assert not any(
        has_hook(formula, name) for formula in formulas for name in HOOKS if name not in {"check", "start", "evaluation"}
    )
    assert not any(has_hook(rule, name) for rule in (go.partition({"*": go.SGD()}), go.chain(go.SGD())) for name in HOOKS)


def test_adapt_without_numbers_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^Mine\.adapt: .*but only with a method numbers: add it, or give this another name"):
        make("Rule", {"adapt": WORKING["adapt"]["adapt"]})


# What a hyperparameter may not be called


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("name", sorted(reserved_names()))
def test_no_hyperparameter_has_a_reserved_name(base: str, name: str) -> None:
    with pytest.raises(TypeError, match=f"rule Mine: '{name}' is a method of rules: give the hyperparameter another name"):
        make(base, {"__annotations__": {name: float}})
    if name != "update":
        with pytest.raises(TypeError, match=f"rule Mine: '{name}' is a method of rules: give the hyperparameter another name"):
            make(base, {"__annotations__": {name: float}, name: 1.0})


def test_the_reserved_names_are_all_that_the_library_uses() -> None:
    used = {name for base in BASES.values() for name in dir(base) if not name.startswith("__") and hasattr(base, name)}
    common = {name for name, hook in HOOKS.items() if hook.common}
    assert reserved_names() == (used | set(HOOKS) | {"update", "rule", "loss"}) - common
    assert reserved_names() >= {"init", "update", "rule", "holds", "check"}


@pytest.mark.parametrize("base", BASES)
def test_a_usual_name_may_be_that_of_a_hyperparameter_or_a_number(base: str) -> None:
    """Then it is no hook."""
    cls = make(base, {"__annotations__": {"scale": float}, "scale": 2.0})
    assert not has_hook(cls(), "scale")
    in_a_chain(cls()).init(np.zeros(2)).step(np.ones(2))
    assert not has_hook(go.Muon(), "scale")
    assert list(go.chain(go.LossScale(), go.SGD()).init(np.zeros(2)).numbers) == ["LossScale.scale", "LossScale.good"]


@pytest.mark.parametrize("base", BASES)
def test_the_annotations_of_a_base_class_can_be_evaluated(base: str) -> None:
    """Or those of its subclasses would be looked up in the frame that makes the class, which is for local names."""
    assert "_hooks" in typing.get_type_hints(BASES[base])


def test_no_number_of_the_optimizer_has_a_reserved_name() -> None:
    for name in ("holds", "steps", "rule"):
        piece = make("GradientPiece", {"numbers": lambda self, name=name: {name: 0.0}, "adapt": WORKING["adapt"]["adapt"]})
        with pytest.raises(go.TraceError, match=f"Mine.numbers: '{name}' is the name of a hyperparameter or a method"):
            go.chain(piece(), go.SGD()).init(np.zeros(1))


# What ordinary helpers did when they were taken for hooks: 0, -1 or a frozen array in place of -3


@pytest.mark.parametrize(
    ("base", "helper", "function"),
    [
        ("Rule", "steps", lambda self, t: t // 3),
        ("Rule", "accept", lambda self, t, p, g: go.tree_max(g) > 5),
        ("Rule", "holds", lambda self, paths: [True for _ in paths]),
        ("ParameterPiece", "steps", lambda self, t: t // 3),
        ("ParameterPiece", "accept", lambda self, t, p, new: go.tree_max(new) > 5),
        ("ParameterPiece", "holds", lambda self, paths: [True for _ in paths]),
        ("GradientPiece", "evaluation", lambda self, p: 0 * p),
    ],
)
def test_a_helper_is_not_taken_for_a_hook(base: str, helper: HookName, function: Callable[..., Any]) -> None:
    def plain_rule(self: Any, t: Any, p: Any, g: Any) -> Any:
        return p - g

    def plain_piece(self: Any, t: Any, p: Any, new: Any) -> Any:
        return new

    def plain_gradient(self: Any, t: Any, p: Any, g: Any) -> Any:
        return g

    formula = {"Rule": plain_rule, "ParameterPiece": plain_piece, "GradientPiece": plain_gradient}[base]
    with pytest.raises(TypeError, match=rf"Mine\.{helper}: .*: give it another name"):
        make(base, {"update": formula, helper: function})
    renamed = make(base, {"update": formula, f"my_{helper}": function})
    opt = in_a_chain(renamed()).init(x := np.zeros(1))
    for _ in range(3):
        opt.step(np.ones(1))
    assert (x.tolist(), opt.t, opt.evaluation().tolist()) == ([-3.0], 3, [-3.0])


# Whether a device counts is decided in one place


class numberless(go.GradientPiece):
    """Numbers of the whole optimizer, but none."""

    def numbers(self) -> dict[str, float]:
        return {}

    def adapt(self, p: Any, g: Any, accepted: Any) -> Any:
        return ()

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return g


class fading(go.GradientPiece):
    """A number of the whole optimizer, and every step accepted."""

    factor: ClassVar[float]

    def numbers(self) -> dict[str, float]:
        return {"factor": 1.0}

    def adapt(self, p: Any, g: Any, accepted: Any) -> Any:
        return 0.5 * self.factor

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return self.factor * g


@pytest.mark.parametrize("capturable", [False, True])
@pytest.mark.parametrize(
    ("pieces", "counts"),
    [((), False), ((numberless(),), False), ((fading(),), True), ((go.skip_nonfinite(),), True)],
    ids=["none", "numberless", "fading", "skip_nonfinite"],
)
def test_kernels_that_are_shown_count_where_a_device_counts(pieces: tuple[Any, ...], counts: bool, capturable: bool) -> None:
    rule = go.chain(*pieces, go.SGD(0.1))
    shown = [kernel.name for kernel in kernels(rule, np.dtype("float32"), capturable)]
    assert device_counts([rule.update_for("")], capturable) == (counts or capturable)
    assert any("count" in name for name in shown) == (counts or capturable)


# Nobody asks for hooks in another way


def test_nothing_is_looked_for_by_the_name_of_a_hook() -> None:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"hasattr", "getattr", "inspect.getattr_static"}:
                asked = ast.unparse(node.args[1]).strip("'\"")
                assert asked not in {*HOOKS, "loss_scale", "over_tree", "pieces", "uniform"}, f"{path}:{node.lineno}"


def test_the_documentation_has_the_table_of_hooks() -> None:
    """``python tools/hooks_table.py`` writes it."""
    path = ROOT / "tools" / "hooks_table.py"
    if not path.exists():
        pytest.skip("tools is not part of this distribution")
    spec = importlib.util.spec_from_file_location("gpuopt_hooks_table", path)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    page = tool.PAGE.read_text(encoding="utf-8")
    assert all(f"| `{name}(self" in tool.table() for name in HOOKS)
    assert page.count(tool.table()) == page.count(tool.BEGIN) == page.count(tool.END) == 1
    assert tool.written(page) == page


def test_a_count_that_evaluation_is_not_given() -> None:
    """The remedy works when it is typed: the sum of the weights is a state."""

    class ema(go.ParameterPiece):
        def update(self, t: Any, p: Any, new: Any, mean: Any = 0.0) -> Any:
            return new, 0.9 * mean + 0.1 * new

        def evaluation(self, p: Any, mean: Any) -> Any:
            return go.debias(mean, 0.9, self.t)  # type: ignore[attr-defined]

    class mended(go.ParameterPiece):
        def update(self, t: Any, p: Any, new: Any, mean: Any = 0.0, weight: Any = 0.0) -> Any:
            return new, 0.9 * mean + 0.1 * new, 0.9 * weight + 0.1

        def evaluation(self, p: Any, mean: Any, weight: Any) -> Any:
            return mean / weight

    opt = go.chain(go.SGD(0.1), ema()).init(np.ones(3))
    opt.step(np.ones(3))
    with pytest.raises(
        AttributeError, match=r"no attribute 't': only update gets it; keep in a state what another method needs"
    ):
        opt.evaluation()
    opt = go.chain(go.SGD(0.1), mended()).init(np.ones(3))
    opt.step(np.ones(3))
    np.testing.assert_allclose(opt.evaluation(), 0.9)
