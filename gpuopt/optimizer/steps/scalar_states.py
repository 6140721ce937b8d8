"""The states that are one number, for each array or for a tree of them, such as a sum of weights.

Comes in: arrays bound to updates, and how often each was updated. Goes out: a row of numbers for
each such state, on the host or on the device of the arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gpuopt.codegen.host import compile_host
from gpuopt.optimizer.binding import Binding
from gpuopt.optimizer.groups import ParamGroup
from gpuopt.optimizer.rule_change import RuleChange
from gpuopt.tracing.expr import StateKey
from gpuopt.tracing.program import UpdateProgram
from gpuopt.tracing.weights import UNKNOWN, Decay

__all__ = ["ScalarStates", "closed_weights", "shown"]


def closed_weights(decay: Decay, counts: Sequence[int], values: Mapping[str, float]) -> list[float]:
    """The sums of an average's weights after so many updates, if its decay was always the same."""
    found = dict.fromkeys(counts, 0.0)
    for count in found.keys() - {0}:
        (found[count],) = compile_host((decay.total,))(count, values)
    return [found[count] for count in counts]


def shown(program: UpdateProgram, varying: Collection[str]) -> Iterator[StateKey]:
    """The states that are one number of a rule, and the sums of averages whose decay varies."""
    for key in program.update.scalar_states:
        if key.name in varying or key.name not in program.decays:
            yield key


class ScalarStates:
    """Rows of float64 numbers: one for every array of the optimizer, or a single one of a tree.

    Parameters
    ----------
    binding : Binding
    xp : module
        NumPy, or the library of the arrays; rows are made on its current device.

    Attributes
    ----------
    rows : dict
        The numbers by the key of the state. They are `UNKNOWN` for an array without such a state,
        or for an average whose decay was always the same.
    after : dict
        For each state of a tree where a device writes what it is after the step: all arrays read
        the number from before.
    """

    def __init__(self, binding: Binding, xp: Any) -> None:
        self._binding, self._xp = binding, xp
        self._known: set[tuple[ParamGroup, StateKey]] = set()
        self._next: list[tuple[StateKey, Sequence[int], Sequence[float]]] = []
        self._shared: Any = None
        self.rows: dict[StateKey, Any] = {}
        self.after: dict[StateKey, Any] = {}

    def prepare(self, change: RuleChange, counts: Callable[[], Sequence[int]]) -> None:
        """Make the rows that updates need; `counts` are the updates of each array so far.

        An average whose decay was the same so far continues with the weights that this gave.
        """
        before, size = self._binding.hyper.checked, len(self._binding.leaves)
        self._next = []
        self._make_shared(change)
        for group, programs, varying in zip(
            self._binding.groups, change.programs, change.varying, strict=True
        ):
            for key in programs[-1].update.scalar_states.keys() - self.rows.keys():
                self.rows[key] = self._xp.full(size, UNKNOWN, np.float64)
            decays = programs[-1].decays | group.programs[-1].decays
            for key in shown(programs[-1], varying):
                if (group, key) in self._known:
                    continue
                if key.name in decays:
                    own = [counts()[index] for index in group.indices]
                    values = closed_weights(decays[key.name], own, before[group.key])
                else:
                    values = group.begun[key.name].tolist()
                self._next.append((key, group.indices, values))

    def _make_shared(self, change: RuleChange) -> None:
        """Make the numbers of trees, all at once: another rule of the same structure has them."""
        states = [programs[-1].update.scalar_states for programs in change.programs]
        keys = dict.fromkeys(key for each in states for key in each if key.tree is not None)
        if self._shared is None and keys:
            self._shared = self._xp.zeros((2, len(keys)), np.float64)
            for place, key in enumerate(keys):
                cell = self._shared[:, place : place + 1]
                self.rows[key], self.after[key] = cell

    def use(self) -> None:
        """Continue with the updates that rows were prepared for."""
        for state in self._next:
            self.set(*state)
        self._next = []
        for group in self._binding.groups:
            self._known |= {(group, key) for key in shown(group.programs[-1], group.varying)}

    def set(self, key: StateKey, indices: Sequence[int], values: Sequence[float]) -> None:
        """Give the state of the arrays at `indices` other values, or a tree the first of them."""
        if key.tree is None:
            self.rows[key][self._xp.asarray(indices)] = self._xp.asarray(values, np.float64)
        else:
            self.rows[key][:] = self.after[key][:] = values[0]

    def settle(self) -> None:
        """Take over what a device wrote for trees."""
        self._shared[0] = self._shared[1]

    def values(self) -> dict[StateKey, Any]:
        """A list of numbers for each state, or the number of a tree; those of the host."""
        return {
            key: row.tolist() if key.tree is None else float(row[0])
            for key, row in self.rows.items()
        }

    def of_arrays(self) -> dict[str, list[Any]]:
        """For each state a 0-d view for each array of the optimizer, or None."""
        found: dict[str, list[Any]] = {}
        for group, key in self._known:
            views = found.setdefault(key.name, [None] * len(self._binding.leaves))
            for index in group.indices:
                place = index if key.tree is None else 0
                views[index] = self.rows[key][place : place + 1].reshape(())
        return dict(sorted(found.items()))
