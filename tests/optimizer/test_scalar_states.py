"""A state that is made of numbers alone is one: of its array, or of all arrays where it is made of what they share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays.tree import leaves
from gpuopt.tracing.trace import trace
from tests.support.refusals import refused


class Product(go.Rule):
    """Numbers of each array: a product, how often it was updated, its largest gradient so far."""

    lr: go.NonNegative = 0.5

    def update(self, t: Any, p: Any, g: Any, product: Any = 1.0, count: Any = 0.0, most: Any = 0.0) -> Any:
        product = product * (1 - 0.5 * 0.96**t)
        return p - self.lr * product * g, product, count + 1, np.maximum(most, np.max(np.abs(g)))


class Shared(go.Rule):
    """Numbers of all arrays: how far they went, the squares of their gradients, and how many steps that were."""

    first: go.Positive = 1e-3

    def start(self, p: Any) -> Any:
        return p, self.first * (1 + go.tree_norm(p)), 0.0, 0.0

    def update(self, t: Any, p: Any, g: Any, p0: Any, far: Any, total: Any, steps: Any) -> Any:
        far, steps = np.maximum(far, go.tree_norm(p - p0)), steps + 1
        total = total + go.tree_sum(go.abs2(g)) / steps
        return p - far / np.sqrt(total) * g, p0, far, total, steps


def product_of(count: int) -> float:
    return math.prod(1 - 0.5 * 0.96**t for t in range(1, count + 1))


def shared_loop(p: dict[str, Any], grads: list[dict[str, Any]]) -> tuple[dict[str, Any], list[float]]:
    """`Shared` in plain float64."""
    start: dict[str, Any] = {}
    far = total = steps = 0.0
    for g in grads:
        made = {name: x for name, x in g.items() if x is not None}
        start |= {name: p[name] for name in made if name not in start}
        if not steps:
            far = 1e-3 * (1 + math.sqrt(sum(float(np.sum(p[name] ** 2)) for name in made)))
        far = max(far, math.sqrt(sum(float(np.sum((p[name] - start[name]) ** 2)) for name in made)))
        steps += 1
        total += sum(float(np.sum(x**2)) for x in made.values()) / steps
        p = p | {name: p[name] - far / math.sqrt(total) * x for name, x in made.items()}
    return p, [far, total, steps]


def arrays(xp: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {name: xp.asarray(rng.normal(size=shape)) for name, shape in (("a", 3), ("b", (2, 2)), ("c", 4))}


def some(step: int) -> dict[str, Any]:
    """Gradients; `b` comes later, and misses steps."""
    found = arrays(np)
    return {name: None if name == "b" and step % 3 != 2 else x * (step + 1) for name, x in found.items()}


def on(xp: Any, grads: dict[str, Any]) -> dict[str, Any]:
    return {name: None if g is None else xp.asarray(g) for name, g in grads.items()}


def numbers(opt: Any, *names: str) -> list[list[float]]:
    return [[float(x) for x in leaves(opt.state[name])] for name in names]


OPTIONS = pytest.mark.parametrize("options", [{}, {"capturable": True}], ids=["", "capturable"])


@OPTIONS
def test_a_number_of_each_array(executor: str, xp: Any, options: Any) -> None:
    """It stays where its array is not updated, and is a 0-d array of float64 among the states."""
    opt = Product().init(arrays(xp), **options)
    assert numbers(opt, "product", "count", "most") == [[1.0] * 3, [0.0] * 3, [0.0] * 3]
    for step in range(6):
        opt.step(on(xp, some(step)))
    found = numbers(opt, "product", "count", "most")
    assert found[0] == pytest.approx([product_of(6), product_of(2), product_of(6)], rel=1e-15)
    assert found[1] == [6.0, 2.0, 6.0]
    assert found[2] == [6 * np.abs(x).max() for x in arrays(np).values()]
    assert {(x.shape, x.dtype.name) for x in leaves(opt.state["product"])} == {((), "float64")}
    assert [row.state_bytes for row in opt.summary().rows] == [24] * 3


@OPTIONS
def test_a_number_of_all_arrays(executor: str, xp: Any, options: Any) -> None:
    """It is the same for all of them, also where some have no gradient; and begins in the first step of any."""
    p = arrays(xp)
    opt, grads = Shared().init(p, **options), [some(step) for step in range(6)]
    for g in grads:
        opt.step(on(xp, g))
    wanted, values = shared_loop(arrays(np), grads)
    for name, x in p.items():
        np.testing.assert_allclose(x.get() if executor == "cupy" else x, wanted[name], rtol=1e-13)
    for found, value in zip(numbers(opt, "far", "total", "steps"), values, strict=True):
        assert found == pytest.approx([value] * 3, rel=1e-14)
    assert list(opt.state) == ["p0", "begun()", "far", "steps", "total"]


@OPTIONS
def test_arrays_of_several_dtypes_share_a_number(executor: str, xp: Any, options: Any) -> None:
    """Though each dtype is updated by itself, and some not at all in a step."""
    p = {"a": xp.ones(3), "b": xp.ones((2, 2), "float32"), "c": xp.ones(2, "complex64")}
    opt, rows = Shared().init(p, **options), ["abc", "a", "bc", "b", "", "ac"]
    for names in rows:
        opt.step({name: xp.ones_like(x) if name in names else None for name, x in p.items()})
    sizes, total = {"a": 3, "b": 4, "c": 2}, 0.0
    for steps, names in enumerate(filter(None, rows), start=1):
        total += sum(sizes[name] for name in names) / steps
    assert numbers(opt, "steps") == [[5.0] * 3]
    assert numbers(opt, "total") == [pytest.approx([total] * 3, rel=1e-15)]
    (far,) = numbers(opt, "far")
    assert far == [far[0]] * 3


class Rates(go.Rule):
    """A sum of learning rates, and one that also depends on all arrays."""

    lr: go.NonNegative = 0.5

    def update(self, t: Any, p: Any, g: Any, total: Any = 0.0, both: Any = 0.0) -> Any:
        total, both = total + self.lr, both + t * go.tree_sum(g)
        return p - total * g, total, both


@OPTIONS
def test_numbers_of_arrays_that_differ(executor: str, xp: Any, options: Any) -> None:
    """Though they were updated equally often; and though all arrays have part in them, where `t` has too."""
    p, one = [xp.zeros(1), xp.zeros(1)], xp.ones(1)
    opt = Rates(go.schedules.Piecewise((1.0, 2.0, 4.0), (1, 2))).init(p, **options)
    for g in ([one, None], [None, one], [one, one]):
        opt.step(g)
    assert [float(x[0]) for x in p] == [-6.0, -8.0]
    assert numbers(opt, "total", "both") == [[5.0, 6.0], [5.0, 5.0]]


@OPTIONS
def test_a_step_that_is_refused_or_held_back(executor: str, xp: Any, options: Any) -> None:
    """Changes no number; behind a gate they are of the steps that it lets through."""
    for rule in (Product(), Shared()):
        names = [name for name in ("product", "count", "far", "total") if name in str(trace(rule))]
        opt = go.chain(go.skip_nonfinite(), go.accumulate(2), rule).init(arrays(xp), **options)
        alone = rule.init(arrays(xp), **options)
        for value in (1.0, np.nan, 3.0, 2.0, np.inf, 4.0, 9.0):
            opt.step({name: xp.full(x.shape, value) for name, x in opt.params.items()})
        for value in (2.0, 3.0):
            alone.step({name: xp.full(x.shape, value) for name, x in opt.params.items()})
        assert numbers(opt, *names) == numbers(alone, *names)


def test_each_rule_of_a_partition_has_numbers_of_its_own(executor: str, xp: Any) -> None:
    """And a piece before it has those of all arrays."""
    p, grads = arrays(xp), [some(step) for step in range(4)]
    opt = go.partition({"c": Shared(first=0.1), "*": Shared()}).init(p)
    for g in grads:
        opt.step(on(xp, g))
    _, ab = shared_loop(
        {k: v for k, v in arrays(np).items() if k != "c"}, [{k: v for k, v in g.items() if k != "c"} for g in grads]
    )
    far, total = numbers(opt, "far", "total")
    assert total[0] == total[1] == pytest.approx(ab[1])
    assert (far[0], total[2]) != (far[2], total[0])


class Evaluated(go.Rule):
    """What is evaluated depends on a number."""

    lr: go.NonNegative = 0.0

    def update(self, t: Any, p: Any, g: Any, count: Any = 2.0) -> Any:
        return p - self.lr * g, count + 1

    def evaluation(self, p: Any, count: Any) -> Any:
        return p * count


def test_evaluation_is_given_numbers(executor: str, xp: Any) -> None:
    opt = Evaluated().init({"a": xp.ones(2, "float32"), "b": xp.ones(1)})
    for g in (xp.ones(1), None):
        opt.step({"a": xp.ones(2, "float32"), "b": g})
    found = opt.evaluation()
    assert (found["a"].tolist(), found["b"].tolist(), found["a"].dtype) == ([4.0] * 2, [3.0], np.float32)


class Varied(go.Rule):
    """What a state is depends on what is given."""

    lr: go.NonNegative = 0.1

    def update(self, t: Any, p: Any, g: Any, largest: Any = 0.0) -> Any:
        largest = np.maximum(largest, self.lr)
        return p - largest * g, largest


def test_a_state_that_is_an_array_for_some(executor: str, xp: Any) -> None:
    """As where an array stands for a hyperparameter; it is saved and loaded as it is."""
    p = {"a": xp.ones(2), "b": xp.ones(3)}
    hyper = {"lr": {"a": xp.asarray(np.array([0.5, 0.25])), "b": None}}
    opt = Varied().init(p, hyper)
    opt.step({name: xp.ones_like(x) for name, x in p.items()})
    again = Varied().init({name: x.copy() for name, x in p.items()}, hyper)
    again.load_state_dict(opt.state_dict())
    for each in (opt, again):
        assert (each.state["largest"]["a"].tolist(), float(each.state["largest"]["b"])) == ([0.5, 0.25], 0.1)


class Reduced(go.Rule):
    """States whose use is one of arrays, though it is not known to be at first."""

    lr: go.NonNegative = 0.1

    def update(self, t: Any, p: Any, g: Any, m: Any = 0.0, v: Any = 0.0) -> Any:
        either = (m > 0) + (v > 0)
        size = go.tree_norm(m) + np.sum(v) + np.mean(np.where(~(m > 1), v, m))
        return p - self.lr * size * g, np.where(either, m, g), v + g


def test_what_is_refused_of_numbers_is_not_of_states_that_are_arrays() -> None:
    assert [each.name for each in trace(Reduced()).states] == ["m", "v"]


class Summed(go.Rule):
    def update(self, t: Any, p: Any, g: Any, count: Any = 0.0) -> Any:
        return p - np.sum(count) * g, count + 1


@pytest.mark.parametrize("options", [{}, {"capturable": True}], ids=["", "capturable"])
def test_a_number_may_change_alone(executor: str, xp: Any, options: Any) -> None:
    """No array is read or written then."""

    class Counted(go.Rule):
        def update(self, t: Any, p: Any, g: Any, n: Any = 0.0) -> Any:
            return p, n + t

    params = [xp.ones(3), xp.ones((2, 4))[:, ::2]]
    opt = Counted().init(params, **options)
    for _ in range(3):
        opt.step(params)
    assert [float(n) for n in opt.state["n"]] == [6.0, 6.0]
    assert all((p == 1).all() for p in params)


def test_a_reduction_of_a_state_that_is_a_number() -> None:
    refused(lambda: Summed().init(np.ones(2)), go.TraceError, ("sum of a number", "np.sum(count)"))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("far", np.array(1.0, "f4"), "must be a 0-d float64 array, got float32 ()"),
        ("far", np.ones(3), "must be a 0-d float64 array, got float64 (3,)"),
        ("far", None, "must be a 0-d float64 array, got NoneType"),
        ("far", np.array(7.0), "because these arrays share it, got 7.0"),
        ("p0", np.array(7.0), "must be an array float64 (2, 2), got float64 ()"),
    ],
)
def test_a_number_that_cannot_be_is_refused(name: str, value: Any, words: str) -> None:
    opt = Shared().init(arrays(np))
    opt.step(some(2))
    saved, before = opt.state_dict(), numbers(opt, "far", "total")
    saved["state"][name] = {**saved["state"][name], "b": value}
    refused(lambda: opt.load_state_dict(saved), ValueError, (f"state_dict['state']['{name}']['b']", words))
    assert numbers(opt, "far", "total") == before
    del saved["state"][name]
    refused(lambda: opt.load_state_dict(saved), ValueError, ("state_dict holds the state", name))
