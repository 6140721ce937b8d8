"""Functions of whole arrays in a formula: what they get, what they give, and what is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.rules import tree_norm
from tests.support.executors import only, running_on
from tests.support.layouts import on_device
from tests.support.optimizers import everything
from tests.support.variants import on_host, sample
from tests.support.whole_arrays import RULES, Centered, Factored, Mixed

SHAPES = [(4, 6), (3, 5), (2, 3)]
SETTINGS = [("float64", {}), ("float32", {}), ("complex64", {}), ("float16", {"master": True})]


def arrays(dtype: str, seed: int) -> list[Any]:
    """One array in C order, one in Fortran order, one with gaps."""
    rng = np.random.default_rng(seed)
    found = [sample(rng, shape, dtype) for shape in SHAPES]
    return [found[0], np.asfortranarray(found[1]), np.repeat(found[2], 2, axis=1)[:, ::2]]


def by_hand(rule: Any, params: list[Any], steps: list[list[Any]], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The same formula on whole arrays in float64, with the norm of all gradients where it asks for that."""
    wide = [p.astype("complex128" if p.dtype.kind == "c" else "float64") for p in params]
    held: list[list[Any]] = []
    for p in wide:
        starts = type(rule).update.__defaults__ or ()
        held.append([s.start(p) if hasattr(s, "start") else s for s in starts])
    counts = [0] * len(wide)
    for grads in steps:
        norm = np.sqrt(sum(float(np.sum(np.abs(g.astype("complex128")) ** 2)) for g in grads if g is not None))
        monkeypatch.setattr(go, "tree_norm", lambda _, norm=norm: norm)
        for n, g in enumerate(grads):
            if g is not None:
                counts[n] += 1
                wide[n], *held[n] = rule.update(counts[n], wide[n], g.astype(wide[n].dtype), *held[n])
    monkeypatch.setattr(go, "tree_norm", tree_norm)
    return wide


@pytest.mark.parametrize(("dtype", "options"), SETTINGS, ids=str)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_formula(executor: str, xp: Any, rule: Any, dtype: str, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every executor gives what the formula gives by hand, in any order of memory, with gradients that are missing."""
    params = arrays(dtype, 0)
    steps = [arrays(dtype, 1), [None, *arrays(dtype, 2)[1:]], arrays(dtype, 3)]
    ours = on_device(params) if executor == "cupy" else [p.copy("K") for p in params]
    opt = rule.init(ours, **options)
    for grads in steps:
        opt.step([None if g is None else xp.asarray(g) for g in grads])
    wanted = by_hand(rule, params, steps, monkeypatch)
    tolerance = {"float64": 1e-12, "float16": 2e-3}.get(dtype, 1e-5)
    for p, right in zip(ours, wanted, strict=True):
        assert np.allclose(on_host(p), right, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_numpy_and_numba_agree_bit_for_bit(rule: Any) -> None:
    """The fused parts have the same bits, and the functions are the same."""
    found = []
    for executor in ("numpy", "numba"):
        with running_on(executor):
            opt = rule.init(arrays("float32", 0))
            for seed in (1, 2):
                opt.step(arrays("float32", seed))
            found.append(everything(opt))
    assert found[0] == found[1]


@pytest.mark.parametrize("options", [{}, {"capturable": True}], ids=["", "capturable"])
@pytest.mark.parametrize("rule", [Factored(), Mixed()], ids=lambda rule: type(rule).__name__)
def test_a_skipped_step_changes_no_buffer(executor: str, xp: Any, rule: Any, options: Any) -> None:
    params = [xp.asarray(p) for p in arrays("float32", 0)]
    opt = go.chain(go.skip_nonfinite(), rule).init(params, **options)
    opt.step([xp.asarray(g) for g in arrays("float32", 1)])
    before = everything(opt)
    bad = [xp.asarray(g) for g in arrays("float32", 2)]
    bad[1][0, 0] = xp.nan
    opt.step(bad)
    assert everything(opt) == before
    opt.step([xp.asarray(g) for g in arrays("float32", 2)])
    assert everything(opt) != before


@pytest.mark.parametrize("gate", ["", "capturable"])
def test_a_gate_holds_buffers_back(executor: str, xp: Any, gate: str) -> None:
    """What stands behind accumulate sees the mean of the gradients, and nothing in between."""
    one, two = arrays("float64", 1), arrays("float64", 2)
    params, alone = ([xp.asarray(p) for p in arrays("float64", 0)] for _ in range(2))
    opt = go.chain(go.accumulate(2), Factored()).init(params, capturable=bool(gate))
    plain = Factored().init(alone)
    for first, second in ((one, two), (two, one)):
        opt.step([xp.asarray(g) for g in first])
        opt.step([xp.asarray(g) for g in second])
        plain.step([xp.asarray((a + b) / 2) for a, b in zip(first, second, strict=True)])
    for a, b in zip(params, alone, strict=True):
        assert np.allclose(on_host(a), on_host(b), rtol=1e-13)
    for a, b in zip(opt.state["row"], plain.state["row"], strict=True):
        assert np.allclose(on_host(a), on_host(b), rtol=1e-13)


LONG = go.chain(
    go.LossScale(8.0, interval=2),
    go.accumulate(2),
    go.clip_global_norm(1.0),
    go.gradient_noise(0.1),
    go.partition({"w*": Mixed(), "*": go.chain(Factored(), go.bounds(-2.0, 2.0))}),
    go.average(0.9),
)


@only("cupy")
@pytest.mark.parametrize("options", [{}, {"capturable": True}], ids=["", "capturable"])
def test_a_long_chain(executor: str, xp: Any, options: Any) -> None:
    """Noise, gates, norms of all arrays, a step that is refused and two rules: as on NumPy's executor."""
    found = []
    for module, name in ((xp, executor), (np, "numpy")):
        with running_on(name):
            params = {f"{name}{n}": module.asarray(p) for name in "wv" for n, p in enumerate(arrays("float64", 5))}
            opt = LONG.init(params, **options)
            for seed in range(7):
                grads = {f"{name}{n}": module.asarray(g) for name in "wv" for n, g in enumerate(arrays("float64", seed))}
                opt.step(grads | {"w1": None, "v0": module.full((4, 6), np.inf if seed == 3 else 1.0)})
            found.append([*params.values(), *opt.state["row"].values(), *opt.state["seen"].values()])
    for ours, wanted in zip(*found, strict=True):
        assert ours is wanted is None or np.allclose(on_host(ours), wanted, rtol=1e-11, atol=1e-11)


def test_buffers_are_state(executor: str, xp: Any) -> None:
    opt = Mixed().init([xp.ones((2, 3)), xp.ones((4, 5))])
    opt.step([xp.ones((2, 3)), None])
    assert list(opt.state) == ["m", "seen"]
    assert [int(n) for n in opt.state["seen"]] == [3, 0]
    assert [row.state_bytes for row in opt.summary().rows] == [6 * 8 + 8, 20 * 8 + 8]
    other = copy.deepcopy(opt)
    assert everything(other) == everything(opt)
    wrong = opt.state_dict()
    wrong["state"]["seen"][0] = xp.zeros((), "int32")
    with pytest.raises(ValueError, match=r"state_dict\['state'\]\['seen'\]\[0\] must be an array int64 \(\), got int32 \(\)"):
        opt.load_state_dict(wrong)


def test_evaluation_sees_buffers(executor: str, xp: Any) -> None:
    """They are among the states, in the order of the arguments of `update`."""

    class Swapped(go.Rule):
        lr: go.NonNegative = 1.0

        def update(self, t: Any, p: Any, g: Any, held: Any = go.buffer(lambda p: p[:1]), n: Any = 0.0) -> Any:
            return p - self.lr * g, itself(held), n + 1

        def evaluation(self, p: Any, held: Any, n: Any) -> Any:
            held += 10 * n
            return p + held

    class Alone(go.Rule):
        def update(self, t: Any, p: Any, g: Any, held: Any = go.buffer(np.zeros_like)) -> Any:
            return p, itself(held)

        def evaluation(self, p: Any, held: Any) -> Any:
            return p / held

    assert on_host(Alone().init(xp.ones(1)).evaluation()) == 1  # it has not acted
    params = [xp.ones((2, 3)), xp.full((2, 3), 2.0)]
    opt = Swapped().init(params)
    assert [on_host(x)[0, 0] for x in opt.evaluation()] == [1.0, 2.0]
    opt.step([xp.ones((2, 3)), None])
    assert [on_host(x)[0, 0] for x in opt.evaluation()] == [11.0, 2.0]
    assert on_host(opt.state["held"][0]).tolist() == [[1.0, 1.0, 1.0]]


def rule_of(formula: Callable[..., Any], start: Callable[[Any], Any] = np.zeros_like) -> Any:
    """A rule with a buffer, made of a formula that gives the parameter and the buffer."""

    class Made(go.Rule):
        lr: go.NonNegative = 1.0

        def update(self, t: Any, p: Any, g: Any, held: Any = go.buffer(start)) -> Any:
            return formula(self, t, p, g, held)

    return Made()


@go.whole_array
def itself(x: Any, *_: Any) -> Any:
    return x


@go.whole_array(outputs=2)
def turned(x: Any, y: Any) -> Any:
    return y, x[::-1]


def test_results_may_be_parts_of_what_the_step_alters(executor: str, xp: Any) -> None:
    """A buffer takes the parameter as it was, itself turned round, and another function's result as it is."""
    remembers = rule_of(lambda self, t, p, g, held: (p - g, itself(itself(p))))
    x = xp.asarray([1.0, 2.0])
    opt = remembers.init(x)
    opt.step(xp.ones(2))
    assert (x.tolist(), opt.state["held"].tolist()) == ([0.0, 1.0], [1.0, 2.0])

    def flip(self: Any, t: Any, p: Any, g: Any, held: Any) -> Any:
        first, second = turned(held, g)
        return p - first, second

    opt = rule_of(flip, lambda p: p.copy()).init(xp.asarray([1.0, 2.0, 3.0]))
    opt.step(xp.zeros(3))
    assert opt.state["held"].tolist() == [3.0, 2.0, 1.0]


@only("numpy", "numba")
def test_arguments_are_read_only(executor: str) -> None:
    @go.whole_array
    def spoiled(x: Any) -> Any:
        x += 1
        return x

    with pytest.raises(ValueError, match="read-only") as error:
        rule_of(lambda self, t, p, g, held: (p - spoiled(g), held)).init({"w": np.zeros(3)})
    assert error.value.__notes__ == [
        "in spoiled for params['w']",
        "it must not write into its arguments: begin with x = x.copy()",
    ]


@only("numpy", "cupy")
def test_arguments_are_of_the_dtype_computed_in(executor: str, xp: Any) -> None:
    seen = []

    @go.whole_array
    def noted(*arrays: Any) -> Any:
        seen.append([array.dtype.name for array in arrays])
        return arrays[0]

    opt = rule_of(lambda self, t, p, g, held: (p - noted(p, g, g * 2, held), held)).init(xp.ones(3, "float16"))
    opt.step(xp.ones(3))
    assert seen == [["float32"] * 4] * 2


def later(value: Any) -> Any:
    """A function that gives `value` as soon as it is not tried."""

    @go.whole_array
    def wrong(x: Any, t: Any) -> Any:
        return x if float(t) < 2 else value

    return wrong


REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "a number of results": (
        lambda self, t, p, g, held: (p - go.whole_array(outputs=2)(itself.function)(g)[0], held),
        "itself must",
    ),
    "a shape": (lambda self, t, p, g, held: (p - go.whole_array(lambda x: x[..., :2])(g), held), r"must broadcast to \(2, 3\)"),
    "a complex result": (lambda self, t, p, g, held: (p - go.whole_array(lambda x: 1j * x)(g), held), "and be real"),
    "no array": (lambda self, t, p, g, held: (p - go.whole_array(lambda x: None)(g), held), "it is NoneType"),
    "a word": (
        lambda self, t, p, g, held: (p - go.whole_array(lambda x: "a")(g), held),
        "an array of numbers.*it is str",
    ),
    "an array of words": (lambda self, t, p, g, held: (p, go.whole_array(lambda x: np.array(["a"]))(g)), "it is <U1"),
    "a buffer in a formula": (lambda self, t, p, g, held: (p - self.lr * held, held), "held is a buffer, which only"),
    "a buffer's root": (lambda self, t, p, g, held: (p - np.sqrt(held), held), "held is a buffer, which only"),
    "a buffer's part": (lambda self, t, p, g, held: (p - held.T, held), "held is a buffer, which only"),
    "a buffer's place": (lambda self, t, p, g, held: (p - g, 2 * itself(held)), "must return for the buffer held"),
    "numbers alone": (lambda self, t, p, g, held: (p - itself(self.lr), held), "called with numbers alone"),
    "an axis without keepdims": (lambda self, t, p, g, held: (p - np.mean(g, axis=0), held), r"axis=0, keepdims=True"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_init(case: str) -> None:
    formula, words = REFUSED[case]
    with pytest.raises((go.TraceError, ValueError), match=words):
        rule_of(formula).init(np.ones((2, 3)))


def test_refused_by_a_step(executor: str, xp: Any) -> None:
    """A result that is another than the one that init saw: named, and nothing is written."""
    wrong_shape = later(xp.ones((5, 5)))
    one, two = xp.ones((2, 3)), xp.ones((2, 3))
    in_formula = rule_of(lambda self, t, p, g, held: (p - wrong_shape(g, t), held)).init({"w": one})
    in_buffer = rule_of(lambda self, t, p, g, held: (p - g, wrong_shape(g, t))).init({"w": two})
    for opt, words in (
        (in_formula, r"wrong for params\['w'\] is used in the formula, so it must broadcast to \(2, 3\)"),
        (in_buffer, r"wrong for params\['w'\] is the new value of held, which is float64 \(2, 3\); it is float64 \(5, 5\)"),
    ):
        opt.step({"w": xp.ones((2, 3))})
        before = everything(opt)
        with pytest.raises(ValueError, match=words):
            opt.step({"w": xp.ones((2, 3))})
        assert everything(opt) == before
        opt.step({"w": None})


def test_an_array_in_place_of_a_number_that_a_function_gets() -> None:
    with pytest.raises(go.TraceError, match=r"_orthogonal gets a number made of eps, in whose place hyper= has an array"):
        go.Muon().init(np.ones((3, 3)), hyper={"eps": np.full((3, 3), 1e-7)})


def test_one_workspace_for_two_arrays() -> None:
    """It is noticed where a result is kept until others are made; what belongs to a caller may be shared."""
    room = np.empty(4)

    @go.whole_array
    def kept(x: Any) -> Any:
        room[...] = x
        return room

    opt = rule_of(lambda self, t, p, g, held: (p, kept(g))).init({"a": np.zeros(4), "b": np.zeros(4)})
    before = everything(opt)
    with pytest.raises(ValueError, match=r"kept for params\['b'\] shares memory with that for params\['a'\]"):
        opt.step({"a": np.ones(4), "b": np.ones(4)})
    assert everything(opt) == before
    shared = rule_of(lambda self, t, p, g, held: (p, itself(g))).init([np.zeros(4), np.zeros(4)])
    shared.step([room, room])


def test_a_buffer_begins_as_an_array() -> None:
    with pytest.raises(TypeError, match=r"must return an array of numpy for the state held of params\['w'\], got float 0.0"):
        rule_of(lambda self, t, p, g, held: (p, itself(held)), lambda p: 0.0).init({"w": np.ones(2)})


@only("cupy")
def test_capture(executor: str, xp: Any) -> None:
    """What a function makes of t on the device is captured with it; what it decides by t on the host cannot be."""

    @go.whole_array
    def slower(x: Any, t: Any) -> Any:
        return x / t

    @go.whole_array
    def rarely(x: Any, t: Any) -> Any:
        return x if t % 2 else 0 * x

    def loss_and_grad(x: Any) -> Any:
        return (x * x).sum(), 2 * x

    plain, x = xp.ones(3), xp.ones(3)
    rule = rule_of(lambda self, t, p, g, held: (p - slower(g, t) / 4, slower(g, t)))
    opt, same = rule.init(x, capturable=True), rule.init(plain)
    step = go.graph(loss_and_grad, opt)
    for _ in range(3):
        step()
        same.step(loss_and_grad(plain)[1])
    assert np.allclose(on_host(x), on_host(plain))
    assert np.allclose(on_host(opt.state["held"]), on_host(same.state["held"]))
    opt = rule_of(lambda self, t, p, g, held: (p - rarely(g, t), held)).init(x, capturable=True)
    with pytest.raises(RuntimeError, match=r"(?s)go.graph.*if t % 2"):
        go.graph(loss_and_grad, opt)


def test_small_results_stay_small(executor: str, xp: Any) -> None:
    """What has one number for a row takes no room for each element."""
    opt = Centered().init(xp.ones((100, 200)))
    (group,) = opt._binding.groups
    rooms = group.whole_arrays._rooms[0]
    assert sorted(room.size for room in rooms.values()) == [100, 200]
