"""The usual step on a CPU: it counts, computes the scalars, and runs one kernel a group.

This is the file to read first. Comes in: the gradient of each array. Goes out: updated arrays, and
counts one higher.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from gpuopt.codegen.host import LOSS, compile_host
from gpuopt.executors import Launch
from gpuopt.optimizer.binding import Binding
from gpuopt.optimizer.gradients import Whereabouts
from gpuopt.optimizer.hyperparameters import ValuesOfUpdates
from gpuopt.optimizer.rule_change import RuleChange
from gpuopt.tracing.expr import StateKey

__all__ = ["PlainSteps", "Progress", "StepPlan"]


class Progress(NamedTuple):
    """The progress of an optimizer, without parameters and state.

    Attributes
    ----------
    t : int
        How many steps were completed.
    counts : list of int
        How often each array was updated.
    numbers : dict
        The numbers of the whole optimizer by name.
    scalar_states : list of tuple
        The states that are one number: the key, arrays of the optimizer, and a number for each.
    """

    t: int
    counts: list[int]
    numbers: Mapping[str, float] = {}
    scalar_states: Sequence[tuple[StateKey, Sequence[int], Sequence[float]]] = ()


class StepPlan(NamedTuple):
    """A step that is ready to be made.

    Attributes
    ----------
    launches : list of Launch
        The calls that make the step, in order.
    counts : list of list of int
        For each group how often each of its arrays was updated then, as far as the host counts it.
    t : int
        How many steps were completed then, as far as the host counts them.
    numbers : dict
        The next values of the whole optimizer's numbers, if the host keeps them.
    scalar_states : list of tuple
        Those of states that are one number, if the host keeps them, as in `Progress`.
    """

    launches: list[Launch]
    counts: list[list[int]]
    t: int
    numbers: Mapping[str, float] = {}
    scalar_states: Sequence[tuple[StateKey, Sequence[int], Sequence[float]]] = ()

    @property
    def begun(self) -> bool:
        """Whether something may have been written: on a GPU, whether a kernel was launched."""
        return bool(self.numbers) or any(launch.begun for launch in self.launches)


class PlainSteps:
    """Steps whose scalars follow from the counts and the hyperparameters.

    Attributes
    ----------
    binding : Binding
        The arrays under their updates, which all steps of an optimizer share.
    numbers : dict
        The numbers of the whole optimizer by name, 0-d arrays; there are none here.
    agree : callable or None
        Where arrays are shares of others, what makes the results of reductions those of the whole
        arrays: from the kind of each, and its results here.
    """

    numbers: Mapping[str, Any] = {}
    agree: Callable[[Sequence[tuple[str, Any]]], list[Any]] | None = None

    def __init__(self, binding: Binding) -> None:
        self.binding = binding

    @property
    def scalar_states(self) -> Mapping[str, list[Any]]:
        """For each state that is one number a 0-d view for each array, or None."""
        return {}

    @property
    def t(self) -> int:
        """How many steps were completed."""
        return self.binding.t

    @property
    def counts(self) -> list[int]:
        """How often each array was updated."""
        return self.binding.of_each(0, lambda group: group.counts)

    def prepare(self, change: RuleChange) -> None:
        """Make ready what other updates run; those before stay in use."""
        for group, programs in zip(self.binding.groups, change.programs, strict=True):
            for program in programs:
                group.executor.prepare(program)

    def use(self, change: RuleChange) -> None:
        """Continue with updates that `prepare` has made ready."""
        self.binding.use(change)

    def plan(self, gradients: list[Any], where: Whereabouts, loss: Any = None) -> StepPlan:
        """Compute the scalars of a step, and find what it launches; nothing is written."""
        binding, hyper = self.binding, self.hyper(loss)
        launches: list[Launch] = []
        counts = []
        for group in binding.groups:
            count = group.counts[0] + 1
            values = group.hyper(hyper) if group.limits else hyper[group.key]
            alike = group.counts.count(count - 1) == len(group.counts)
            if where.complete and alike:  # all together
                own = gradients if group.has_all else [gradients[index] for index in group.indices]
                update = group.programs[-1].update
                scalars = compile_host(update.scalars)(count, values)
                launches.append(group.executor.plan(update, own, scalars))
                counts.append([count] * len(own))
            else:
                steps = group.steps(gradients, values, counts_apart=False)
                launches += [
                    step.launch(step.scalars(compile_host(step.program.update.scalars)))
                    for step in steps
                ]
                counts.append(group.counts_after(steps))
        return StepPlan(launches, counts, binding.t + 1)

    def hyper(self, loss: float | None = None) -> ValuesOfUpdates:
        """The values of the hyperparameters in this step, and its loss, for each update."""
        hyper = self.binding.hyper
        found = hyper.at(self.binding.t) if hyper.fixed is None else hyper.fixed
        return found if loss is None else {key: {**own, LOSS: loss} for key, own in found.items()}

    def execute(self, plan: StepPlan) -> None:
        """Make a step that was planned. An optimizer can become inconsistent only in here."""
        for launch in plan.launches:
            launch()
        for group, counts in zip(self.binding.groups, plan.counts, strict=True):
            group.counts = counts
        self.binding.t = plan.t

    def load(self, progress: Progress) -> None:
        """Continue from there."""
        self.binding.load(progress.t, progress.counts)
