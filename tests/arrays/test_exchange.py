"""Arrays of other libraries share their memory by DLPack: nothing is copied, and what cannot be written is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuopt as go
from tests.support.foreign import Lent

lent: Any = Lent


def test_everything_that_a_step_takes() -> None:
    own, beside = np.ones((3, 2)), np.full((3, 2), 0.5)
    params, hyper = {"w": lent(own), "rows": lent(np.ones((3, 2)))}, {"lr": {"w": lent(beside), "rows": None}}
    opt = go.SGD(1.0).init(params, hyper, rows="rows")
    opt.step({"w": lent(np.ones((3, 2))), "rows": go.rows(lent(np.array([2])), lent(np.ones((1, 2))))})
    opt.step({"w": None, "rows": lent(np.ones((3, 2)))})
    assert own.tolist() == [[0.5, 0.5]] * 3
    assert params["rows"].array.tolist() == [[0, 0], [0, 0], [-1, -1]]
    assert opt.params is params


def test_the_loss() -> None:
    own = np.full(2, 3.0)
    opt = go.PolyakStep(1.0).init(lent(own))
    opt.step(lent(2 * own), loss=lent(np.array(18.0)))
    assert own.tolist() == [1.5, 1.5]


def test_a_gradient_may_be_its_own_parameter_and_nothing_else() -> None:
    own = np.ones(4)
    opt = go.SGD(0.5).init([lent(own[:2]), lent(own[2:])])
    opt.step([lent(own[:2]), np.zeros(2)])
    assert own.tolist() == [0.5, 0.5, 1, 1]
    with pytest.raises(ValueError, match=r"grads\[0\] shares memory with params\[1\]"):
        opt.step([lent(own[2:]), None])


def test_copies_have_arrays_of_their_own() -> None:
    own = np.ones(2)
    opt = go.Momentum(0.5).init([lent(own), lent(np.ones(3))])
    moved, cut = opt.to("numpy"), opt.resized({"1": lambda a: a[:1]})
    assert all(isinstance(array, np.ndarray) for array in moved.params)
    assert cut.params[0] is opt.params[0]
    moved.step([own, None])
    assert own.tolist() == [1, 1]


def test_what_is_lent_for_reading_is_a_gradient_and_no_parameter() -> None:
    own, given = np.ones(2), np.ones(2)
    given.flags.writeable = False
    go.SGD(0.5).init(own).step(lent(given))
    assert own.tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match=r"params\['w'\] is a Lent that is read-only"):
        go.SGD(0.5).init({"w": lent(given)})


@pytest.mark.gpu
def test_on_a_gpu() -> None:
    import cupy

    own, given = cupy.ones(2), lent(cupy.ones(2))
    opt, stream = go.SGD(0.5).init(lent(own)), cupy.cuda.Stream()
    with stream:
        opt.step(given)
    stream.synchronize()
    assert given.asked["stream"] == stream.ptr
    assert own.tolist() == [0.5, 0.5]
    for told, remedy in (({}, "(: |$)"), ({"data": (given.array.data.ptr, True)}, r": make it cupy\.array\(params\)$")):
        with pytest.raises(ValueError, match=f"read-only, and parameters are updated in place{remedy}"):
            go.SGD(0.5).init(lent(cupy.ones(2), told))


def test_what_cannot_be_shared() -> None:
    with pytest.raises(TypeError, match=r"params is a Lent .* \(device 7 of DLPack is neither a CPU nor CUDA\)"):
        go.SGD(0.5).init(lent(np.ones(2), device=(7, 0)))
    opt, wrong = go.SGD(0.5).init(np.ones(2)), lent(np.ones(2, object))
    with pytest.raises(TypeError, match=r"grads is a Lent whose memory cannot be shared \(.*\)"):
        opt.step(wrong)
