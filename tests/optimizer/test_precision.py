"""Master copies, stochastic rounding and state of 16 bits: every rule on every executor, beside float32 runs and loops."""

from __future__ import annotations

import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays.dtypes import named
from gpuopt.arrays.precision import Precision
from gpuopt.arrays.random import ROUNDING
from gpuopt.codegen.cuda.elementwise import kernel_source
from gpuopt.executors.cpu import tiles
from gpuopt.executors.cpu.tiles import TileExecutor
from gpuopt.tracing.trace import trace
from tests.support.cuda import machine, nvrtc
from tests.support.executors import only, running_on
from tests.support.flushing import flushed
from tests.support.layouts import LAYOUTS, placed
from tests.support.reference import LOOPS
from tests.support.refusals import INF, refused, table
from tests.support.variants import TOLERANCE, bits, on_host, sample, sees_the_tree

pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
BF16 = named("bfloat16")
MASTER: dict[str, Any] = {"master": True}
STOCHASTIC: dict[str, Any] = {"stochastic_rounding": True, "seed": 2**32 - 5}
STATE: dict[str, Any] = {"state_dtype": "bfloat16", "seed": 2**32 - 5}
CASES = {
    "float16": ("float16", MASTER),
    "bfloat16": ("bfloat16", MASTER),
    "stochastic": ("bfloat16", STOCHASTIC),
    "state": ("float32", STATE),
}
CHAINS = {
    "norm": go.chain(
        *(go.clip_global_norm(1.0), go.gradient_noise(0.1, seed=STOCHASTIC["seed"]), go.weight_decay(0.1), go.Adam(0.1)),
        *(go.bounds(-1.0, 1.0), go.average(0.9)),
    ),
    "skip": go.chain(go.skip_nonfinite(), go.Momentum(0.1), go.decoupled_weight_decay(0.1), go.lookahead(2)),
    "accumulate": go.chain(go.accumulate(2), go.centralize(), go.GradientDescent(0.1), go.average()),
}
FEW = {name: case for name, case in CASES.items() if name != "bfloat16"}
"""Without one that differs from another in nothing but the width of a number."""
every_case = pytest.mark.parametrize(("dtype", "options"), FEW.values(), ids=FEW)


def mixed(z: int) -> int:
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


def random_bits(size: int, seed: int, t: int, array: int, stream: int = 0) -> list[int]:
    """16 of the 64 bits of SplitMix64 for each element: the first for the parameter, others for the first states, and so on."""
    golden, start = 0x9E3779B97F4A7C15, seed + (t << 32)
    for number in (0, array, 2 + stream // 4):
        start = mixed((start + (number + 1) * golden) % 2**64)
    return [mixed((start + (index + 1) * golden) % 2**64) >> (48 - 16 * (stream % 4)) & 0xFFFF for index in range(size)]


def rounded(x: Any, seed: int, t: int, array: int, stream: int = 0) -> Any:
    """float32 to bfloat16 in whole numbers: away from zero if the random bits and those to be cut make a carry."""
    out, values = np.empty(x.shape, np.uint16), x.astype(np.float32).reshape(-1).view(np.uint32).tolist()
    for index, (value, random) in enumerate(zip(values, random_bits(x.size, seed, t, array, stream), strict=True)):
        sign, size = value >> 31, value & 0x7FFFFFFF
        up = (size & 0xFFFF) + random >= 0x10000
        out.reshape(-1)[index] = 0x7FC0 if size > 0x7F800000 else sign << 15 | (size >> 16) + up
    return out.view(BF16)


def grown(dtype: str, options: dict[str, Any], rule: Any, params: list[Any], gradients: list[Any]) -> tuple[Any, Any]:
    """What NumPy's run of float32 arrays makes of it: parameters and state of 16 bits by way of that, and its optimizer."""
    wide = [p.astype(np.float32) for p in params]
    with running_on("numpy"):
        opt, small = rule.init(wide), [p.copy() for p in params]
    short = short_states(rule, params, options)
    for g in gradients:
        before = opt.counts
        opt.step([None if x is None else x.astype(np.float32) for x in g])
        for n, (p, q) in enumerate(zip(small, wide, strict=True)):
            if opt.counts[n] > before[n]:
                at_random = "stochastic_rounding" in options
                p[...] = rounded(q, options["seed"], opt.counts[n], n) if at_random else q.astype(p.dtype)
            if "stochastic_rounding" in options:
                q[...] = p
        for (name, n), stream in short.items():  # what has no gradient, or waits, is what 16 bits hold, and stays
            x = opt.state[name][n]
            x[...] = rounded(x, options["seed"], opt.counts[n], n, stream)
    return small, opt


def short_states(rule: Any, params: list[Any], options: dict[str, Any]) -> dict[tuple[str, int], int]:
    """The states of 16 bits, by name and array, each with the number of its random bits: it counts an array's states."""
    found: dict[tuple[str, int], int] = {}
    with running_on("numpy"):
        opt = rule.init([p.copy() for p in params], **options)
    for n in range(len(params)):
        own = [name for name in opt.state if name not in opt._steps.scalar_states and opt.state[name][n] is not None]
        found |= {(name, n): stream for stream, name in enumerate(own, start=1) if opt.state[name][n].dtype == BF16}
    return found


def check(dtype: str, options: dict[str, Any], rule: Any, params: list[Any], gradients: list[Any], xp: Any) -> Any:
    """Parameters, copies, state and counts have the bits of `grown`."""
    small, wide = grown(dtype, options, rule, params, gradients)
    opt = rule.init([xp.array(p) for p in params], **options)
    for g in gradients:
        opt.step([None if x is None else xp.asarray(x) for x in g])
    assert (opt.t, opt.counts) == (wide.t, wide.counts)
    for p, wanted in zip(opt.params, small, strict=True):
        assert p.dtype == named(dtype)
        assert np.array_equal(bits(p), bits(wanted))
    numbers = opt._steps.scalar_states
    expected = wide.state | ({"master": wide.params} if "master" in options else {})
    short = short_states(rule, params, options)
    assert opt.state.keys() == expected.keys()
    for name, tree in expected.items():
        for n, (array, value) in enumerate(zip(opt.state[name], tree, strict=True)):
            if value is None:
                assert array is None
                continue
            assert array.dtype == (np.float64 if name in numbers else BF16 if (name, n) in short else np.float32)
            assert np.array_equal(bits(array), bits(value.astype(array.dtype))), name
    return opt


@pytest.mark.every("rule", "executor", case=tuple(CASES), executor=("numpy", "cupy"))
def test_every_rule_is_a_float32_run_that_is_rounded(rule: Any, executor: str, xp: Any, case: str, rng: Any) -> None:
    """And a master copy follows the plain loop in float64 as closely as a float32 parameter does."""
    (dtype, options), shapes = CASES[case], [(6, 5), (7,), (), (0,)]
    params = [sample(rng, shape, dtype) for shape in shapes]
    gradients: list[list[Any]] = [[sample(rng, shape, dtype, 10.0 ** -(k % 3)) for shape in shapes] for k in range(4)]
    gradients[1][1] = None
    opt = check(dtype, options, rule, params, gradients, xp)
    if options is MASTER and not sees_the_tree(rule):
        exact, _ = LOOPS[type(rule).__name__](rule, params[0], [g[0] for g in gradients])
        assert np.all(abs(on_host(opt.state["master"][0]) - exact) <= TOLERANCE["float32"] * (1 + abs(exact)))


@pytest.mark.every("executor", chain=tuple(CHAINS), case=tuple(CASES))
def test_chains(chain: str, case: str, executor: str, xp: Any, rng: Any) -> None:
    """Pieces see what a run of float32 arrays sees, and their own random numbers are others."""
    rule, (dtype, options), shapes = CHAINS[chain], CASES[case], [(9, 5), (3,), ()]
    params = [sample(rng, shape, dtype) for shape in shapes]
    gradients: list[list[Any]] = [[sample(rng, shape, dtype, 0.3) for shape in shapes] for _ in range(5)]
    gradients[2][1], gradients[3][0][2, 3] = None, np.nan if hasattr(rule.pieces[0], "accept") else 1.0
    opt = check(dtype, options, rule, params, gradients, xp)
    assert opt.t == 5 - hasattr(rule.pieces[0], "accept")
    kept = next(name for name in opt.state if "average" in name or "lookahead" in name)
    for array, value in zip(opt.evaluation(), opt.state[kept], strict=True):
        assert np.array_equal(bits(array), bits(on_host(value).astype(dtype)))


@only("numpy", "cupy")
def test_parameters_and_state_of_16_bits(executor: str, xp: Any, rng: Any) -> None:
    """Together, behind a gate, with pieces; also where a device counts the steps."""
    rule = go.chain(go.accumulate(2), go.gradient_noise(0.1), go.Adam(0.1))
    params = [sample(rng, (6, 5), "bfloat16") for _ in range(2)]
    gradients: list[list[Any]] = [[sample(rng, (6, 5), "bfloat16") for _ in params] for _ in range(5)]
    gradients[1][1] = None
    check("bfloat16", {**STOCHASTIC, **STATE, "capturable": True}, rule, params, gradients, xp)
    if executor == "numpy":
        check("bfloat16", {**MASTER, **STATE}, rule, params, gradients, xp)


@every_case
def test_groups_of_arrays(dtype: str, options: Any, executor: str, xp: Any, rng: Any) -> None:
    """Several rules, one of which is given another learning rate on the way; and arrays that were not updated equally often."""
    params = [sample(rng, (5,), dtype) for _ in range(4)]
    gradients: list[list[Any]] = [[sample(rng, (5,), dtype) for _ in params] for _ in range(3)]
    gradients[1][1] = None
    rule = go.partition({"[13]": go.Momentum(0.1), "*": go.chain(go.Adam(go.schedules.Step(0.1, 2)), go.lookahead(2))})
    check(dtype, options, rule, params, gradients, xp)
    one, two = (go.SGD(lr).init(xp.array(params[0]), **options) for lr in (1.0, 0.1))
    two.rule = two.rule.replace({"lr": 1.0})
    for opt in (one, two):
        opt.step(xp.asarray(gradients[0][0]))
    assert np.array_equal(bits(one.params), bits(two.params))


SPECIAL = [0x00000000, 0x80000000, 0x7F800000, 0xFF800000, 0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF, 0x7F7FFFFF, 0xFF7FFFFF]
SPECIAL += [0x00000001, 0x80000001, 0x0000FFFF, 0x007FFFFF, 0x7F7F0000, 0x7F7F0001, 0x3F800000, 0x3F808000, 0xBF807FFF]


def test_special_values(executor: str, xp: Any) -> None:
    """Infinities and NaN stay, no finite number becomes NaN, and what a bfloat16 holds never changes but to be flushed."""
    every, flush = np.arange(65536, dtype=np.uint16).view(BF16), flushed if executor == "cupy" else np.copy
    opt = go.GradientDescent(1.0).init(xp.array(every), **STOCHASTIC)
    for _ in range(3):
        opt.step(xp.zeros(every.shape, np.float32))
    with np.errstate(invalid="ignore"):  # signalling NaNs are among them
        assert np.array_equal(bits(opt.params), bits(flush(every.astype(np.float32)).astype(BF16)))
    x = np.tile(np.array(SPECIAL, np.uint32).view(np.float32), 40)
    opt = go.GradientDescent(1.0).init(xp.zeros(x.shape, BF16), **STOCHASTIC)
    opt.step(xp.asarray(-x))  # 0 - (-x)
    x, p = flush(x), on_host(opt.params)
    assert np.array_equal(bits(p), bits(rounded(np.where(x == 0, 0, x), STOCHASTIC["seed"], 1, 0)))
    assert np.array_equal(np.isnan(p.astype(np.float32)), np.isnan(x))
    largest = p[np.abs(x) == np.finfo(np.float32).max].astype(np.float32)
    assert np.isinf(largest).any()  # which bfloat16 has no room for


def test_all_16_bits_count(executor: str, xp: Any) -> None:
    """A number that just makes a carry is rounded up, and the one below it down."""
    n, unit = 3_000, np.float32(2.0**-7)
    random = np.array(random_bits(n, 5, 1, 0))
    for more in (0, 1):
        x = (0x3F800000 + np.minimum(0xFFFF - random + more, 0xFFFF)).astype(np.uint32).view(np.float32)
        p = xp.zeros(n, BF16)
        go.GradientDescent(1.0).init(p, stochastic_rounding=True, seed=5).step(xp.asarray(-x))
        assert np.array_equal(on_host(p).astype(np.float32), np.where((more == 1) & (random > 0), 1 + unit, 1))


def test_small_updates_count_on_average() -> None:
    """A weight of 1.0 and 2,000 updates of -1e-4, of which nearest rounding keeps nothing; a master copy keeps all."""
    g, found = np.full(4096, 1e-4, np.float32), {}
    for name, options in {"nearest": {}, "master": MASTER, "stochastic": STOCHASTIC}.items():
        opt = go.GradientDescent(1.0).init(np.ones(4096, BF16), **options)
        for _ in range(2000):
            opt.step(g)
        found[name] = opt.params.astype(np.float64)
    assert (found["nearest"] == 1.0).all()
    assert (found["master"] == float(np.float32(0.8).astype(BF16))).all()
    unit = 2.0**-8
    share = 1e-4 / unit
    spread = unit * np.sqrt(2000 * share * (1 - share))  # a step down of a whole unit, or none
    assert abs(found["stochastic"].mean() - 0.8) < 4 * spread / np.sqrt(4096)
    assert abs(found["stochastic"].std() / spread - 1) < 0.05


def test_it_rounds_up_as_often_as_the_fraction_that_is_cut() -> None:
    """Also for both signs; and neither steps, arrays, neighbours nor seeds go together."""
    n = 20_000
    for cut in (1, 257, 0x4000, 0x8000, 0xC000, 0xFFFF):
        for sign in (0, 0x80000000):
            x = np.full(n, 0x3F800000 + cut + sign, np.uint32).view(np.float32)
            p = np.zeros(n, BF16)
            go.GradientDescent(1.0).init(p, stochastic_rounding=True, seed=cut).step(-x)
            share = cut / 65536
            found = (np.abs(p.astype(np.float64)) > 1).mean()
            assert abs(found - share) <= 4 * np.sqrt(share * (1 - share) / n), (cut, sign)
    half = np.full(n, -(1 + 2.0**-8), np.float32)
    runs = []
    for seed in (0, 1):
        params = [np.zeros(n, BF16), np.zeros(n, BF16)]
        opt = go.GradientDescent(1.0).init(params, stochastic_rounding=True, seed=seed)
        for _ in range(2):
            for p in params:
                p[...] = 0
            opt.step([half, half])
            runs += [p.astype(np.float64) > 1 for p in params]
    runs.append(np.roll(runs[0], 1))
    correlation = np.corrcoef(runs) - np.eye(len(runs))
    assert np.abs(correlation).max() < 4.5 / np.sqrt(n)


class Five(go.Rule):
    """A rule with five states that are all the gradient."""

    def update(self, t: Any, p: Any, g: Any, a: Any = 0.0, b: Any = 0.0, c: Any = 0.0, d: Any = 0.0, e: Any = 0.0) -> Any:
        return p - g, g, g, g, g, g


def test_states_are_rounded_apart() -> None:
    """From the parameter, from one another, and from what the same bits do in the next step."""
    n = 20_000
    p, runs = np.zeros(n, BF16), list[Any]()
    opt = Five().init(p, **STOCHASTIC, state_dtype="bfloat16")
    for _ in range(2):
        p[...] = 0
        opt.step(np.full(n, -(1 + 2.0**-8), np.float32))
        runs += [abs(x.astype(float)) > 1 for x in (p, *opt.state.values())]
    assert len(runs) == 12
    assert np.abs(np.corrcoef(runs) - np.eye(12)).max() < 4.5 / np.sqrt(n)


def test_a_second_moment_moves() -> None:
    """By a thousandth of what it lacks in each step, of which rounding to nearest loses all; its mean is the exact one."""
    opt = go.Adam().init(np.zeros(4096, np.float32), **STATE)
    for _ in range(500):
        opt.step(np.full(4096, 0.1, np.float32))
    v, exact = opt.state["v"].astype(float), 0.01 * (1 - 0.999**500)
    assert abs(v.mean() - exact) < 4 * v.std() / np.sqrt(4096)
    assert 0 < v.std() < 0.04 * exact
    assert opt.summary().state_bytes == 4 * 4096


def test_its_random_numbers_are_not_those_of_gradient_noise() -> None:
    update = go.chain(go.gradient_noise(seed=7), go.SGD()).update_for("")
    streams = [
        stream for _, stream in trace(update, precision=Precision(stochastic_rounding=True, seed=7)).update.random.values()
    ]
    assert sorted(streams) == [0, 1, ROUNDING]


@every_case
def test_the_layout_decides_no_bit(dtype: str, options: Any, executor: str, xp: Any, rng: Any) -> None:
    values, gradients = sample(rng, (6, 5), dtype), [sample(rng, (6, 5), dtype) for _ in range(3)]
    found = []
    for layout in LAYOUTS:
        for given in LAYOUTS[:2]:
            opt = go.Adam(0.1).init(placed(values, layout, xp), **options)
            for g in gradients:
                opt.step(placed(g, given, xp))
            found.append([bits(opt.params), *map(bits, opt.state.values())])
    for other in found[1:]:
        assert all(map(np.array_equal, found[0], other))


@every_case
def test_tiles_packs_and_threads_decide_no_bit(
    dtype: str, options: Any, tile_group: type[TileExecutor], rng: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fortran order among them, whose tiles follow the memory and whose random numbers follow the indices."""
    shapes = [(7,), (), (0,), (40, 30), (1,), (1000,), (5, 4, 30)]
    orders = [layout(sample(rng, shape, dtype)) for shape in shapes for layout in (np.ascontiguousarray, np.asfortranarray)]
    params = [*orders, sample(rng, (5, 30, 8), dtype).transpose(2, 0, 1), sample(rng, (60, 60), dtype)[::2, ::3]]
    gradients = [[sample(rng, p.shape, dtype) for p in params] for _ in range(2)]
    found = []
    for tile, pack, small, threads in [(131_072, 32_768, 8_192, 1), (100, 40, 20, 3)]:
        for name, value in {"tile": tile, "pack": pack, "small": small, "threaded": 0}.items():
            monkeypatch.setattr(tile_group, name, value)
        monkeypatch.setattr(tiles, "cpu_threads", lambda threads=threads: threads)
        copies = [p.copy(order="K") for p in params]
        opt = go.Momentum(0.1).init(copies, **options)
        for g in gradients:
            opt.step(g)
        found.append([bits(array) for tree in (copies, *opt.state.values()) for array in tree])
        if options in (STOCHASTIC, STATE):
            reference, _ = grown(dtype, options, go.Momentum(0.1), [np.ascontiguousarray(p) for p in params], gradients)
            assert all(np.array_equal(bits(a), bits(b)) for a, b in zip(copies, reference, strict=True))
    assert all(map(np.array_equal, *found))


@every_case
@pytest.mark.parametrize("order", ["C", "F"])
def test_nothing_is_allocated_after_the_first_step(
    dtype: str, options: Any, order: Any, tile_group: type[TileExecutor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tile_group, "tile", 100_000)
    params, g = np.ones((400, 500), named(dtype), order=order), np.ones((400, 500), named(dtype))
    opt = go.chain(go.gradient_noise(), go.Adam()).init(params, **options)
    opt.step(g)
    tracemalloc.start()
    try:
        for _ in range(3):
            opt.step(g)
        assert tracemalloc.get_traced_memory()[1] < 20_000
    finally:
        tracemalloc.stop()


@every_case
def test_what_is_printed_of_it(dtype: str, options: Any) -> None:
    opt = go.Adam(0.1).init(np.ones(3, named(dtype)), **options)
    told = {"master": "master=True", "stochastic_rounding": "stochastic_rounding=True, seed=4294967291"}
    wanted = told.get(next(iter(options)), "seed=4294967291, state_dtype='bfloat16'")
    assert repr(opt).endswith(f", {wanted}>")


@pytest.mark.parametrize("saved", [{}, MASTER, STOCHASTIC, {**STOCHASTIC, "seed": 1}])
@pytest.mark.parametrize("own", [{}, MASTER, STOCHASTIC])
def test_a_state_dict_of_other_options_is_refused(saved: Any, own: Any) -> None:
    if saved == own:
        return
    source, opt = (go.Adam().init(np.ones(3, BF16), **options) for options in (saved, own))
    source.step(np.ones(3, BF16))
    for held in (source.state_dict(), {k: v for k, v in source.state_dict().items() if k != "precision" or saved}):
        with pytest.raises(ValueError, match=r"was made with \{'master': .*, this one with \{'master': .*: pass the same"):
            opt.load_state_dict(held)
    assert (opt.t, opt.params.tolist(), opt.state["m"].tolist()) == (0, [1.0] * 3, [0.0] * 3)


@only("numpy", "cupy")
@pytest.mark.parametrize("params", [{}, STOCHASTIC, MASTER], ids=["plain", "stochastic", "master"])
def test_state_of_another_dtype_is_converted(params: Any, executor: str, xp: Any) -> None:
    """Rounded to nearest, and exactly; a dict that tells nothing of it has float32."""
    plain, short = (go.Adam(0.1).init(xp.ones(40, BF16), **{**params, **options}) for options in ({}, STATE))
    for opt in (plain, short):
        opt.state["v"][...] = xp.asarray(np.linspace(0, 1, 40, dtype="f4"))
    saved, wide = plain.state_dict(), short.state_dict()
    del saved["precision"]["state_dtype"]
    opt = go.Adam(0.1).init(xp.zeros(40, BF16), **{**params, **STATE})
    opt.load_state_dict(saved)
    assert opt.state["v"].dtype == BF16
    assert np.array_equal(bits(opt.state["v"]), bits(on_host(plain.state["v"]).astype(BF16)))
    plain.load_state_dict(wide)
    assert plain.state["v"].dtype == np.float32
    assert np.array_equal(bits(plain.state["v"]), bits(on_host(short.state["v"]).astype("f4")))


def test_a_seed_counts_where_it_is_used() -> None:
    """Also in a resumed run; and no state is taken in a third dtype."""
    opt, other = (go.Adam().init(np.ones(3, "f4"), seed=seed, state_dtype="bfloat16") for seed in (0, 1))
    with pytest.raises(ValueError, match="pass the same to init"):
        opt.load_state_dict(other.state_dict())
    rounded = go.Adam().init(np.ones(3, BF16), stochastic_rounding=True, seed=1)
    with pytest.raises(ValueError, match="pass the same to init"):
        rounded.load_state_dict(go.Adam().init(np.ones(3, BF16), stochastic_rounding=True, state_dtype="bfloat16").state_dict())
    for saved, dtype in [(other.state_dict(), "f4"), (go.Adam().init(np.ones(3, "f4")).state_dict(), "f2")]:
        saved["state"]["v"] = np.ones(3, dtype)
        with pytest.raises(ValueError, match=r"state_dict\['state'\]\['v'\] must be an array bfloat16 \(3,\), got float"):
            other.load_state_dict(saved)


class Kinds(go.Rule):
    """States that are a complex array, a real one, the parameter itself, and a number."""

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0, v: Any = 0.0, last: Any = 0.0, n: Any = 0.0) -> Any:
        return p - g, m + g, v + go.abs2(g), p, n + t


@pytest.mark.parametrize(
    ("rule", "dtype", "short"),
    [
        (Kinds(), "complex64", "v"),
        (Kinds(), "float16", "m v"),
        (go.BarzilaiBorwein(), "float32", "g_last"),
        (go.ScheduleFreeAdamW(), "float32", "v"),
        (go.chain(go.accumulate(2), go.Yogi(), go.average()), "float32", "accumulate_total m v"),
        (go.chain(go.Prodigy(), go.lookahead(2)), "float32", "m v s"),
        (go.ASGD(), "float32", ""),
    ],
)
def test_what_stands_for_a_parameter_keeps_float32(rule: Any, dtype: str, short: str) -> None:
    """And so do complex states, and numbers; what evaluates sees float32."""
    p = np.ones(5, dtype)
    opt = rule.init(p, **STATE)
    opt.step(p * 0.5, 1.0)
    assert opt.evaluation().dtype == p.dtype
    found = {name: array.dtype for name, array in opt.state.items()}
    assert {name for name, of in found.items() if of == BF16} == set(short.split())
    assert all(of in (BF16, "f4", "c8", "f8") for of in found.values())


def test_a_saved_copy_of_an_array_that_needs_none_is_refused() -> None:
    opt = go.SGD().init([np.ones(3, BF16), np.ones(3, "f4")], master=True)
    saved = opt.state_dict()
    saved["state"]["master"][1] = np.ones(3, "f4")
    with pytest.raises(ValueError, match=r"state_dict\['state'\]\['master'\]\[1\] must be None, got float32 \(3,\)"):
        opt.load_state_dict(saved)


class Own(go.Rule):
    """A rule with a state that is called like the copies, and one that starts at the parameter."""

    lr: go.NonNegative = 0.1

    def update(self, t: Any, p: Any, g: Any, master: Any = 0.25) -> Any:
        return p - self.lr * g, master + g


class Scaled(go.ParameterPiece):
    """Evaluates with what is left of 1.0, magnified."""

    def update(self, t: Any, p: Any, new: Any) -> Any:
        return new

    def evaluation(self, p: Any) -> Any:
        return (p - 1) * 1024


def two_kinds() -> dict[str, Any]:
    """A tree of both dtypes of 16 bits."""
    return {"a": np.ones(2, BF16), "b": [np.ones(2, np.float16)]}


def init(rule: Any = go.Adam(), params: Any = None, **options: Any) -> Any:  # noqa: B008 - a rule is frozen
    """What makes an optimizer, of a float16 array if no other is given."""
    return lambda: rule.init(np.ones(3, np.float16) if params is None else params(), **options)


@table(
    ("float16", init(params=two_kinds, **STOCHASTIC), ValueError, ("params['b'][0] is float16, ", "use master=True")),
    ("both", init(**MASTER, **STOCHASTIC), ValueError, ("master=True and stochastic_rounding=True exclude each other",)),
    ("master", init(master=1), TypeError, ("master must be True or False, got 1",)),
    ("rounding", init(stochastic_rounding="yes"), TypeError, ("stochastic_rounding must be True or False, got 'yes'",)),
    ("seed below 0", init(seed=-1), ValueError, ("seed must be from 0 to 2**32 - 1, got -1",)),
    ("seed of 33 bits", init(seed=2**32), ValueError, ("seed must be from 0 to 2**32 - 1, got 4294967296",)),
    ("seed a float", init(seed=1.5), TypeError, ("seed must be a whole number from 0 to 2**32 - 1, got 1.5",)),
    ("seed a bool", init(seed=True), TypeError, ("seed must be a whole number ", " got True")),
    ("state", init(state_dtype="float16"), ValueError, ("state_dtype must be None, 'bfloat16' or 'dynamic8', got 'float16'",)),
    ("state a dtype", init(state_dtype=BF16), TypeError, ("state_dtype must be None, 'bfloat16' or 'dynamic8', got dtype(",)),
    (
        *("state of float64", init(params=lambda: [np.ones(3, "f4"), np.ones(3)], **STATE), ValueError),
        ("params[1] is float64, and state_dtype='bfloat16' is for ", "or make the array float32"),
    ),
    ("state of complex128", init(params=lambda: np.ones(3, "c16"), **STATE), ValueError, ("make the array complex64",)),
    ("own master", init(Own(), **MASTER), ValueError, ("a state called 'master', ", "rename it")),
    (
        "own master in a chain",
        init(go.chain(Own(), go.average()), lambda: np.ones(3), **MASTER),
        ValueError,
        ("a state called 'master', ", "rename it"),
    ),
)
def test_what_is_refused(action: Any, error: type[Exception], words: tuple[str, ...]) -> None:
    refused(action, error, words)


def test_bfloat16_state_without_ml_dtypes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    words = "state_dtype='bfloat16' needs ml_dtypes, which is not installed", "pip install ml_dtypes"
    refused(init(params=lambda: np.ones(3, "f4"), **STATE), ModuleNotFoundError, words)


def test_what_is_not_updated_is_not_rounded() -> None:
    go.chain(go.freeze("b"), go.Adam()).init(two_kinds(), **STOCHASTIC)


def test_a_state_called_master_is_a_state_like_others() -> None:
    opt = go.chain(Own(), go.average()).init(np.ones(3, BF16))
    assert opt.state["master"].tolist() == [0.25] * 3


def test_arrays_of_other_dtypes_are_as_ever(executor: str, xp: Any) -> None:
    """They have no copy, and are not rounded; nor are those that are frozen."""
    rule = go.chain(go.freeze("frozen"), go.Adam(0.1))

    def tree() -> dict[str, Any]:
        kinds = {"small": BF16, "float": "f4", "double": "f8", "complex": "c8", "frozen": BF16}
        return {name: xp.ones(5, dtype) for name, dtype in kinds.items()}

    plain, wide = rule.init(tree()), {name for name in tree() if name not in ("small", "frozen")}
    opts = {"master": rule.init(tree(), **MASTER), "stochastic": rule.init(tree(), **STOCHASTIC)}
    for opt in (plain, *opts.values()):
        opt.step(tree())
        assert all(np.array_equal(bits(opt.params[name]), bits(plain.params[name])) for name in wide | {"frozen"})
    assert {name for name, array in opts["master"].state["master"].items() if array is not None} == {"small"}
    assert list(opts["stochastic"].state) == list(plain.state) == ["m", "v"]
    none = rule.init(tree() | {"small": xp.ones(5)}, **MASTER)
    assert set(none.state["master"].values()) == {None}
    none.load_state_dict(none.state_dict())


def test_the_copy_wins_and_evaluation_starts_from_it() -> None:
    rule = go.chain(go.GradientDescent(1.0), Scaled())
    p = np.ones(2, BF16)
    opt = rule.init(p, **MASTER)
    opt.step(np.array([2.0**-10, -(2.0**-10)], np.float32))
    assert p.tolist() == [1.0, 1.0]
    assert opt.evaluation().tolist() == [-1.0, 1.0]
    assert opt.evaluation().dtype == BF16
    p[...] = 3.0
    opt.state["master"][1] = 3.0
    opt.step(np.zeros(2, BF16))
    assert p.tolist() == [1.0, 3.0]
    with pytest.raises(ValueError, match=r"shares memory with opt.state\['master'\]"):
        opt.step(opt.state["master"])


@pytest.mark.machine_code
@pytest.mark.parametrize("rule", [go.Adam(), CHAINS["norm"]], ids=["adam", "chain"])
@every_case
def test_it_compiles_to_lean_machine_code(rule: Any, dtype: str, options: Any) -> None:
    traced = trace(rule.update_for(""), precision=Precision(**options))
    code = machine.sass(machine.compile_lean(kernel_source(traced.update, named(dtype), named(dtype))))
    assert not nvrtc.fp64_instructions(code)
    loads = sorted(access.bits for access in nvrtc.global_accesses(code) if access.is_load)
    stores = sorted(access.bits for access in nvrtc.global_accesses(code) if not access.is_load)
    states = [8 * state.dtype(np.dtype("f4")).itemsize for state in traced.states]
    size = 8 * named(dtype).itemsize
    assert (loads, stores) == (sorted([size] * (1 if options is MASTER else 2) + states), sorted([size, *states]))


ENDS = [(0.0, 0.301), (-1 / 3, 1 / 3), (0.1, None), (None, 0.1), (-1e-7, 1e-7), (-1e6, 7e4), (-INF, 0.7)]


@pytest.mark.every(
    "executor", ends=ENDS, gate=("", "skip"), case=("float16", "bfloat16", "stochastic", "plain float16", "plain bfloat16")
)
def test_bounds_hold_for_what_is_stored(
    executor: str, xp: Any, ends: tuple[float | None, float | None], gate: str, case: str
) -> None:
    """However it is rounded; another array in another dtype is bounded by the same numbers, not by those of this one."""
    (dtype, options), (lo, hi) = CASES.get(case) or (case.removeprefix("plain "), {}), ends
    p, other = xp.zeros(257, named(dtype)), xp.zeros(3, "f8")
    pieces = [go.skip_nonfinite()] if gate else []
    opt = go.chain(*pieces, go.SGD(1.0), go.bounds(lo, hi)).init([p, other], **options)
    for sign in (1, -1, 1, -1):
        g = xp.full(257, sign * 3e4, "f4")
        opt.step([g.astype(named(dtype)), xp.full(3, sign * 1e9)])
        host = on_host(p).astype(float)
        assert lo is None or (host >= lo).all()
        assert hi is None or (host <= hi).all()
        end: Any = lo if sign > 0 else hi
        if lo is not None and hi is not None and np.isfinite(lo):  # so a step reaches the end
            assert float(other[0]) == end
            assert abs(host - end).max() <= 2**-7 * abs(end) + 1e-7 or abs(end) > 6e4


def test_bounds_without_a_number_between_them() -> None:
    p = np.zeros(2, BF16)
    go.chain(go.SGD(1.0), go.bounds(0.3019, 0.302)).init(p).step(-np.ones(2, BF16))
    assert p.astype(float).tolist() == [float(np.asarray(0.302).astype(BF16))] * 2


@pytest.mark.parametrize("rule", [go.Adam(), go.Muon(), go.ScheduleFreeSGD()], ids=["adam", "muon", "average"])
def test_an_optimizer_begins_with_any_number(rule: go.Rule) -> None:
    """To widen a NaN that signals is an error for an ARM processor, of which a warning would tell."""
    every = np.arange(2**16, dtype=np.uint16).view("float16").reshape(256, 256)
    rule.init(every.copy())
    rule.init(every.copy(), master=True)


def test_a_master_copy_that_is_too_large_for_the_parameter_is_evaluated() -> None:
    opt = go.GradientDescent(4.0).init(np.zeros(2, "float16"), master=True)
    for _ in range(2):
        opt.step(np.array([-3e4, 1.0], "float16"))
    assert np.array_equal(opt.evaluation(), np.array([np.inf, -8.0], "float16"))
