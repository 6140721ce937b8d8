"""A step on the CPU that waits for reductions: norms, verdicts, numbers of the whole optimizer.

Comes in: the gradient of each array. Stage by stage the arrays are reduced; the results give the
scalars, and whether the step is accepted. Goes out: the launches. The host knows all results, so it
decides everything.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from gpuopt.codegen.host import RAISED, compile_host, compile_rows
from gpuopt.executors import CpuExecutor, Launch, ScalarRows, Scalars
from gpuopt.optimizer.binding import Binding
from gpuopt.optimizer.gradients import Whereabouts
from gpuopt.optimizer.group_steps import GroupStep, in_order
from gpuopt.optimizer.hyperparameters import ValuesOfUpdates
from gpuopt.optimizer.rule_change import RuleChange
from gpuopt.optimizer.steps.dimensions import dimensions
from gpuopt.optimizer.steps.plain import PlainSteps, Progress, StepPlan
from gpuopt.optimizer.steps.scalar_states import ScalarStates
from gpuopt.optimizer.steps.totals import Totals, TotalsOfArray, TotalsOfEach
from gpuopt.tracing.expr import Expr, ReductionKey, StateKey
from gpuopt.tracing.program import Kernel

__all__ = ["StagedSteps"]


class StagedSteps(PlainSteps):
    """Steps whose scalars also depend on reductions, or which a piece may refuse."""

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._dimensions = dict[ReductionKey, list[float]]()
        self.numbers = {name: np.array(value) for name, value in binding.initial.items()}
        self._scalar_states = ScalarStates(binding, np)

    @property
    def scalar_states(self) -> Mapping[str, list[Any]]:
        return self._scalar_states.of_arrays()

    def prepare(self, change: RuleChange) -> None:
        self._dimensions |= dimensions(self.binding, change)
        super().prepare(change)
        self._scalar_states.prepare(change, lambda: self.counts)

    def use(self, change: RuleChange) -> None:
        super().use(change)
        self._scalar_states.use()

    def plan(self, gradients: list[Any], where: Whereabouts, loss: Any = None) -> StepPlan:
        binding, hyper = self.binding, self.hyper(loss)
        steps: list[GroupStep] = []
        for group in binding.groups:
            steps += group.steps(gradients, group.hyper(hyper), where.complete)
        totals = self._staged(steps)
        made: list[GroupStep] = []
        launches: list[Launch] = []
        renewals: list[Launch] = []
        kept: list[tuple[StateKey, Sequence[int], Sequence[float]]] = []
        for step in steps:
            for part, scalars in _accepted(step, totals):
                made.append(part)
                launches.append(part.launch(scalars))
                update = part.program.update
                if update.buffers:
                    renewals.append(part.group.whole_arrays.renewal(update, part.members))
                if update.scalar_states:
                    kept += _next_scalar_states(part, totals)
        counts = [group.counts_after(made) for group in binding.groups]
        # Without any gradient it is a step, too.
        t = binding.t + 1 if made or not steps else binding.t
        adapted = _adapted(steps, totals, bool(made)) if self.numbers else {}
        return StepPlan(launches + renewals, counts, t, adapted, kept)

    def execute(self, plan: StepPlan) -> None:
        super().execute(plan)
        self._set(plan)

    def load(self, progress: Progress) -> None:
        super().load(progress)
        self._set(progress)

    def _set(self, now: StepPlan | Progress) -> None:
        """Take other numbers of the whole optimizer, and states that are one number."""
        if now.numbers:
            with np.errstate(over="ignore"):
                for name, value in now.numbers.items():
                    self.numbers[name][...] = value
        for state in now.scalar_states:
            self._scalar_states.set(*state)

    def hyper(self, loss: float | None = None) -> ValuesOfUpdates:
        """The values of this step for each update: hyperparameters, and the optimizer's numbers."""
        hyper = super().hyper(loss)
        if not self.numbers:
            return hyper
        numbers = {name: float(x) for name, x in self.numbers.items()}
        return {key: values | numbers for key, values in hyper.items()}

    def _staged(self, steps: list[GroupStep]) -> Totals:
        """Run all stages of a step; the results of their reductions."""
        totals = Totals(len(self.binding.leaves), self._dimensions, self._scalar_states.values())
        agree = self.agree
        for number, stage in in_order(steps):
            step, shares = steps[number], list[tuple[Expr, Sequence[int], Any]]()
            for part in [step] if _are_alike(stage, step, totals) else step.split():
                scalars = _evaluated(stage.scalars, part, totals) if stage.scalars else ()
                if stage.calls:
                    part.call(stage, scalars)
                    continue
                executor = cast("CpuExecutor", part.group.executor)
                found = executor.reduce(stage, part.gradients, scalars, part.positions)
                for reduction, values in zip(stage.reductions, found, strict=True):
                    if agree is None:
                        totals.add(reduction, part.indices, values)
                    else:
                        shares.append((reduction, part.indices, values))
            if agree is not None and shares:
                agreed = agree([(reduction.op, values) for reduction, _, values in shares])
                for (reduction, indices, _), total in zip(shares, agreed, strict=True):
                    totals.add(reduction, indices, total.tolist())
        return totals


def _accepted(step: GroupStep, totals: Totals) -> Iterator[tuple[GroupStep, Scalars | ScalarRows]]:
    """The arrays of a step for which it is accepted, with their scalars."""
    update, part = step.program.update, step
    accept = update.accept
    asked = update.scalars if accept is None else (*update.scalars, accept)
    rows = _rows(asked, step, totals)
    if accept is not None:
        if not all(row[-1] for row in rows):
            taken = [at for at, row in zip(step.members, rows, strict=False) if row[-1]]
            if not taken:
                return
            part, rows = (
                dataclasses.replace(step, positions=taken),
                [row for row in rows if row[-1]],
            )
        rows = [row[:-1] for row in rows]
    if len(rows) == 1:
        yield part, rows[0]
    elif part.positions is None:
        yield part, ScalarRows(rows)
    else:
        each = dict(zip(part.members, rows, strict=True))
        every = range(len(step.group.indices))
        yield part, ScalarRows([each.get(position, rows[0]) for position in every])


def _next_scalar_states(
    step: GroupStep, totals: Totals
) -> Iterator[tuple[StateKey, Sequence[int], Sequence[float]]]:
    """The states that are one number, after the step."""
    new, count = step.program.update.scalar_states, len(step.indices)
    rows = _rows(tuple(state.new for state in new.values()), step, totals)
    for key, values in zip(new, zip(*rows, strict=True), strict=True):
        yield key, step.indices, values if len(values) == count else values * count


def _rows(scalars: tuple[Expr, ...], step: GroupStep, totals: Totals) -> list[tuple[float, ...]]:
    """The results of scalar code for each array of a step, or once if they are alike."""
    if _are_alike(step.program.update, step, totals):
        return [_evaluated(scalars, step, totals)]
    indices = step.indices
    try:
        return compile_rows(scalars)(step.count, step.hyper, TotalsOfEach(totals, indices))
    except RAISED:  # where IEEE's functions do not: then each array by itself
        evaluate = compile_host(scalars)
        each = (TotalsOfArray(totals, index) for index in indices)
        return [evaluate(step.count, step.hyper, seen) for seen in each]


def _are_alike(kernel: Kernel, step: GroupStep, totals: Totals) -> bool:
    """Whether the scalars of a kernel are the same for all arrays of a step."""
    if not kernel.per_array or len(step.members) == 1:
        return True
    own = any(key.scope == "array" for key in kernel.needs)
    return not own and totals.are_alike(step.program.update.scalar_states, step.indices)


def _adapted(steps: list[GroupStep], totals: Totals, made: bool) -> dict[str, float]:
    """The next values of the whole optimizer's numbers; any group step has their inputs."""
    if not steps:
        return {}
    program = steps[0].program
    adapted = program.shared if made else program.refused
    return dict(zip(adapted, _evaluated(tuple(adapted.values()), steps[0], totals), strict=True))


def _evaluated(scalars: tuple[Expr, ...], step: GroupStep, totals: Totals) -> tuple[float, ...]:
    """The results of scalar code for a step whose arrays all have the same scalars."""
    return compile_host(scalars)(step.count, step.hyper, TotalsOfArray(totals, step.indices[0]))
