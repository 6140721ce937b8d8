"""Complex arrays in pairs: what NumPy is called for, and that no bit depends on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.codegen import pairs
from gpuopt.codegen.numpy import tile_code
from gpuopt.executors.cpu.numpy import NumpyExecutor
from gpuopt.tracing.expr import Expr
from gpuopt.tracing.operands import PARAM
from gpuopt.tracing.ops import OPS
from gpuopt.tracing.program import Kernel
from gpuopt.tracing.trace import trace
from tests.support.executors import only, running_on
from tests.support.formulas import beside_numpy, joined, made, parts, run, same
from tests.support.variants import on_host

both_complex = pytest.mark.parametrize("dtype", ["complex64", "complex128"])


def calls(rule: Any, is_complex: bool, number: int = -1) -> list[str]:
    """The calls of a kernel of the rule."""
    source = tile_code(trace(rule.update_for(""), is_complex).kernels[number]).source
    return [line.strip() for line in source.splitlines()[1:] if line.strip() and "#" not in line]


@pytest.mark.parametrize("rule", [go.GradientDescent(), go.Momentum(nesterov=True)], ids=["GradientDescent", "Momentum"])
def test_what_treats_both_parts_alike_is_the_code_of_real_arrays(rule: go.Rule) -> None:
    both = [line.replace("pw", "w").replace("pk", "k") for line in calls(rule, True)]
    assert both == calls(rule, False)


def test_adam_of_complex_arrays() -> None:
    """The parts meet in the square of the modulus; its root meets both of them."""
    meeting = ["add(pw0[0::2], pw0[1::2], w0)", "copyto(pw0[0::2], w0)", "copyto(pw0[1::2], w0)"]
    found = calls(go.Adam(), True)
    assert [line for line in found if "::" in line] == meeting
    assert len(found) == len(calls(go.Adam(), False)) + len(meeting)


def test_a_norm_of_complex_arrays() -> None:
    found = calls(go.chain(go.clip_global_norm(1.0), go.Adam()), True, 0)
    assert found == ["multiply(a0, a0, pw0)", "add(pw0[0::2], pw0[1::2], a1)"]


def test_parts_may_change_places() -> None:
    re, im = PARAM.components(True)
    old = {part: Expr(number, "input", (), part) for number, part in enumerate((re, im))}
    kernel = Kernel(name="exchanged", complex=True, states=(), loads=(re, im), stores={re: old[im], im: old[re]})
    code, x = tile_code(kernel), np.arange(6.0)
    code.function(x, *(np.empty(6 if "p" in name else 3) for name in code.scratch))
    assert x.tolist() == [1, 0, 3, 2, 5, 4]


Formula = Callable[..., Any]
MIXED: dict[str, Formula] = {
    "conjugate": lambda self, t, p, g, m, v: (p - self.a * np.conj(g), 0.9 * m + np.conj(g), v + np.real(g) * np.imag(p)),
    "product": lambda self, t, p, g, m, v: (p - self.a * (m * g), m * (1 - 2j) + g * g, v * np.imag(g)),
    "swapped": lambda self, t, p, g, m, v: (np.imag(p) + 1j * np.real(p), np.imag(p) * 1j + np.imag(m), v),
    "exchanged": lambda self, t, p, g, m, v: (m, p, np.real(m) + v),
    "kept": lambda self, t, p, g, m, v: (p + g, g, np.imag(g)),
    "one mask": lambda self, t, p, g, m, v: (np.where(v > 0, p, g), np.where(np.real(g) > v, m, p), v + self.b),
    "two masks": lambda self, t, p, g, m, v: (
        np.where(np.real(g) > 0, np.real(p), np.real(m)) + 1j * np.where(np.imag(g) > 0, np.imag(p), np.imag(m)),
        np.where(g == m, p, m),
        v,
    ),
    "functions": lambda self, t, p, g, m, v: (
        p - np.maximum(np.real(g), v) - 1j * np.maximum(np.imag(g), v),
        np.sign(g) / (abs(m) + 1),
        np.minimum(np.imag(g), v) + np.real(g) + np.real(g) * self.a,
    ),
    "real arrays": lambda self, t, p, g, m, v: (p * v + g / v, m + v - g * v, v * v + go.abs2(g) * go.abs2(p)),
    "one after the other": lambda self, t, p, g, m, v: (
        (a := np.real(p) - v) + 1j * (np.imag(p) - np.sqrt(abs(a))), m - g * (np.imag(m) - v), np.imag(m) - v,
    ),
    "numbers": lambda self, t, p, g, m, v: (1 - 2j + 0 * p, m * 0 + t, v),
}  # fmt: skip


def ways(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let pairs be taken wherever they can be, and then nowhere."""
    for sign in (-1, 1):
        monkeypatch.setattr(
            pairs, "nanoseconds", lambda ops, pairs, sign=sign: sign * len({op for op in pairs if op.op in OPS})
        )
        tile_code.cache_clear()
        yield sign
    tile_code.cache_clear()


@both_complex
@pytest.mark.parametrize("formula", MIXED.values(), ids=MIXED)
def test_pairs_change_no_bit(formula: Formula, dtype: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, c, d = parts(dtype, rng)
    p, g = joined(a, b, dtype=dtype), joined(c, d, dtype=dtype)
    rule = made(formula, "m", "v")
    found, texts = [], set()
    for _ in ways(monkeypatch):
        found.append(run(rule, NumpyExecutor, p, [g, g[::-1], None], 3))
        texts.add(tile_code(trace(rule, True).update).source)
    for one, other in zip(*found, strict=True):
        same(one, other)
    assert len(texts) == 2 or formula is MIXED["exchanged"]  # which computes nothing in pairs


@only("numba", "cupy")
@both_complex
def test_every_executor_has_the_bits_of_pairs(executor: str, xp: Any, dtype: str, rng: np.random.Generator) -> None:
    real, formulas = np.finfo(dtype).dtype, MIXED.values()
    p, g = (joined(*rng.normal(size=(2, 1003)).astype(real), dtype=dtype) for _ in "pg")
    for formula in formulas:
        for one, other in zip(*beside_numpy(made(formula, "m", "v"), xp, p, [g, g[::-1].copy()]), strict=True):
            same(one, other)


@both_complex
def test_arrays_in_place_of_hyperparameters(dtype: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real arrays that meet pairs, in arrays packed and by themselves, real and complex ones in one optimizer."""
    shapes = [(3, 4), (5,), (9_000,)]
    real = np.finfo(dtype).dtype.name
    lr = [rng.random(shape).astype(real) for shape in shapes]
    found = []
    for _ in ways(monkeypatch):
        rng = np.random.default_rng(1)
        params = [joined(*rng.normal(size=(2, *shape)).astype(real), dtype=dtype) for shape in shapes]
        weights = [rng.normal(size=shape).astype(real) for shape in shapes]
        rule = go.chain(go.clip_norm(0.5), go.Adam(amsgrad=True))
        opt = rule.init([*params, *weights], {"lr": [*lr, *lr]})
        for _ in range(3):
            opt.step([x * x - 0.5 for x in opt.params])
        found.append([*opt.params, *(x for states in opt.state.values() for x in states)])
    for one, other in zip(*found, strict=True):
        same(one, other)


@only("numba", "cupy")
def test_a_number_that_reduces_what_the_update_computes(executor: str, xp: Any, rng: np.random.Generator) -> None:
    """It is made of both parts, of which one is all that the code of a pair is about."""
    rule = go.chain(go.accumulate(2), go.clip_global_norm(0.5), go.SGD(0.5))
    x = joined(*rng.normal(size=(2, 9)), dtype="complex64")
    found, wanted = xp.array(x), x.copy()
    with running_on("numpy"):
        other = rule.init(wanted)
    opt = rule.init(found)
    for _ in range(4):
        opt.step(xp.asarray(x))
        other.step(x)
    same(on_host(found), wanted)
