"""Gradients of CuPy arrays that move, come back, are missing or die: what is checked anew, and the bits that result."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.rules import Adam, Momentum
from tests.support.asked import arrays, idle_device, on_device
from tests.support.variants import bits, sample


@pytest.fixture
def log(emulated_gpu: None) -> Iterator[Any]:
    with idle_device() as found:
        yield found


@pytest.mark.parametrize("missing", [False, True])
def test_gradients_are_not_kept_alive(missing: bool, log: Any) -> None:
    opt, grads = Adam().init(arrays(3)), arrays(3)
    opt.step([None, *grads[1:]] if missing else grads)
    seen = [weakref.ref(g) for g in grads]
    del grads
    gc.collect()
    assert [ref() for ref in seen] == [None] * 3


@pytest.mark.parametrize("shape", [(3, 2), (5, 2), (8, 1), (8,), (2, 4), (4, 2, 1)])
def test_a_gradient_of_another_shape_is_refused(shape: tuple[int, ...], log: Any) -> None:
    """Also where its strides are those of the parameter."""
    opt, grads = Adam().init(arrays(2)), arrays(2)
    opt.step(grads)
    with pytest.raises(ValueError, match=r"grads\[1\] must have the shape of params\[1\], \(4, 2\), got"):
        opt.step([grads[0], *arrays(1, shape=shape)])
    assert opt.counts == [1, 1]


def test_a_gradient_with_gaps_that_reaches_a_parameter_is_refused(log: Any) -> None:
    """Its memory is longer than that of its own parameter."""
    (memory,) = arrays(1, shape=(12,))
    opt = Adam().init([memory[10:], *arrays(1, shape=(6,))])
    with pytest.raises(ValueError, match=r"grads\[1\] shares memory with params\[0\]"):
        opt.step([*arrays(1, shape=(2,)), memory[::2]])
    assert opt.counts == [0, 0]


def test_a_gradient_that_died_is_not_one_that_is_missing(log: Any) -> None:
    opt, grads = Adam().init(arrays(3)), arrays(3)
    opt.step(grads)
    kept = grads[1:]
    del grads
    gc.collect()
    opt.step([None, *kept])
    assert opt.counts == [1, 2, 2]


def test_a_new_array_in_the_place_of_another_is_checked(log: Any) -> None:
    """Python gives the same id again, CuPy the same memory."""
    params = arrays(2)
    opt, grads = Adam().init(params), arrays(2)
    opt.step(grads)
    address, number, others = grads[1].data.ptr, id(grads[1]), []
    del grads[1]
    for _ in range(1000):
        others += arrays(1, shape=(8,))
        if id(others[-1]) == number:
            break
    with pytest.raises(ValueError, match=r"grads\[1\] must have the shape of params\[1\], \(4, 2\), got \(8,\)"):
        opt.step([*grads, others[-1]])
    opt.step([*grads, *arrays(1)])
    with pytest.raises(ValueError, match=r"grads\[0\] shares memory with params\[1\]"):
        opt.step([params[1], *arrays(1)])
    with pytest.raises(ValueError, match=r"grads\[1\] shares memory with params\[0\]"):
        opt.step([*grads, params[0]])
    assert address
    assert opt.counts == [2, 2]


@pytest.mark.gpu
@pytest.mark.parametrize(
    "rule",
    [
        *(Adam(), Momentum(nesterov=True), go.chain(go.gradient_noise(0.1), Adam())),
        go.chain(go.accumulate(2), go.clip_global_norm(1.0), Adam()),  # several launches a step where counts differ
        go.chain(go.clip_global_norm(1.0), go.accumulate(3), go.clip_norm(1.0), Adam()),  # reductions before and behind a gate
    ],
    ids=["Adam", "Momentum", "noise", "chain", "gate"],
)
def test_cupy_arrays_have_the_bits_of_numpy(rule: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients that moved, came back, are missing, changed dtype or layout, as NumPy arrays do the same."""
    monkeypatch.setenv("GPUOPT_CPU", "numpy")
    rng = np.random.default_rng(1)
    shapes = [(4100,), (7, 3), (), (0,), (2, 3, 5), (1,)]
    params = [np.asarray(sample(rng, shape, "float32")) for shape in shapes]
    params[4] = np.asfortranarray(params[4])
    one, other = ([np.asarray(sample(rng, shape, "float32")) for shape in shapes] for _ in range(2))
    other[1] = other[1].astype("float64")
    other[4] = np.asfortranarray(other[4])
    order = [(0, ()), (0, ()), (1, ()), (0, (1,)), (1, (0, 4)), (1, (0, 4)), (0, ()), (0, ()), (1, (2,))]

    twins = [p.copy(order="K") for p in params]
    twin = rule.init(twins)
    arrays, grads = [on_device(p) for p in params], [[on_device(g) for g in of] for of in (one, other)]
    opt = rule.init(arrays)
    for which, missing in order:
        given, wanted = ([None if n in missing else g for n, g in enumerate(of[which])] for of in (grads, (one, other)))
        opt.step(given)
        twin.step(wanted)
        assert all(np.array_equal(bits(a.get()), bits(b)) for a, b in zip(arrays, twins, strict=True))
    assert opt.counts == twin.counts
