"""Chains as CUDA: how many kernels, what they read and write, and the bits of every executor."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpuopt as go
from gpuopt.arrays.dtypes import COMPUTE, named
from gpuopt.codegen.source import kernels
from gpuopt.rules import rules
from gpuopt.tracing.operands import GRAD
from tests.support.cuda import machine, nvrtc
from tests.support.examples import examples
from tests.support.executors import beside_numpy, running_on
from tests.support.layouts import on_device
from tests.support.pieces import EVERY_EXAMPLE, EXAMPLES, chained, takes_complex
from tests.support.variants import DTYPES, bits, sample, takes

CHAIN = go.chain(go.clip_global_norm(1.0), go.weight_decay(0.1), go.Adam(), go.bounds(0.0, 1.0), go.average(0.99))
EVERYTHING = go.chain(
    *(go.LossScale(), go.clip_global_norm(1.0), go.clip_norm(0.5), go.accumulate(2), go.skip_nonfinite(), go.gradient_noise()),
    *(go.Adam(), go.decoupled_weight_decay(0.1), go.average(), go.lookahead()),
)
POWERS = "powers that a GPU computes may differ in the last bit"


def test_a_chain_is_one_elementwise_kernel_and_one_reduction() -> None:
    """Each array is read once and written once; the scalars made of the norm have a kernel of one thread an array."""
    reduction, scalars, update = kernels(CHAIN, np.dtype("float32"))
    assert (reduction.reads, reduction.arrays) == ((GRAD,), ())
    assert [len(re.findall(rf"= from_global\({name}_at \+ at\);", reduction.body)) for name in ("g_in", "p_io")] == [1, 0]
    assert "p_io" not in scalars.body
    arrays = {"p": "p_io", "m": "m_io", "v": "v_io", "average_mean": "average_mean_io"}
    assert [array.name for array in update.arrays] == list(arrays)
    for name in ("g_in", *arrays.values()):
        loads, stores = (re.findall(rf"\b{name}\.{what}\(", update.body) for what in ("load", "store"))
        assert (len(loads), len(stores)) == (1, 0 if name == "g_in" else 1), name
    source = go.cuda_source(CHAIN)
    assert source.count('extern "C" __global__ void') == 3


@pytest.mark.machine_code
@pytest.mark.every("dtype", dtype=("bfloat16", "float32", "float64", "complex64"), chain=("short", "everything"))
def test_it_compiles_to_lean_machine_code(dtype: str, chain: str) -> None:
    """The host counts in the steps of one chain, and the device in those of the other."""
    rule, capturable = (CHAIN, False) if chain == "short" else (EVERYTHING, True)
    if dtype.startswith("complex") and rule is CHAIN:
        rule = go.chain(*(piece for piece in CHAIN.pieces if not isinstance(piece, go.bounds)))
    for written in kernels(rule, named(dtype), capturable):
        compiled = machine.compile_lean(written)
        if written.arrays and COMPUTE[dtype] == np.float32:
            assert not nvrtc.fp64_instructions(machine.sass(compiled))


def places(executor: str) -> Any:
    """What makes its arrays of NumPy's."""
    return on_device if executor == "cupy" else list


FAST = [cls(lr=0.1) for cls in rules().values() if hasattr(cls, "lr")]


def results(executor: str, rule: Any, seed: int, dtype: str, nan: bool) -> list[Any]:
    """All that five steps leave, in bits; one gradient is missing once, and one may hold a NaN."""
    rng, place = np.random.default_rng(seed), places(executor)
    params = [sample(rng, (int(rng.integers(0, 700)),), dtype), sample(rng, (5, 3), dtype).T]
    params = place([*params, sample(rng, (), dtype), sample(rng, (130, 130), dtype)])
    with running_on(executor):
        opt = rule.init(params)
        for step in range(5):
            grads: list[Any] = [sample(rng, p.shape, dtype, 10.0 ** (step - 2)) for p in params]
            if step == 1:
                grads[0] = None
            if step == 2 and nan:
                grads[3][3, 4] = np.nan
            opt.step(place(grads))
        found = [bits(p) for p in params]
        for tree in opt.state.values():
            found += [bits(array) for array in tree if array is not None]
        return [*found, *map(bits, opt.evaluation()), *map(bits, opt.numbers.values()), opt.t, opt.counts]


@beside_numpy
@examples(4)
@given(data=st.data())
def test_every_executor_has_the_same_bits(data: Any, executor: str, gpu_is_emulated: bool) -> None:
    """Chains of any pieces, in any order on their side of any rule."""
    if executor == "cupy" and not gpu_is_emulated:
        pytest.skip(POWERS)
    dtype = data.draw(st.sampled_from(DTYPES))
    usable = [piece for piece in EVERY_EXAMPLE if takes_complex(piece) or not dtype.startswith("complex")]
    chosen = data.draw(st.lists(st.sampled_from(usable), min_size=1, max_size=5, unique_by=type))
    before = [piece for piece in chosen if isinstance(piece, go.GradientPiece)]
    after = [piece for piece in chosen if not isinstance(piece, go.GradientPiece)]
    before.sort(key=lambda piece: not isinstance(piece, go.LossScale))
    after.sort(key=lambda piece: not isinstance(piece, go.StepPiece))
    rule = data.draw(st.sampled_from([rule for rule in FAST if takes(rule, dtype) and not (after and rule._averages)]))
    chain = go.chain(*before, rule, *after)
    seed, nan = data.draw(st.integers(0, 99)), data.draw(st.booleans())
    wanted, found = (results(name, chain, seed, dtype, nan) for name in ("numpy", executor))
    for one, other in zip(wanted, found, strict=True):
        assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other, (chain, dtype)


@beside_numpy
@pytest.mark.parametrize(("number", "name"), list(enumerate(EXAMPLES)))
def test_every_piece_has_the_same_bits(number: int, name: str, executor: str) -> None:
    """Each with one of the rules, in float32."""
    chain = chained(EXAMPLES[name][0], FAST[number % len(FAST)])
    wanted, found = (results(name, chain, 3, "float32", False) for name in ("numpy", executor))
    assert all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in zip(wanted, found, strict=True))


@pytest.mark.gpu
def test_a_reduction_of_several_levels() -> None:
    """More than 64 chunks, so that sums of sums are summed."""
    size, found = 64 * 16_384 + 300, []
    for executor in ("numpy", "cupy"):
        arrays = np.zeros(size, "float32"), np.random.default_rng(1).normal(size=size).astype("float32")
        p, g = places(executor)(arrays)
        with running_on(executor):
            opt = go.chain(go.clip_global_norm(1.0), go.GradientDescent(1.0)).init(p)
            opt.step(g)
            opt.step(g)  # the tickets of the first step were handed back
        found.append(bits(p))
    one, other = found
    assert np.array_equal(one, other)


@pytest.mark.gpu
@pytest.mark.parametrize(
    "schedule",
    [
        go.schedules.WarmUp(go.schedules.Cosine(0.1, 3), 2),
        go.schedules.OneCycle(0.1, 9),
        go.schedules.Joined((go.schedules.Constant(0.1), go.schedules.Polynomial(0.2, 5, power=2.0)), (3,)),
        go.schedules.Piecewise((0.1, 0.2, 0.3), (1, 3)),
        lambda step: 0.1 / (1 + step),
    ],
    ids=lambda schedule: type(schedule).__name__,
)
def test_schedules_where_the_device_counts(schedule: Any, gpu_is_emulated: bool) -> None:
    """A skipped step does not move the schedule on; two dtypes are two launches that see one count."""
    if not gpu_is_emulated:
        pytest.skip(POWERS)
    found = []
    for executor in ("numpy", "cupy"):
        rng, place = np.random.default_rng(0), places(executor)
        params = place([rng.normal(size=7), rng.normal(size=5).astype("float32")])
        with running_on(executor):
            opt = go.chain(go.skip_nonfinite(), go.Adam(lr=schedule)).init(params)
            for step in range(7):
                grads = [rng.normal(size=7), rng.normal(size=5).astype("float32")]
                grads[1][2] = np.inf if step == 2 else 0.0
                opt.step(place(grads) if step != 4 else [None, None])
            saved = opt.state_dict()
            found.append([*map(bits, params), opt.t, opt.counts, saved["t"]])
            opt.load_state_dict(saved)
            assert (opt.t, opt.counts) == (6, [5, 5])
    assert all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in zip(*found, strict=True))


@pytest.mark.gpu
def test_a_schedule_that_cannot_run_on_the_device_says_so() -> None:
    rule = go.chain(go.skip_nonfinite(), go.Adam(lr=lambda step: 0.1 if step < 5 else 0.01))
    with pytest.raises(go.TraceError, match=r"lr follows a schedule, which must run on the GPU here"):
        rule.init(on_device([np.ones(3)]))


@beside_numpy
@pytest.mark.parametrize("dtype", ["float16", "float32", "complex64"])
def test_arrays_for_hyperparameters(dtype: str, executor: str) -> None:
    """Full, broadcast, of another dtype and of truth values; in C and Fortran order."""
    rate, row, mask = (
        np.linspace(0, 1, 12).reshape(4, 3),
        np.array([0.1, 0.2, 0.3], np.float32),
        np.array([[True], [False], [True], [True]]),
    )
    found = []
    for name in ("numpy", executor):
        rng, place = np.random.default_rng(5), places(name)
        params = place([sample(rng, (4, 3), dtype), np.asfortranarray(sample(rng, (4, 3), dtype)), sample(rng, (4, 3), dtype)])
        with running_on(name):
            hyper = {"lr": place([rate, row, None]), "factor": place([mask, None, mask])}
            opt = go.chain(go.scale(2.0), go.clip_global_norm(1.0), go.Adam()).init(params, hyper)
            for _ in range(3):
                opt.step(place([sample(rng, (4, 3), dtype) for _ in range(3)]))
        found.append(np.concatenate([bits(p) for p in params]))
    one, other = found
    assert np.array_equal(one, other)
