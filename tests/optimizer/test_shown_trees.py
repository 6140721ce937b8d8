"""What an optimizer shows: arrays to assign into, in trees whose entries cannot be replaced."""

from __future__ import annotations

import collections
import copy
import pickle
from typing import Any

import numpy as np
import pytest

import gpuopt as go

Pair = collections.namedtuple("Pair", "x y")


def optimizer() -> go.Optimizer[Any]:
    params = {"a": np.ones(2), "b": [np.ones(2), {"c": np.ones(1)}], "n": Pair(np.ones(1), np.ones(2))}
    opt = go.chain(go.freeze("n"), go.backtrack(), go.Adam()).init(params)
    opt.step(params, loss=1.0)
    return opt


@pytest.mark.parametrize(
    ("statement", "written"),
    [
        ("opt.state['m'] = new", "opt.state['m']['a'][...] = value"),
        ("opt.state['m']['a'] = new", "opt.state['m']['a'][...] = value"),
        ("opt.state['m']['b'] = [new, new]", "opt.state['m']['b'][0][...] = value"),
        ("opt.state['m']['b'][0] = new", "opt.state['m']['b'][0][...] = value"),
        ("opt.state['m']['b'][1]['c'] = new", "opt.state['m']['b'][1]['c'][...] = value"),
        ("opt.state.update(m=new)", "opt.state['m']['a'][...] = value"),
        ("opt.state['m'] |= {'a': new}", "opt.state['m']['a'][...] = value"),
        ("opt.state.clear()", "opt.state['m']['a'][...] = value"),
        ("del opt.state['v']", "opt.state['m']['a'][...] = value"),
        ("opt.state['m']['b'].append(new)", "opt.state['m']['b'][0][...] = value"),
        ("opt.state['m']['b'] += [new]", "opt.state['m']['b'][0][...] = value"),
        ("opt.numbers.pop('backtrack.rate')", "opt.numbers['backtrack.last'][...] = value"),
        ("opt.numbers['backtrack.rate'] = 0.5", "opt.numbers['backtrack.rate'][...] = value"),
    ],
)
def test_an_entry_is_not_replaced_and_the_remedy_works(statement: str, written: str) -> None:
    """A replaced entry was shown and saved, but no step read it."""
    names: dict[str, Any] = {"opt": optimizer(), "new": np.full(2, 9.0), "value": 0.25}
    before = repr((names["opt"].state, names["opt"].numbers))
    with pytest.raises(TypeError, match="cannot be replaced, because no step would read") as error:
        exec(statement, names)
    assert repr((names["opt"].state, names["opt"].numbers)) == before
    assert str(error.value).endswith(f"; write {written}")
    exec(written, names)
    assert (eval(written.partition("[...]")[0], names) == 0.25).all()


@pytest.mark.parametrize("statement", ["opt.state['q'] = 1", "opt.state['m']['q'] = 1"])
def test_an_entry_is_not_added(statement: str) -> None:
    with pytest.raises(TypeError, match=r"\['q'\] .* there is no such array$"):
        exec(statement, {"opt": optimizer()})


def test_a_rule_without_state_has_no_array_to_assign_into() -> None:
    with pytest.raises(TypeError, match=r"^opt.state cannot .* there is no such array$"):
        go.GradientDescent(0.1).init(np.ones(1)).state.clear()


def test_trees_are_made_once() -> None:
    """Not at each access, which would take long with many arrays."""
    opt = optimizer()
    assert opt.state["m"] is opt.state["m"]


def test_a_count_is_not_replaced() -> None:
    opt = optimizer()
    with pytest.raises(TypeError, match=r"opt.counts\['a'\] .* opt.load_state_dict\(copy\)"):
        opt.counts["a"] = 5
    saved = opt.state_dict()
    saved["counts"]["a"] = 0
    opt.load_state_dict(saved)
    assert opt.counts == {"a": 0, "b": [1, {"c": 1}], "n": Pair(0, 0)}


def test_arrays_are_assigned_into() -> None:
    opt = optimizer()
    opt.state["m"]["a"] *= 0
    opt.state["m"]["b"][0] += 2
    opt.state["m"]["b"][1]["c"][...] = 3
    assert repr(opt.state_dict()["state"]["m"]) == repr(opt.state["m"])
    assert repr(opt.state["m"]) == (
        "{'a': array([0., 0.]), 'b': [array([2.1, 2.1]), {'c': array([3.])}], 'n': Pair(x=None, y=None)}"
    )


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda tree: pickle.loads(pickle.dumps(tree))])
def test_a_copy_is_plain(copied: Any) -> None:
    state = copied(optimizer().state)
    state["m"] = state["v"]
    assert type(state) is dict
    deep = copied(optimizer().state["m"]["b"])
    assert type(deep) is list
