"""Gradients that move, come back, are missing or die: what is checked anew, and the bits that result."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays.memory import address
from gpuopt.optimizer import gradients
from gpuopt.optimizer.gradients import Located
from gpuopt.rules import Adam, Momentum
from tests.support.asked import arrays, during, idle_device, on_device
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
    with pytest.raises(TypeError, match=r"params\[1\], \w+, got complex64: pass grads\[1\]\.real$"):
        opt.step([*grads, arrays(1)[0].astype("complex64")])
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


@pytest.mark.gpu
@pytest.mark.parametrize("capturable", [False, True], ids=["", "capturable"])
@pytest.mark.parametrize("own", [False, True], ids=["", "arrays of several dtypes for lr"])
def test_gradients_that_are_elsewhere_have_the_bits_of_numpy(
    own: bool, capturable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others in every step, with other values: new ones, those of two and three steps before, and some that are missing."""
    monkeypatch.setenv("GPUOPT_CPU", "numpy")
    rng = np.random.default_rng(3)
    dtypes = ["float64", "float32", "float64", "float32", "float32"]
    shapes = [(7, 3), (4100,), (2,), (0, 2), (5, 2)]
    twins = [np.asarray(sample(rng, shape, dtype)) for shape, dtype in zip(shapes, dtypes, strict=True)]
    params = [on_device(p) for p in twins]
    other = ["float64", "float32", "float32", "float32", "float64"]
    lr = [np.full(p.shape, 0.5, dtype) for p, dtype in zip(twins, other, strict=True)]
    rule = go.chain(go.clip_global_norm(1.0), go.clip_norm(0.75), Momentum(0.5))
    twin = rule.init(twins, hyper={"lr": lr} if own else None)
    opt = rule.init(params, hyper={"lr": [on_device(each) for each in lr]} if own else None, capturable=capturable)
    kept: list[list[Any]] = []
    for step, missing in enumerate([(), (), (), (), (1,), (), (), (0, 2), (), (), (), (), ()]):
        wanted = [np.asarray(sample(rng, p.shape, p.dtype.name)) for p in twins]
        given = [on_device(g) for g in wanted]
        kept.append(given)
        if step % 4 == 3:  # where those were three steps before, two and three in turns
            given = kept[step - 2 - step % 2]
            for g, value in zip(given, wanted, strict=True):
                g.set(value)
        opt.step([None if n in missing else g for n, g in enumerate(given)])
        twin.step([None if n in missing else g for n, g in enumerate(wanted)])
        assert all(np.array_equal(bits(a.get()), bits(b)) for a, b in zip(params, twins, strict=True))
    assert opt.counts == twin.counts


def test_few_whereabouts_are_known(log: Any) -> None:
    opt, sets = Adam().init(arrays(2)), [arrays(2) for _ in range(20)]
    for grads in sets:
        opt.step(grads)
    assert len(opt._reader._known) <= 8


def test_an_array_of_another_kind_in_the_same_memory_is_looked_at(log: Any) -> None:
    opt, grads = Adam().init(arrays(2)), arrays(2)
    assert during(log, opt, grads)["launch"] == 1
    for view in (grads[1].view("float16")[:, ::2], grads[1].reshape(2, 4).T):  # of another dtype; of another order
        assert view.data.ptr == grads[1].data.ptr
        assert during(log, opt, [grads[0], view])["launch"] == 2
        assert during(log, opt, [grads[0], grads[1][:]])["launch"] == 1
    with pytest.raises(ValueError, match=r"grads\[1\] must have the shape"):
        opt.step([grads[0], grads[1].reshape(2, 4)])


def test_many_of_numpys_are_checked_once_and_again_when_one_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them is kept alive."""
    params, grads = ([np.ones(2) for _ in range(20)] for _ in range(2))
    opt = Adam().init(params)
    opt.step(grads)
    opt.step(grads)
    with monkeypatch.context() as patch:
        patch.setattr(gradients, "_SHAPE", None)  # to look at a shape is an error
        opt.step(grads)
        with pytest.raises(TypeError):
            opt.step([*grads[:-1], np.ones(2)])
    with pytest.raises(ValueError, match=r"grads\[19\] must have the shape of params\[19\], \(2,\), got \(3,\)"):
        opt.step([*grads[:-1], np.ones(3)])
    with pytest.raises(ValueError, match=r"grads\[19\] shares memory with params\[0\]"):
        opt.step([*grads[:-1], params[0]])
    assert opt.counts == [3] * 20
    seen = [weakref.ref(g) for g in grads]
    del grads
    gc.collect()
    assert [ref() for ref in seen] == [None] * 20


def test_gradients_whose_addresses_are_known() -> None:
    """Memory is compared all the same, and what is not apart is checked one by one."""
    own, apart = np.ones(4), np.ones(2)
    opt = go.SGD(0.5).init([own[:2], own[2:]])

    def located(*grads: Any) -> Any:
        return Located([*grads], tuple(map(address, grads)))

    with pytest.raises(ValueError, match=r"grads\[0\] shares memory with params\[1\]"):
        opt.step(located(own[2:], apart))
    opt.step(located(apart, apart.copy()))
    opt.step(located(own[:2], apart))
    opt.step(cast("Any", Located([None, apart], None)))
    assert own.tolist() == [0.25, 0.25, -0.5, -0.5]
