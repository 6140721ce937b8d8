"""What the everyday suite tries of every rule: one plan for all tests, so that a kernel compiled for one serves all.

Each rule meets every dtype, every executor and every layout; each two of these meet, and so does each option of a rule.
``pytest --exhaustive`` tries all combinations.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from gpuopt.rules import Rule
from tests.support.covering import Facets, Pair, covering
from tests.support.executors import EXECUTORS
from tests.support.layouts import LAYOUTS
from tests.support.variants import DTYPES, STRUCTURES, facets, label, structures, takes

AXES: dict[str, Sequence[Any]] = {
    "rule": STRUCTURES,
    "dtype": DTYPES,
    "executor": EXECUTORS,
    "layout": LAYOUTS,
    "gradient_layout": LAYOUTS,
}
CHEAPEST_FIRST = ["executor"]
"""For NumPy nothing is compiled."""
FACETS: dict[str, Facets] = {"rule": facets, "pause": lambda pause: [pause[0]]}


@functools.cache
def plan() -> list[tuple[Any, ...]]:
    """The rows of all tests; those with executor "cupy" run on a GPU, or on an emulated one."""
    return covering(AXES, FACETS, impossible(AXES), CHEAPEST_FIRST)


def impossible(axes: Mapping[str, Sequence[Any]]) -> set[Pair]:
    """What never meets: rules that compare numbers, and complex dtypes."""
    refused = {type(rule).__name__ for rule in axes.get("rule", ()) if not takes(rule, "complex64")}
    numbers = [number for number, dtype in enumerate(axes.get("dtype", ())) if dtype.startswith("complex")]
    return {frozenset({("rule", name), ("dtype", number)}) for name, number in itertools.product(refused, numbers)}


def projected(
    axes: Sequence[str], given: Mapping[str, Sequence[Any]], exhaustive: bool
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Axes, and rows of their values: all combinations, or as few as the plan has.

    `given` are values that an axis of the plan is restricted to, or the values of another axis, which is added.
    """
    values = AXES | {"rule": structures(exhaustive=True)} if exhaustive else AXES
    allowed = {axis: [value for value in values[axis] if value in given.get(axis, values[axis])] for axis in AXES}
    more = {axis: values for axis, values in given.items() if axis not in AXES}
    own = {axis: allowed[axis] for axis in axes} | more
    if exhaustive:
        rows = (dict(zip(own, row, strict=True)) for row in itertools.product(*own.values()))
        return list(own), [tuple(row.values()) for row in rows if "rule" not in row or takes(row["rule"], row.get("dtype", ""))]
    if more:
        return list(own), covering(own, FACETS, impossible(own), CHEAPEST_FIRST)
    rows = (dict(zip(AXES, row, strict=True)) for row in plan())
    fitting = (row for row in rows if all(row[axis] in allowed[axis] for axis in given))
    return list(own), list(dict.fromkeys(tuple(row[axis] for axis in own) for row in fitting))


def named(row: Sequence[Any]) -> str:
    """What a test with these values is called."""
    return "-".join(map(_named, row))


def _named(value: Any) -> str:
    if isinstance(value, Rule):
        return label(value)
    return ", ".join(map(str, value)) if isinstance(value, tuple) else getattr(value, "__name__", str(value))
