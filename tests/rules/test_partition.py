"""Partitions: which array belongs to which rule, what is frozen, and what "all arrays" means under each rule."""

from __future__ import annotations

import copy
import functools
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays.tree import TreeSpec
from gpuopt.rules.paths import matching
from tests.support.executors import ON_CPU, only
from tests.support.optimizers import Pair
from tests.support.refusals import refused, table
from tests.support.variants import bits

loose: Any = go
"""What type checkers refuse is called by this name."""


def model(dtype: str = "float64") -> dict[str, Any]:
    """Arrays at several depths; all ones."""

    def ones(*shape: int) -> Any:
        return np.ones(shape, dtype)

    return {"embed": ones(4), "layers": [{"w": ones(2, 3), "b": ones(3)}, {"w": ones(3, 2), "b": ones(2)}], "head/x": ones()}


def steps_of(rules: Any, by: Any = None) -> dict[str, float]:
    """By path how far a step against ones went."""
    params = model()
    opt = go.partition(rules, by).init(params)
    opt.step(model())
    flat = {"embed": params["embed"], "head/x": params["head/x"]}
    for k, layer in enumerate(params["layers"]):
        flat |= {f"layers/{k}/{name}": array for name, array in layer.items()}
    assert all(len(set(array.reshape(-1))) == 1 for array in flat.values())
    return {path: float(1.0 - array.reshape(-1)[0]) for path, array in flat.items()}


PATHS = ["embed", "head/x", "layers/0/w", "layers/0/b", "layers/1/w", "layers/1/b"]


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("embed", ["embed"]),
        ("layers/0/w", ["layers/0/w"]),
        ("layers", ["layers/0/w", "layers/0/b", "layers/1/w", "layers/1/b"]),
        ("layers/1", ["layers/1/w", "layers/1/b"]),
        ("layers/*/b", ["layers/0/b", "layers/1/b"]),
        ("*/b", ["layers/0/b", "layers/1/b"]),
        ("layers/[0]", ["layers/0/w", "layers/0/b"]),
        ("layers/?/[!b]", ["layers/0/w", "layers/1/w"]),
        ("head/x", ["head/x"]),
        ("*", PATHS),
    ],
)
def test_patterns(pattern: str, wanted: list[str]) -> None:
    """The path itself, something it lies in, or what stands for these in file names."""
    rest = {} if pattern == "*" else {"*": go.SGD(0.5)}
    found = steps_of({pattern: go.SGD(0.25), **rest})
    assert sorted(path for path, step in found.items() if step == 0.25) == sorted(wanted)
    assert set(found.values()) <= {0.25, 0.5}


@pytest.mark.parametrize(
    ("pattern", "close"),
    [
        ("layer", "layers"),
        ("w", ""),
        ("Embed", "embed"),
        ("", ""),
        ("layers/2/w", "layers/1/w"),
        ("x*", ""),
        ("head/[y]", "head/x"),
    ],
)
def test_a_pattern_that_matches_nothing_is_refused(pattern: str, close: str) -> None:
    """By `partition` and `freeze` alike, with all paths and the closest."""
    rules = go.partition({pattern: go.SGD(0.25), "*": go.SGD(0.5)}), go.chain(go.freeze(pattern), go.SGD())
    rule: Any
    for rule, name in zip(rules, ("partition", "freeze"), strict=True):
        words = (f"{name}: {pattern!r} matches no array", f"did you mean {close!r}?" if close else "; there are", *PATHS)
        refused(functools.partial(rule.init, model()), ValueError, words)


def test_a_path_that_an_earlier_pattern_takes_is_refused() -> None:
    """A pattern for all others may find none left."""
    words = ("'embed' gets no array", "'*' before it", "put 'embed' first")
    refused(lambda: steps_of({"*": go.SGD(0.25), "embed": go.SGD(0.5)}), ValueError, words)
    literal = go.partition({"w*": go.SGD(), "w[0]": go.SGD()})
    refused(lambda: literal.init({"w[0]": np.zeros(1), "w0": np.zeros(1)}), ValueError, ("'w[0]' gets no array",))
    found = steps_of({"layers": go.SGD(0.25), "embed": go.SGD(0.5), "head": go.SGD(0.5), "*": go.SGD(0.75)})
    assert 0.75 not in found.values()


def test_a_pattern_that_a_wider_one_leaves_nothing_is_refused() -> None:
    """It would never act, as one that matches nothing; but one for all others may find none left."""
    words = ("'*/w' gets no array", "'layers' before it matches the same", "put '*/w' first")
    rates = {name: go.SGD(rate) for name, rate in {"*": 1.0, "layers": 0.5, "*/w": 0.25}.items()}
    refused(lambda: steps_of({name: rates[name] for name in ("layers", "*/w", "*")}), ValueError, words)
    found = steps_of({name: rates[name] for name in ("*/w", "layers", "*")})
    assert found == dict(zip(PATHS, [1.0, 1.0, 0.25, 0.5, 0.25, 0.5], strict=True))
    same = {"layers/?/w": go.SGD(0.25), "*/w": go.SGD(0.5), "*": go.SGD(1.0)}
    assert 0.5 not in steps_of(same).values()


AWKWARD = {"w[0]": ["w[0]/a", "w[0]/b"], "w0": ["w0/a"], "*": ["*"], "w?": ["w?"], "w[0]/a": ["w[0]/a"], "w*": [
    "w[0]/a", "w[0]/b", "w0/a", "w?"
]}  # fmt: skip


@pytest.mark.parametrize("pattern", AWKWARD)
def test_a_pattern_that_is_a_path_stands_for_that_alone(pattern: str) -> None:
    """Also where it is the beginning of one; whatever its letters mean in another pattern."""
    params: dict[str, Any] = {
        "w[0]": {"a": np.zeros(1), "b": np.zeros(1)},
        "w0": {"a": np.zeros(1)},
        "*": np.zeros(1),
        "w?": np.zeros(1),
    }
    names = ["w[0]/a", "w[0]/b", "w0/a", "*", "w?"]
    assert [name for name, found in zip(names, matching(pattern, names, "here"), strict=True) if found] == AWKWARD[pattern]
    go.chain(go.freeze(pattern), go.SGD(1.0)).init(params).step(
        {"w[0]": {"a": np.ones(1), "b": np.ones(1)}, "w0": {"a": np.ones(1)}, "*": np.ones(1), "w?": np.ones(1)}
    )
    moved = dict(
        zip(names, [params["w[0]"]["a"], params["w[0]"]["b"], params["w0"]["a"], params["*"], params["w?"]], strict=True)
    )
    assert [name for name in names if not moved[name]] == AWKWARD[pattern]


ALIKE = [
    {1: 0, "1": 0},
    {"a/b": 0, "a": {"b": 0}},
    {"a": {0: 0, "0": 0}, "b": 0},
    {1: {"a": 0}, "1": {"b": 0}},
    {"a": [{"b": 0}], "a/0": {"c": 0}},
]
"""Entries of one path: arrays, or containers whose arrays have others."""


@pytest.mark.parametrize("params", ALIKE)
@pytest.mark.parametrize(
    "rule", [go.partition({"*": go.SGD()}), go.partition({1: go.SGD()}, by=lambda *_: 1), go.chain(go.freeze("*"), go.SGD())]
)
def test_arrays_of_one_path_are_not_told_apart(params: Any, rule: Any) -> None:
    def arrays() -> Any:
        return TreeSpec(params, "params").map(lambda _: np.zeros(1))

    refused(lambda: rule.init(arrays()), ValueError, ("two entries have the path", "rename a key"))
    assert go.SGD(1.0).init(arrays()).t == 0


def test_a_field_of_a_named_tuple_is_a_key() -> None:
    params = Pair([np.zeros(1)], np.zeros(1))
    go.partition({"w/0": go.SGD(1.0), "b": go.SGD(2.0)}).init(params).step(([np.ones(1)], np.ones(1)))
    assert (float(params.w[0][0]), float(params.b[0])) == (-1.0, -2.0)


def test_the_first_pattern_that_matches_wins() -> None:
    found = steps_of({"layers/0": go.SGD(0.125), "*/w": go.SGD(0.25), "layers": go.SGD(0.5), "*": go.SGD(1.0)})
    assert found == dict(zip(PATHS, [1.0, 1.0, 0.125, 0.125, 0.25, 0.5], strict=True))


def test_by_a_function() -> None:
    """Of the path and the array; keys may be anything."""
    rules = {1: go.SGD(0.25), False: go.SGD(0.5), (0, 2): go.SGD(0.75)}
    found = steps_of(rules, by=lambda path, a: {1: 1, 2: (0, 2)}.get(a.ndim, False))
    assert found == dict(zip(PATHS, [0.25, 0.5, 0.75, 0.25, 0.75, 0.25], strict=True))


def test_none_is_no_key() -> None:
    """It is what a function gives that forgot to return."""
    with pytest.raises(TypeError, match="None cannot be a key"):
        go.partition({None: go.SGD(0.5)}, by=lambda path, a: None)


def test_keys_that_print_alike() -> None:
    """They are told apart, where hyperparameters are saved as well."""
    rule = go.partition({1: go.SGD(0.25), "1": go.SGD(0.5)}, by=lambda path, a: 1 if path == "a" else "1")
    opt = rule.init({"a": np.zeros(1), "b": np.zeros(1)})
    opt.step({"a": np.ones(1), "b": np.ones(1)})
    assert (opt.params["a"][0], opt.params["b"][0]) == (-0.25, -0.5)
    opt.load_state_dict(opt.state_dict())
    assert opt.rule == rule


@table(
    ("strays", lambda: steps_of({"layers": go.SGD()}), ValueError, ("no pattern of ['layers']", "'embed', 'head/x'", "'*'")),
    ("unknown key", lambda: steps_of({"a": go.SGD()}, lambda *_: "c"), ValueError, ("by('embed', array) gave 'c'", "['a']")),
    ("no rules", lambda: go.partition({}), TypeError, ("needs a dict of rules",)),
    ("a list", lambda: loose.partition([go.SGD()]), TypeError, ("needs a dict of rules",)),
    ("no rule", lambda: loose.partition({"*": go.clip(1.0)}), TypeError, ("'*' must have a rule", "clip(value=1.0)")),
    ("a class", lambda: loose.partition({"*": go.SGD}), TypeError, ("'*' must have a rule",)),
    ("None", lambda: loose.partition({"*": None}), TypeError, ("'*' must have a rule", "None")),
    ("nested", lambda: go.partition({"*": go.partition({"*": go.SGD()})}), TypeError, ("'*' must have a rule",)),
    ("nested in a chain", lambda: go.partition({"*": go.chain(go.partition({"*": go.SGD()}))}), TypeError, ("'*' must have",)),
    ("a number", lambda: loose.partition({1: go.SGD()}), TypeError, ("a pattern must be a string, got 1", "by=function")),
    ("by a str", lambda: loose.partition({"*": go.SGD()}, by="path"), TypeError, ("by must be a function", "'path'")),
    ("freeze nothing", lambda: go.chain(go.freeze("lauers"), go.SGD()).init(model()), ValueError, ("'lauers'", "'layers/0/w'")),
    (
        "freeze what is under another rule",
        lambda: go.partition({"embed": go.chain(go.freeze("layers"), go.SGD()), "*": go.SGD()}).init(model()),
        ValueError,
        ("freeze: 'layers' matches no array; there are 'embed'",),
    ),
)
def test_misuse(action: Any, error: type[Exception], words: tuple[str, ...]) -> None:
    refused(action, error, words)


def test_frozen_arrays(executor: str, xp: Any) -> None:
    """They have no state; their gradients may be None, or anything; they count nothing; norms do not see them."""
    rule = go.chain(go.clip_global_norm(1.0, 0.0), go.freeze("a/1"), go.skip_nonfinite(), go.Adam(0.1), go.average())
    p = {"a": [xp.ones(2), xp.ones(2)], "b": xp.ones(2)}
    opt, alone = rule.init(p), go.chain(go.clip_global_norm(1.0, 0.0), go.Adam(0.1)).init([xp.ones(2), xp.ones(2)])
    g = xp.asarray([1.0, -2.0])
    for frozen in [None, xp.full(2, np.nan), xp.full(2, 1e30)]:
        opt.step({"a": [g, frozen], "b": 2 * g})
        alone.step([g, 2 * g])
    assert p["a"][1].tolist() == [1.0, 1.0]
    assert [p["a"][0].tolist(), p["b"].tolist()] == [a.tolist() for a in alone.params]
    assert opt.counts == {"a": [3, 0], "b": 3}
    assert all(tree["a"][1] is None and tree["b"] is not None for tree in opt.state.values())
    assert opt.evaluation()["a"][1].tolist() == [1.0, 1.0]
    assert opt.state_dict()["state"]["m"]["a"][1] is None
    again = rule.init(copy.deepcopy(p))
    again.load_state_dict(opt.state_dict())
    assert again.counts == opt.counts


def test_all_may_be_frozen() -> None:
    p = np.ones(2)
    opt = go.chain(go.freeze("*"), go.Adam()).init([p])
    opt.step([None])
    opt.step([np.ones(2)])
    assert (opt.t, opt.counts, opt.state, p.tolist(), opt.executor in ON_CPU) == (2, [0], {}, [1.0, 1.0], True)


def test_frozen_under_one_rule() -> None:
    """The gradient piece of one rule's chain holds nothing of the others."""
    p = model()
    opt = go.partition({"layers": go.chain(go.freeze("*/b"), go.SGD(0.5)), "*": go.SGD(0.25)}).init(p)
    opt.step(model())
    assert (p["layers"][0]["b"][0], p["layers"][1]["w"][0, 0], p["embed"][0]) == (1.0, 0.5, 0.75)


def test_whose_norm() -> None:
    """Around the partition a piece sees all arrays; in a rule's chain only that rule's."""
    clip = go.clip_global_norm(1.0, 0.0)

    def p() -> dict[str, Any]:
        return {"a": np.zeros(1), "b": np.zeros(1), "c": np.zeros(1, "complex64")}

    grads = {"a": np.array([2.0]), "b": np.array([6.0]), "c": np.array([3.0j], "complex64")}
    around = go.chain(clip, go.partition({"a": go.SGD(7.0), "*": go.SGD(1.0)})).init(p())
    around.step(grads)
    assert [complex(x[0]) for x in around.params.values()] == pytest.approx([-2.0, -6 / 7, -3j / 7])
    inside = go.partition({"a": go.SGD(1.0), "*": go.chain(clip, go.SGD(1.0))}).init(p())
    inside.step(grads)
    assert [complex(x[0]) for x in inside.params.values()] == pytest.approx([-2.0, -6 / 45**0.5, -3j / 45**0.5])
    each = go.partition({"a": go.chain(clip, go.SGD(1.0)), "*": go.chain(clip, go.SGD(1.0))}).init(p())
    each.step(grads)
    assert [complex(x[0]) for x in each.params.values()] == pytest.approx([-1.0, -6 / 45**0.5, -3j / 45**0.5])


def test_whose_steps_are_skipped() -> None:
    """A rule whose chain skips is skipped alone; one around all skips all."""
    spoiled = {"a": np.array([np.nan]), "b": np.ones(1)}
    inside = go.partition({"a": go.chain(go.skip_nonfinite(), go.SGD(1.0)), "b": go.SGD(1.0)}).init(
        {"a": np.ones(1), "b": np.ones(1)}
    )
    inside.step(spoiled)
    assert (inside.params["a"][0], inside.params["b"][0], inside.counts) == (1.0, 0.0, {"a": 0, "b": 1})
    around = go.chain(go.skip_nonfinite(), go.partition({"a": go.SGD(1.0), "b": go.Adam()})).init(
        {"a": np.ones(1), "b": np.ones(1)}
    )
    around.step(spoiled)
    assert (around.params["a"][0], around.params["b"][0], around.counts, around.t) == (1.0, 1.0, {"a": 0, "b": 0}, 0)


def mixed() -> Any:
    by_group = {"layers/*/w": go.chain(go.accumulate(2), go.Adam(0.1)), "*": go.chain(go.clip(0.5), go.Momentum(0.2))}
    return go.chain(go.clip_global_norm(2.0), go.partition(by_group), go.average(0.9))


@only(*ON_CPU)
def test_as_separate_optimizers(executor: str, rng: np.random.Generator) -> None:
    """Each array as if its rule were alone, bit for bit; those of one rule are one launch."""
    rules = {"layers/*/w": go.chain(go.accumulate(2), go.Adam(0.1)), "*": go.Momentum(0.2)}
    params, weights, rest = model("float32"), [np.ones((2, 3), "float32"), np.ones((3, 2), "float32")], np.ones(4, "float32")
    opt, first, second = go.partition(rules).init(params), rules["layers/*/w"].init(weights), rules["*"].init(rest)
    for _ in range(5):
        g = copy.deepcopy(params)
        for array in (g["embed"], g["layers"][0]["w"], g["layers"][1]["w"]):
            array[...] = rng.normal(size=array.shape)
        opt.step(g)
        first.step([g["layers"][0]["w"], g["layers"][1]["w"]])
        second.step(g["embed"])
    assert np.array_equal(bits(params["embed"]), bits(rest))
    assert all(np.array_equal(bits(params["layers"][k]["w"]), bits(w)) for k, w in enumerate(weights))
    assert sorted(len(group.indices) for group in opt._binding.groups) == [2, 4]


def test_state(rng: np.random.Generator) -> None:
    """Trees like the parameters, None where a rule has no such state."""

    def draw() -> dict[str, Any]:
        return {"embed": rng.normal(size=4), "layers": [{"w": rng.normal(size=(2, 3)), "b": rng.normal(size=3)}]}

    opt: Any = mixed().init(draw())
    assert opt.state["m"]["embed"] is None
    assert opt.state["v"]["layers"][0]["w"].shape == (2, 3)
    assert set(opt.state) == {"accumulate_total", "m", "v", "average_mean"}
    gradients = [draw() for _ in range(3)]
    gradients[1]["embed"] = None
    for g in gradients:
        opt.step(g)
    assert opt.counts == {"embed": 2, "layers": [{"w": 3, "b": 3}]}


def test_another_partition_of_the_same_kind() -> None:
    opt = go.partition({"a": go.SGD(1.0), "*": go.SGD(1.0)}).init({"a": np.zeros(1), "b": np.zeros(1)})
    opt.rule = go.partition({"a": go.SGD(0.5), "*": go.SGD(0.25)})
    opt.step({"a": np.ones(1), "b": np.ones(1)})
    assert (opt.params["a"][0], opt.params["b"][0]) == (-0.5, -0.25)
    others: list[Any] = [go.partition({"a": go.SGD(), "*": go.Adam()}), go.partition({"b": go.SGD(), "*": go.SGD()}), go.SGD()]
    for other in others:
        with pytest.raises(TypeError, match=r"opt\.rule must keep the structure of"):
            opt.rule = other


def test_another_partition_with_the_patterns_in_another_order() -> None:
    """The first match wins, so that would be another division of the arrays: it is refused."""
    opt = go.partition({"a": go.SGD(1.0), "*": go.SGD(2.0)}).init({"a": np.zeros(1), "b": np.zeros(1)})
    with pytest.raises(TypeError, match=r"opt\.rule must keep the structure of"):
        opt.rule = go.partition({"*": go.SGD(2.0), "a": go.SGD(1.0)})


def test_another_freeze() -> None:
    """Another pattern would freeze other arrays, which have no state: it is refused, or does what it says."""
    opt = go.chain(go.freeze("a"), go.SGD(1.0)).init({"a": np.zeros(1), "b": np.zeros(1)})
    with pytest.raises((TypeError, ValueError)):
        opt.rule = go.chain(go.freeze("b"), go.SGD(1.0))
    saved = go.chain(go.freeze("b"), go.SGD(1.0)).init({"a": np.zeros(1), "b": np.zeros(1)}).state_dict()
    with pytest.raises((TypeError, ValueError)):
        opt.load_state_dict(saved)
