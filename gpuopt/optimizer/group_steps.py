"""Arrays of a group that take a step together, and the order in which stages are reduced.

Comes in: a group, which of its arrays take part, and their gradients. Goes out: a launch, and
the order of stages.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gpuopt.codegen.host import Evaluate
from gpuopt.executors import Launch, ScalarRows, Scalars
from gpuopt.tracing.expr import ReductionKey
from gpuopt.tracing.program import Kernel, UpdateProgram

if TYPE_CHECKING:
    from gpuopt.optimizer.groups import ParamGroup

__all__ = ["GroupStep", "in_order"]


@dataclasses.dataclass(eq=False, slots=True)
class GroupStep:
    """One launch of a step: the arrays it updates, their program, and its scalars.

    Attributes
    ----------
    group : ParamGroup
    program : UpdateProgram
    count : int or list of int
        Which step of theirs it is: a number, or one for each array of the group.
    positions : list of int or None
        Which arrays of the group; None for all.
    gradients : sequence of array
        Of all arrays of the group.
    hyper : dict
        The hyperparameters of the update, by their full names.
    """

    group: ParamGroup
    program: UpdateProgram
    count: int | list[int]
    positions: list[int] | None
    gradients: Sequence[Any]
    hyper: dict[str, float]

    @property
    def members(self) -> Sequence[int]:
        """The positions, written out."""
        return range(len(self.group.indices)) if self.positions is None else self.positions

    @property
    def indices(self) -> list[int]:
        """Which arrays of the optimizer they are."""
        every = self.group.indices
        return every if self.positions is None else [every[position] for position in self.positions]

    def split(self) -> Iterator[GroupStep]:
        """A step for each of the arrays."""
        for position in self.members:
            yield dataclasses.replace(self, positions=[position])

    def scalars(self, evaluate: Evaluate) -> Scalars | ScalarRows:
        """The results of scalar code: numbers, or a row for each array if counts differ."""
        if isinstance(self.count, int):
            return evaluate(self.count, self.hyper)
        of_count = {count: evaluate(count, self.hyper) for count in set(self.count)}
        if len(set(of_count.values())) == 1:
            return of_count[self.count[0]]
        return ScalarRows([of_count[count] for count in self.count])

    def launch(self, scalars: Scalars | ScalarRows) -> Launch:
        """The call that is left, given the scalars."""
        return self.group.executor.plan(
            self.program.update, self.gradients, scalars, self.positions
        )

    def call(self, stage: Kernel, scalars: Scalars) -> None:
        """Make what functions of whole arrays get, and call them: of a stage that has calls."""
        group = self.group
        if stage.stores:
            group.executor.plan(stage, self.gradients, scalars, self.positions)()
        group.whole_arrays.call(stage, self.members, self.gradients, lambda position: scalars)


def in_order(steps: Sequence[GroupStep]) -> list[tuple[int, Kernel]]:
    """The stages of all steps, each with the number of its step, in an order in which those before
    a stage give what it needs.

    A total over the tree is there when every step that has part in it was reduced.

    Raises
    ------
    RuntimeError
        If stages wait for one another.
    """
    return _order(tuple(map(_PROGRAM, steps)))


_PROGRAM = operator.attrgetter("program")


@functools.lru_cache(maxsize=256)
def _order(programs: tuple[UpdateProgram, ...]) -> list[tuple[int, Kernel]]:
    """The stages of steps that run these programs."""
    waiting = [(number, list(program.stages)) for number, program in enumerate(programs)]
    missing = Counter(key for _, stages in waiting for stage in stages for key in _tree_keys(stage))
    order = list[tuple[int, Kernel]]()
    while any(stages for _, stages in waiting):
        ready = []
        for number, stages in waiting:
            if stages and not any(missing[key] for key in stages[0].needs):
                ready.append((number, stages.pop(0)))
        if not ready:
            raise RuntimeError(
                "reductions over all arrays wait for one another: "
                "pieces ask for them in different orders"
            )
        order += ready
        for _, stage in ready:
            missing.subtract(_tree_keys(stage))
    return order


def _tree_keys(stage: Kernel) -> list[ReductionKey]:
    """The totals over the tree to which a stage adds."""
    return [reduction.value for reduction in stage.reductions if reduction.value.scope == "tree"]
