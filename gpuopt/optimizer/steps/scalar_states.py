"""The states that are one number for each array, such as the sum of an average's weights.

Comes in: arrays bound to updates, and how often each was updated. Goes out: a row of numbers for
each such state, on the host or on the device of the arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gpuopt.codegen.host import compile_host
from gpuopt.optimizer.binding import Binding, RuleChange
from gpuopt.optimizer.groups import ParamGroup
from gpuopt.tracing.weights import UNKNOWN, Decay

__all__ = ["ScalarStates", "closed_weights"]


def closed_weights(decay: Decay, counts: Sequence[int], values: Mapping[str, float]) -> list[float]:
    """The sums of an average's weights after so many updates, if its decay was always the same."""
    found = dict.fromkeys(counts, 0.0)
    for count in found.keys() - {0}:
        (found[count],) = compile_host((decay.total,))(count, values)
    return [found[count] for count in counts]


class ScalarStates:
    """Rows of numbers, each with one for every array of the optimizer.

    Parameters
    ----------
    binding : Binding
    xp : module
        NumPy, or the library of the arrays; rows are made on its current device.

    Attributes
    ----------
    rows : dict
        The float64 numbers by the name of the state. They are `UNKNOWN` for an array without such a
        state, or for an average whose decay was always the same.
    """

    def __init__(self, binding: Binding, xp: Any) -> None:
        self._binding, self._xp = binding, xp
        self._known: set[tuple[ParamGroup, str]] = set()
        self._next: list[tuple[str, Any, Any]] = []
        self.rows: dict[str, Any] = {}

    def prepare(self, change: RuleChange, counts: Callable[[], Sequence[int]]) -> None:
        """Make the rows that updates need; `counts` are the updates of each array so far.

        An average whose decay was the same so far goes on with the weights that this gave.
        """
        before, size = self._binding.hyper.checked, len(self._binding.leaves)
        self._next = []
        for group, programs, varying in zip(
            self._binding.groups, change.programs, change.varying, strict=True
        ):
            for name in programs[-1].update.scalar_states.keys() - self.rows.keys():
                self.rows[name] = self._xp.full(size, UNKNOWN, np.float64)
            decays = programs[-1].decays | group.programs[-1].decays
            for name in varying:
                if (group, name) not in self._known:
                    own = [counts()[index] for index in group.indices]
                    values = closed_weights(decays[name], own, before[group.key])
                    self._next.append((name, *self._arrays(group.indices, values)))

    def use(self) -> None:
        """Go on with the updates that rows were prepared for."""
        for name, indices, values in self._next:
            self.rows[name][indices] = values
        self._next = []
        for group in self._binding.groups:
            self._known |= {(group, name) for name in group.varying}

    def set(self, name: str, indices: Sequence[int], values: Sequence[float]) -> None:
        """Give the state of the arrays at `indices` other values."""
        where, what = self._arrays(indices, values)
        self.rows[name][where] = what

    def _arrays(self, indices: Sequence[int], values: Sequence[float]) -> tuple[Any, Any]:
        return self._xp.asarray(indices), self._xp.asarray(values, np.float64)

    def of_arrays(self) -> dict[str, list[Any]]:
        """For each state a 0-d view for each array of the optimizer, or None."""
        found: dict[str, list[Any]] = {}
        for group, name in self._known:
            views = found.setdefault(name, [None] * len(self._binding.leaves))
            for index in group.indices:
                views[index] = self.rows[name][index : index + 1].reshape(())
        return dict(sorted(found.items()))
