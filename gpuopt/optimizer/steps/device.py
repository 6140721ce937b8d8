"""Runs steps that depend on reductions entirely on the GPU, so the host never synchronizes.

Comes in: the gradient of each array. Goes out: a plan of kernels, in order. Reductions leave their
totals in rows on the device; a kernel of one thread an array makes scalars of them, which the
update reads. In `DeviceSteps` the host counts, and gives what depends on counts alone. In
`CountingSteps` the device decides whether a step is made, and counts it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from gpuopt.codegen.cuda.device_values import needs_scalars
from gpuopt.codegen.cuda.scalar_arguments import StepRecord
from gpuopt.codegen.cuda.scalars import count_source, scalar_source
from gpuopt.codegen.host import compile_host
from gpuopt.executors.cuda.launches import Launches
from gpuopt.executors.scalars import AnyScalars, ScalarRows
from gpuopt.optimizer.binding import Binding, RuleChange
from gpuopt.optimizer.group_steps import GroupStep, batches
from gpuopt.optimizer.groups import ParamGroup
from gpuopt.optimizer.hyperparameters import ValuesOfUpdates
from gpuopt.optimizer.steps.device_memory import DeviceMemory, Masks
from gpuopt.optimizer.steps.plain import PlainSteps, Progress, StepPlan
from gpuopt.tracing.program import Kernel, UpdateProgram

__all__ = ["CountingSteps", "DeviceSteps"]


class DeviceSteps(PlainSteps):
    """Steps whose scalars are made of reductions, on the device; the host counts.

    Attributes
    ----------
    device_counts : bool
        Whether the device counts.
    device : Device
        The device of the arrays.
    structure : int
        Counted up when other updates come to need other kernels.
    """

    device_counts: ClassVar[bool] = False

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._memory, self.structure = DeviceMemory(binding, self.device_counts), 0
        self.device, self._runtime = self._memory.device, self._memory.runtime
        self._prepared: set[tuple[ParamGroup, UpdateProgram]] = set()

    @property
    def scalar_states(self) -> Mapping[str, list[Any]]:
        return self._memory.scalar_states.of_arrays()

    def prepare(self, change: RuleChange) -> None:
        super().prepare(change)
        with self.device:
            self._memory.scalar_states.prepare(change, lambda: self.counts)
        groups = zip(self.binding.groups, change.programs, strict=True)
        pairs = [(group, program) for group, programs in groups for program in programs]
        new = [pair for pair in pairs if pair not in self._prepared]
        if not new:
            return
        with self.device:
            for group, program in new:
                for kernel in program.kernels:
                    self._make_room(group, program, kernel)
            self._memory.make_masks(change)
            for group, program in new:
                self._compile(group, program)
            self._runtime.wait()  # a step may run on another stream
        self._prepared.update(new)

    def _make_room(self, group: ParamGroup, program: UpdateProgram, kernel: Kernel) -> None:
        """Make room for the totals and scalars of a kernel."""
        source = None
        if needs_scalars(kernel, self.device_counts):
            compute = self._memory.executors[group].compute
            source = scalar_source(program, kernel, compute, self.device_counts)
        self._memory.make_room(group, kernel, source)

    def _compile(self, group: ParamGroup, program: UpdateProgram) -> None:
        """Launch what a step of the group runs, for no array: that compiles its kernels."""
        step = GroupStep(group, program, 1, None, (), defaultdict(float))
        nothing, launches = Masks({}, self._memory.mask(())), Launches(self.device)
        for kernel in program.kernels:
            scalars, rows = self._scalars(step, kernel, nothing, launches), self._rows(kernel)
            launches.join(self._memory.executors[group].dry_run(kernel, scalars, rows))
        self._finish([step], nothing, launches)
        launches()

    def use(self, change: RuleChange) -> None:
        groups = zip(self.binding.groups, change.programs, strict=True)
        self.structure += any(group.programs != programs for group, programs in groups)
        super().use(change)
        self._memory.scalar_states.use()

    def load(self, progress: Progress) -> None:
        super().load(progress)
        with self.device:
            for state in progress.scalar_states:
                self._memory.scalar_states.set(*state)

    def plan(self, gradients: list[Any], complete: bool, same: bool) -> StepPlan:
        with self.device:
            steps = self._steps(gradients)
            launches = self._launches(steps, self._masks(steps))
        counts = [group.counts_after(steps) for group in self.binding.groups]
        return StepPlan([launches], counts, self.binding.t + 1)

    def _steps(self, gradients: list[Any]) -> list[GroupStep]:
        """What each group launches in a step with these gradients."""
        hyper, groups = self.hyper(), self.binding.groups
        return [step for group in groups for step in group.steps(gradients, group.hyper(hyper))]

    def _masks(self, steps: Sequence[GroupStep]) -> Masks:
        """Which arrays take part."""
        return self._memory.masks([(step.indices, step.program) for step in steps])

    def _launches(self, steps: Sequence[GroupStep], masks: Masks) -> Launches:
        """All that a step launches, in order: the stages of all groups, then their updates."""
        launches = Launches(self.device)
        for batch in batches(steps):
            for step, stage in batch:
                scalars, rows = self._scalars(step, stage, masks, launches), self._rows(stage)
                plan = self._memory.executors[step.group].plan_reduction
                launches.join(plan(stage, step.gradients, scalars, rows, step.positions))
        for step in steps:
            update = step.program.update
            scalars = self._scalars(step, update, masks, launches)
            plan_update = self._memory.executors[step.group].plan
            launches.join(plan_update(update, step.gradients, scalars, step.positions))
        self._finish(steps, masks, launches)
        return launches

    def _rows(self, stage: Kernel) -> list[Any]:
        """The totals that a stage writes."""
        return [self._memory.row(reduction) for reduction in stage.reductions]

    def _scalars(
        self, step: GroupStep, kernel: Kernel, masks: Masks, launches: Launches
    ) -> AnyScalars:
        """The scalars of a kernel: numbers if the host knows them all, else rows that a kernel
        makes.
        """
        if not needs_scalars(kernel, self.device_counts):
            return step.scalars(compile_host(kernel.scalars))
        group, executor = step.group, self._memory.executors[step.group]
        made = step.program, kernel, executor.compute, self.device_counts
        source = scalar_source(*made)
        given: Any = step.scalars(source.given) if source.count else ()
        if isinstance(given, ScalarRows):
            source = scalar_source(*made, per_array=True)
            given = (self._memory.upload(group, kernel, given.rows),)
        stored = executor.stored(kernel, source.width)
        members = masks.members.get(step.program, masks.active)
        rows = stored.rows.reshape(-1)
        arguments = self._memory.arguments(source, group, masks, members, given, rows)
        launches.add(
            self._runtime.compile_kernel(source.kernel), *arguments, size=len(group.indices)
        )
        return stored

    def _finish(self, steps: Sequence[GroupStep], masks: Masks, launches: Launches) -> None:
        """Add what comes last in a step."""


class CountingSteps(DeviceSteps):
    """Steps that the device counts: nothing that changes from step to step comes from the host.

    It does so because it decides whether they are made, or so that they may be captured.
    """

    device_counts = True

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._last: Launches | None = None  # of the step before, if the next may make them again
        self.numbers = {name: array.reshape(()) for name, array in self._memory.numbers.items()}
        with self.device:
            self._sent = self._memory.send_hyper(binding.now)
            self._memory.keep_hyper(self._sent)

    @property
    def t(self) -> int:
        """How many steps were completed; asking waits for the device."""
        return int(self._memory.record[StepRecord.COMPLETED])

    @property
    def counts(self) -> list[int]:
        """How often each array was updated; asking waits for the device."""
        return self.binding.of_each(0, lambda group: self._memory.counts[group].tolist())

    def hyper(self) -> ValuesOfUpdates:
        """The hyperparameters; schedules are evaluated on the device."""
        return self.binding.hyper.checked

    def prepare(self, change: RuleChange) -> None:
        with self.device:
            self._sent = self._memory.send_hyper(change)
        super().prepare(change)

    def use(self, change: RuleChange) -> None:
        self._last = None
        super().use(change)
        with self.device:
            self._memory.keep_hyper(self._sent)

    def plan(self, gradients: list[Any], complete: bool, same: bool) -> StepPlan:
        last, self._last = self._last, None
        with self.device:
            captured = self.binding.capturable and self._runtime.capturing()
            if captured or not same or last is None:
                last = self._launches_of(gradients)
        if last.lasting and not captured:
            self._last = last
        last.begun = False
        return self._uncounted(last)

    def _launches_of(self, gradients: list[Any]) -> Launches:
        """All that a step with these gradients launches."""
        steps = self._steps(gradients)
        launches = self._launches(steps, self._masks(steps))
        if not steps:  # no array has a gradient, which is a step all the same
            launches.add(self._count_one)
        return launches

    def dry_run(self, gradients: list[Any]) -> StepPlan:
        """The plan of a step that launches what another one does, and changes nothing."""
        self._last = None
        with self.device:
            steps = self._steps(gradients)
            masks = self._masks(steps)._replace(active=self._memory.mask(()), members={})
            return self._uncounted(self._launches(steps, masks))

    def _uncounted(self, launches: Launches) -> StepPlan:
        """A plan after which the host counts as before."""
        return StepPlan([launches], [group.counts for group in self.binding.groups], self.binding.t)

    def _count_one(self) -> None:
        completed = StepRecord.COMPLETED
        self._memory.record[completed : completed + 1] += 1

    def _finish(self, steps: Sequence[GroupStep], masks: Masks, launches: Launches) -> None:
        if steps:  # what the numbers of the whole optimizer are made of is the same in all
            source = count_source(steps[0].program)
            arguments = self._memory.arguments(source, steps[0].group, masks, masks.active)
            launches.add(self._runtime.compile_kernel(source.kernel), *arguments, size=1)

    def load(self, progress: Progress) -> None:
        with self.device:
            self._memory.load(progress)
