"""What the steps of an optimizer run: arrays in groups, how often each was updated, and the numbers that pieces keep."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np

from gpuopt.arrays.dtypes import COMPUTE
from gpuopt.arrays.precision import Precision
from gpuopt.codegen.host import compile_host
from gpuopt.executors import executor_of
from gpuopt.optimizer.groups import GroupStep, ParamGroup, batches
from gpuopt.optimizer.hyperparameters import Members, Numbers, begun, check_traceable, numbers, scheduled
from gpuopt.optimizer.steps.staged import resolve_reductions
from gpuopt.rules.hooks import device_counts
from gpuopt.tracing.trace import Trace

__all__ = ["RuleChange", "StepPlan", "Steps"]


class StepPlan(NamedTuple):
    """What a step runs: whether that is every array, whether the step counts, and what the optimizer's numbers become."""

    runs: list[GroupStep]
    whole: bool
    counts: bool
    adapted: dict[str, float]


class RuleChange(NamedTuple):
    """Other updates, checked: their hyperparameters, and their traces for each group."""

    members: Members
    hyper: Numbers
    traces: list[list[Trace]]


class Steps:
    """Arrays under their updates.

    Parameters
    ----------
    leaves, others : list
        All arrays of the optimizer, and beside each the arrays that stand for its hyperparameters, by name.
    keys : list
        The key of each array's update; None where it is not updated.
    members : dict
        The updates.
    precision : Precision
    capturable : bool
        Whether steps may be captured in a CUDA graph.

    Attributes
    ----------
    members : dict
        The updates now.
    groups : list of ParamGroup
    device_counts : bool
        Whether a device counts the steps: because it decides whether they are made, or so that they may be captured.
    numbers : dict
        The numbers of the whole optimizer, by name: 0-d arrays.
    structure : int
        Counted up where other updates come to need other kernels.
    """

    def __init__(
        self,
        leaves: list[Any],
        others: list[dict[str, Any]],
        keys: list[Hashable],
        members: Members,
        precision: Precision,
        capturable: bool,
    ) -> None:
        self._leaves, self._capturable, self.structure, self._t = leaves, capturable, 0, 0
        self._on_device = bool(members) and executor_of(leaves[0]).on_device
        self._computed: dict[Hashable, set[Any]] = {key: set() for key in members}
        alike: dict[tuple[Hashable, ...], list[int]] = {}
        for index, (key, leaf) in enumerate(zip(keys, leaves, strict=True)):
            if key is not None:
                self._computed[key].add(COMPUTE[leaf.dtype.name])
                alike.setdefault((key, leaf.dtype, frozenset(others[index])), []).append(index)
        self.members, self._hyper = members, self._checked(members, 0)
        start = begun(members)
        self.device_counts = self._on_device and device_counts(members.values(), capturable)
        self.groups = [
            ParamGroup(key, members[key], leaves, others, indices, self.device_counts, precision)
            for (key, *_), indices in alike.items()
        ]
        self._device: Any = None
        self.numbers: dict[str, Any] = {name: np.full((), value, np.float32) for name, value in start.items()}
        self._look()
        self._compare()

    def _checked(self, members: Members, step: int | None) -> Numbers:
        """The hyperparameters of updates (at `step`, if given), which may be used here."""
        if self._capturable:
            check_traceable(members)
        return numbers(members, step, self._computed)

    def _look(self) -> None:
        """Note which way a step goes, and make room for what it needs on a device."""
        self._plain = all(group.plain for group in self.groups)
        # Where the device counts, it asks the schedules, and keeps the numbers.
        self._scheduled = not self.device_counts and scheduled(self.members)
        self._fixed = not self._scheduled and (self.device_counts or not self.numbers)
        if not self._plain and self._on_device:
            from gpuopt.optimizer.steps.device import DeviceSteps

            if self._device is None:
                sizes = [leaf.size for leaf in self._leaves]
                self._device = DeviceSteps(self.groups, batches, sizes, self.device_counts, self.numbers, self._hyper)
                self.numbers = {name: array.reshape(()) for name, array in self._device.numbers.items()}
            else:
                self._device.prepare(self.groups, self._hyper)

    def _compare(self) -> None:
        """Note whether all arrays were updated equally often."""
        counts = [count for group in self.groups for count in group.counts]
        self._even = bool(counts) and counts.count(counts[0]) == len(counts)

    @property
    def name(self) -> str:
        """The executor's."""
        return self.groups[0].executor.name if self.groups else executor_of(self._leaves[0]).name

    @property
    def states(self) -> list[dict[str, Any]]:
        """For each array its state by name."""
        return self._of_each({}, lambda group: group.executor.states)

    @property
    def t(self) -> int:
        """How many steps were completed."""
        return int(self._device.steps[0]) if self.device_counts else self._t

    @property
    def counts(self) -> list[int]:
        """How often each array was updated."""
        return self._of_each(0, lambda group: self._device.counts[group].tolist() if self.device_counts else group.counts)

    def _of_each(self, nothing: Any, found: Any) -> list[Any]:
        """What is `found` for the arrays of each group, in the order of the optimizer's."""
        values = [nothing for _ in self._leaves]
        for group in self.groups:
            for index, value in zip(group.indices, found(group), strict=True):
                values[index] = value
        return values

    def check_change(self, members: Members, resumed: bool = False) -> RuleChange:
        """Other updates for the same state, ready to run; where it is `resumed`, schedules are not asked yet."""
        step = None if resumed else 0 if self.device_counts else self._t  # a device is not waited for
        hyper = self._checked(members, step)
        traces = [group.check_change(members[group.key]) for group in self.groups]
        for group, found in zip(self.groups, traces, strict=True):
            group.prepare(found)
        return RuleChange(members, hyper, traces)

    def use(self, change: RuleChange) -> None:
        """Go on with other updates."""
        traces = list(zip(self.groups, change.traces, strict=True))
        self.structure += any(group.traces != found for group, found in traces)
        for group, found in traces:
            group.use(change.members[group.key], found)
        self.members, self._hyper = change.members, change.hyper
        self._look()

    def plan(self, gradients: list[Any], whole: bool) -> StepPlan:
        """What a step with these gradients runs; with `whole`, every array has one."""
        runs = self._runs(gradients, self._hyper if self._fixed else self._numbers_now(), whole)
        if self._plain or self._device is not None:
            return StepPlan(runs, whole, True, {})
        kept, adapted = resolve_reductions(runs)
        return StepPlan(kept, whole and len(kept) == len(runs), bool(kept) or not runs, adapted)

    def perform(self, planned: StepPlan) -> None:
        """Make the step."""
        if self._device is not None:
            self._device.perform(planned.runs)
        else:
            for run in planned.runs:
                run.perform()
        if not self.device_counts:
            for run in planned.runs:
                run.count_it()
            self._even = self._even and planned.whole
            self._t += planned.counts
            if planned.adapted:
                self._adapt(planned.adapted)

    def launch(self, gradients: list[Any], whole: bool, dry_run: bool) -> None:
        """Launch a step that the device counts, and note nothing here; a `dry_run` launches it all and changes nothing."""
        self._device.perform(self._runs(gradients, self._hyper, whole), dry_run)

    def _runs(self, gradients: list[Any], hyper: Numbers, whole: bool) -> list[GroupStep]:
        """What to run if it is accepted."""
        if self._plain and whole and self._even:
            return [group.whole_run(gradients, hyper[group.key]) for group in self.groups]
        runs = [run for group in self.groups for run in group.runs(gradients, hyper[group.key])]
        if self._plain:
            for run in runs:
                run.scalars = run.evaluated(compile_host(run.trace.scalars))
        return runs

    def _numbers_now(self) -> Numbers:
        """The numbers of this step for each update: hyperparameters, and where the host keeps them those of the optimizer."""
        hyper = numbers(self.members, self._t, self._computed) if self._scheduled else self._hyper
        if self.numbers and not self.device_counts:
            now = {name: float(number) for name, number in self.numbers.items()}
            return {key: values | now for key, values in hyper.items()}
        return hyper

    def _adapt(self, values: dict[str, float]) -> None:
        """Give numbers of the whole optimizer other values."""
        for name, value in values.items():
            with np.errstate(over="ignore"):
                self.numbers[name][...] = value

    def load(self, t: int, counts: list[int], values: dict[str, float]) -> None:
        """Go on after `t` steps, with the counts of all arrays, and with the optimizer's numbers."""
        if self.device_counts:
            self._device.load(t, counts, values)
            return
        self._t = t
        for group in self.groups:
            group.counts = [counts[index] for index in group.indices]
        self._compare()
        self._adapt(values)

    def evaluated(self) -> list[Any]:
        """For each array a new one: the parameter, or what a piece keeps in its place."""
        t, found = self.t, {index: leaf.copy() for index, leaf in enumerate(self._leaves)}
        for group in self.groups:
            found |= group.evaluated(t, self._leaves)
        return [found[index] for index in range(len(found))]
