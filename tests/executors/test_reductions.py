"""Reductions: the order they add in, how exact they are, what NaN does, and sums over trees of unlike arrays."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays.backend import array_module
from gpuopt.executors.cpu.tiles import TileExecutor
from tests.support.variants import bits, sample

AROUND_LANES = [*range(4), *range(254, 259), 511, 512, 513, 1000]
AROUND_CHUNKS = [k * 16_384 + d for k in (1, 2, 5) for d in (-1, 0, 1)] + [16_384 + 256, 16_384 * 3 + 300]
AROUND_LEVELS = [16_384 * 64 - 1, 16_384 * 64, 16_384 * 64 + 300]


class off_by(go.Rule):
    """The sum of the gradient less `c`, in float64: 0 where the sum has just these bits."""

    lr: go.NonNegative = 0.0
    c: go.Hyper = 0.0

    def update(self, t: Any, p: Any, g: Any) -> Any:
        return 0.0 * p + (np.sum(g) - self.c)


def folded(x: Any) -> float:
    """The sum by the words of `gpuopt.executors.fold`, row by row."""
    lanes, rows_of_chunk = 256, 64
    values = np.asarray(x).reshape(-1)
    while True:
        padded = np.zeros(max(1, -(-values.size // lanes)) * lanes, values.dtype)
        padded[: values.size] = values
        rows, sums = padded.reshape(-1, lanes), []
        for first in range(0, len(rows), rows_of_chunk):
            total = rows[first]
            for row in rows[first + 1 : first + rows_of_chunk]:
                total = total + row
            sums.append(total)
        values = np.concatenate(sums)
        if len(sums) == 1:
            break
    whole = 0.0
    for value in values:
        whole += float(value)
    return whole


def given(formula: Any, gradients: Any, params: Any = None) -> Any:
    """The parameters, 0 before, after one step of a rule with that formula of the gradient: ``p + formula(g)``."""

    class Made(go.Rule):
        def update(self, t: Any, p: Any, g: Any) -> Any:
            return p + formula(g)

    many = isinstance(gradients, list)
    every = gradients if many else [gradients]
    given = [array_module(g).zeros(g.shape, g.dtype) for g in every] if params is None else params
    opt = Made().init(given)
    opt.step(every)
    return opt.params if many else opt.params[0]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("size", [*AROUND_LANES[1:], *AROUND_CHUNKS])
def test_order_of_the_sum(size: int, dtype: str, executor: str, xp: Any, rng: np.random.Generator) -> None:
    g = sample(rng, (size,), dtype)
    exact = folded(g.astype(np.promote_types(dtype, "float32")))
    opt = off_by(c=exact).init(xp.zeros(size, dtype))
    opt.step(xp.asarray(g))
    assert float(opt.params[0]) == 0.0
    assert exact == pytest.approx(float(g.astype("float64").sum()), abs=1e-5 * float(np.abs(g.astype("float64")).sum()))


@pytest.mark.parametrize("size", AROUND_LEVELS)
def test_order_of_the_sum_of_large_arrays(size: int, executor: str, xp: Any, rng: np.random.Generator) -> None:
    """The chunks of a million elements are folded once more."""
    g = rng.normal(size=size).astype("float32")
    opt = off_by(c=folded(g)).init(xp.zeros(size, "float32"))
    opt.step(xp.asarray(g))
    assert float(opt.params[0]) == 0.0


def test_order_of_the_sum_over_arrays(executor: str, xp: Any, rng: np.random.Generator) -> None:
    """One after another, in the order of the tree."""
    values = rng.normal(size=50).tolist()
    whole = 0.0
    for value in values:
        whole += value
    assert float(given(go.tree_sum, [xp.full(1, value) for value in values])[0][0]) == whole


def test_small_arrays_have_sums_of_their_own(executor: str, xp: Any, rng: np.random.Generator) -> None:
    """Those that are packed, some of them of one size."""
    grads = [rng.normal(size=size) for size in (300, 300, 7, 7, 7, 300)]
    sums = given(np.sum, [xp.asarray(g) for g in grads])
    assert [float(p[0]) for p in sums] == [folded(g) for g in grads]


def test_order_of_the_sum_in_tiles_that_end_within_a_chunk(
    tile_group: type[TileExecutor], monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """An array with gaps is cut along its axes."""
    monkeypatch.setattr(tile_group, "folded", 1)
    g = rng.normal(size=(100, 1_400))[:, ::2]
    assert float(given(np.sum, g)[0, 0]) == folded(g)


def test_a_sum_of_negative_zeros_is_zero(executor: str, xp: Any) -> None:
    """As it is of 0.0 and what is added to it, whatever the size."""
    assert float(given(lambda x: 1.0 / np.sum(x), xp.full(300, -0.0))[0]) == np.inf


def test_accuracy(executor: str, xp: Any, rng: np.random.Generator) -> None:
    """Ten million float32 of one sign: within 3 parts in 10⁷ of the float64 sum, where adding one by one loses 1 %."""
    g = rng.uniform(0.5, 1.5, 10_000_000).astype("float32")
    exact = float(g.sum(dtype="float64"))
    opt = off_by(c=exact).init(xp.zeros(g.size, "float32"))
    opt.step(xp.asarray(g))
    assert abs(float(opt.params[0])) < 3e-7 * exact


@pytest.mark.parametrize("size", AROUND_LANES)
@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "all", "any", "linalg.norm"])
def test_what_numpy_gives(name: str, size: int, rng: np.random.Generator) -> None:
    """Each function, in place of which the method of an array may be written, of real values."""
    outer: Any = np.linalg.norm if name == "linalg.norm" else getattr(np, name)
    for g in [rng.normal(size=size), -np.abs(rng.normal(size=size)), np.zeros(size), np.ones(size)]:
        if not size:
            assert given(outer, g).shape == (0,)
            continue
        wanted = float(outer(g))
        assert given(lambda x: np.where(outer(x), 1.0, 0.0) if name in ("all", "any") else outer(x), g) == pytest.approx(wanted)
        if name != "linalg.norm":
            assert given(lambda x: np.where(getattr(x, name)(), 2.0, 1.0), g) == pytest.approx(2.0 if wanted else 1.0)


def test_of_complex_arrays(rng: np.random.Generator) -> None:
    g = rng.normal(size=300) + 1j * rng.normal(size=300)
    assert given(np.sum, g) == pytest.approx(g.sum())
    assert given(np.mean, g) == pytest.approx(g.mean())
    assert given(np.linalg.norm, g) == pytest.approx(np.linalg.norm(g))
    assert given(go.tree_norm, [g, g])[0] == pytest.approx(np.sqrt(2) * np.linalg.norm(g))
    with pytest.raises(go.TraceError, match=r"complex numbers have no largest one: take the maximum of np.abs\(x\)"):
        given(np.max, g)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 255, 256, 16_384, 40_000])
def test_what_is_not_finite_propagates(bad: float, place: int, executor: str, xp: Any) -> None:
    """Wherever it stands, and past finite values after it."""
    g = xp.ones(40_001, "float32")
    g[place] = bad
    for formula, wanted in [
        (np.sum, bad),
        (go.tree_sum, bad),
        (np.linalg.norm, abs(bad)),
        (np.max, 1.0 if bad < 0 else bad),
        (go.tree_max, 1.0 if bad < 0 else bad),
        (np.min, 1.0 if bad > 1 else bad),
    ]:
        found = given(formula, [g, xp.ones(3, "float32")], [xp.zeros(40_001, "float32"), xp.zeros(3, "float32")])
        assert np.array_equal(float(found[0][0]), wanted, equal_nan=True), formula
    assert np.isnan(float(given(np.sum, [xp.asarray([np.inf, -np.inf])], [xp.zeros(2)])[0][0]))
    with np.errstate(all="raise"):
        apart = [xp.full(2, np.inf), xp.full(2, -np.inf)]
        assert np.isnan(float(given(go.tree_sum, apart, [xp.zeros(2), xp.zeros(2)])[0][0]))


def test_twice_the_same_bits(tile_group: type[TileExecutor], monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """On threads, whose turns differ from run to run."""
    monkeypatch.setattr(tile_group, "threaded", 0)
    monkeypatch.setattr(tile_group, "folded", 16_384)
    g = rng.normal(size=500_000).astype("float32")
    found = {bits(given(np.sum, g)[:1]).tobytes() for _ in range(10)}
    assert len(found) == 1


def test_over_arrays_of_several_dtypes(rng: np.random.Generator) -> None:
    """In float64, in the order of the tree, each array folded in its own dtype; every array sees the same number."""
    g = [sample(rng, (n,), dtype) for n, dtype in [(300, "float32"), (20_000, "float64"), (7, "float16"), (0, "float32")]]
    parts = [folded(x.astype(np.promote_types(x.dtype, "float32"))) for x in g]
    total = 0.0
    for part in parts:
        total += part
    found = given(go.tree_sum, g)
    for p in found[:3]:
        assert p[0] == np.asarray(total).astype(np.promote_types(p.dtype, "float32")).astype(p.dtype)
    assert given(go.tree_mean, g)[1][0] == total / 20_307
    assert given(go.tree_max, g)[1][0] == max(float(x.max()) for x in g if x.size)
    square = sum(float((x.astype("float64") ** 2).sum()) for x in g)
    assert given(go.tree_norm, g)[1][0] == pytest.approx(np.sqrt(square), rel=1e-6)


def test_arrays_without_a_gradient_are_not_among_them() -> None:
    """Neither their elements nor their number."""
    p = [np.zeros(2), np.zeros(3), np.zeros(5, "float32")]
    given(go.tree_mean, [np.full(2, 4.0), None, np.full(5, 1.0, "float32")], p)
    assert [float(x[0]) for x in p] == [pytest.approx(13 / 7), 0.0, pytest.approx(13 / 7)]
    p = [np.zeros(2), np.zeros(3), np.zeros(5)]
    given(go.tree_max, [np.full(2, -3.0), None, np.full(5, -2.0)], p)
    assert [float(x[0]) for x in p] == [-2.0, 0.0, -2.0]


def scaled_by_both(g: Any) -> Any:
    """A formula with a sum of the array, which is two numbers of a complex one, before one of the tree."""
    return g * 0 + np.abs(np.sum(g)) + 1000.0 * go.tree_norm(g)


def test_real_and_complex_arrays_in_one_tree() -> None:
    """The sums of the tree are of the same value in each array, however many parts what comes before has."""
    real, other = np.array([3.0, 0.0]), np.array([0.0, 4.0j])
    assert given(go.tree_norm, [real, other])[0][0] == pytest.approx(5.0)
    found = given(scaled_by_both, [real, other])
    assert [complex(x[0]) for x in found] == [pytest.approx(5003.0), pytest.approx(5004.0)]


def test_equal_sums_of_real_arrays_that_differ_for_complex_ones() -> None:
    """What is one sum for a real array may be two for a complex one."""

    def formula(g: Any) -> Any:
        return g * 0 + go.tree_sum(g.real * g.real) + 10.0 * go.tree_sum(go.abs2(g)) + 100.0 * go.tree_sum(np.abs(g))

    found = given(formula, [np.array([2.0]), np.array([3.0j])])
    assert [complex(x[0]) for x in found] == [pytest.approx(4.0 + 130.0 + 500.0)] * 2


@pytest.mark.parametrize("before", [go.centralize(), go.clip_norm(2.0), go.scale(1.0)], ids=repr)
def test_real_and_complex_arrays_share_a_norm_and_a_verdict(before: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever piece with a sum of its own stands before."""
    monkeypatch.setenv("GPUOPT_CPU", "numpy")
    rule = go.chain(before, go.clip_global_norm(1.0, 0.0), go.skip_nonfinite(), go.SGD(1.0))
    opt = rule.init([np.zeros(2), np.zeros(2, complex)])
    opt.step([np.array([3.0, -3.0]), np.array([4.0j, -4.0j])])
    assert np.linalg.norm(np.concatenate(opt.params)) == pytest.approx(1.0)
    opt.step([np.array([3.0, -3.0]), np.array([4.0j, np.nan])])
    assert opt.counts == [1, 1]


def test_one_phase_after_another(executor: str, xp: Any) -> None:
    """A norm of what a norm has changed, of each array and of all."""
    rule = go.chain(go.clip_norm(5.0, 0.0), go.centralize(), go.clip_global_norm(1.0, 0.0), go.clip_norm(0.5, 0.0), go.SGD(1.0))
    g = [np.array([30.0, 40.0]), np.array([1.0, 3.0]), np.array([2.0])]
    opt = rule.init([xp.zeros(len(x)) for x in g])
    opt.step([xp.asarray(x) for x in g])
    g = [x * min(1.0, 5.0 / np.linalg.norm(x)) for x in g]
    g = [x - x.mean() for x in g]
    g = [x / np.linalg.norm(np.concatenate(g)) for x in g]
    g = [x * min(1.0, 0.5 / max(float(np.linalg.norm(x)), 1e-300)) for x in g]
    for p, x in zip(opt.params, g, strict=True):
        assert [float(value) for value in p] == pytest.approx([-value for value in x], abs=1e-15)


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        (lambda g: np.sum(g, axis=0), "np.sum"),
        (np.cumsum, "np.cumsum is not elementwise"),
        (np.add.reduce, "np.add.reduce is not elementwise"),
        (lambda g: np.linalg.norm(g, 1), "np.linalg.norm"),
        (lambda g: np.sum(np.sum(g)), "sum of a number: a reduction is of array values"),
        (lambda g: go.tree_mean(2.0 * np.sum(g)), "sum of a number"),
        (lambda g: g * (2.0 if np.sum(g) > 0 else 1.0), "a rule may branch on hyperparameters"),
        (np.std, "np.std is not elementwise"),
    ],
)
def test_refused(formula: Any, words: str) -> None:
    with pytest.raises(go.TraceError, match=words):
        given(formula, np.ones(3))


def test_outside_a_trace_they_are_numpys() -> None:
    """So that an update can be tried on plain arrays."""
    x = np.array([3.0, -4.0])
    assert (go.tree_sum(x), go.tree_mean(x), go.tree_max(x), go.tree_norm(x)) == (-1.0, -0.5, 3.0, 5.0)
    clipped = cast("Any", go.clip_global_norm(1.0, 0.0)).update(1, x, x)
    assert clipped.tolist() == pytest.approx([0.6, -0.8])
