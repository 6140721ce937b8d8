"""State in 8 bits, as an optimizer shows, saves and converts it; and what keeps float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays.dynamic8 import decoded, encoded
from tests.support.executors import only
from tests.support.refusals import refused, table
from tests.support.variants import on_host

STATE: dict[str, Any] = {"state_dtype": "dynamic8", "seed": 3}
N = 4_096


def ones(*shape: int, dtype: str = "float32") -> Any:
    return np.ones(shape or N, dtype)


def sizes(opt: Any) -> Any:
    return [row.state_bytes for row in opt.summary().rows]


@pytest.mark.parametrize(
    ("rule", "params", "options", "wanted"),
    [
        (go.Momentum(), [ones(), ones(N - 1)], {}, [16 * 258, 4 * (N - 1)]),
        (go.Adam(), [ones(4_097)], {}, [2 * 17 * 258]),
        (go.Adam(), [ones(dtype="complex64")], {}, [12 * N]),
        (go.Momentum(), [ones(N, 1)], {"rows": "*"}, [4 * N]),
        (go.Muon(), [ones(64, 64)], {}, [4 * N]),
        (go.Momentum(), [ones(dtype="float16")], {"master": True}, [4 * N + 16 * 258]),
        (go.chain(go.Momentum(), go.average()), [ones()], {}, [4 * N + 16 * 258]),
        (go.chain(go.freeze("1"), go.Momentum()), [ones(), ones(64, 64).T], {}, [16 * 258, 0]),
        (go.partition({"0": go.Adam(), "1": go.SGD()}), [ones(), ones()], {}, [32 * 258, 0]),
    ],
    ids=["small", "short block", "complex", "rows", "functions", "master", "average", "frozen", "partition"],
)
def test_what_is_coded(rule: Any, params: Any, options: Any, wanted: Any) -> None:
    """And what keeps float32."""
    opt = rule.init(params, **STATE, **options)
    assert sizes(opt) == wanted
    assert all(array is None or array.dtype != np.uint8 for tree in opt.state.values() for array in tree)


@only("numpy", "cupy")
def test_state_is_shown_as_a_copy(executor: str, xp: Any) -> None:
    """In the shape of its parameter, made of its bytes each time."""
    opt = go.Momentum(0.1, beta=0.5, dampening=0.0).init({"w": xp.ones((64, 65), "f4")}, **STATE)
    opt.step({"w": xp.ones((64, 65), "f4")})
    shown = opt.state["v"]["w"]
    assert (shown.shape, shown.dtype, float(shown[3, 4])) == ((64, 65), np.float32, 1.0)
    shown[...] = 7
    assert float(opt.state["v"]["w"][3, 4]) == 1.0
    opt.step({"w": xp.ones((64, 65), "f4")})
    assert np.array_equal(on_host(opt.evaluation()["w"]), on_host(opt.params["w"]))
    assert float(opt.state["v"]["w"].mean()) == 1.5


@only("numpy", "cupy")
def test_state_of_another_dtype_is_converted(executor: str, xp: Any) -> None:
    """Rounded to nearest, and back exactly; and that is done on whatever the saved arrays lie."""
    pytest.importorskip("ml_dtypes")
    values = np.linspace(-1, 1, 4_200, dtype="f4").reshape(60, 70)
    dtypes = None, "dynamic8", "bfloat16"
    plain, coded, short = (go.Momentum().init(xp.zeros((60, 70), "f4"), state_dtype=dtype) for dtype in dtypes)
    plain.state["v"][...] = xp.asarray(values)
    coded.load_state_dict(plain.state_dict())
    nearest = decoded(encoded(values), values.shape)
    assert np.abs(nearest / values - 1).max() < 1 / 15
    for other in (plain, short, coded):
        other.load_state_dict(coded.state_dict())
        assert np.array_equal(on_host(other.state["v"]).astype("f4"), nearest)
    coded.load_state_dict(short.state_dict())
    assert np.array_equal(on_host(coded.state["v"]), nearest)
    host = {**coded.state_dict(), "state": {"v": on_host(coded.state_dict()["state"]["v"])}}
    for other in (plain, coded):
        other.load_state_dict(host)
        assert np.array_equal(on_host(other.state["v"]), nearest)


def test_resized_state_is_coded_anew() -> None:
    """What has less than 4,096 elements by then is float32."""
    opt = go.Momentum(0.1).init({"w": ones(64, 65), "u": ones(64, 64)}, **STATE)
    opt.step({"w": np.linspace(1, 2, 4_160, dtype="f4").reshape(64, 65), "u": ones(64, 64)})
    v = opt.state["v"]["w"]
    new = opt.resized({"w": lambda a: np.pad(a, 1)})
    assert np.array_equal(new.state["v"]["w"], np.pad(v, 1))
    less = new.resized({"w": lambda a: a[1:9]})
    assert np.array_equal(less.state["v"]["w"], np.pad(v, 1)[1:9])
    assert sizes(less) == [8 * 67 * 4, 16 * 258]


@only("numpy", "cupy")
def test_what_a_step_leaves_alone_keeps_its_bytes(executor: str, xp: Any) -> None:
    """A step that is skipped, and one in which a gate is closed."""
    opt = go.chain(go.skip_nonfinite(), go.accumulate(2), go.Momentum(0.1)).init(xp.ones(N, "f4"), **STATE)
    g = xp.asarray(np.random.default_rng(0).standard_normal(N).astype("f4"))
    for _ in range(2):
        opt.step(g)
    before = {name: on_host(x).tobytes() for name, x in opt._stored.items() if x.dtype == np.uint8}
    opt.step(g * np.float32(np.inf))
    assert {name: on_host(opt._stored[name]).tobytes() for name in before} == before
    opt.step(g)
    after = {name: on_host(opt._stored[name]).tobytes() for name in before}
    assert [name for name in before if after[name] == before[name]] == ["v"]


@only("cupy")
def test_replays_are_steps(executor: str, xp: Any) -> None:
    found = []
    for captured in (False, True):
        p, g = xp.ones((64, 65), "f4"), xp.asarray(np.random.default_rng(0).standard_normal((64, 65)).astype("f4"))
        opt = go.Adam(0.1).init(p, capturable=True, **STATE)
        step: Any = go.graph(lambda params, g=g: (params.sum(), g), opt) if captured else lambda opt=opt, g=g: opt.step(g)
        for _ in range(3):
            step()
        found.append([on_host(x).tobytes() for x in (p, *opt._stored.values())])
    assert found[0] == found[1]


def test_it_is_right_on_average() -> None:
    """Adam's `v` after 300 steps with normal gradients, and `m` beside that of float32."""
    rng, opts = np.random.default_rng(0), [go.Adam().init(ones(40_960), **options) for options in ({}, STATE)]
    for _ in range(300):
        g = rng.standard_normal(40_960).astype("f4")
        for opt in opts:
            opt.step(g)
    (m, v), (coded_m, coded_v) = ((opt.state["m"], opt.state["v"]) for opt in opts)
    assert abs((coded_v / v).mean() - 1) < 0.01
    assert (coded_v / v).std() < 0.3
    assert np.sqrt(((coded_m - m) ** 2).mean() / (m**2).mean()) < 0.1


def init(params: Any, hyper: Any = None, **options: Any) -> Any:
    return lambda: go.Momentum(0.1).init(params, hyper, **{**STATE, **options})


@table(
    (
        *("another order", init({"w": ones(64, 64).T}), ValueError),
        ("params['w'] has gaps or another memory order, and state_dtype='dynamic8' codes 256 ", "pass params['w'].copy()"),
    ),
    ("gaps", init(ones(2 * N)[::2]), ValueError, ("params has gaps or another memory order, ", "pass params.copy()")),
    (
        *("beside", init([ones(64, 64)], {"lr": [ones(64)]}), ValueError),
        ("lr of params[0] has another shape than the parameter, ", "pass np.broadcast_to(lr, (64, 64)).copy()"),
    ),
    (
        *("float64", init(ones(dtype="float64")), ValueError),
        ("params is float64, and state_dtype='dynamic8' is for arrays that are computed in float32", "make the array float32"),
    ),
)
def test_what_is_refused(action: Any, error: type[Exception], words: tuple[str, ...]) -> None:
    refused(action, error, words)


def test_the_remedies_work() -> None:
    lr = np.broadcast_to(ones(64), (64, 64)).copy()
    for w, hyper in (ones(64, 64).T.copy(), None), (ones(64, 64), {"lr": [lr]}):
        opt: Any = go.Momentum(0.1).init([w], hyper, **STATE)
        opt.step([ones(64, 64)])
        assert sizes(opt) == [16 * 258]
