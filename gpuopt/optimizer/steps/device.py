"""Runs steps entirely on the GPU, so the host never synchronizes.

Comes in: the gradient of each array. Goes out: a plan of kernels, in order. Reductions leave their
totals in rows on the device; a kernel with one thread for each array computes scalars from them,
which the update reads. The host counts, and computes what depends on counts only; in
`gpuopt.optimizer.steps.counting` the device does that, too.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

from gpuopt.codegen.cuda.device_values import needs_scalars
from gpuopt.codegen.cuda.scalars import scalar_source
from gpuopt.codegen.host import compile_host
from gpuopt.executors.cuda.launches import Launches, Passed
from gpuopt.executors.scalars import ScalarRows, StoredScalars
from gpuopt.optimizer.binding import Binding
from gpuopt.optimizer.gradients import Whereabouts
from gpuopt.optimizer.group_steps import GroupStep, in_order
from gpuopt.optimizer.groups import ParamGroup
from gpuopt.optimizer.losses import LossWrite
from gpuopt.optimizer.rule_change import RuleChange
from gpuopt.optimizer.steps.device_memory import DeviceMemory
from gpuopt.optimizer.steps.device_step import DeviceStep
from gpuopt.optimizer.steps.masks import Masks
from gpuopt.optimizer.steps.plain import PlainSteps, Progress, StepPlan
from gpuopt.tracing.expr import Expr
from gpuopt.tracing.program import Kernel, UpdateProgram

__all__ = ["DeviceSteps"]

KernelGiven: TypeAlias = ScalarRows | StoredScalars | Passed


class DeviceSteps(PlainSteps):
    """Steps whose scalars are numbers of the host, or computed from reductions on the device.

    The host counts. If the gradients are like those of the step before, the same is launched again.

    Attributes
    ----------
    device_counts : bool
        Whether the device counts.
    device : Device
        The device of the arrays.
    structure : int
        A counter that grows when new updates need other kernels.
    """

    device_counts: ClassVar[bool] = False

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._memory, self.structure = DeviceMemory(binding), 0
        self.device, self._runtime = self._memory.device, self._memory.runtime
        self._prepared: set[tuple[ParamGroup, UpdateProgram]] = set()
        self._last: DeviceStep | None = None  # if the next one may launch the same

    @property
    def scalar_states(self) -> Mapping[str, list[Any]]:
        return self._memory.scalar_states.of_arrays()

    def prepare(self, change: RuleChange) -> None:
        self._last = None  # its kernels are of the rule before
        self._memory.keep_dimensions(change)
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
                self._make_room(group, program)
            self._memory.make_masks(change)
            for group, program in new:
                self._compile(group, program)
            self._runtime.wait()  # a step may run on another stream
        self._prepared.update(new)

    def _make_room(self, group: ParamGroup, program: UpdateProgram) -> None:
        """Make room for the totals and scalars of its kernels."""
        compute = self._memory.executors[group].compute
        for kernel in program.kernels:
            source = None
            if needs_scalars(kernel, self.device_counts):
                source = scalar_source(program, kernel, compute, self.device_counts)
            self._memory.make_room(group, kernel, source)

    def _compile(self, group: ParamGroup, program: UpdateProgram) -> None:
        """Launch the kernels of the group's step for no array: this compiles them."""
        step = GroupStep(group, program, 1, None, (), defaultdict(float))
        made = DeviceStep([step], Masks(self._memory.mask_uploads), Launches(self.device))
        for kernel in program.kernels:
            scalars, rows = self._scalars(made, step, kernel), self._rows(kernel)
            if not kernel.launched:
                continue
            made.launches.join(self._memory.executors[group].dry_run(kernel, scalars, rows))
        self._finish(made)
        made.launches()

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

    def plan(self, gradients: list[Any], where: Whereabouts, loss: Any = None) -> StepPlan:
        return self._with_loss(self._plan(self._planned(gradients, where)), loss)

    def _with_loss(self, plan: StepPlan, loss: Any) -> StepPlan:
        """A step that first puts its loss, if it is read, where the device reads it."""
        if loss is None:
            return plan
        write = LossWrite(self._memory.loss, self.device, loss)
        return plan._replace(launches=[write, *plan.launches])

    def _planned(self, gradients: list[Any], where: Whereabouts) -> DeviceStep:
        """The launches of a step: those of the step before, if they still fit."""
        step, self._last = self._last, None
        captured = self._memory.mask_uploads.captured()
        if step is not None and not captured and step.takes(where):
            step.renew(self.hyper(), where)
        else:
            with self.device:
                step = self._made(self._steps(gradients, where.complete))
            if captured or not step.lasts(where):
                return step
        self._last = step
        return step

    def _plan(self, step: DeviceStep) -> StepPlan:
        """A step, and how far the host has counted after it."""
        counts = [group.counts_after(step.steps) for group in self.binding.groups]
        return StepPlan([step.launches], counts, self.binding.t + 1)

    def _steps(self, gradients: list[Any], complete: bool = False) -> list[GroupStep]:
        """The launches of each group in a step with these gradients."""
        hyper, groups = self.hyper(), self.binding.groups
        steps = [group.steps(gradients, group.hyper(hyper), complete) for group in groups]
        return [*itertools.chain.from_iterable(steps)]

    def _made(self, steps: list[GroupStep], masks: Masks | None = None) -> DeviceStep:
        """All launches of a step, in order: the stages of all groups, then their updates."""
        made = DeviceStep(steps, masks, Launches(self.device))
        for number, stage in in_order(steps):
            self._add_stage(made, steps[number], stage)
            if self.agree and stage.reductions:
                made.launches.add(self._agree_on, (stage.reductions,))
        if any(stage.calls for step in steps for stage in step.program.stages):
            made.launches.at_once()
        for step in steps:
            scalars = self._scalars(made, step, update := step.program.update)
            what = step.gradients, scalars, step.positions, bool(step.program.stages)
            made.launches.join(self._memory.executors[step.group].plan(update, *what))
            if update.buffers:
                renewal = step.group.whole_arrays.renewal
                made.launches.add(renewal(update, step.members, scalars))
        self._finish(made)
        if self._memory.scalar_states.after:
            made.launches.add(self._memory.scalar_states.settle)
        return made

    def _add_stage(self, made: DeviceStep, step: GroupStep, stage: Kernel) -> None:
        """Add what reduces arrays; or makes what functions of whole arrays get, and calls them."""
        scalars, executor = self._scalars(made, step, stage), self._memory.executors[step.group]
        what, same = (stage, step.gradients, scalars), stage is not step.program.stages[0]
        if stage.reductions:
            rows = self._rows(stage)
            made.launches.join(executor.plan_reduction(*what, rows, step.positions, same))
        if stage.stores:
            made.launches.join(executor.plan(*what, step.positions, same))
        if stage.calls:
            call = step.group.whole_arrays.call
            made.launches.add(call, (stage, step.members, step.gradients, scalars.of))

    def _masks(self, made: DeviceStep) -> Masks:
        """Which arrays take part, for kernels that ask."""
        if made.masks is None:
            made.masks = self._memory.masks(made.steps)
        return made.masks

    def _rows(self, stage: Kernel) -> list[Any]:
        """The totals that a stage writes."""
        row = self._memory.share if self.agree else self._memory.row
        return [row(reduction) for reduction in stage.reductions]

    def _agree_on(self, reductions: Sequence[Expr]) -> None:
        """Make totals of what shares of arrays have given."""
        assert self.agree is not None
        found = [(reduction.op, self._memory.share(reduction)) for reduction in reductions]
        for reduction, total in zip(reductions, self.agree(found), strict=True):
            self._memory.row(reduction)[...] = self._runtime.xp.asarray(total)

    def _scalars(self, made: DeviceStep, step: GroupStep, kernel: Kernel) -> KernelGiven:
        """The scalars of a kernel: numbers if the host knows them all, else rows that a kernel
        makes.
        """
        if not needs_scalars(kernel, self.device_counts):
            return made.given(step, compile_host(kernel.scalars))
        group, executor = step.group, self._memory.executors[step.group]
        wanted = step.program, kernel, executor.compute, self.device_counts
        source = scalar_source(*wanted)
        given = made.given(step, source.given)
        if isinstance(given, ScalarRows):
            source = scalar_source(*wanted, per_array=True)
            given = Passed((self._memory.upload(group, kernel, given.rows),))
        stored = executor.stored(kernel, source.width)
        what = group, step.program, self._masks(made), stored.rows.reshape(-1)
        before, after = self._memory.arguments(source, *what)
        launch, size = self._runtime.compile_kernel(source.kernel), len(group.indices)
        made.launches.add(launch, before, given, after, size=size)
        return stored

    def _finish(self, made: DeviceStep) -> None:
        """Add the last launches of a step."""
