"""Arrays bound to their updates: what the three ways of a step share.

Comes in: a rule, and a tree of arrays. Goes out: groups of arrays of one dtype under one update,
the hyperparameters of each update, and how far the host has counted. `Optimizer` makes one
`Binding`; the steps read it, and advance it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from gpuopt.arrays.backend import is_cupy
from gpuopt.arrays.device import device_of
from gpuopt.arrays.dtypes import COMPUTE
from gpuopt.arrays.precision import MASTER, Precision
from gpuopt.arrays.quiet import quietly
from gpuopt.arrays.tree import TreeSpec
from gpuopt.executors import executor_of
from gpuopt.optimizer.agreement import check_counting, check_paths, check_precision
from gpuopt.optimizer.beginning import begin
from gpuopt.optimizer.groups import ParamGroup
from gpuopt.optimizer.hyper_arrays import check_kept, match_hyper_arrays, updates_of
from gpuopt.optimizer.hyperparameters import (
    HyperValues,
    Updates,
    check_traceable,
    initial_values,
    number_ranges,
)
from gpuopt.optimizer.losses import given_loss, missing_gradient
from gpuopt.optimizer.row_groups import RowGroup, RowGroups, named_rows
from gpuopt.optimizer.rule_change import RuleChange
from gpuopt.rules.base import Bindable
from gpuopt.rules.hooks import device_counts, undoing

__all__ = ["Binding"]

T = TypeVar("T")


class Binding:
    """Arrays under their updates.

    Parameters
    ----------
    rule : Bindable
        What says which array has which update.
    spec : TreeSpec
        The parameters.
    precision : Precision
        The options for parameters of 16 bits.
    hyper, capturable, rows
        As for `Rule.init`.

    Attributes
    ----------
    spec, precision, capturable
        As given.
    leaves : list of array
        The parameters, as what executors take.
    updated, whole : list of bool
        Whether each of them is updated; and whether as a whole, and not by rows.
    groups : list of ParamGroup
    row_groups : RowGroups
        The arrays that are updated by rows, each by itself.
    updates : dict
        The updates now.
    hyper : HyperValues
        Their hyperparameters.
    loss_reader : str or None
        The class that reads the loss of a step; None if none does.
    asks : bool
        Whether a step needs its loss, or all gradients.
    t : int
        How many steps were completed, as far as the host counts them.
    hyper_arrays : list of frozenset
        For each array the hyperparameters in whose place it has an array, by their full names.
    initial : dict
        What the numbers of the whole optimizer start at, by name.
    number_ranges : dict
        What each of them may be.
    on_device : bool
        Whether something is updated, and on a device.
    device_counts : bool
        Whether a device counts the steps: because it decides whether they are made, or so that they
        may be captured.
    """

    def __init__(
        self,
        rule: Bindable,
        spec: TreeSpec,
        hyper: Mapping[str, Any] | None,
        precision: Precision,
        capturable: bool,
        rows: str | Sequence[str] | None = None,
    ) -> None:
        self.spec, self.precision, self.capturable, self.t = spec, precision, capturable, 0
        self.leaves = list(map(_bare, spec.leaves))
        check_paths(rule, spec)
        keys = rule.group_keys(spec.names, spec.leaves)
        by_row = named_rows(rows, spec)
        self.updated = updated = [key is not None for key in keys]
        self.whole = [a and not b for a, b in zip(updated, by_row, strict=True)]
        self.updates, self._written = updates_of(rule, [key for key in keys if key is not None])
        check_precision(precision, spec, updated, self.updates)
        arrays = match_hyper_arrays(hyper, spec, keys, self.updates, self._written)
        self.hyper_arrays = [frozenset(own) for own in arrays]
        self._dtypes: dict[Hashable, set[np.dtype[Any]]] = {key: set() for key in self.updates}
        alike: dict[tuple[Any, ...], list[int]] = {}
        for index, (key, leaf) in enumerate(zip(keys, self.leaves, strict=True)):
            if key is not None:
                self._dtypes[key].add(COMPUTE[leaf.dtype.name])
                apart = index if by_row[index] else None
                own = precision.of_array(spec.paths[index], leaf, arrays[index], by_row[index])
                kind = key, leaf.dtype, self.hyper_arrays[index], own, apart
                alike.setdefault(kind, []).append(index)
        self.hyper, self.initial = self._checked(self.updates, 0), initial_values(self.updates)
        self.number_ranges = number_ranges(self.updates)
        self._undoes = undoing(self.updates.values())
        self.on_device = any(self.whole) and executor_of(self.leaves[0]).on_device
        self.device_counts = self.on_device and device_counts(self.updates.values(), capturable)
        check_counting(any(by_row), capturable or self.device_counts)
        self.groups, self.row_groups = list[ParamGroup](), RowGroups()
        quietly(self._bind, alike, arrays)
        self._find_reader_of_loss()
        with device_of(self.leaves[0]):
            quietly(begin, self.groups)

    def _bind(
        self, alike: Mapping[tuple[Any, ...], list[int]], arrays: list[dict[str, Any]]
    ) -> None:
        """Bind the arrays of each group, and those that are updated by rows."""
        for (key, *_, precision, apart), indices in alike.items():
            what = key, self.updates[key], self.leaves, arrays, indices
            if apart is not None:
                self.row_groups.append(RowGroup(*what, False, precision, self.spec.paths))
            else:
                rest = self.device_counts, precision, self.spec.paths
                self.groups.append(ParamGroup(*what, *rest))

    def _checked(self, updates: Updates, step: int | None) -> HyperValues:
        """The hyperparameters of updates that may be used here, after so many steps."""
        if self.capturable:
            check_traceable(updates)
        return HyperValues(updates, self._dtypes, step)

    @property
    def now(self) -> RuleChange:
        """The updates in use."""
        programs = [group.programs for group in self.groups]
        varying = [group.varying for group in self.groups]
        by_row = [group.programs for group in self.row_groups]
        return RuleChange(self.updates, self.hyper, programs, varying, by_row)

    def check_change(
        self, rule: Bindable, resumed: bool = False, kept: Sequence[Collection[str]] = ()
    ) -> RuleChange:
        """The updates of another rule for the same state; a `resumed` one calls no schedules, and
        continues with those states of one number that are `kept` for each array.

        Raises
        ------
        TypeError, ValueError
            If they need other state, or a hyperparameter is not valid here.
        """
        updates, written = updates_of(rule, self.updates)
        check_kept(self._written, written)
        # A device is not waited for.
        step = None if resumed else 0 if self.device_counts else self.t
        hyper = self._checked(updates, step)
        programs, varying, by_row = [], [], []
        for group in (*self.groups, *self.row_groups):
            values = self.hyper.checked[group.key], hyper.checked[group.key]
            own = {name for index in group.indices if kept for name in kept[index]}
            found, names = group.check_change(updates[group.key], *values, own)
            if isinstance(group, RowGroup):
                group.check_programs(updates[group.key], found)
                by_row.append(found)
            else:
                programs.append(found)
                varying.append(names)
        return RuleChange(updates, hyper, programs, varying, by_row)

    def use(self, change: RuleChange) -> None:
        """Continue with other updates."""
        for group, programs, varying in zip(
            self.groups, change.programs, change.varying, strict=True
        ):
            group.update, group.programs = change.updates[group.key], programs
            group.varying = varying
        for apart, programs in zip(self.row_groups, change.by_row, strict=True):
            apart.update, apart.programs = change.updates[apart.key], programs
        self.updates, self.hyper = change.updates, change.hyper
        self._find_reader_of_loss()

    def _find_reader_of_loss(self) -> None:
        readers = (group.programs[-1].loss_reader for group in self.groups)
        self.loss_reader = next(filter(None, readers), None)
        self.asks = bool(self.loss_reader or self._undoes)

    def loss(self, given: Any, complete: bool) -> Any:
        """The loss of a step as its updates read it; None if none does. Whether gradients are
        `complete` matters if a step may be taken back.
        """
        if self._undoes is not None and not complete:
            missing_gradient(self._undoes)
        return given_loss(given, self.loss_reader, self.leaves[0])

    def load(self, t: int, counts: Sequence[Any]) -> None:
        """Continue after `t` steps, with the counts of all arrays."""
        self.t = t
        self.row_groups.load(counts)
        for group in self.groups:
            group.counts = [counts[index] for index in group.indices]

    @property
    def executor(self) -> str:
        """The name of what runs the updates."""
        return executor_of(self.leaves[0]).name if not self.groups else self.groups[0].executor.name

    @property
    def states(self) -> list[dict[str, Any]]:
        """For each array its state by name."""
        return self.of_each({}, lambda group: group.states)

    @property
    def averages(self) -> list[Collection[str]]:
        """For each array the names of the averages whose weights a correction adds up."""
        nothing: Collection[str] = ()
        return self.of_each(
            nothing, lambda group: [group.programs[-1].decays.keys()] * len(group.indices)
        )

    def state(self) -> dict[str, Any]:
        """The state by name: trees like the parameters, None where an array has no such state."""
        states = self.states
        names = dict.fromkeys(name for state in states for name in state)
        if self.precision.master:
            names[MASTER] = None
        return {name: self.spec.build([state.get(name) for state in states]) for name in names}

    def of_each(self, missing: T, found: Callable[[ParamGroup], Sequence[T]]) -> list[T]:
        """The results `found` for each group's arrays, in the order of the optimizer's arrays."""
        values = [missing for _ in self.leaves]
        for group in (*self.groups, *self.row_groups):
            for index, value in zip(group.indices, found(group), strict=True):
                values[index] = value
        return values


def _bare(array: Any) -> Any:
    """An array as what executors take: of NumPy's or CuPy's own class."""
    return array if is_cupy(array) or type(array) is np.ndarray else array.view(np.ndarray)
