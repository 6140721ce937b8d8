"""A step on the CPU that waits for reductions: norms, verdicts, numbers of the whole optimizer.

Comes in: the gradient of each array. Stage by stage the arrays are reduced; of what that gives,
scalars are made, and whether the step is accepted. Goes out: what is launched of it. The host knows
all, so it decides all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np

from gpuopt.codegen.host import compile_host
from gpuopt.executors import CpuExecutor
from gpuopt.optimizer.binding import Binding
from gpuopt.optimizer.group_steps import GroupStep, batches
from gpuopt.optimizer.hyperparameters import ValuesOfUpdates
from gpuopt.optimizer.steps.plain import PlainSteps, StepPlan
from gpuopt.optimizer.steps.totals import Totals
from gpuopt.tracing.expr import Expr

__all__ = ["StagedSteps"]


class StagedSteps(PlainSteps):
    """Steps whose scalars are made of reductions too, or which a piece may refuse."""

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._sizes = [leaf.size for leaf in binding.leaves]
        self.numbers = {
            name: np.full((), value, np.float32) for name, value in binding.initial.items()
        }

    def plan(self, gradients: list[Any], complete: bool, same: bool) -> StepPlan:
        binding, hyper = self.binding, self.hyper()
        steps = [
            step for group in binding.groups for step in group.steps(gradients, hyper[group.key])
        ]
        totals = self._reduced(steps)
        made = [part for step in steps for part in _accepted(step, totals)]
        launches = [
            part.launch(_evaluated(part.program.update.scalars, part, totals)) for part in made
        ]
        counts = [group.counts_after(made) for group in binding.groups]
        # Without any gradient it is a step, too.
        t = binding.t + 1 if made or not steps else binding.t
        return StepPlan(launches, counts, t, _adapted(steps, totals))

    def execute(self, plan: StepPlan) -> None:
        super().execute(plan)
        self._set(plan.numbers)

    def load(self, t: int, counts: list[int], numbers: Mapping[str, float]) -> None:
        super().load(t, counts, numbers)
        self._set(numbers)

    def _set(self, numbers: Mapping[str, float]) -> None:
        """Give numbers of the whole optimizer other values."""
        with np.errstate(over="ignore"):
            for name, value in numbers.items():
                self.numbers[name][...] = value

    def hyper(self) -> ValuesOfUpdates:
        """The values of this step for each update: hyperparameters, and the optimizer's numbers."""
        hyper, numbers = super().hyper(), {name: float(x) for name, x in self.numbers.items()}
        return {key: values | numbers for key, values in hyper.items()} if numbers else hyper

    def _reduced(self, steps: list[GroupStep]) -> Totals:
        """The results of all reductions of a step."""
        totals = Totals(self._sizes)
        for batch in batches(steps):
            for step, stage in batch:
                for part in step.split() if stage.per_array else [step]:
                    scalars = _evaluated(stage.scalars, part, totals)
                    executor = cast("CpuExecutor", part.group.executor)
                    found = executor.reduce(stage, part.gradients, scalars, part.positions)
                    for reduction, values in zip(stage.reductions, found, strict=True):
                        totals.add(reduction, part.indices, values)
        return totals


def _accepted(step: GroupStep, totals: Totals) -> Iterator[GroupStep]:
    """The step if it is accepted; if scalars differ from array to array, one for each accepted."""
    accept = step.program.accept
    for part in step.split() if step.program.update.per_array else [step]:
        if accept is None or _evaluated((accept,), part, totals)[0]:
            yield part


def _adapted(steps: list[GroupStep], totals: Totals) -> dict[str, float]:
    """The next values of the whole optimizer's numbers; any group step has their inputs."""
    if not steps:
        return {}
    adapted = steps[0].program.shared
    return dict(zip(adapted, _evaluated(tuple(adapted.values()), steps[0], totals), strict=True))


def _evaluated(scalars: tuple[Expr, ...], step: GroupStep, totals: Totals) -> tuple[float, ...]:
    """The results of scalar code for a step whose arrays all have the same scalars."""
    return compile_host(scalars)(step.count, step.hyper, totals.seen_by(step.indices[0]))
