"""How a kernel of scalars is called: its arguments, and the device's record of steps."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from gpuopt.codegen.cuda.source import KernelSource
from gpuopt.codegen.host import Evaluate
from gpuopt.tracing.expr import ReductionKey, StateKey

__all__ = ["ArgumentKind", "ScalarArgument", "ScalarSource", "StepRecord"]


class StepRecord(enum.IntEnum):
    """The offsets in the device's int64 record of steps."""

    COMPLETED = 0
    """How many steps were completed."""
    ACCEPTED = 1
    """Whether the step that is being made was accepted; `count_source` sets it back."""
    ANY_GRADIENT = 2
    """Whether any array has a gradient in it; `count_source` sets it back too."""


ArgumentKind: TypeAlias = Literal[
    "indices",  # of the arrays of the group among those of the optimizer
    "active",  # which arrays of the optimizer have a gradient
    "arrays",  # how many arrays the optimizer has
    "given",  # a number of the host, by its place; or an array with a row of them for each array
    "hyper",  # an array of the hyperparameters
    "total",  # the row of a reduction, by its key: a number for each array of the optimizer
    "total_of",  # which arrays of the optimizer take part in it
    "number",  # a number of the whole optimizer, by its name, in an array
    "loss",  # the loss of the step, in an array
    "state",  # a state that is one number, by its key: one for each array of the optimizer, or one
    "after",  # where the state of a tree is written
    "members",  # which arrays of the optimizer run the program in this step
    "counts",  # how often each array of the group was updated
    "record",  # what `StepRecord` says
    "scalars",  # room for what is made: a row for each array of the group
]


class ScalarArgument(NamedTuple):
    """An argument of a kernel of scalars: how it is declared, and what its caller passes there.

    Attributes
    ----------
    declared : str
        The parameter as CuPy takes it.
    dtype : dtype or None
        Of an array; None for a number.
    kind : ArgumentKind
        The meaning of what is passed.
    key : ReductionKey, StateKey, str, int or None
        Which of that kind, if there are several.
    """

    declared: str
    dtype: np.dtype[Any] | None
    kind: ArgumentKind
    key: ReductionKey | StateKey | str | int | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class ScalarSource:
    """A kernel of scalars, and its signature, by which it is called.

    Attributes
    ----------
    kernel : KernelSource
    arguments : tuple of ScalarArgument
        All of them, in order.
    given : callable
        What the host gives: numbers, from the count, the hyperparameters and None.
    count : int
        How many numbers these are.
    width : int
        How many numbers there are for each array: whether the step is accepted, if that is asked,
        and the scalars.
    """

    kernel: KernelSource
    arguments: tuple[ScalarArgument, ...]
    given: Evaluate
    count: int
    width: int
