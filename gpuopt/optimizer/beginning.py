"""The content of states until the first step, if the hook `start` reduces arrays.

Comes in: groups of arrays. Goes out: states that show what they would begin with now. The first
step of an array begins them again, in the fixed order of all reductions.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from gpuopt.arrays.backend import is_cupy
from gpuopt.arrays.dtypes import COMPUTE, is_complex, state_dtype
from gpuopt.arrays.quiet import cast
from gpuopt.optimizer.groups import ParamGroup
from gpuopt.optimizer.starting import starting
from gpuopt.rules.reductions import over_tree_by
from gpuopt.rules.tuples import flat

__all__ = ["begin"]


class _Late(NamedTuple):
    """A part whose `start` reduces arrays, bound to one array.

    Attributes
    ----------
    tree : tuple of str
        Of which arrays, and of which part, its reductions over the tree are.
    formula
    param : array
        The parameter as the part sees it.
    states : list of array or None
        Each of an array, or of one number; None where nothing needs it.
    """

    tree: tuple[str, str]
    formula: Any
    param: Any
    states: list[Any]


def begin(groups: Sequence[ParamGroup]) -> None:
    """Let states whose `start` reduces arrays begin with what it gives now."""
    found = [late for group in groups for late in _late(group)]
    for tree in dict.fromkeys(late.tree for late in found):
        alike = [late for late in found if late.tree == tree]
        for late, values in zip(alike, _started(alike), strict=True):
            for state, value in zip(late.states, values, strict=True):
                if state is not None:
                    apart = is_cupy(value) and not is_cupy(state)
                    state[...] = float(value) if apart else value


def _late(group: ParamGroup) -> Iterator[_Late]:
    if all(group.begins_alone(names) for _, _, names in starting(group.update, {})):
        return  # as nearly always: it is asked once, not for each array
    for position in range(len(group.indices)):
        param, hyper, states = group.arrays_of(position)
        for part, formula, names in starting(group.update, hyper):
            if param.size and not group.begins_alone(names):
                wide = state_dtype(COMPUTE[param.dtype.name], is_complex(param.dtype))
                rows = {name: row[position : position + 1] for name, row in group.begun.items()}
                own = [(states | rows).get(name) for name in names]
                yield _Late((part.scope, part.name), formula, cast(param, wide), own)


def _started(alike: Sequence[_Late]) -> list[list[Any]]:
    """What `start` gives for each array; what one call reduces, those before it may decide."""
    totals: list[Any] = []
    while True:
        asked: list[list[tuple[str, Any]]] = []
        values = [_started_with(totals, late, asked) for late in alike]
        if all(len(calls) == len(totals) for calls in asked):
            return values
        totals.append(_total([calls[len(totals)] for calls in asked]))


def _started_with(
    totals: Sequence[Any], late: _Late, asked: list[list[tuple[str, Any]]]
) -> list[Any]:
    """What `start` gives, told the first totals of the tree; what it asked for is added."""
    calls: list[tuple[str, Any]] = []
    asked.append(calls)

    def of_tree(kind: str, x: Any) -> Any:
        calls.append((kind, x))
        return totals[len(calls) - 1] if len(calls) <= len(totals) else getattr(np, kind)(x)

    with over_tree_by(of_tree):
        return flat(late.formula.start(late.param))


def _total(calls: Sequence[tuple[str, Any]]) -> Any:
    """The same reduction of all arrays."""
    kind, arrays = calls[0][0], [x for _, x in calls]
    if kind == "max":
        return functools.reduce(np.maximum, map(np.max, arrays))
    total = sum(map(np.sum, arrays))
    return total if kind == "sum" else total / sum(map(np.size, arrays))
