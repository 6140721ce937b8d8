"""Runs steps that depend on reductions entirely on the GPU, so the host never synchronizes.

Comes in: the gradient of each array. Goes out: a plan of kernels, in order. Reductions leave their totals in a table on the
device; a kernel of one thread an array makes scalars of them, which the update reads. In `DeviceSteps` the host counts, and
gives what depends on counts alone. In `CountingSteps` the device decides whether a step is made, and counts it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np

from gpuopt.codegen.cuda.scalars import ScalarSource, count_source, needs_scalars, scalar_source
from gpuopt.codegen.host import compile_host
from gpuopt.executors.cuda.launch import CupyExecutor
from gpuopt.executors.cuda.launches import Launches
from gpuopt.executors.cuda.uploads import CapturedUploads, UploadCache, UploadRing
from gpuopt.executors.scalars import AnyScalars, ScalarRows
from gpuopt.optimizer.binding import Binding, RuleChange
from gpuopt.optimizer.groups import GroupStep, ParamGroup, batches
from gpuopt.optimizer.hyperparameters import ValuesOfUpdates
from gpuopt.optimizer.steps.plain import PlainSteps, StepPlan
from gpuopt.tracing.expr import SIZE, Expr, ReductionKey
from gpuopt.tracing.ops import REDUCTIONS
from gpuopt.tracing.program import Kernel, UpdateProgram

__all__ = ["CountingSteps", "DeviceSteps"]

MASKS = 8
"""Lists of which arrays have a gradient that are kept, besides one for each total, which a step may need."""


class Masks(NamedTuple):
    """Which arrays of the optimizer are meant, on the device.

    Attributes
    ----------
    of : dict
        Those whose numbers make up each total.
    active : array
        Those that have a gradient at all.
    """

    of: dict[ReductionKey, Any]
    active: Any


class DeviceSteps(PlainSteps):
    """Steps whose scalars are made of reductions, on the device; the host counts.

    Attributes
    ----------
    device : Device
        Where all that is.
    structure : int
        Counted up where other updates come to need other kernels.
    """

    device_counts: ClassVar[bool] = False

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self.structure, self._sizes = 0, [leaf.size for leaf in binding.leaves]
        self._executors = {group: cast("CupyExecutor", group.executor) for group in binding.groups}
        first = self._executors[binding.groups[0]]
        self.device, self._runtime = first.device, first.runtime
        self._masks = UploadCache(self._runtime, len(self._sizes), np.uint8, 0)
        self._captured_masks = CapturedUploads(self._masks)
        self._rows: dict[tuple[ParamGroup, Kernel], UploadRing] = {}
        self._prepared: set[tuple[ParamGroup, UpdateProgram]] = set()
        self._totals: dict[ReductionKey, Any] = {}
        self._numbers: dict[str, Any] = {}
        xp = self._runtime.xp
        with self.device:
            self._record = xp.zeros(3, np.int64)
            self._indices = {group: xp.asarray(np.array(group.indices, np.int32)) for group in binding.groups}
            self._counts = {group: xp.zeros(len(group.indices), np.int64) for group in binding.groups}
            self._totals[SIZE] = xp.asarray(np.array(self._sizes, np.float64))

    def prepare(self, change: RuleChange) -> None:
        super().prepare(change)
        groups = zip(self.binding.groups, change.programs, strict=True)
        new = [(group, program) for group, programs in groups for program in programs]
        new = [pair for pair in new if pair not in self._prepared]
        if not new:
            return
        with self.device:
            for group, program in new:
                for kernel in program.kernels:
                    self._make_room(group, program, kernel)
            self._make_masks(change)
            for group, program in new:
                self._compile(group, program)
            self._runtime.wait()  # a step may run on another stream
        self._prepared.update(new)

    def _make_room(self, group: ParamGroup, program: UpdateProgram, kernel: Kernel) -> None:
        """Make room for the totals and scalars of a kernel."""
        for reduction in kernel.reductions:
            self._row(reduction)
        if needs_scalars(kernel, self.device_counts):
            source = scalar_source(program, kernel, self._executors[group].compute, self.device_counts)
            self._executors[group].stored(kernel, source.width)
            if source.count and (group, kernel) not in self._rows:
                self._rows[group, kernel] = UploadRing(self._runtime, len(group.indices) * source.count, np.float64)

    def _make_masks(self, change: RuleChange) -> None:
        """Make room for masks, and send those of a step of all arrays, which a capture then finds."""
        self._masks.make_room(len(self._totals) + MASKS)
        groups = zip(self.binding.groups, change.programs, strict=True)
        self._masks_of([(frozenset(group.indices), programs[-1]) for group, programs in groups])
        self._mask(frozenset())

    def _compile(self, group: ParamGroup, program: UpdateProgram) -> None:
        """Launch what a step of the group runs, for no array: that compiles its kernels."""
        step = GroupStep(group, program, 1, None, (), defaultdict(float))
        nothing, calls = Masks({}, self._mask(frozenset())), Launches(self.device)
        for kernel in program.kernels:
            scalars, rows = self._scalars(step, kernel, nothing, calls), map(self._row, kernel.reductions)
            calls.join(self._executors[group].dry_run(kernel, scalars, list(rows)))
        self._finish([step], nothing, calls)
        calls()

    def use(self, change: RuleChange) -> None:
        groups = zip(self.binding.groups, change.programs, strict=True)
        self.structure += any(group.programs != programs for group, programs in groups)
        super().use(change)

    def plan(self, gradients: list[Any], complete: bool) -> StepPlan:
        with self.device:
            steps = self._steps(gradients)
            launches = self._launches(steps, self._masks_of_steps(steps))
        counts = [group.counts_after(steps) for group in self.binding.groups]
        return StepPlan([launches], counts, self.binding.t + 1)

    def _steps(self, gradients: list[Any]) -> list[GroupStep]:
        """The launches of a step with these gradients, for each group."""
        hyper = self.hyper()
        return [step for group in self.binding.groups for step in group.steps(gradients, hyper[group.key])]

    def _launches(self, steps: Sequence[GroupStep], masks: Masks) -> Launches:
        """All that a step launches, in order: the stages of all groups, then their updates."""
        launches = Launches(self.device)
        for batch in batches(steps):
            for step, stage in batch:
                scalars, rows = self._scalars(step, stage, masks, launches), map(self._row, stage.reductions)
                plan = self._executors[step.group].plan_reduction
                launches.join(plan(stage, step.gradients, scalars, list(rows), step.positions))
        for step in steps:
            scalars = self._scalars(step, step.program.update, masks, launches)
            update = self._executors[step.group].plan
            launches.join(update(step.program.update, step.gradients, scalars, step.positions))
        self._finish(steps, masks, launches)
        return launches

    def _finish(self, steps: Sequence[GroupStep], masks: Masks, launches: Launches) -> None:
        """Add what comes last in a step."""

    def _scalars(self, step: GroupStep, kernel: Kernel, masks: Masks, launches: Launches) -> AnyScalars:
        """The scalars of a kernel: numbers where the host knows them all, else rows on the device, and what makes them."""
        if not needs_scalars(kernel, self.device_counts):
            return step.scalars(compile_host(kernel.scalars))
        group = step.group
        source = scalar_source(step.program, kernel, self._executors[group].compute, self.device_counts)
        given: Any = step.scalars(source.given) if source.count else ()
        if isinstance(given, ScalarRows):
            source = scalar_source(step.program, kernel, self._executors[group].compute, self.device_counts, per_array=True)
            given = (self._rows[group, kernel].write(np.array(given.rows, np.float64).reshape(-1)),)
        stored = self._executors[group].stored(kernel, source.width)
        launches.add(
            self._runtime.compile_kernel(source.kernel),
            *(self._indices[group], masks.active, len(self._sizes), *given, *self._reads(source, group, masks)),
            *(self._numbers[name] for name in source.numbers),
            *(self._counts[group], self._record, stored.rows.reshape(-1)),
            size=len(group.indices),
        )
        return stored

    def _reads(self, source: ScalarSource, group: ParamGroup, masks: Masks) -> list[Any]:
        """The totals that a kernel of scalars reads, each with which arrays it is of."""
        return [array for key in source.totals for array in (self._totals[key], masks.of.get(key, masks.active))]

    def _masks_of_steps(self, steps: Sequence[GroupStep]) -> Masks:
        """The masks of a step."""
        return self._masks_of([(frozenset(step.indices), step.program) for step in steps])

    def _masks_of(self, arrays: Sequence[tuple[frozenset[int], UpdateProgram]]) -> Masks:
        """The masks of a step in which arrays of the optimizer, by their indices, run a program."""
        of: dict[ReductionKey, frozenset[int]] = {}
        for indices, program in arrays:
            for stage in program.stages:
                for reduction in stage.reductions:
                    of[reduction.value] = of.get(reduction.value, frozenset()) | indices
        every = frozenset().union(*(indices for indices, _ in arrays))
        return Masks({key: self._mask(indices) for key, indices in of.items()}, self._mask(every))

    def _mask(self, indices: frozenset[int]) -> Any:
        """Which arrays of the optimizer are meant, on the device."""
        mask = [index in indices for index in range(len(self._sizes))]
        captured = self.device_counts and self._runtime.capturing()
        return (self._captured_masks if captured else self._masks).of(mask)

    def _row(self, reduction: Expr) -> Any:
        """The totals of a reduction, one for each array of the optimizer."""
        if reduction.value not in self._totals:
            row = self._runtime.xp.full(len(self._sizes), REDUCTIONS[reduction.op].nothing, dtype=np.float64)
            self._totals[reduction.value] = row
        return self._totals[reduction.value]


class CountingSteps(DeviceSteps):
    """Steps that the device counts: because it decides whether they are made, or so that they may be captured.

    Nothing that changes from step to step comes from the host.
    """

    device_counts = True

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        with self.device:
            self._numbers = {name: self._runtime.xp.full(1, x, np.float32) for name, x in binding.initial.items()}
            self._hyper, self._next = self._sent(binding.now), self._sent(binding.now)
            self._write_hyper()  # which compiles what does it
        self.numbers = {name: array.reshape(()) for name, array in self._numbers.items()}

    @property
    def t(self) -> int:
        """How many steps were completed; asking waits for the device."""
        return int(self._record[0])

    @property
    def counts(self) -> list[int]:
        """How often each array was updated; asking waits for the device."""
        return self.binding.of_each(0, lambda group: self._counts[group].tolist())

    def hyper(self) -> ValuesOfUpdates:
        """The hyperparameters; schedules are evaluated on the device."""
        return self.binding.hyper.checked

    def prepare(self, change: RuleChange) -> None:
        with self.device:
            self._next = self._sent(change)
        super().prepare(change)

    def _sent(self, change: RuleChange) -> dict[Hashable, Any]:
        """The hyperparameters of each update, in new arrays."""
        sent = {}
        for group, programs in zip(self.binding.groups, change.programs, strict=True):
            values = change.hyper.checked[group.key]
            row = [values.get(name, np.nan) for name in programs[-1].hyper]
            sent[group.key] = self._runtime.xp.asarray(np.array(row, np.float64))
        return sent

    def use(self, change: RuleChange) -> None:
        super().use(change)
        with self.device:
            self._write_hyper()

    def _write_hyper(self) -> None:
        """Take over what was sent: in place, since a captured step reads it there."""
        for key, values in self._next.items():
            self._hyper[key][:] = values

    def plan(self, gradients: list[Any], complete: bool) -> StepPlan:
        with self.device:
            steps = self._steps(gradients)
            launches = self._launches(steps, self._masks_of_steps(steps))
        if not steps:  # no array has a gradient, which is a step all the same
            launches.add(self._count_one)
        return self._uncounted(launches)

    def dry_run(self, gradients: list[Any]) -> StepPlan:
        """The plan of a step that launches what another one does, and changes nothing."""
        with self.device:
            steps = self._steps(gradients)
            masks = self._masks_of_steps(steps)._replace(active=self._mask(frozenset()))
            return self._uncounted(self._launches(steps, masks))

    def _uncounted(self, launches: Launches) -> StepPlan:
        """A plan after which the host counts as before."""
        return StepPlan([launches], [group.counts for group in self.binding.groups], self.binding.t)

    def _count_one(self) -> None:
        self._record[:1] += 1

    def _finish(self, steps: Sequence[GroupStep], masks: Masks, launches: Launches) -> None:
        if not steps:
            return
        source = count_source(steps[0].program)  # what the numbers are made of is the same in all
        numbers = [self._numbers[name] for name in source.numbers]
        reads = (len(self._sizes), *self._reads(source, steps[0].group, masks)) if numbers else ()
        launches.add(self._runtime.compile_kernel(source.kernel), *reads, self._record, *numbers, size=1)

    def _reads(self, source: ScalarSource, group: ParamGroup, masks: Masks) -> list[Any]:
        return [self._hyper[group.key], *super()._reads(source, group, masks)]

    def load(self, t: int, counts: list[int], numbers: Mapping[str, float]) -> None:
        with self.device:
            self._record[:] = self._runtime.xp.asarray(np.array([t, 0, 0], np.int64))
            for group, array in self._counts.items():
                array[:] = self._runtime.xp.asarray(np.array([counts[index] for index in group.indices], np.int64))
            for name, value in numbers.items():
                self._numbers[name][:] = value
