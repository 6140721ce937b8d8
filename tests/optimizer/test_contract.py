"""The contract of `Optimizer`: trees, state, schedules, saving, copying, and arrays of every layout and dtype."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import gpuopt as go
from gpuopt.arrays.dtypes import COMPUTE, is_complex, named
from gpuopt.arrays.tree import TreeSpec, leaves
from gpuopt.rules.hooks import has_hook
from tests.support.optimizers import Pair, everything, gradients, raw, tree
from tests.support.reference import LOOPS
from tests.support.variants import DTYPES, bits, on_host, sample


def containers(node: Any) -> Any:
    """The kinds of the containers of a tree, nested like them."""
    if isinstance(node, dict):
        return dict, {key: containers(value) for key, value in node.items()}
    kind = list if isinstance(node, list) else type(node)
    return (kind, [containers(value) for value in node]) if isinstance(node, (list, tuple)) else None


TREES = {
    "bare": lambda xp: xp.ones((2, 2)),
    "0-d": lambda xp: xp.ones(()),
    "list": lambda xp: [xp.ones(2), xp.ones(3, "f4")],
    "tuple": lambda xp: (xp.ones(2), xp.ones((0,))),
    "named": lambda xp: Pair(xp.ones(2), xp.ones(1)),
    "dict": lambda xp: {"w": xp.ones(2), 3: xp.ones(1)},
    "nested": tree,
}


@pytest.mark.parametrize("make", TREES.values(), ids=TREES)
def test_trees(make: Any, executor: str, xp: Any) -> None:
    """Every array gets its own gradient; counts and state have the structure of params."""
    params = make(xp)
    before, grads = copy.deepcopy(params), gradients(params, 1)
    opt = go.SGD(1.0).init(params)
    opt.step(grads)
    assert opt.params is params
    for p, old, g in zip(*map(leaves, (params, before, grads)), strict=True):
        assert raw(p) == raw(xp.asarray(old - g))
    adam = go.Adam().init(params)
    adam.step(grads)
    spec = TreeSpec(params, "params")
    assert adam.counts == spec.build([1] * len(spec.leaves))
    for p, m, v in zip(spec.leaves, leaves(adam.state["m"]), leaves(adam.state["v"]), strict=True):
        assert m.shape == v.shape == p.shape
        assert type(m) is type(p)
    for shown in (adam.counts, adam.state["m"], adam.state["v"]):
        assert containers(copy.deepcopy(shown)) == containers(params)


def rebuilt(node: Any) -> Any:
    """The same leaves in other containers: tuples for lists, lists for tuples, dicts the other way round."""
    if isinstance(node, dict):
        return {key: rebuilt(node[key]) for key in reversed(node)}
    if isinstance(node, (list, tuple)):
        return (tuple if isinstance(node, list) else list)(map(rebuilt, node))
    return node


def test_lists_and_tuples_stand_for_each_other_and_order_in_a_dict_does_not_matter(xp: Any) -> None:
    one, two = go.Adam().init(tree(xp)), go.Adam().init(tree(xp))
    grads = gradients(one.params)
    one.step(grads)
    two.step(rebuilt(grads))
    two.load_state_dict({**one.state_dict(), "counts": rebuilt(one.counts)})
    assert everything(one) == everything(two)


def test_none_leaves_an_array_and_its_count_alone(xp: Any) -> None:
    params = tree(xp)
    opt, grads = go.AdamW().init(params), gradients(params)
    opt.step({**grads, "scale": None})
    still = raw(params["scale"]), raw(opt.state["m"]["scale"])
    assert still == (raw(xp.ones(2, "c8")), raw(xp.zeros(2, "c8")))
    opt.step(grads)
    assert (opt.t, opt.counts["scale"], opt.counts["empty"]) == (2, 1, 2)
    fresh = {"scale": xp.ones(2, "c8")}  # its second step is its first update
    go.AdamW().init(fresh).step({"scale": grads["scale"]})
    assert raw(params["scale"]) == raw(fresh["scale"])
    before = everything(opt)[0]
    opt.step(TreeSpec(params, "params").map(lambda _: None))
    assert (everything(opt)[0], opt.t) == (before, 3)


def test_a_step_is_complete_without_the_gradient_of_a_frozen_array() -> None:
    """Else every step would take the slower way of those in which an array has none."""
    opt = go.chain(go.freeze("b"), go.SGD(1.0)).init({"a": np.zeros(2), "b": np.zeros(2)})
    assert opt._reader.read({"a": np.ones(2), "b": None})[1].complete
    assert not opt._reader.read({"a": None, "b": None})[1].complete


def test_arrays_that_are_updated_together_are_told_apart_by_their_keys(xp: Any) -> None:
    params = {"a": xp.zeros(2), "b": xp.zeros(2)}
    opt = go.SGD(1.0).init(params)
    opt.step({"b": xp.full(2, 2.0), "a": None})
    assert opt.counts == {"a": 0, "b": 1}
    opt.step({"b": xp.full(2, 2.0), "a": xp.ones(2)})
    assert opt.counts == {"a": 1, "b": 2}
    assert [params["a"].tolist(), params["b"].tolist()] == [[-1.0, -1.0], [-4.0, -4.0]]


@pytest.mark.every("rule", "dtype", "executor")
def test_state_is_kept_in_the_dtype_of_the_arithmetic(rule: go.Rule, dtype: str, executor: str, xp: Any) -> None:
    opt, one = rule.init([xp.ones(3, named(dtype))]), np.full(3, 1j if is_complex(named(dtype)) else 1.0)
    _, found = LOOPS[type(rule).__name__](rule, one, [one, one])
    for name, (array,) in opt.state.items():
        if array.shape != (3,):  # a state that is one number
            assert (array.shape, array.dtype) == ((), np.float64)
            continue
        assert array.dtype == (named(dtype) if np.iscomplexobj(found[name]) else COMPUTE[dtype])
        assert has_hook(rule, "start") or not on_host(array).any()
    assert opt.executor == executor


def test_state_may_be_read_as_it_changes() -> None:
    params = np.asfortranarray(np.ones((3, 2)))
    opt = go.Momentum(beta=0.5, dampening=0.0).init(params)
    v = opt.state["v"]
    for count in (1, 2):
        opt.step(np.full((3, 2), 2.0))
        assert (v == (2.0 if count == 1 else 3.0)).all()
    assert v is opt.state["v"]


def test_another_rule_of_the_same_kind_keeps_the_state() -> None:
    opt, twin = (go.Adam(0.1).init([np.ones(3)]) for _ in "ab")
    for each in (opt, twin):
        each.step([np.ones(3)])
    opt.rule = dataclasses.replace(opt.rule, lr=0.0)
    before = raw(opt.params[0])
    opt.step([np.ones(3)])
    twin.step([np.ones(3)])
    assert raw(opt.params[0]) == before != raw(twin.params[0])
    assert everything(opt)[0][1:] == everything(twin)[0][1:]
    opt.rule = go.Adam(lambda t: 0.1, bias_correction=False)  # an option that needs no other state
    assert opt.rule.bias_correction is False


def test_schedules_are_called_with_the_completed_steps() -> None:
    seen: list[int] = []

    def lr(t: int) -> float:
        seen.append(t)
        return 2.0**-t

    p, steps = np.zeros(1), []
    opt = go.SGD(lr).init(p)
    seen.clear()
    for _ in range(4):
        before = p[0]
        opt.step(np.full(1, -1.0))
        steps.append(p[0] - before)
    assert seen == [0, 1, 2, 3]
    assert steps == [1.0, 0.5, 0.25, 0.125]
    opt.step(None)  # no gradient, but a step of the schedule
    assert seen == [0, 1, 2, 3, 4]


def test_a_schedule_may_end_with_the_last_step() -> None:
    """Saving, copying and loading ask no schedule for a step that is not made."""
    opt = go.Adam([0.1, 0.2].__getitem__).init(np.ones(2))
    start = opt.state_dict()
    for _ in range(2):
        opt.step(np.ones(2))
    assert everything(copy.copy(opt)) == everything(opt)
    opt.load_state_dict(opt.state_dict())
    assert opt.t == 2
    opt.load_state_dict(start)
    assert opt.t == 0


def test_what_is_saved_is_a_copy_in_plain_containers() -> None:
    opt = go.Adam(lambda t: 0.1).init([np.ones(2)])
    saved = opt.state_dict()
    opt.step([np.ones(2)])
    assert (saved["t"], saved["counts"]) == (0, [0])
    assert not saved["state"]["m"][0].any()
    assert saved["rule"] == repr(opt.rule)
    assert "lr" not in saved["hyper"]
    assert saved["hyper"]["beta2"] == 0.999
    kept = opt.rule.lr
    opt.load_state_dict({**saved, "hyper": {**saved["hyper"], "beta1": 0.5}})
    assert (opt.rule.lr, opt.rule.beta1, opt.t) == (kept, 0.5, 0)


def test_a_shallow_copy_shares_the_parameters_but_not_the_state() -> None:
    opt = go.Momentum().init({"w": np.ones(3)})
    opt.step({"w": np.ones(3)})
    other = copy.copy(opt)
    assert other.params is opt.params
    before = raw(opt.state["v"]["w"])
    other.step({"w": np.ones(3)})
    assert raw(opt.state["v"]["w"]) == before != raw(other.state["v"]["w"])
    assert (opt.t, other.t) == (1, 2)


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "C": lambda a: np.array(a, order="C"),
    "F": lambda a: np.array(a, order="F"),
    "transposed": lambda a: np.ascontiguousarray(a.transpose(2, 0, 1)).transpose(1, 2, 0),
    "strided": lambda a: strided(a, (slice(None), slice(None, None, 2), slice(1, None, 3))),
    "reversed": lambda a: strided(a, (slice(None, None, -1), slice(None), slice(None, None, -1))),
    "unaligned": lambda a: filled(np.frombuffer(bytearray(a.nbytes + 1), a.dtype, a.size, 1).reshape(a.shape), a),
    "memmap": lambda a: a,  # made in a file
}


def filled(target: Any, values: Any) -> Any:
    target[...] = values
    return target


def strided(a: Any, index: tuple[slice, ...]) -> Any:
    """`a` seen through `index` in an array that is large enough."""
    shape = [n * abs(s.step or 1) + (s.start or 0) for n, s in zip(a.shape, index, strict=True)]
    view = np.zeros(shape, a.dtype)[index]
    return filled(view[: a.shape[0], : a.shape[1], : a.shape[2]], a)


def laid(a: Any, layout: str, folder: Path, name: str = "p") -> Any:
    if layout == "memmap":
        return filled(np.memmap(folder / name, a.dtype, "w+", shape=a.shape), a)
    return LAYOUTS[layout](a)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("other", ["C", "F", "reversed", "memmap"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_give_the_same_bits(layout: str, other: str, dtype: str, tmp_path: Path) -> None:
    """Of parameters and of gradients, alone and among others; a gradient is never altered, read-only or not."""
    rng = np.random.default_rng(7)
    start, grads = sample(rng, (4, 3, 5), dtype), [sample(rng, (4, 3, 5), dtype) for _ in range(3)]
    plain, odd = start.copy(), laid(start, layout, tmp_path)
    one, two = go.Adam(0.1).init([plain]), go.Adam(0.1).init({"a": np.ones(2, start.dtype), "odd": odd})
    for g in grads:
        given = laid(g, other, tmp_path, "g")
        given.flags.writeable = False
        one.step([g.copy()])
        two.step({"a": None, "odd": given} if g is grads[1] else {"a": np.ones(2, start.dtype), "odd": given})
        assert raw(np.asarray(given)) == raw(g)
    assert (bits(odd) == bits(plain)).all()
    for name in "mv":
        assert (bits(two.state[name]["odd"]) == bits(one.state[name][0])).all()
    assert not (bits(odd) == bits(start)).all()


def test_memmap_parameters_reach_the_file(tmp_path: Path) -> None:
    p = np.memmap(tmp_path / "p", "f4", "w+", shape=(3,))
    opt = go.SGD(1.0).init({"p": p})
    opt.step({"p": np.ones(3, "f4")})
    p.flush()
    assert (np.fromfile(tmp_path / "p", "f4") == -1).all()
    assert type(opt.params["p"]) is np.memmap


@pytest.mark.parametrize("dtype", [name for name in DTYPES if not name.startswith("complex")])
@pytest.mark.parametrize("given", [name for name in DTYPES if not name.startswith("complex")])
def test_a_gradient_of_another_real_dtype_is_cast_to_that_of_the_arithmetic(dtype: str, given: str) -> None:
    rng = np.random.default_rng(3)
    params = [sample(rng, shape, dtype) for shape in ((5,), (), (100, 100))]
    twins = copy.deepcopy(params)
    grads = [sample(rng, p.shape, given) for p in params]
    before = list(map(raw, grads))
    go.Adam().init(params).step(grads)
    go.Adam().init(twins).step([g.astype(COMPUTE[dtype]) for g in grads])
    assert list(map(raw, params)) == list(map(raw, twins))
    assert list(map(raw, grads)) == before


def test_a_gradient_may_have_stride_0_or_be_of_a_subclass() -> None:
    p, twin = np.ones((2, 3)), np.ones((2, 3))
    go.SGD(0.1).init(p).step(np.broadcast_to(np.float64(2.0), (2, 3)))
    go.SGD(0.1).init(twin).step(np.full((2, 3), 2.0).view(np.matrix))
    assert raw(p) == raw(twin)
    assert (p == 1 - 0.1 * 2.0).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["C", "F", "strided", "reversed", "unaligned"])
def test_the_parameter_may_be_its_own_gradient(layout: str, dtype: str, tmp_path: Path) -> None:
    start = sample(np.random.default_rng(5), (4, 3, 5), dtype)
    p, twin = laid(start, layout, tmp_path), laid(start, layout, tmp_path)
    opt, other = go.Adam(0.1).init([p, np.ones(1)]), go.Adam(0.1).init([twin, np.ones(1)])
    for _ in range(2):
        opt.step([p, np.ones(1)])
        other.step([twin.copy(), np.ones(1)])
    assert raw(p) == raw(twin)
    opt.step([p[...], None])  # a view of all of it is it
    other.step([twin.copy(), None])
    assert raw(p) == raw(twin)


def test_the_two_halves_of_complex_arrays_are_two_arrays() -> None:
    z = np.array([1 + 2j, 3 + 4j])
    go.SGD(1.0).init([z.real, z.imag]).step([np.ones(2), np.full(2, 10.0)])
    assert z.tolist() == [0 - 8j, 2 - 6j]


def test_a_gradient_that_is_not_finite_goes_where_it_belongs_without_a_warning() -> None:
    params = [np.ones(3), np.ones(2, "f2"), np.ones(2, complex)]
    opt = go.Adam().init(params)
    opt.step([np.array([1.0, np.nan, np.inf]), np.array([-np.inf, 6e4], "f2"), np.array([complex(np.inf, np.nan), 1])])
    assert [np.isfinite(p).tolist() for p in params] == [[True, False, False], [False, True], [False, True]]


def test_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUOPT_CPU", "numpy")
    opt = go.SGD(0.5).init({"w": np.ones(2)})
    assert repr(opt) == "<Optimizer GradientDescent(lr=0.5), 1 array, t=0, numpy>"
    assert "2 arrays" in repr(go.SGD().init([np.ones(1), np.ones(1)]))


NUMBERS = strategies.floats(-2, 2, width=32).map(lambda x: x if abs(x) > 1e-3 else 0.5)
ARRAYS = strategies.tuples(strategies.none() | NUMBERS, strategies.none() | NUMBERS)


class Life(RuleBasedStateMachine):
    """Whatever happens to an optimizer, it is where single numbers are that had the same gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.opt = go.Adam(0.1).init({"a": np.ones(1), "b": np.ones((2, 2))[:, 1]})
        self.gradients: tuple[list[float], list[float]] = ([], [])
        self.rates: tuple[list[float], list[float]] = ([], [])
        self.t = 0
        self.saved: Any = None

    @rule(grads=ARRAYS)
    def step(self, grads: tuple[float | None, float | None]) -> None:
        given = [None if g is None else np.full(n, g) for g, n in zip(grads, (1, 2), strict=True)]
        self.opt.step({"b": given[1], "a": given[0]})
        self.t += 1
        for g, history, rates in zip(grads, self.gradients, self.rates, strict=True):
            if g is not None:
                history.append(g)
                rates.append(self.opt.rule.lr)

    @rule(lr=strategies.sampled_from([0.0, 0.01, 0.3]))
    def set_lr(self, lr: float) -> None:
        self.opt.rule = dataclasses.replace(self.opt.rule, lr=lr)

    @rule()
    def save(self) -> None:
        model = self.gradients, self.rates, self.t, self.opt.rule
        self.saved = copy.deepcopy((self.opt.params, self.opt.state_dict(), model))

    @precondition(lambda self: self.saved is not None)
    @rule()
    def load(self) -> None:
        params, state, model = copy.deepcopy(self.saved)
        for name, p in self.opt.params.items():
            p[...] = params[name]
        self.opt.load_state_dict(state)
        self.gradients, self.rates, self.t, lr_rule = model
        assert self.opt.rule == lr_rule

    @rule(how=strategies.sampled_from([copy.copy, copy.deepcopy, lambda opt: pickle.loads(pickle.dumps(opt))]))
    def replace(self, how: Any) -> None:
        self.opt = how(self.opt)

    @precondition(lambda self: self.saved is not None)
    @rule()
    def nan(self) -> None:
        """A NaN spoils its own array alone, and what was saved brings it back."""
        before = raw(self.opt.params["b"])
        self.opt.step({"a": np.full(1, np.nan), "b": None})
        assert np.isnan(self.opt.params["a"]).all()
        assert raw(self.opt.params["b"]) == before
        self.load()

    @rule(bad=strategies.sampled_from([np.ones(3), np.ones(1, int), 1.0, "b"]))
    def refuse(self, bad: Any) -> None:
        before = everything(self.opt)
        with pytest.raises((TypeError, ValueError)):
            self.opt.step({"a": self.opt.params["b"][:1] if isinstance(bad, str) else bad, "b": np.ones(2)})
        assert everything(self.opt) == before

    @invariant()
    def agrees(self) -> None:
        assert self.opt.t == self.t
        assert self.opt.counts == {"a": len(self.gradients[0]), "b": len(self.gradients[1])}
        for p, history, rates in zip(self.opt.params.values(), self.gradients, self.rates, strict=True):
            np.testing.assert_allclose(p, changing_adam(history, rates), rtol=1e-12, atol=1e-12)


def changing_adam(history: list[float], rates: list[float]) -> float:
    """The reference's Adam from 1.0, its learning rate another at each step."""
    p: complex = 1.0
    for t, lr in enumerate(rates, start=1):
        at = LOOPS["Adam"]
        p += (at(go.Adam(lr), 0.0, history[:t])[0] - at(go.Adam(lr), 0.0, history[: t - 1])[0]).item()
    return float(np.real(p))


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=20, derandomize=True, deadline=None, database=None)


def test_an_entry_of_params_that_was_replaced_is_missed() -> None:
    """The step would go on with the array before, and nobody would see anything change."""
    params = {"w": np.zeros(2)}
    opt = go.SGD(0.1).init(params)
    params["w"] = np.zeros(2)
    for use in (lambda: opt.step({"w": np.ones(2)}), opt.state_dict):
        with pytest.raises(
            ValueError, match=r"params\['w'\] is no longer the array .* assign into that one, params\['w'\]\[...\] = x"
        ):
            use()
    assert opt.t == 0


def test_an_optimizer_has_no_other_attributes() -> None:
    opt = go.SGD(0.1).init(np.zeros(2))
    for name in ("lr", "params", "state", "executor", "t"):
        with pytest.raises(AttributeError):
            setattr(opt, name, 1)


def test_numpys_scalar_is_the_gradient_of_a_0d_array() -> None:
    p = np.array(1.0)
    opt = go.SGD(0.25).init({"p": p})
    opt.step({"p": 2 * p})
    assert p == 0.5


def test_a_schedule_of_this_optimizer_stays_on_load() -> None:
    saved = go.SGD(0.5).init(np.zeros(2)).state_dict()
    schedule = go.schedules.Cosine(1.0, 10)
    opt = go.SGD(schedule).init(np.zeros(2))
    opt.load_state_dict(saved)
    assert opt.rule == go.SGD(schedule)


@pytest.mark.parametrize("way", ["rule", "load_state_dict"])
def test_what_cannot_be_prepared_changes_nothing(way: str, tile_group: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that cannot be compiled, as on a full disk, is noticed before anything is written."""
    first, other = go.AdamW(0.1), go.AdamW(0.1, weight_decay=0.0, bias_correction=False)
    donor = other.init(np.ones(3))
    donor.step(np.ones(3))
    opt, twin = first.init(x := np.ones(3)), first.init(y := np.ones(3))
    for each in (opt, twin):
        each.step(np.ones(3))

    def full(*_: Any) -> None:
        raise OSError("No space left on device")

    def change() -> None:
        if way == "rule":
            opt.rule = other
        else:
            opt.load_state_dict(donor.state_dict())

    with monkeypatch.context() as patched:
        patched.setattr(tile_group, "prepare", full)
        with pytest.raises(OSError, match="No space left"):
            change()
    assert opt.rule == first
    assert opt.state_dict().keys() == twin.state_dict().keys()
    for each in (opt, twin):
        each.step(np.full(3, 0.5))
    assert x.tobytes() == y.tobytes()
    assert [a.tobytes() for a in opt.state.values()] == [a.tobytes() for a in twin.state.values()]
    change()
    opt.step(np.ones(3))
    assert opt.rule == other
