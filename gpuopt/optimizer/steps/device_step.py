"""A step on a GPU that is ready to be launched, and that may be launched again.

If the gradients are the very same arrays as in the step before, the next step launches the same
kernels with the same arguments. Only the numbers that the host gives them are others.
"""

from __future__ import annotations

import dataclasses

from gpuopt.codegen.host import Evaluate
from gpuopt.executors.cuda.launches import Launches, Passed
from gpuopt.executors.scalars import ScalarRows
from gpuopt.optimizer.group_steps import GroupStep
from gpuopt.optimizer.hyperparameters import ValuesOfUpdates
from gpuopt.optimizer.steps.masks import Masks

__all__ = ["DeviceStep"]


@dataclasses.dataclass(eq=False, slots=True)
class DeviceStep:
    """What a step launches, and the numbers that the host gives for it.

    Attributes
    ----------
    steps : list of GroupStep
        Of each group.
    masks : Masks or None
        Which arrays take part, once that was asked.
    launches : Launches
        All that is launched, in order.
    """

    steps: list[GroupStep]
    masks: Masks | None
    launches: Launches
    _numbers: list[tuple[Passed, GroupStep, Evaluate]] = dataclasses.field(default_factory=list)

    def given(self, step: GroupStep, evaluate: Evaluate) -> Passed | ScalarRows:
        """Numbers of the host for a kernel, or a row for each array if counts differ."""
        found = step.scalars(evaluate)
        if isinstance(found, ScalarRows):
            return found
        passed = Passed(found)
        if found:
            self._numbers.append((passed, step, evaluate))
        return passed

    def lasts(self) -> bool:
        """Whether the next step may launch the same, and hold no gradient from now on.

        It may not if counts differ, or decide which program runs.
        """
        for step in self.steps:
            step.gradients = ()
        return self.launches.lasting and all(
            isinstance(step.count, int) and len(step.group.programs) == 1 for step in self.steps
        )

    def renew(self, hyper: ValuesOfUpdates) -> None:
        """Give the kernels the numbers of the step that comes next."""
        for step in self.steps:
            group, first = step.group, step.positions[0] if step.positions else 0
            step.count, step.hyper = group.counts[first] + 1, group.hyper(hyper)
        for passed, step, evaluate in self._numbers:
            passed.of_all = evaluate(step.count, step.hyper)
        self.launches.begun = False
