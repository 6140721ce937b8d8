"""A step on a GPU that is ready to be launched, and that may be launched again.

If the gradients are what they were in the step before, the next step launches the same kernels with
the same arguments. Only the numbers from the host change, and the addresses of gradients that lie
elsewhere and are like the parameters.
"""

from __future__ import annotations

import dataclasses
from typing import cast

from gpuopt.codegen.host import Evaluate
from gpuopt.executors.cuda.launch import CupyExecutor
from gpuopt.executors.cuda.launches import Launches, Passed
from gpuopt.executors.scalars import ScalarRows
from gpuopt.optimizer.gradients import Whereabouts
from gpuopt.optimizer.group_steps import GroupStep
from gpuopt.optimizer.groups import ParamGroup
from gpuopt.optimizer.hyperparameters import ValuesOfUpdates
from gpuopt.optimizer.steps.masks import Masks

__all__ = ["DeviceStep"]

_UNKNOWN = Whereabouts(False)


@dataclasses.dataclass(eq=False, slots=True)
class DeviceStep:
    """The launches of a step, and the numbers that the host passes to them.

    Attributes
    ----------
    steps : list of GroupStep
        Of each group.
    masks : Masks or None
        Which arrays take part, if a kernel reads it.
    launches : Launches
        All launches, in order.
    where : Whereabouts
        Of the gradients.
    """

    steps: list[GroupStep]
    masks: Masks | None
    launches: Launches
    where: Whereabouts = _UNKNOWN
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

    def lasts(self, where: Whereabouts) -> bool:
        """Whether the next step may launch the same, and hold no gradient from now on.

        It may not if counts differ, or decide which program runs.
        """
        self.where = where
        for step in self.steps:
            step.gradients = ()
        return self.launches.lasting and all(
            isinstance(step.count, int) and len(step.group.programs) == 1 for step in self.steps
        )

    def takes(self, where: Whereabouts) -> bool:
        """Whether the next step, of gradients that are there, may launch the same."""
        return where is self.where or None not in (where.addresses, self.where.addresses)

    def renew(self, hyper: ValuesOfUpdates, where: Whereabouts) -> None:
        """Pass the kernels what is new in the next step: numbers and addresses."""
        if where is not self.where and where.addresses is not None:
            for step in self.steps:
                _move(step.group, where.addresses)
            self.where = where
        for step in self.steps:
            group, first = step.group, step.positions[0] if step.positions else 0
            step.count, step.hyper = group.counts[first] + 1, group.hyper(hyper)
        for passed, step, evaluate in self._numbers:
            passed.of_all = evaluate(step.count, step.hyper)
        self.launches.begun = False


def _move(group: ParamGroup, addresses: tuple[int, ...]) -> None:
    """Point the launches of a group to gradients at these addresses of all arrays."""
    own = addresses if group.has_all else tuple(addresses[index] for index in group.indices)
    cast("CupyExecutor", group.executor).move(own)
