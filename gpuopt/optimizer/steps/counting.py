"""Steps that a GPU decides about and counts, so that the host never waits for it.

Comes in: the gradient of each array. Goes out: the kernels of `gpuopt.optimizer.steps.device`, and
one of a single thread that comes last and counts.
"""

from __future__ import annotations

from typing import Any

from gpuopt.codegen.cuda.scalar_arguments import StepRecord
from gpuopt.codegen.cuda.scalars import count_source
from gpuopt.optimizer.binding import Binding
from gpuopt.optimizer.hyperparameters import ValuesOfUpdates
from gpuopt.optimizer.rule_change import RuleChange
from gpuopt.optimizer.steps.device import DeviceSteps
from gpuopt.optimizer.steps.device_step import DeviceStep
from gpuopt.optimizer.steps.masks import Masks
from gpuopt.optimizer.steps.plain import Progress, StepPlan

__all__ = ["CountingSteps"]


class CountingSteps(DeviceSteps):
    """Steps that the device counts: nothing that changes from step to step comes from the host.

    The device counts because it decides whether they are made, or because they may be captured.
    """

    device_counts = True

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self.numbers = {name: array.reshape(()) for name, array in self._memory.numbers.items()}
        with self.device:
            self._sent = self._memory.send_hyper(binding.now)
            self._memory.keep_hyper(self._sent)

    @property
    def t(self) -> int:
        """The number of completed steps; reading it waits for the device."""
        return int(self._memory.record[StepRecord.COMPLETED])

    @property
    def counts(self) -> list[int]:
        """The number of updates of each array; reading it waits for the device."""
        return self.binding.of_each(0, lambda group: self._memory.counts[group].tolist())

    def hyper(self, loss: float | None = None) -> ValuesOfUpdates:
        """The hyperparameters; schedules are evaluated on the device."""
        return self.binding.hyper.checked

    def prepare(self, change: RuleChange) -> None:
        with self.device:
            self._sent = self._memory.send_hyper(change)
        super().prepare(change)

    def use(self, change: RuleChange) -> None:
        super().use(change)
        with self.device:
            self._memory.keep_hyper(self._sent)

    def _plan(self, step: DeviceStep) -> StepPlan:
        """A step after which the host counts as before."""
        counts = [group.counts for group in self.binding.groups]
        return StepPlan([step.launches], counts, self.binding.t)

    def dry_run(self, gradients: list[Any], loss: Any = None) -> StepPlan:
        """The plan of a step that launches the same kernels, and changes nothing."""
        self._last = None
        with self.device:
            steps = self._steps(gradients)
            plan = self._plan(self._made(steps, Masks(self._memory.mask_uploads)))
        plan = plan if steps else plan._replace(launches=[])  # which would only count
        return self._with_loss(plan, loss)

    def _finish(self, made: DeviceStep) -> None:
        if not made.steps:  # no array has a gradient, which is a step all the same
            made.launches.add(self._count_one)
            return
        # The numbers of the whole optimizer depend on the same values in all.
        program, group = made.steps[0].program, made.steps[0].group
        source = count_source(program)
        before, after = self._memory.arguments(source, group, program, self._masks(made))
        made.launches.add(self._runtime.compile_kernel(source.kernel), before, None, after, size=1)

    def _count_one(self) -> None:
        completed = StepRecord.COMPLETED
        self._memory.record[completed : completed + 1] += 1

    def load(self, progress: Progress) -> None:
        with self.device:
            self._memory.load(progress)
