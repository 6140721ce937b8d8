"""Trees of arrays: their leaves are matched by key, whatever the order of a dict or of a named tuple's fields."""

from __future__ import annotations

import collections
import re
from typing import Any

import numpy as np
import pytest

from gpuopt.arrays.tree import TreeSpec


def test_leaves_of_a_nested_dict_are_matched_by_their_keys() -> None:
    x, y, z = np.ones(1), np.ones(2), np.ones(3)
    spec = TreeSpec({"inner": {"x": x, "y": y}, "z": z}, "params")
    found = spec.match({"z": z, "inner": {"y": y, "x": x}}, "grads")
    assert [leaf is wanted for leaf, wanted in zip(found, (x, y, z), strict=True)] == [True, True, True]


Params = collections.namedtuple("Params", "probe object")
Grads = collections.namedtuple("Grads", "object probe")
Alike = collections.namedtuple("Alike", "probe object")
Half = collections.namedtuple("Half", "probe")
Other = collections.namedtuple("Other", "probe phase")


@pytest.mark.parametrize("given", [Grads(2, 1), Alike(1, 2), Params(1, 2), (1, 2), [1, 2]], ids=repr)
def test_named_tuples_are_matched_by_name(given: Any) -> None:
    """Any other tuple, or a list, by position."""
    for tree, wrapped in ((Params(0, 0), given), ({"in": [Params(0, 0)]}, {"in": (given,)})):
        spec = TreeSpec(tree, "params")
        assert spec.match(wrapped, "grads") == [1, 2]
    assert spec.paths == ["['in'][0].probe", "['in'][0].object"]
    assert spec.names == ["in/0/probe", "in/0/object"]


def test_named_tuples_are_matched_by_name_where_they_hold_containers() -> None:
    spec = TreeSpec(Params([0, 0], {"x": 0}), "params")
    assert spec.match(Grads({"x": 3}, (1, 2)), "grads") == [1, 2, 3]
    with pytest.raises(ValueError, match=r"^missing: grads\.object\['x'\]$"):
        spec.match(Grads({}, (1, 2)), "grads")
    with pytest.raises(TypeError, match=r"^grads\.probe must be a list or tuple of length 2, got int$"):
        spec.match(Grads({"x": 3}, 1), "grads")


def test_the_fields_of_a_named_tuple_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"^missing: grads\[0\]\.object; extra: grads\[0\]\.phase$"):
        TreeSpec([Params(0, 0)], "params").match([Other(1, 2)], "grads")


def test_what_none_means_is_told_where_only_leaves_are_missing() -> None:
    spec = TreeSpec({"a": 0, "b": {"c": 0, "d": 0}}, "params")
    for wrong, told in (
        ({"b": {"c": 1, "d": 2}}, "missing: grads['a']; None there means no gradient"),
        ({"a": 1, "b": {"c": 1}}, "missing: grads['b']['d']; None there means no gradient"),
        ({"a": 1}, "missing: grads['b']"),
        ({"b": {"c": 1, "d": 2}, "x": 1}, "missing: grads['a']; extra: grads['x']"),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
            spec.match(wrong, "grads", "no gradient")
    with pytest.raises(ValueError, match=r"^missing: grads\.object; None there means no gradient$"):
        TreeSpec(Params(0, 0), "params").match(Half(1), "grads", "no gradient")


def test_a_named_tuple_stands_for_a_plain_one_by_position() -> None:
    assert TreeSpec((0, 0), "params").match(Grads(2, 1), "grads") == [2, 1]
