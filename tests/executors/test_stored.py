"""Arrays that a loop takes as they are stored: 16 bits, complex numbers, every second element."""

from __future__ import annotations

import importlib
import platform
import sys
from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpuopt as go
from gpuopt.arrays.dtypes import named
from gpuopt.executors.cpu.packs import PackTile
from gpuopt.tracing.operands import GRAD
from tests.support.examples import examples
from tests.support.executors import ON_CPU, only, running_on
from tests.support.optimizers import everything
from tests.support.variants import bits, sample

SHORT = ("float16", "bfloat16")


class Moving(go.Rule):
    """A value that may be an old one, bit for bit."""

    lr: go.NonNegative = 0.5

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0) -> Any:
        return np.where(g > 0, p - self.lr * g, p), np.maximum(-abs(g), m)


class Directed(go.Rule):
    """Each component of a complex number from both."""

    lr: go.NonNegative = 0.5

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return p - self.lr * np.sign(g)


RULES = {"moving": Moving(), "adam": go.Adam(), "descent": go.GradientDescent(1.0)}


def every_number(dtype: str) -> Any:
    return np.arange(2**16, dtype=np.uint16).view(named(dtype))


def on_both(rule: Any, params: list[Any], gradients: list[Any]) -> list[Any]:
    """All bytes after two steps on each executor of NumPy arrays; those of NaNs only on x86-64.

    An ARM processor takes the digits of a NaN that signals, if there is one, and else those of its first operand.
    """
    held = np.asarray if platform.machine().lower() in ("x86_64", "amd64") else bits
    found = []
    for name in ON_CPU:
        with running_on(name):
            opt = rule.init([p.copy() for p in params])
        for _ in range(2):
            opt.step(gradients)
        found.append([held(x).tobytes() for tree in (opt.params, *opt.state.values()) for x in tree])
    return found


@pytest.fixture(autouse=True)
def _numba() -> None:
    pytest.importorskip("numba")


@pytest.mark.parametrize("dtype", SHORT)
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_numbers_of_16_bits(rule: Any, dtype: str) -> None:
    """Each there is, as a parameter and as a gradient: NaNs with their digits, subnormal ones, -0, infinities."""
    p = every_number(dtype)
    gradients = [np.roll(p, 12_345), np.zeros_like(p)]
    one, other = on_both(rule, [p, p], gradients)
    assert one == other


@pytest.mark.parametrize("dtype", SHORT)
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_wide_gradients(rule: Any, dtype: str) -> None:
    """In float32 and float64, in a pack and alone: where a result is rounded, it is rounded to even."""
    with np.errstate(invalid="ignore"):  # signaling NaNs are cast, here and below
        ties = (every_number(dtype).astype("float32").view(np.uint32) + np.uint32(0x800)).view("float32")
    for size in (500, 2**16):
        for wide in ("float32", "float64"):
            params = [np.zeros(size, named(dtype)), np.ones(size, named(dtype)), np.ones(3, named(dtype))]
            with np.errstate(invalid="ignore"):
                first = ties[-size:].astype(wide)
            one, other = on_both(rule, params, [first, ties[:size], np.ones(3, wide)])
            assert one == other


@pytest.mark.parametrize("rule", [go.Adam(), go.chain(go.clip_norm(1.0), go.Momentum())], ids=["adam", "norm"])
def test_a_processor_that_does_not_widen_float16(rule: Any, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """Takes another way to the same bits."""
    numba_compile = importlib.import_module("gpuopt.executors.cpu.numba_compile")
    from numba.core.registry import cpu_target

    params = [sample(rng, (size,), "float16") for size in (5, 300, 20_000)]
    expected = on_both(rule, params, params)
    codegen = type(cpu_target.target_context.codegen())
    monkeypatch.setattr(codegen, "magic_tuple", lambda self: ("triple", "cpu", "+avx"))
    assert not numba_compile.widens(np.dtype("float16"))
    for one, other in zip(expected, on_both(rule, params, params), strict=True):
        assert one == other


@pytest.mark.parametrize("rule", [Directed(), go.Momentum(), go.Adam()], ids=["directed", "momentum", "adam"])
def test_components(rule: Any, rng: np.random.Generator) -> None:
    """Computed from each other, or alike and as one array of twice the length."""
    params = [sample(rng, shape, "complex64") for shape in ((3,), (7, 5), (20_000,))]
    one, other = on_both(rule, params, [p * 2j for p in params])
    assert one == other


def sliced(steps: tuple[int, ...], shape: tuple[int, ...], dtype: str) -> Any:
    """An array of that shape, of which another one holds every so many elements."""
    wide = np.zeros([abs(step) * length for step, length in zip(steps, shape, strict=True)], named(dtype))
    return wide[tuple(slice(None, None, step) for step in steps)]


@st.composite
def layouts(draw: Any) -> tuple[Any, ...]:
    """A shape; and for the parameter and the gradient how far elements are from each other, and an order of axes."""
    shape = draw(arrays.array_shapes(max_dims=3, max_side=80))
    steps = st.tuples(*[st.sampled_from([1, 1, 2, 3, -1, -2])] * len(shape))
    order = st.permutations(range(len(shape)))
    return shape, draw(steps), draw(order), draw(steps), draw(order)


def laid_out(values: Any, steps: tuple[int, ...], order: list[int]) -> Any:
    inverse = np.argsort(order)
    view = sliced(tuple(steps[axis] for axis in order), tuple(values.shape[axis] for axis in order), values.dtype.name)
    view = view.transpose(inverse)
    view[...] = values
    return view


@only("numba")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex64"])
@pytest.mark.parametrize("rule", [go.Momentum(), go.chain(go.clip_norm(1.0), go.SGD(0.5))], ids=["plain", "norm"])
@examples(15)
@given(layouts())
def test_layouts(executor: str, rule: Any, dtype: str, layout: tuple[Any, ...]) -> None:
    """No layout decides a bit, and nothing between the elements is written."""
    shape, steps, order, gradient_steps, gradient_order = layout
    rng = np.random.default_rng(0)
    p, g = sample(rng, shape, dtype), sample(rng, shape, dtype)
    plain, other = rule.init(p.copy()), rule.init(laid_out(p, steps, order))
    given_g = laid_out(g, gradient_steps, gradient_order)
    for _ in range(2):
        plain.step(g)
        other.step(given_g)
    assert np.array_equal(bits(other.params), bits(plain.params))
    base = other.params.base
    while base is not None and base.base is not None:
        base = base.base
    if base is not None:
        assert np.count_nonzero(base) <= p.size
    for name, state in plain.state.items():
        assert np.array_equal(bits(other.state[name]), bits(state))


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was asked to be compiled, by what is unusual about its arrays."""
    numba = importlib.import_module("gpuopt.executors.cpu.numba_loops")
    found: list[Any] = []
    for name in ("loop_code", "fold_code"):
        before = getattr(numba, name)

        def counting(kernel: Any, compute: Any, stored: Any, before: Callable[..., Any] = before) -> Any:
            found.append([(each.array.name, each.kind, each.step) for each in stored])
            return before(kernel, compute, stored)

        monkeypatch.setattr(numba, name, counting)
    return found


@only("numba")
def test_a_loop_is_compiled_when_it_is_needed(executor: str, compiled: list[Any], rng: np.random.Generator) -> None:
    """That for gradients in float32 with the first of them, and once."""
    opt = go.GradientDescent().init(sample(rng, (9,), "bfloat16"))
    assert compiled == [[("p", "bfloat16", 1), ("g", "bfloat16", 1)]]
    g = sample(rng, (9,), "bfloat16")
    opt.step(g)
    opt.step(g)
    known = len(compiled)
    opt.step(g.astype("float32"))
    assert compiled[known:] == [[("p", "bfloat16", 1)]]
    opt.step(g.astype("float32"))
    assert len(compiled) == known + 1


@only("numba")
@pytest.mark.parametrize("packed", [False, True])
def test_nothing_is_written_before_all_is_compiled(
    executor: str, packed: bool, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    numba = importlib.import_module("gpuopt.executors.cpu.numba_loops")
    params = [sample(rng, (9,), "float32"), *[sample(rng, (9,), "bfloat16") for _ in range(1 + packed)]]
    opt = go.Adam().init(params)
    opt.step(params_like := [p.copy() for p in params])
    expected = everything(opt)

    def fails(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(numba, "loop_code", fails)
    with pytest.raises(MemoryError):
        opt.step([params_like[0], *[np.ones(9, "float32") for _ in params[1:]]])
    assert everything(opt) == expected
    monkeypatch.undo()
    opt.step(params_like)


@only("numba")
def test_read_only_gradients_compile_nothing(executor: str, rng: np.random.Generator, compiled: list[Any]) -> None:
    """They lie where a loop is given their address."""
    p, g = sample(rng, (9,), "float32"), sample(rng, (9,), "float32")
    plain, other = go.Adam().init(p.copy()), go.Adam().init(p.copy())
    frozen = g.copy()
    frozen.flags.writeable = False
    for opt, gradient in ((plain, g), (other, frozen)):
        opt.step(gradient)
        opt.step(gradient)
    assert everything(plain) == everything(other)
    assert {tuple(each) for each in compiled} == {()}


@pytest.mark.parametrize("dtype", ["float32", "complex64", "bfloat16"])
@pytest.mark.parametrize("rule", [go.Adam(), go.chain(go.clip_norm(1.0), go.Momentum())], ids=["one kernel", "stages"])
def test_gradients_of_packs_are_read_where_they_lie(
    rule: Any, dtype: str, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """New ones, and those of the step before; gathered are those with another object as dtype, or not aligned."""
    params = [sample(rng, (size,), dtype) for size in (3, 70, 1, 17) * 6]
    one, other, third = ([sample(rng, p.shape, dtype) for p in params] for _ in range(3))
    described = [g.view(np.dtype(g.dtype, metadata={"unit": "m"})) for g in one]
    unaligned = np.zeros(other[1].nbytes + 1, np.uint8)[1:].view(named(dtype))
    unaligned[:] = other[1]
    steps = [one, other, other, described, one, [other[0], unaligned, *other[2:]], third]
    gathered: list[Any] = []
    load = PackTile.load

    def noted(tile: Any, operand: Any, values: Any, g: Any) -> None:
        gathered.append(operand == GRAD)
        load(tile, operand, values, g)

    monkeypatch.setattr(PackTile, "load", noted)
    results, counts = [], []
    for name in ON_CPU:
        with running_on(name):
            opt = rule.init([p.copy() for p in params])
        for step in steps:
            gathered.clear()
            opt.step(step)
            counts.append(sum(gathered) > 0)
        results.append([x.tobytes() for tree in (opt.params, *opt.state.values()) for x in tree])
    assert results[0] == results[1]
    assert counts[-len(steps) :] == [False, False, False, True, False, True, False]


@only("numba")
@pytest.mark.parametrize("fails", [None, "another place"])
def test_gradients_of_packs_where_objects_are_not_as_expected(
    fails: str | None, executor: str, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """They are gathered, as on an interpreter that is not CPython, or with another layout of NumPy's arrays."""
    objects = importlib.import_module("gpuopt.executors.cpu.numba_objects")
    if fails is None:
        monkeypatch.setattr(sys.implementation, "name", "another")
    else:
        monkeypatch.setattr(objects, "OBJECTS", objects.OBJECTS.replace("load(array) - start", "load(array)"))
    objects.finder.cache_clear()
    try:
        assert objects.finder() is None
        params = [sample(rng, (9,), "float32") for _ in range(5)]
        opt, alone = go.Adam().init([p.copy() for p in params]), [go.Adam().init(p.copy()) for p in params]
        for _ in range(2):
            opt.step(params)
            for each, g in zip(alone, params, strict=True):
                each.step(g)
        assert [p.tobytes() for p in opt.params] == [each.params.tobytes() for each in alone]
    finally:
        objects.finder.cache_clear()
