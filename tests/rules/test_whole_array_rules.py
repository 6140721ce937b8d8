"""Rules that call functions of whole arrays against plain loops; their fused parts have the same bits on every executor."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.rules import Rule, whole_array_rules
from tests.support.executors import only, running_on
from tests.support.optimizers import everything
from tests.support.reference_whole import WHOLE
from tests.support.variants import on_host, sample

RULES: list[Rule] = [
    go.Adafactor(),
    go.Adafactor(0.05, power=0.5, eps1=0.1, eps2=10.0, clip=0.5, weight_decay=0.1),
    go.CAME(0.01, weight_decay=0.1, beta2=0.9, beta3=0.8),
    go.SM3(0.1, eps=0.1),
    go.AdamMini(0.1, weight_decay=0.1),
    go.Muon(0.1),
    go.Muon(0.1, nesterov=False, weight_decay=0.0, ns_steps=2, scale="match_rms_adamw"),
    go.Shampoo(0.1, eps=0.1),
    go.Shampoo(0.1, eps=0.1, every=3),
    go.SOAP(0.1, every=2),
    go.SOAP(0.1, beta1=0.9, beta3=0.5, every=3, weight_decay=0.0),
]
DEFAULTS = {
    "SM3(lr=0.01, beta=0.9, eps=1e-08)",
    "AdamMini(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-08, weight_decay=0.0)",
    "Adafactor(lr=0.01, power=0.8, eps1=None, eps2=0.001, clip=1.0, weight_decay=0.0)",
    "CAME(lr=0.0002, beta1=0.9, beta2=0.999, beta3=0.9999, eps1=1e-30, eps2=1e-16, clip=1.0, weight_decay=0.0)",
    "Muon(lr=0.001, beta=0.95, nesterov=True, weight_decay=0.1, ns_steps=5, scale='original', eps=1e-07)",
    "Shampoo(lr=0.1, eps=0.0001, every=1)",
    "SOAP(lr=0.003, beta1=0.95, beta2=0.95, beta3=None, eps=1e-08, weight_decay=0.01, every=10)",
}
every_rule = pytest.mark.parametrize("rule", RULES, ids=str)
every_class = pytest.mark.parametrize("cls", whole_array_rules().values())


def shape_of(rule: Rule) -> tuple[int, int]:
    """SOAP's first bases are those of one gradient, and are many unless that is square."""
    return (5, 5) if isinstance(rule, go.SOAP) else (6, 4)


def test_every_rule_has_a_loop_and_is_here() -> None:
    assert set(WHOLE) == set(whole_array_rules()) == {type(rule).__name__ for rule in RULES}
    assert {repr(cls()) for cls in whole_array_rules().values()} == DEFAULTS


@only("numpy", "cupy")
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@every_rule
def test_formula(rule: Rule, dtype: str, executor: str, xp: Any, rng: np.random.Generator) -> None:
    if executor == "cupy" and isinstance(rule, (go.Shampoo, go.SOAP)):
        try:
            xp.linalg.eigh(xp.eye(2))
        except ImportError as error:  # the emulated GPU has no cuSOLVER
            pytest.skip(str(error).splitlines()[0])
    p, gradients = sample(rng, shape_of(rule), dtype), [sample(rng, shape_of(rule), dtype) for _ in range(8)]
    opt = rule.init(xp.array(p))
    for g in gradients:
        opt.step(xp.asarray(g))
    wanted, state = WHOLE[type(rule).__name__](rule, p, gradients)
    for name, right in {"p": wanted, **state}.items():
        found = on_host(opt.params if name == "p" else opt.state[name])
        assert found.shape == right.shape, name
        assert np.allclose(found, right, rtol=1e-10, atol=1e-10 * np.abs(right).max()), name


DTYPES = itertools.cycle(["float16", "float32", "complex64"])


@pytest.mark.parametrize(("rule", "dtype"), list(zip(RULES, DTYPES, strict=False)), ids=str)
def test_numpy_and_numba_agree_bit_for_bit(rule: Rule, dtype: str, rng: np.random.Generator) -> None:
    """And in 16 bits, what an array of 64 gives comes out."""
    shapes = [shape_of(rule), (3, 3)] if isinstance(rule, (go.Muon, go.SOAP)) else [(6, 4), (5,), (2, 3, 4)]
    params, found = [sample(rng, shape, dtype) for shape in shapes], []
    steps = [[sample(rng, shape, dtype) for shape in shapes] for _ in range(4)]
    for executor in ("numpy", "numba"):
        with running_on(executor):
            opt = rule.init([p.copy() for p in params])
            for gradients in steps:
                opt.step(gradients)
            found.append(everything(opt))
    assert found[0] == found[1]
    assert all(np.isfinite(p.astype("complex64")).all() for p in opt.params)


@only("cupy")
@pytest.mark.parametrize("rule", [go.Adafactor(), go.CAME(), go.SM3(), go.AdamMini()], ids=str)
def test_what_multiplies_no_matrices_is_captured(rule: Rule, executor: str, xp: Any) -> None:
    def loss_and_grad(p: Any) -> Any:
        return (p * p).sum(), 2 * p

    captured, plain = xp.linspace(-1, 1, 12).reshape(3, 4), xp.linspace(-1, 1, 12).reshape(3, 4)
    opt, same = rule.init(captured, capturable=True), rule.init(plain)
    step = go.graph(loss_and_grad, opt)
    for _ in range(3):
        step()
        same.step(loss_and_grad(plain)[1])
    assert np.allclose(on_host(captured), on_host(plain), rtol=1e-12)


@every_rule
def test_constant_gradients_and_zeros(rule: Rule) -> None:
    """There is no NaN, ever; vectors and numbers are taken by all rules but those for matrices."""
    shapes = [(3, 2)] if isinstance(rule, go.Muon) else [(3, 2), (4,), (), (0, 3)]
    for dtype, size in (("float32", 0.5), ("float16", 0.0)):
        opt = rule.init([np.ones(shape, dtype) for shape in shapes])
        for _ in range(300):
            opt.step([np.full(shape, size, dtype) for shape in shapes])
        assert all(np.isfinite(p).all() for p in opt.params)


REFUSED: list[tuple[Any, str]] = [
    (lambda: go.Muon().init({"b": np.ones(3)}), r"Muon is for matrices, not for an array of shape \(3,\)"),
    (lambda: go.Muon(ns_steps=0), "ns_steps must be at least 1, got 0"),
    (lambda: go.Muon(scale="none"), "scale must be 'original' or 'match_rms_adamw', got 'none'"),
    (lambda: go.Shampoo(every=0), "every must be at least 1, got 0"),
    (lambda: go.SOAP(every=0), "every must be at least 1, got 0"),
    (lambda: go.centralize("columns"), "axis must be None or 'rows', got 'columns'"),
]


@pytest.mark.parametrize(("action", "words"), REFUSED)
def test_refused(action: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        action()


def test_centralize_by_rows(executor: str, xp: Any) -> None:
    """As in optax: the mean of each slice along the first axis; vectors stay."""
    params = [xp.zeros((2, 3)), xp.zeros(2), xp.zeros((2, 2, 2))]
    opt = go.chain(go.centralize("rows"), go.SGD(1.0)).init(params)
    gradients = [np.arange(6.0).reshape(2, 3), np.array([1.0, 3.0]), np.arange(8.0).reshape(2, 2, 2)]
    opt.step([xp.asarray(g) for g in gradients])
    assert params[0].tolist() == [[1.0, 0.0, -1.0]] * 2
    assert params[1].tolist() == [-1.0, -3.0]
    assert params[2].reshape(2, 4).tolist() == [[1.5, 0.5, -0.5, -1.5]] * 2


@every_class
def test_long_runs_of_one_gradient(cls: type[Rule], pytestconfig: pytest.Config) -> None:
    """In float32, of which an element never changes; and without any gradient in float16. With --exhaustive 3,000 steps."""
    opt = cls().init(np.ones((3, 2), "float32"))
    g = np.array([[1, -2], [0.5, 1e-3], [0, 3]], "float32")
    for _ in range(3000 if pytestconfig.getoption("exhaustive") else 150):
        opt.step(g)
    still = cls().init(np.ones((3, 2), "float16"))
    for _ in range(20):
        still.step(np.zeros((3, 2), "float16"))
    assert np.isfinite(opt.params).all()
    assert np.isfinite(still.params).all()
