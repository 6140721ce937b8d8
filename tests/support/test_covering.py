"""Rows that stand for a full product: all that must meet does, at each call alike."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from gpuopt.rules import Adam, rules
from tests.support.covering import Facets, covering, pairs
from tests.support.plan import AXES, FACETS, impossible, plan, projected
from tests.support.variants import STRUCTURES, facets, structures


def met(rows: list[tuple[Any, ...]], axes: dict[str, Any], facets: dict[str, Any]) -> set[Any]:
    """What meets in the rows, found without the search."""
    found = set()
    for row in rows:
        of = [
            {(axis, facet) for facet in (facets[axis](value) if axis in facets else [axes[axis].index(value)])}
            for axis, value in zip(axes, row, strict=True)
        ]
        for one, other in itertools.combinations(of, 2):
            found |= {frozenset(pair) for pair in itertools.product(one, other)}
    return found


SOME: dict[str, dict[str, list[Any]]] = {
    "one axis": {"a": [1, 2, 3]},
    "two": {"a": [1, 2, 3], "b": ["x", "y"]},
    "equal": {name: list(range(4)) for name in "abcde"},
    "unequal": {"a": list(range(9)), "b": list(range(5)), "c": [0], "d": [0, 1]},
}


@pytest.mark.parametrize("axes", SOME.values(), ids=SOME)
def test_each_two_values_meet(axes: dict[str, Any]) -> None:
    rows = covering(axes, {})
    assert met(rows, axes, {}) == pairs(axes, {})
    assert all({row[n] for row in rows} == set(values) for n, values in enumerate(axes.values()))
    assert all(value in axes[axis] for row in rows for axis, value in zip(axes, row, strict=True))


def test_rows_are_few() -> None:
    """Little more than the two longest axes need."""
    assert len(covering(SOME["equal"], {})) <= 16 + 8
    assert len(covering(SOME["unequal"], {})) <= 45 + 5


def test_facets_meet_in_place_of_values() -> None:
    """Numbers by their remainders: each parity meets each letter, and each number is in a row."""
    axes: dict[str, list[Any]] = {"n": list(range(20)), "letter": list("abc")}
    facets: dict[str, Facets] = {"n": lambda n: [n % 2]}
    rows = covering(axes, facets)
    assert met(rows, axes, facets) == pairs(axes, facets)
    assert len(pairs(axes, facets)) == 6
    assert len(rows) == 20


def test_equal_axes_give_equal_rows() -> None:
    state = random.getstate()
    assert covering(SOME["equal"], {}) == covering(SOME["equal"], {})
    assert random.getstate() == state


def test_the_cheapest_is_chosen_where_others_show_no_more() -> None:
    axes: dict[str, list[Any]] = {"letter": list("abcdefgh"), "n": list(range(8)), "price": [1, 2, 3]}
    rows, equal = covering(axes, {}, cheapest_first=["price"]), covering(axes, {})
    assert met(rows, axes, {}) == pairs(axes, {})
    assert sum(row[2] == 1 for row in rows) > sum(row[2] == 1 for row in equal)


def test_what_cannot_be_meets_nowhere() -> None:
    never = {frozenset({("a", 0), ("b", n)}) for n in range(3)}
    found = met(covering(SOME["unequal"], {}, never), SOME["unequal"], {})
    assert found == pairs(SOME["unequal"], {}) - never


def test_the_plan_of_rules() -> None:
    """Each rule meets every dtype and every executor; each option too; each structure is in a row."""
    of_rules = plan()
    assert pairs(AXES, FACETS) - impossible(AXES) <= met(of_rules, AXES, FACETS)
    assert not impossible(AXES) & met(of_rules, AXES, FACETS)
    assert {row[0] for row in of_rules} == set(STRUCTURES)
    assert {facet for rule in STRUCTURES for facet in facets(rule)} >= {"Adam", ("amsgrad", True), ("amsgrad", False)}


@pytest.mark.parametrize("exhaustive", [False, True])
def test_part_of_the_plan(exhaustive: bool) -> None:
    axes, rows = projected(("rule", "dtype"), {"executor": ("numba",), "dtype": ("float32", "float64")}, exhaustive)
    assert axes == ["rule", "dtype"]
    assert len(rows) == len(set(rows))
    if exhaustive:
        assert set(rows) == set(itertools.product(structures(exhaustive), ("float32", "float64")))
    else:
        wanted = {row[:2] for row in plan() if row[2] == "numba" and row[1] in ("float32", "float64")}
        assert set(rows) == wanted
        assert 0 < len(rows) < 2 * len(STRUCTURES)


@pytest.mark.parametrize("exhaustive", [False, True])
def test_an_axis_beside_the_plan(exhaustive: bool) -> None:
    axes, rows = projected(("rule",), {"executor": ("numpy",), "size": (1, 2, 3)}, exhaustive)
    assert axes == ["rule", "size"]
    every = set(structures(exhaustive))
    assert {row[0] for row in rows} == every
    assert {(type(rule).__name__, size) for rule, size in rows} == set(itertools.product(rules(), (1, 2, 3)))
    assert (len(rows) == 3 * len(every)) == exhaustive


def test_structures() -> None:
    """Each two values of two options meet; all combinations only with --exhaustive."""
    names = ("bias_correction", "amsgrad", "nesterov", "eps_in_root")
    few, every = ([r for r in structures(exhaustive) if type(r) is Adam] for exhaustive in (False, True))
    assert len(few) < len(every) == 16
    for one, other in itertools.combinations(names, 2):
        assert len({(getattr(rule, one), getattr(rule, other)) for rule in few}) == 4
