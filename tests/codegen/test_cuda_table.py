"""The kernel that updates many arrays: for any sizes, places and layouts the bits of NumPy and of arrays updated one by one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpuopt as go
from gpuopt.arrays.dtypes import COMPUTE, is_complex, named
from gpuopt.codegen.cuda.table import columns, table_source, update_chunk
from gpuopt.codegen.host import compile_host
from gpuopt.codegen.order import LANES
from gpuopt.rules import Adam, GradientDescent, Momentum, Rule
from gpuopt.tracing.operands import PARAM
from gpuopt.tracing.trace import trace
from tests.support.cuda.one_by_one import one_by_one
from tests.support.cuda.tuned import OTHERWISE, tuned
from tests.support.examples import examples
from tests.support.flushing import flushing
from tests.support.layouts import on_device
from tests.support.variants import DTYPES, bits, label, mixed, sample

REAL = [name for name in DTYPES if not name.startswith("complex")]
SIZES = [0, 1, 2, 3, 4, 5, 7, 8, 9, 255, 257, 511, 512, 513, 1023, 1024, 1025, 2047, 2048, 2049, 4095, 4096, 4097, 8192, 12301]
"""Around what a thread, 256 threads and a chunk take, for every number of elements that 16 bytes may hold."""
OFFSETS = (0, 1, 2, 3, 5)

pytestmark = pytest.mark.gpu
every_dtype = pytest.mark.parametrize("dtype", DTYPES)

Arrays = list[Any]
Make = Callable[[np.random.Generator], tuple[Arrays, list[Arrays]]]
"""Makes parameters, and gradients for each step: the same ones from equal generators."""


def results(executor: str, rule: Any, make: Make, hyper: Any = None, flushes: bool = False) -> list[Any]:
    """All that the steps leave, in bits; `flushes` says whether NumPy is to flush subnormals to zero."""
    place = list if executor == "numpy" else on_device
    mode = flushing if flushes and executor == "numpy" else contextlib.nullcontext
    with pytest.MonkeyPatch.context() as patch, one_by_one() if executor == "one by one" else contextlib.nullcontext():
        patch.setenv("GPUOPT_CPU", "numpy")
        params, steps = make(np.random.default_rng(7))
        params = place(params)
        opt = rule.init(params, hyper and {name: place(arrays) for name, arrays in hyper.items()})
        for grads in map(place, steps):
            before: list[Any] = [None if g is None else bits(g) for g in grads]
            with mode():
                opt.step(grads)
            assert all(g is None or np.array_equal(bits(g), b) for g, b in zip(grads, before, strict=True))
        found = [bits(p) for p in params]
        for tree in opt.state.values():
            found += [bits(array) for array in tree if array is not None]
        return [*found, opt.t, opt.counts]


def check(
    rule: Any, make: Make, hyper: Any = None, executors: Sequence[str] = ("numpy", "table"), flushes: bool = False
) -> None:
    """Each executor leaves the same bits."""
    first, *others = [results(executor, rule, make, hyper, flushes) for executor in executors]
    for executor, found in zip(executors[1:], others, strict=True):
        assert len(found) == len(first)
        for number, (one, other) in enumerate(zip(first, found, strict=True)):
            assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other, (executor, number)


def placed(values: Any, offset: int = 0, order: str = "C", nbytes: int = 0) -> Any:
    """A copy whose memory begins `offset` elements and `nbytes` bytes after a multiple of 64 bytes."""
    start = offset * values.itemsize + nbytes
    raw = np.zeros(values.nbytes + start + 64, np.uint8)
    start += -raw.ctypes.data % 64
    flat = raw[start : start + values.nbytes].view(values.dtype)
    found = flat.reshape(values.shape) if order == "C" else flat.reshape(values.shape[::-1]).T
    found[...] = values
    return found


def of_sizes(dtype: str, steps: int, missing: bool = False) -> Make:
    """Arrays of all `SIZES`, one of no axes and one of three; some lack a gradient in the second step."""
    shapes = [*((n,) for n in SIZES), (), (5, 7, 31)]

    def make(rng: np.random.Generator) -> tuple[Arrays, list[Arrays]]:
        params = [np.asarray(mixed(rng, shape, dtype)) for shape in shapes]
        gradients: list[Arrays] = [[np.asarray(mixed(rng, shape, dtype)) for shape in shapes] for _ in range(steps)]
        for number in range(0, len(shapes), 3) if missing else ():
            gradients[1][number] = None
        return params, gradients

    return make


@pytest.mark.every("rule", "dtype", executor=("cupy",))
def test_every_rule_on_arrays_of_many_sizes(rule: Rule, dtype: str) -> None:
    """Special values among them. Once they were updated unequally often, one launch has other scalars for each array.

    The direction of a complex number with a huge part has a subnormal part.
    """
    check(rule, of_sizes(dtype, 4, missing=True), flushes=COMPUTE[dtype] == np.float32)


@pytest.mark.parametrize("rule", [Momentum(nesterov=True), Adam(amsgrad=True)], ids=label)
@every_dtype
def test_many_arrays_are_as_one_by_one(rule: Rule, dtype: str) -> None:
    check(rule, of_sizes(dtype, 2), executors=("one by one", "table"))


@every_dtype
def test_arrays_updated_unequally_often_one_by_one(dtype: str) -> None:
    check(Adam(), of_sizes(dtype, 4, missing=True), executors=("numpy", "table", "one by one"))


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "complex128"])
@pytest.mark.parametrize("values", OTHERWISE, ids=str)
def test_what_is_tuned_decides_no_bit(values: dict[str, Any], dtype: str) -> None:
    with tuned(values):
        check(go.chain(go.clip_global_norm(1.0), Adam()), of_sizes(dtype, 2))
        traced = trace(Adam(), is_complex(named(dtype)))
        written = table_source(traced.update, ("m", "v"), named(dtype), named(dtype))
        assert ("st.global.cs" in written.preamble) == values.get("STREAMING_STORES", False)
        launch: Any = import_module("gpuopt.codegen.cuda.compile").compile_launch(written)
        assert getattr(launch, "keywords", {}) == ({"block_size": 256} if "BLOCK" in values else {})


@every_dtype
def test_arrays_that_begin_anywhere(dtype: str) -> None:
    """Parameters, gradients or both off a multiple of 16 bytes; complex numbers even off their own size."""
    halves = [(n, m) for n in (0, 8) for m in (0, 8)] if dtype == "complex128" else [(0, 0)]
    where = [(a, b, n, m) for a in OFFSETS for b in OFFSETS for n, m in halves]

    def make(rng: np.random.Generator) -> tuple[Arrays, list[Arrays]]:
        params = [placed(sample(rng, (4099,), dtype), a, nbytes=n) for a, _, n, _ in where]
        return params, [[placed(sample(rng, (4099,), dtype), b, nbytes=m) for _, b, _, m in where] for _ in range(2)]

    check(Momentum(), make)


def test_gradients_that_are_the_parameters() -> None:
    found = []
    for place in (list, on_device):
        rng = np.random.default_rng(1)
        params = place([sample(rng, (n,), "float32") for n in SIZES])
        opt = Adam(lr=0.1).init(params)
        opt.step(params)
        opt.step(params)
        found.append(np.concatenate([bits(p) for p in params]))
    one, other = found
    assert np.array_equal(one, other)


@pytest.mark.parametrize("dtype", ["float16", "float64", "complex64"])  # eight texts each, whose indexing is the same
def test_layouts(dtype: str) -> None:
    """Fortran order and permuted axes are flat runs; gaps, other orders of axes and broadcast gradients are not."""
    shape = (6, 10, 9)
    layouts: list[Callable[[Any], Any]] = [
        lambda a: a.copy(),
        lambda a: placed(a, 1, "F"),
        lambda a: np.ascontiguousarray(a.transpose(1, 2, 0)).transpose(2, 0, 1),
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        lambda a: a.copy()[:, ::-1],
    ]
    spread: list[Callable[[Any], Any]] = [
        *layouts,
        lambda a: np.broadcast_to(a[:1], shape),
        lambda a: np.broadcast_to(a[0, 0, 0], shape),
    ]
    pairs = [(p, g) for p in layouts for g in spread]

    def make(rng: np.random.Generator) -> tuple[Arrays, list[Arrays]]:
        params = [p(sample(rng, shape, dtype)) for p, _ in pairs]
        return params, [[g(sample(rng, shape, dtype)) for _, g in pairs] for _ in range(2)]

    check(Adam(), make)


@pytest.mark.parametrize("dtype", ["float16", "complex128"])
def test_arrays_for_hyperparameters(dtype: str) -> None:
    """Flat ones of several dtypes, unaligned, in Fortran order; broadcast ones; and arrays that have a number."""
    shape, rng = (37, 130), np.random.default_rng(3)
    rate = rng.uniform(0, 0.1, shape)
    rates = [
        *(placed(rate.astype(kind), offset) for kind in ("float16", "float32", "float64") for offset in (0, 1)),
        *(rate > 0.05, (10 * rate).astype(np.int8), rate[0].astype("float32"), rate[:, :1], None, np.asfortranarray(rate)),
        *(np.asfortranarray(rate.astype("float32")), rate.astype("float32")),
    ]
    small = [rate.astype("float32") if number % 2 else None for number in range(len(rates))]

    def make(rng: np.random.Generator) -> tuple[Arrays, list[Arrays]]:
        params = [sample(rng, shape, dtype) for _ in rates]
        params[-2], params[-3] = np.asfortranarray(params[-2]), np.asfortranarray(params[-3])
        return params, [
            [np.require(sample(rng, shape, dtype), requirements="F" if p.flags.fnc else "C") for p in params] for _ in range(3)
        ]

    check(Adam(), make, {"lr": rates, "eps": small}, ("numpy", "table", "one by one"))


@pytest.mark.parametrize("p", REAL)
def test_gradients_of_several_dtypes_in_one_tree(p: str) -> None:
    def make(rng: np.random.Generator) -> tuple[Arrays, list[Arrays]]:
        kinds = [REAL[number % len(REAL)] for number in range(17)]
        params = [placed(sample(rng, (1003,), p), number % 2) for number in range(17)]
        steps = [[placed(sample(rng, (1003,), kind), number // 6) for number, kind in enumerate(kinds)] for _ in range(3)]
        return params, [steps[0], steps[1][::-1], steps[2]]

    check(Momentum(), make)


@pytest.mark.parametrize(
    ("p", "g"), [(p, g) for p in REAL for g in REAL if p != g and (named(p).itemsize == named(g).itemsize)]
)
def test_gradients_of_another_dtype_of_the_same_width(p: str, g: str) -> None:
    """Nothing but the dtype tells them apart."""
    check(Momentum(), lambda rng: ([sample(rng, (n,), p) for n in SIZES], [[sample(rng, (n,), g) for n in SIZES]]))


def test_parameters_of_several_dtypes_in_one_tree() -> None:
    def make(rng: np.random.Generator) -> tuple[Arrays, list[Arrays]]:
        kinds = DTYPES * 3
        return [sample(rng, (77,), kind) for kind in kinds], [[sample(rng, (77,), kind) for kind in kinds] for _ in range(2)]

    check(Adam(), make)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_random_numbers_follow_the_indices_in_any_layout(dtype: str) -> None:
    """And the place of an array in the tree, which is not that among those of its dtype."""

    def make(rng: np.random.Generator) -> tuple[Arrays, list[Arrays]]:
        shapes = [(5,), (4099,), (70, 60), (70, 60), (3, 50, 40), (), (0,), (1,)]
        dtypes = ["complex64", *[dtype] * 7]

        def arrays() -> Arrays:
            return [np.asarray(sample(rng, shape, kind)) for shape, kind in zip(shapes, dtypes, strict=True)]

        params, *steps = [arrays() for _ in range(4)]
        params[3], params[4] = placed(params[3], 1, "F"), placed(params[4], 0, "F")
        steps[1][3], steps[2][1] = placed(steps[1][3], 1, "F"), placed(steps[2][1], 3)
        steps[1][2] = None
        return params, steps

    check(go.chain(go.gradient_noise(0.1, seed=5), Adam()), make)


@examples(25)
@given(data=st.data())
def test_any_shapes_offsets_and_layouts(data: Any) -> None:
    dtype = data.draw(st.sampled_from(["float16", "float32", "complex64", "float64"]))
    shapes = data.draw(st.lists(st.lists(st.integers(0, 40), max_size=3).map(tuple), min_size=1, max_size=8))
    layout = st.tuples(st.integers(0, 9), st.sampled_from("CCCF"), st.sampled_from([1, 1, 1, 2]))
    of_params, of_gradients = ([[data.draw(layout) for _ in shapes] for _ in range(n)] for n in (1, 2))
    missing = data.draw(st.sets(st.integers(0, len(shapes) - 1), max_size=len(shapes) - 1))

    def laid(rng: np.random.Generator, shape: tuple[int, ...], offset: int, order: str, step: int) -> Any:
        values = np.asarray(sample(rng, shape, dtype))
        return placed(values, offset, order) if step == 1 or not shape else np.repeat(values, step, axis=-1)[..., ::step]

    def make(rng: np.random.Generator) -> tuple[Arrays, list[Arrays]]:
        (params, first, second) = (
            [laid(rng, shape, *how) for shape, how in zip(shapes, found, strict=True)] for found in (*of_params, *of_gradients)
        )
        return params, [[None if number in missing else g for number, g in enumerate(first)], second]

    check(Adam(), make)


@pytest.fixture
def room(gpu_is_emulated: bool) -> Iterator[None]:
    """A device with memory for all that a test takes, which is less than 36 GiB."""
    import cupy

    from tests.support.emulated_gpu import memory, settings

    size = 36 << 30
    if settings.CHECK if gpu_is_emulated else cupy.cuda.Device().mem_info[0] < size:
        pytest.skip("it takes too much memory")
    with memory.limited_to(size):
        yield
    cupy.get_default_memory_pool().free_all_blocks()


@pytest.mark.usefixtures("room")
@pytest.mark.parametrize("dtype", ["float16", "complex64"])
def test_an_array_of_more_than_two_to_the_31_elements(dtype: str) -> None:
    """Of memory that nobody touches but for its last chunks, which are the only ones that run."""
    import cupy

    size, last, kind = 2**31 + 5, 3, named(dtype)
    p, g = (cupy.empty(size, kind) for _ in range(2))
    chunk = update_chunk(kind)
    end = (size - 1) // chunk * chunk - (last - 1) * chunk  # where the last chunks begin
    rng = np.random.default_rng(0)
    before, gradient = (sample(rng, (size - end + 1000,), dtype) for _ in range(2))
    p[end - 1000 :].set(before)
    g[end - 1000 :].set(gradient)
    start = bits(p[: 2 * chunk])
    traced, rule = trace(GradientDescent(lr=0.5), is_complex(p.dtype)).update, GradientDescent(lr=0.5)
    launch = import_module("gpuopt.codegen.cuda.compile").compile_launch(table_source(traced, (), p.dtype, g.dtype))
    held: dict[Any, int] = {
        "size": size,
        PARAM: p.data.ptr,
        "chunk": -(end // chunk),
    }  # as if the first chunks had been launched before
    row = np.array([held.get(name, 0) for name in columns((), ())])
    tables = map(cupy.asarray, (np.zeros(last, np.int32), row, np.array([g.data.ptr])))
    launch(*tables, *compile_host(traced.scalars)(1, rule.hyper(0)), size=last * LANES)
    assert np.array_equal(bits(p[end - 1000 : end]), bits(before[:1000]))
    wanted = before[1000:].copy()
    twin = rule.init(wanted)
    twin.step(gradient[1000:])
    assert np.array_equal(bits(p[end:]), bits(wanted))
    assert np.array_equal(bits(p[: 2 * chunk]), start)
