"""The arrays that the steps of an optimizer keep on a GPU, in addition to parameters and state.

Comes in: arrays bound to updates, and the kernels that a step may run. Goes out: the arguments of
kernels of scalars: totals, counts, hyperparameters and numbers of the whole optimizer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from gpuopt.codegen.cuda.scalar_arguments import ScalarSource, StepRecord
from gpuopt.executors.cuda.launch import CupyExecutor
from gpuopt.executors.cuda.uploads import UploadRing
from gpuopt.optimizer.binding import Binding
from gpuopt.optimizer.group_steps import GroupStep
from gpuopt.optimizer.groups import ParamGroup
from gpuopt.optimizer.rule_change import RuleChange
from gpuopt.optimizer.steps.dimensions import dimensions
from gpuopt.optimizer.steps.masks import Masks, MaskUploads
from gpuopt.optimizer.steps.plain import Progress
from gpuopt.optimizer.steps.scalar_states import ScalarStates
from gpuopt.tracing.expr import Expr, ReductionKey
from gpuopt.tracing.ops import REDUCTIONS
from gpuopt.tracing.program import Kernel, UpdateProgram

__all__ = ["DeviceMemory"]


class DeviceMemory:
    """What steps keep on the device of an optimizer's arrays; it is the current device in all
    methods.

    Parameters
    ----------
    binding : Binding

    Attributes
    ----------
    executors : dict
        The executor of each group.
    device : Device
    runtime : Runtime
        The library that makes arrays there.
    record : array
        The steps, as `StepRecord` says.
    counts : dict
        For each group how often each of its arrays was updated, if the device counts.
    numbers : dict
        The numbers of the whole optimizer, each in an array of one.
    loss : array
        That of the step, an array of one.
    mask_uploads : MaskUploads
    """

    def __init__(self, binding: Binding) -> None:
        self._binding = binding
        self.executors = {group: cast("CupyExecutor", group.executor) for group in binding.groups}
        first = self.executors[binding.groups[0]]
        self.device, self.runtime = first.device, first.runtime
        self._size, xp = len(binding.leaves), self.runtime.xp
        self.mask_uploads = MaskUploads(first, self._size, binding.capturable)
        self._masks, self._asked = Masks(self.mask_uploads), cast("list[Any] | None", None)
        self._rings: dict[tuple[ParamGroup, Kernel], UploadRing] = {}
        self._totals: dict[ReductionKey, Any] = {}
        self._shares: dict[ReductionKey, Any] = {}
        self._hyper: dict[ParamGroup, Any] = {}
        with self.device:
            self.record, self.loss = xp.zeros(len(StepRecord), np.int64), xp.zeros(1, np.float64)
            self.counts = {
                group: xp.zeros(len(group.indices), np.int64) for group in binding.groups
            }
            self.scalar_states = ScalarStates(binding, xp)
            self.numbers = {
                name: xp.full(1, value, np.result_type(value))
                for name, value in binding.initial.items()
            }
            self._indices = {g: xp.asarray(np.array(g.indices, np.int32)) for g in binding.groups}

    def keep_dimensions(self, change: RuleChange) -> None:
        """Send the dimensions of arrays that updates read."""
        found = dimensions(self._binding, change)
        with self.device:
            for key in found.keys() - self._totals.keys():
                self._totals[key] = self.runtime.xp.asarray(found[key])

    def make_room(self, group: ParamGroup, kernel: Kernel, source: ScalarSource | None) -> None:
        """Make room for the totals of a kernel, and for its scalars if they are made by
        `source`.
        """
        for reduction in kernel.reductions:
            self.row(reduction)
        if source is not None:
            self.executors[group].stored(kernel, source.width)
            if source.count and (group, kernel) not in self._rings:
                width = len(group.indices) * source.count
                self._rings[group, kernel] = UploadRing(self.runtime, width, np.float64)

    def make_masks(self, change: RuleChange) -> None:
        """Make room for masks, and send those of a step of all arrays."""
        programs, self._asked = {program for found in change.programs for program in found}, None
        self.mask_uploads.make_room(len(self._totals) + len(programs))
        groups = zip(self._binding.groups, change.programs, strict=True)
        steps = [(group.indices, programs[-1]) for group, programs in groups]
        Masks(self.mask_uploads, steps).send()

    def masks(self, steps: Sequence[GroupStep]) -> Masks:
        """The masks of a step; those of the step before if the same arrays run the same."""
        asked = [(step.group, step.program, step.positions) for step in steps]
        if asked != self._asked or self.mask_uploads.captured():
            taken = [(step.indices, step.program) for step in steps]
            self._asked, self._masks = asked, Masks(self.mask_uploads, taken)
        return self._masks

    def row(self, reduction: Expr) -> Any:
        """The totals of a reduction, one for each array of the optimizer."""
        return self._row_in(self._totals, reduction)

    def share(self, reduction: Expr) -> Any:
        """The totals of a reduction here, where the arrays are shares of others."""
        return self._row_in(self._shares, reduction)

    def _row_in(self, rows: dict[ReductionKey, Any], reduction: Expr) -> Any:
        if reduction.value not in rows:
            nothing = REDUCTIONS[reduction.op].nothing
            rows[reduction.value] = self.runtime.xp.full(self._size, nothing, dtype=np.float64)
        return rows[reduction.value]

    def upload(self, group: ParamGroup, kernel: Kernel, rows: Sequence[Sequence[float]]) -> Any:
        """Numbers of the host on the device, a row for each array of a group."""
        return self._rings[group, kernel].write(np.array(rows, np.float64).reshape(-1))

    def send_hyper(self, change: RuleChange) -> dict[ParamGroup, Any]:
        """The hyperparameters of each group, in new arrays."""
        sent = {}
        for group, programs in zip(self._binding.groups, change.programs, strict=True):
            values = group.hyper(change.hyper.checked)
            row = [values.get(name, np.nan) for name in programs[-1].hyper]
            sent[group] = self.runtime.xp.asarray(np.array(row, np.float64))
        return sent

    def keep_hyper(self, sent: Mapping[ParamGroup, Any]) -> None:
        """Take over hyperparameters that were sent: in place, where a captured step reads them."""
        for group, values in sent.items():
            if group not in self._hyper:
                self._hyper[group] = self.runtime.xp.zeros(values.size, np.float64)
            self._hyper[group][:] = values

    def arguments(
        self,
        source: ScalarSource,
        group: ParamGroup,
        program: UpdateProgram,
        masks: Masks,
        scalars: Any = None,
    ) -> tuple[list[Any], list[Any]]:
        """The arguments of a kernel of scalars of a group: its signature says which.

        First those before what the host gives, then those after that.
        """
        one = {"indices": self._indices[group], "active": masks.active, "arrays": self._size}
        one |= {"counts": self.counts[group], "record": self.record, "scalars": scalars}
        one |= {"hyper": self._hyper.get(group), "loss": self.loss}
        of_key: dict[str, Any] = {"total": self._totals, "number": self.numbers}
        of_key |= {"state": self.scalar_states.rows, "after": self.scalar_states.after}
        before, after = list[Any](), list[Any]()
        found = before
        for argument in source.arguments:
            if argument.kind == "given":
                found = after
            elif argument.kind == "total_of":
                found.append(masks.of(cast("ReductionKey", argument.key)))
            elif argument.kind == "members":
                found.append(masks.of(program))
            elif argument.kind in of_key:
                found.append(of_key[argument.kind][argument.key])
            else:
                found.append(one[argument.kind])
        return before, after

    def load(self, progress: Progress) -> None:
        """Continue from there."""
        xp, record = self.runtime.xp, np.zeros(len(StepRecord), np.int64)
        record[StepRecord.COMPLETED] = progress.t
        self.record[:] = xp.asarray(record)
        for group, array in self.counts.items():
            array[:] = xp.asarray(
                np.array([progress.counts[index] for index in group.indices], np.int64)
            )
        for name, value in progress.numbers.items():
            self.numbers[name][:] = value
        for state in progress.scalar_states:
            self.scalar_states.set(*state)
