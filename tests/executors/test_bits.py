"""Every rule and option, on every executor, in every dtype and layout, against the plain loops of `support/reference.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays.dtypes import COMPUTE, state_dtype
from gpuopt.executors import executor_of
from gpuopt.rules import Rule, rules
from tests.support.executors import ON_CPU, running_on
from tests.support.layouts import contiguous, on_device, placed
from tests.support.optimizers import alike, everything
from tests.support.reference import LOOPS
from tests.support.variants import TOLERANCE, bits, follows_parameters, on_host, sample, sees_the_tree

STEPS = 6  # in the last of them RAdam is past its threshold
SHAPE = (6, 5)

every = pytest.mark.every


def read_only(array: Any) -> Any:
    if isinstance(array, np.ndarray):
        array.flags.writeable = False
    return array


def run(rule: Rule, xp: Any, p: Any, gradients: list[Any], layout: Any = contiguous, gradient_layout: Any = contiguous) -> Any:
    """The optimizer after a step with each gradient; its parameter is laid out as asked."""
    param = placed(p, layout, xp)
    opt = rule.init(param)
    for g in gradients:
        given = placed(g, gradient_layout, xp)
        before = bits(given)
        opt.step(read_only(given))
        assert np.array_equal(bits(given), before), "the gradient was altered"
    return opt


def data(rng: np.random.Generator, dtype: str, shape: tuple[int, ...] = SHAPE) -> tuple[Any, list[Any]]:
    return sample(rng, shape, dtype), [sample(rng, shape, dtype, scale=10.0 ** -(k % 3)) for k in range(STEPS)]


def test_every_rule_has_a_loop() -> None:
    assert set(LOOPS) == set(rules()), "tests/support/reference.py needs a plain loop for each rule"


@every("rule", "dtype", "executor")
def test_formula(rule: Rule, dtype: str, executor: str, xp: Any, rng: np.random.Generator) -> None:
    """Parameters and state follow the plain loop, in the dtypes promised.

    State that is made of parameters holds their rounding to 16 bits: there its values are not compared.
    """
    p, gradients = data(rng, dtype)
    opt = run(rule, xp, p, gradients)
    compute = COMPUTE[dtype]
    wanted, state = LOOPS[type(rule).__name__](rule, p, gradients)
    found = {"p": opt.params, **opt.state}
    found.pop("begun()", None)  # of states of the tree, whether they begun
    assert found.keys() - {"p"} == set(state)
    for name, array in found.items():
        exact = wanted if name == "p" else state[name]
        host = on_host(array)
        cancelled = 1 if array.shape == p.shape else 10  # in a number that is a sum of products
        bound = cancelled * TOLERANCE[dtype if name == "p" else str(compute)]
        scale = np.abs(exact) + (np.abs(exact).max() if name != "p" else 1.0)
        rounded = name != "p" and dtype in ("float16", "bfloat16") and follows_parameters(rule)
        assert rounded or np.all(np.abs(host.astype(exact.dtype) - exact) <= bound * scale), name
        if name != "p":
            kept = compute if array.shape == p.shape else np.dtype(float)  # a state that is one number
            assert array.dtype == state_dtype(kept, np.iscomplexobj(exact)), name


def check_layout(rule: Rule, dtype: str, layout: Any, gradient_layout: Any, xp: Any, rng: np.random.Generator) -> None:
    p, gradients = data(rng, dtype)
    plain, other = run(rule, xp, p, gradients), run(rule, xp, p, gradients, layout, gradient_layout)
    assert np.array_equal(bits(other.params), bits(plain.params))
    for name, array in plain.state.items():
        assert np.array_equal(bits(other.state[name]), bits(array)), name


@every("rule", "dtype", "layout", "gradient_layout", "executor", executor=ON_CPU)
def test_layout(rule: Rule, dtype: str, layout: Any, gradient_layout: Any, executor: str, rng: np.random.Generator) -> None:
    """The layout of parameters and gradients decides no bit."""
    check_layout(rule, dtype, layout, gradient_layout, np, rng)


@every("rule", "dtype", "layout", "gradient_layout", "executor", executor=("cupy",))
def test_layout_on_a_gpu(
    rule: Rule, dtype: str, layout: Any, gradient_layout: Any, executor: str, xp: Any, rng: np.random.Generator
) -> None:
    check_layout(rule, dtype, layout, gradient_layout, xp, rng)


@every("rule", "dtype", "executor", executor=ON_CPU)
def test_tiles_and_packs(
    rule: Rule, dtype: str, executor: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arrays updated one by one, packed, cut into tiles, and on threads have the same bits."""
    shapes = [(7,), (), (0,), (3, 4), (40, 30), (1,), (1000,), (2, 3, 4)]
    params = [sample(rng, shape, dtype) for shape in shapes]
    gradients = [[sample(rng, shape, dtype) for shape in shapes] for _ in range(3)]
    if sees_the_tree(rule):
        params, gradients = params[-2:-1], [g[-2:-1] for g in gradients]  # one array, which is the tree
    alone = [run(rule, np, p, [g[i] for g in gradients]) for i, p in enumerate(params)]
    for tile, pack, small, threaded in [(131072, 32768, 8192, 10**9), (100, 40, 20, 10**9), (64, 5, 2, 0)]:
        for name, value in {"tile": tile, "pack": pack, "small": small, "threaded": threaded}.items():
            monkeypatch.setattr(executor_of(params[0]), name, value)
        together = rule.init([p.copy() for p in params])
        for g in gradients:
            together.step(g)
        for i, opt in enumerate(alone):
            assert np.array_equal(bits(together.params[i]), bits(opt.params)), shapes[i]
            for name, array in opt.state.items():
                assert np.array_equal(bits(together.state[name][i]), bits(array)), (shapes[i], name)


@every("rule", "dtype", "executor", dtype=("float32", "float64", "complex64"))
def test_gradient_of_another_dtype(rule: Rule, dtype: str, executor: str, xp: Any, rng: np.random.Generator) -> None:
    """A real gradient of another dtype is cast to the dtype computed in, then used."""
    if dtype.startswith("complex"):
        opt = rule.init(xp.zeros(3, dtype))
        with pytest.raises(TypeError, match=r"grads must have the dtype of params, complex64, got float32"):
            opt.step(xp.zeros(3, "float32"))
        return
    p, gradients = data(rng, dtype)
    for other in {"float16", "float32", "float64"} - {dtype}:
        cast = [g.astype(other) for g in gradients]
        given, wanted = run(rule, xp, p, cast), run(rule, xp, p, [g.astype(dtype) for g in cast])
        assert np.array_equal(bits(given.params), bits(wanted.params))


@every("rule", "dtype", executor=("numba",))
def test_numba_has_the_bits_of_numpy(rule: Rule, dtype: str, rng: np.random.Generator) -> None:
    """Small arrays, which are packed, and large ones; parameters and state."""
    shapes = [(3, 4), (1000,), (), (0,), (20_000,)]
    params = [sample(rng, shape, dtype) for shape in shapes]
    gradients = [[sample(rng, shape, dtype, scale) for shape in shapes] for scale in (1.0, 1e-4, 1e4)]
    results = []
    for name in ON_CPU:
        with running_on(name):
            opt = rule.init([p.copy() for p in params])
        assert opt.executor == name
        for g in gradients:
            opt.step(g)
        results.append([bits(array) for arrays in (opt.params, *opt.state.values()) for array in arrays])
    assert all(map(np.array_equal, *results))


@every("rule", "dtype", "executor", executor=("cupy",))
def test_gpu_has_the_bits_of_the_cpu(rule: Rule, dtype: str, executor: str, xp: Any, rng: np.random.Generator) -> None:
    p, gradients = data(rng, dtype, (1003,))
    cpu, gpu = run(rule, np, p, gradients), run(rule, xp, p, gradients)
    assert np.array_equal(bits(gpu.params), bits(cpu.params))
    for name, array in cpu.state.items():
        assert np.array_equal(bits(gpu.state[name]), bits(array)), name


@pytest.mark.parametrize(
    ("rule", "dtypes"),
    [(go.Adam(0.1), ["float32", "float16", "complex64"]), (go.chain(go.clip_global_norm(1.0), go.Adam(0.1)), ["float32"])],
    ids=["Adam", "chain"],
)
def test_a_tree_on_an_emulated_gpu(rule: Any, dtypes: Any, emulated_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """In every run: several arrays of each dtype, one with gaps, and a step without the gradient of one, as NumPy has it."""
    monkeypatch.setenv("GPUOPT_CPU", "numpy")
    found = []
    for place in (list, on_device):
        rng = np.random.default_rng(0)
        params = [sample(rng, shape, dtype) for dtype in dtypes for shape in ((4099,), (40, 6), ())]
        opt = rule.init(place([*params, sample(rng, (40, 6), "float32")[:, ::2]]))
        for step in range(3):
            grads: list[Any] = [sample(rng, p.shape, p.dtype.name) for p in opt.params]
            opt.step(place([None if step == 1 else grads[0], *grads[1:]]))
        found.append(everything(opt, look=alike))
    assert found[0] == found[1]
