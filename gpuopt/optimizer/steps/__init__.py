"""The three kinds of steps; `choose` selects one.

On a CPU, `PlainSteps` run one kernel a group; `StagedSteps` reduce arrays first, and the host
decides. On a GPU, `DeviceSteps` leave all of this to the device. Comes in: arrays bound to updates,
then the gradients of each step. Each kind has three phases. `prepare` generates, compiles and
allocates: it may fail, and changes nothing that is in use. `plan` computes the scalars and finds
the launches: it may fail, and writes nothing. `execute` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from gpuopt.optimizer.binding import Binding
from gpuopt.optimizer.gradients import Whereabouts
from gpuopt.optimizer.hyperparameters import ValuesOfUpdates
from gpuopt.optimizer.rule_change import RuleChange
from gpuopt.optimizer.steps.plain import PlainSteps, Progress, StepPlan
from gpuopt.optimizer.steps.staged import StagedSteps
from gpuopt.tracing.program import UpdateProgram

__all__ = ["Progress", "StepPlan", "Steps", "choose"]


class Steps(Protocol):
    """The interface of steps to an optimizer.

    Attributes
    ----------
    numbers : dict
        The numbers of the whole optimizer by name, 0-d arrays where the parameters are.
    t : int
        The number of completed steps.
    counts : list of int
        The number of updates of each array.
    scalar_states : dict
        For each state that is one number a 0-d view for each array, or None.
    agree : callable or None
        As in `PlainSteps`.
    """

    agree: Callable[[Sequence[tuple[str, Any]]], list[Any]] | None

    @property
    def numbers(self) -> Mapping[str, Any]: ...
    @property
    def t(self) -> int: ...
    @property
    def counts(self) -> list[int]: ...
    @property
    def scalar_states(self) -> Mapping[str, list[Any]]: ...

    def hyper(self) -> ValuesOfUpdates:
        """The values of the hyperparameters in the next step, for each update."""

    def prepare(self, change: RuleChange) -> None:
        """Make ready what other updates run; those before stay in use."""

    def use(self, change: RuleChange) -> None:
        """Continue with updates that `prepare` has made ready."""

    def plan(self, gradients: list[Any], where: Whereabouts, loss: Any = None) -> StepPlan:
        """Compute the scalars of a step, and find what it launches; nothing is written.

        `loss` is that of the step, if an update reads it.
        """

    def execute(self, plan: StepPlan) -> None:
        """Make a step that was planned. An optimizer can become inconsistent only in here."""

    def load(self, progress: Progress) -> None:
        """Continue from there."""


def choose(binding: Binding, change: RuleChange, before: Steps | None = None) -> Steps:
    """The steps for these updates, prepared for them; `before` are those that were in use.

    They stay if they are of the right kind. Otherwise new ones continue from their state.
    """
    way = _way(binding, change)
    steps = before if type(before) is way else way(binding)
    steps.prepare(change)
    return steps


def _way(binding: Binding, change: RuleChange) -> type[PlainSteps]:
    if binding.on_device:
        from gpuopt.optimizer.steps.counting import CountingSteps
        from gpuopt.optimizer.steps.device import DeviceSteps

        return CountingSteps if binding.device_counts else DeviceSteps
    plain = all(_is_plain(programs) for programs in change.programs)
    return PlainSteps if plain else StagedSteps


def _is_plain(programs: list[UpdateProgram]) -> bool:
    """Whether a step is one launch, whose scalars depend on counts and hyperparameters alone."""
    whole = programs[-1]
    alone = not (whole.stages or whole.update.needs) and whole.accept is None
    return len(programs) == 1 and alone and not whole.shared and not whole.update.scalar_states
