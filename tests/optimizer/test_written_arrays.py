"""Arrays that are written in a piece, in place of a number: what `hyper=` does, said in place."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from tests.support.optimizers import everything
from tests.support.refusals import NAN, refused, table
from tests.support.variants import bits, on_host

LOWEST = np.array([[-1.0], [0.25]])


def bounded(lo: Any, hi: Any = 2.5) -> Any:
    return go.chain(go.Momentum(0.5), go.bounds(lo=lo, hi=hi))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_as_an_array_for_a_hyperparameter(dtype: str, executor: str, xp: Any, rng: np.random.Generator) -> None:
    """The same bits, in a tree, in packs, and where only one of two ends is an array."""
    shapes = [(2, 3), (2, 1), (2, 4)]
    gradients = [[xp.asarray(rng.normal(size=shape).astype("float32")) for shape in shapes] for _ in range(3)]
    lo, found = xp.asarray(LOWEST), []
    for rule, hyper in [(bounded(lo, 0.301), None), (bounded(-9.0, 0.301), {"lo": [lo] * 3})]:
        params = [xp.zeros(shape, "float32").astype(dtype) for shape in shapes]
        opt = rule.init(params, hyper)
        for g in gradients:
            opt.step(g)
        found.append([bits(on_host(p)) for p in params])
        assert opt.state_dict()["arrays"] == {"bounds.lo": [True, True, True]}
    assert all(map(np.array_equal, *found))


def test_each_array_of_a_tree_has_its_own() -> None:
    params = {"w": np.zeros(2), "b": np.zeros(3)}
    tree = {"w": np.array([1.0, 2.0]), "b": None}
    opt = go.chain(go.GradientDescent(1.0), go.bounds(lo=tree, hi=9.0)).init(params)
    opt.step({"w": np.zeros(2), "b": np.ones(3)})
    assert [p.tolist() for p in params.values()] == [[1.0, 2.0], [-1.0, -1.0, -1.0]]


def test_under_a_partition_it_is_of_that_part() -> None:
    params = {"w": np.zeros(2), "b": np.zeros(3)}
    rule = go.partition({"w": go.chain(go.GradientDescent(1.0), go.bounds(lo=np.array([1.0, 2.0]))), "b": go.SGD(1.0)})
    opt = rule.init(params)
    opt.step({"w": np.zeros(2), "b": np.ones(3)})
    assert [p.tolist() for p in params.values()] == [[1.0, 2.0], [-1.0, -1.0, -1.0]]
    opt.rule = opt.rule.replace({"b/lr": 0.5})
    assert opt.state_dict()["arrays"] == {"bounds.lo": {"w": True, "b": False}}


def test_each_step_reads_it_anew() -> None:
    lo, x = np.zeros(2), np.zeros(2)
    opt = bounded(lo).init(x)
    lo[0] = 1.0
    opt.step(np.zeros(2))
    assert x.tolist() == [1.0, 0.0]
    opt.rule = opt.rule.replace({"lr": 0.25, "bounds.hi": 0.5})
    opt.step(np.zeros(2))
    assert x.tolist() == [0.5, 0.0]


def test_saved_and_resumed() -> None:
    """A state dict says where there was one, and does not hold it."""
    x, g = np.zeros((2, 3)), np.ones((2, 3))
    opt = bounded(LOWEST).init(x)
    opt.step(g)
    saved, other = opt.state_dict(), bounded(LOWEST.copy()).init(x.copy())
    assert saved["hyper"].keys() == {"lr", "beta", "dampening", "nesterov", "bounds.hi"}
    other.load_state_dict(pickle.loads(pickle.dumps(saved)))
    for again in (other, copy.deepcopy(opt), pickle.loads(pickle.dumps(opt))):
        assert everything(again) == everything(opt)
        again.step(g)
        assert (again.params < 0).tolist() == [[True] * 3, [False] * 3]
    with pytest.raises(ValueError, match=r"an array for 'bounds.lo' of params, this one has a number: pass the same hyper"):
        bounded(0.0).init(x).load_state_dict(saved)


def test_equal_where_their_elements_are() -> None:
    """And no array is asked whether it is true."""
    rule = bounded(LOWEST)
    assert rule == bounded(LOWEST.copy())
    assert hash(rule) == hash(bounded(LOWEST.copy()))
    for other in (LOWEST + 1, LOWEST[0], LOWEST.astype("float32"), 0.0, [LOWEST]):
        assert rule != bounded(other)
    assert go.bounds(lo={"w": LOWEST}) == go.bounds(lo={"w": LOWEST.copy()}) != go.bounds(lo={"b": LOWEST})
    assert go.bounds(lo=[LOWEST, None]) == go.bounds(lo=[LOWEST.copy(), None]) != go.bounds(lo=[LOWEST])


def test_shown_in_short() -> None:
    assert repr(go.bounds(lo=LOWEST, hi=1.0)) == "bounds(lo=<float64 array of shape (2, 1)>, hi=1.0)"
    assert repr(go.bounds(lo={"w": LOWEST, "b": [LOWEST]})) == "bounds(lo=<tree of 2 arrays>, hi=None)"


def test_the_text_for_a_gpu_reads_it() -> None:
    pytest.importorskip("cupy", reason="CuPy is not installed")
    assert "bounds__lo" in go.cuda_source(bounded(LOWEST))


OTHER = np.zeros(3)
loose: Any = go


def scaled(factor: Any) -> Any:
    return go.chain(go.scale(factor), go.SGD())


def exchanged(lo: Any) -> None:
    opt = bounded(OTHER).init(np.zeros(3))
    opt.rule = bounded(lo)


@table(
    ("shape", lambda: bounded(np.zeros(4)).init(np.zeros(3)), ValueError, ("bounds.lo", "(4,)", "params, (3,)")),
    ("a list for an array", lambda: bounded([OTHER]).init(np.zeros(3)), TypeError, ("bounds.lo", "got list")),
    ("another tree", lambda: bounded({"b": OTHER}).init({"w": np.zeros(3)}), ValueError, ("bounds.lo", "'b'")),
    ("NaN", lambda: bounded(np.array([0.0, NAN])).init(np.zeros(2)), ValueError, ("bounds.lo", "got nan")),
    ("str", lambda: bounded(np.array(["a"])).init(np.zeros(3)), TypeError, ("bounds.lo", "real numbers")),
    ("the parameter itself", lambda: bounded(OTHER).init(OTHER), ValueError, ("bounds.lo shares memory with params",)),
    ("twice", lambda: bounded(OTHER).init(np.zeros(3), {"lo": np.zeros(3)}), ValueError, ("hyper['lo']", "in its piece")),
    ("None for a number", lambda: scaled([OTHER, None]).init([OTHER + 1, OTHER + 1]), ValueError, ("scale.factor[1] is None",)),
    ("one number", lambda: loose.clip(np.array(0.1)), TypeError, ("write value=value.item()",)),
    ("a rule", lambda: loose.Adam(OTHER), TypeError, ("lr must be", "goes into init")),
    ("a piece that takes none", lambda: loose.LossScale(OTHER), TypeError, ("initial must be",)),
    ("another array later", lambda: exchanged(OTHER.copy()), ValueError, ("bounds.lo", "assign into them")),
    ("a number later", lambda: exchanged(0.0), ValueError, ("bounds.lo", "assign into them")),
)
def test_refused(action: Any, error: type[Exception], words: tuple[str, ...]) -> None:
    refused(action, error, words)
