"""State in 8 bits: what it can hold, and the same bits on every executor."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays.dynamic8 import decoded, encoded
from gpuopt.executors.cpu import tiles
from tests.support.executors import only, running_on
from tests.support.variants import bits, on_host

STATE: dict[str, Any] = {"state_dtype": "dynamic8", "seed": 3}
CHAIN = go.chain(go.skip_nonfinite(), go.clip_global_norm(1.0), go.LAMB(1e-3))


class Keep(go.Rule):
    """The last gradient, and nothing else."""

    lr: go.NonNegative = 0.0

    def update(self, t: Any, p: Any, g: Any, last: Any = 0.0) -> Any:
        return p, g


def stored(x: Any) -> Any:
    """What is left of numbers of three binary digits, one by one: 31 powers of two below the largest of 256 that are not
    negative, or 15 of both signs.
    """
    found = np.zeros_like(x)
    for first in range(0, x.size, 256):
        block = x[first : first + 256]
        sizes = [int(word) >> 20 for word in np.abs(block).view(np.uint32)]
        largest = max((size for size in sizes if size < 0x7F8), default=0)
        signed = bool((block < 0).any())
        for number, (value, size) in enumerate(zip(block, sizes, strict=True)):
            lost = size < 0x7F8 and largest - size > (124 if signed else 252)
            lowest = np.uint32((largest - 252 if not signed else 0) << 20).view(np.float32) if largest > 252 else 0.0
            found[first + number] = 0.0 if size == 0 else lowest if lost else value
    return found


def numbers(rng: np.random.Generator) -> Any:
    """Blocks of one sign and of two, of few and many powers of two, of zeros, with infinities and NaN, and a short one."""
    x = rng.standard_normal((12, 256)) * 10.0 ** rng.uniform(-14, 2, (12, 256))
    x[::2] = np.abs(x[::2])
    x[1] *= 1e-38
    x[2] = [0.0, -0.0] * 128
    x[3, :3], x[4, :3] = [np.inf, np.nan, 0.0], [np.inf, -np.nan, 0.0]
    x[3, 3], x[5] = -np.inf, [np.nan, -np.inf] * 128
    x[6, :2], x[7, 0], x[8, 0] = 3e38, -3e38, -0.0
    x = np.concatenate([x.reshape(-1)] * 2)[:4200].astype(np.float32)
    return (x.view(np.uint32) & np.uint32(0xFFF00000)).view(np.float32)


def trained(xp: Any, rule: Any, dtype: str = "float32", **options: Any) -> Any:
    rng = np.random.default_rng(0)
    params = [xp.asarray(rng.standard_normal(shape)).astype(dtype) for shape in ((70, 100), (4197,), (0,))]
    opt = rule.init(params, **STATE, **options)
    for t in range(4):
        grads = [rng.standard_normal(p.shape) * 10.0 ** rng.uniform(-6, 0, p.shape) for p in params]
        given: list[Any] = [xp.asarray(g.astype(np.float32)) for g in grads]
        if t == 2:
            given[:2] = given[0].T.copy().T, None
        opt.step(given)
    return opt


def held(opt: Any) -> Any:
    """The bits of parameters and state as they are stored."""
    trees = {"p": opt.params, **opt._stored}
    return {name: [a if a is None else on_host(a).tobytes() for a in tree] for name, tree in trees.items()}


def test_what_a_block_can_hold(executor: str, xp: Any, rng: np.random.Generator) -> None:
    """Numbers of three digits are not rounded; and what was stored is stored again as it is."""
    x = numbers(rng)
    opt = Keep().init(xp.zeros(x.size, "f4"), **STATE)
    for given in (x, stored(x)):
        opt.step(xp.asarray(given))
        assert np.array_equal(bits(opt.state["last"]), bits(stored(x)))
        assert opt._stored["last"].nbytes == opt.summary().state_bytes == 17 * 258


def test_coding_rounds_to_nearest() -> None:
    x = np.array([1.0, 1.0624, 1.0626, -3.9, np.inf, np.nan], "f4")
    x[5:].view(np.uint32)[...] = 0x7FFFFFFF
    wanted = np.array([1.0, 1.0, 1.125, -4.0, np.inf, np.nan], "f4")
    assert np.array_equal(decoded(encoded(x), (2, 3)).reshape(-1), wanted, equal_nan=True)
    assert decoded(encoded(np.full(1, 3.4e38, "f4")), (1,)) == np.inf


class Behind(go.Rule):
    """A state that is larger where there is no gradient."""

    lr: go.NonNegative = 0.0

    def update(self, t: Any, p: Any, g: Any, last: Any = 0.0) -> Any:
        return p, 1 - g


@only("numpy", "cupy")
def test_what_is_behind_a_short_block_does_not_count(executor: str, xp: Any) -> None:
    opt = Behind().init(xp.zeros(4_097, "f4"), **STATE)
    opt.step(xp.full(4_097, 1 - 2**-10, "f4"))
    assert on_host(opt._stored["last"])[-2:].view(np.uint16) == (127 - 10) << 3


@pytest.mark.parametrize("rule", [go.Adam(1e-3), CHAIN], ids=["Adam", "chain"])
def test_bits(executor: str, xp: Any, rule: Any) -> None:
    found = held(trained(xp, rule))
    with running_on("numpy"):
        assert found == held(trained(np, rule))


@only("numpy", "cupy")
@pytest.mark.parametrize("options", [{"master": True}, {"stochastic_rounding": True}], ids=lambda options: next(iter(options)))
def test_bits_beside_parameters_of_16_bits(executor: str, xp: Any, options: Any) -> None:
    pytest.importorskip("ml_dtypes")
    rule, dtype = go.Adam(1e-3), "bfloat16"
    found = held(trained(xp, rule, dtype, **options))
    with running_on("numpy"):
        assert found == held(trained(np, rule, dtype, **options))


@only("numpy", "cupy")
def test_a_gradient_in_another_order_is_read_anew(executor: str, xp: Any) -> None:
    """It is the same array in each step, and other numbers."""
    opt, g = go.Momentum(1.0, beta=0.0).init(xp.zeros((64, 65), "f4"), **STATE), xp.zeros((65, 64), "f4").T
    for value in (1, 2):
        g[...] = value
        opt.step(g)
    assert np.array_equal(on_host(opt.params), np.full((64, 65), -3.0))


def test_tiles_and_threads_decide_no_bit(tile_group: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for tile, threads in ((65_536, 1), (512, 3)):
        monkeypatch.setattr(tile_group, "coded_tile", tile)
        monkeypatch.setattr(tile_group, "threaded", 0)
        monkeypatch.setattr(tiles, "cpu_threads", lambda threads=threads: threads)
        found.append(held(trained(np, go.Momentum(0.1))))
    assert found[0] == found[1]


@only("numpy", "numba")
def test_nothing_is_allocated_after_the_first_step(executor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "cpu_threads", lambda: 1)
    opt, g = go.Adam().init(np.ones(100_000, "f4"), **STATE), np.ones(100_000, "f4")
    opt.step(g)
    tracemalloc.start()
    try:
        opt.step(g)
        assert tracemalloc.get_traced_memory()[1] < 40_000
    finally:
        tracemalloc.stop()
