"""What an update is traced for, `Setting`, and what that gives, `Traced`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from gpuopt.arrays.precision import Precision
from gpuopt.tracing.operands import GRAD, PARAM, Operand

if TYPE_CHECKING:
    from gpuopt.tracing.expr import Expr
    from gpuopt.tracing.symbols import Symbol
    from gpuopt.tracing.weights import Decay

__all__ = ["Masked", "Mode", "Open", "Setting", "Traced"]


class Open(NamedTuple):
    """The host knows which gates are open: the first so many. What is behind the others rests.

    Each number of open gates is a program of its own, so a step runs only what acts.
    """

    gates: int


class Masked(NamedTuple):
    """The device decides which gates are open: all parts run, what does not act keeps its value.

    Schedules are traced, and every update asks whether it is made.
    """


Mode: TypeAlias = Open | Masked


@dataclasses.dataclass(frozen=True)
class Setting:
    """What parts are traced for.

    Attributes
    ----------
    complex : bool
        Whether parameter and gradient are complex.
    complex_states : frozenset of str
        The states that are known to be complex.
    arrays : frozenset of str
        The hyperparameters that are arrays, by their full names.
    mode : Open or Masked
    schedules : dict
        The schedules to trace, by the full name of the hyperparameter.
    precision : Precision
        With a master copy, that is what all parts see for p.
    varying : frozenset of str
        The corrections of averages whose decay changes from step to step.
    """

    complex: bool
    complex_states: frozenset[str]
    arrays: frozenset[str]
    mode: Mode
    schedules: dict[str, Any]
    precision: Precision
    varying: frozenset[str] = frozenset()

    def is_complex(self, array: Operand) -> bool:
        """Whether an array is complex."""
        return self.complex if array in (PARAM, GRAD) else array.name in self.complex_states


@dataclasses.dataclass(frozen=True, eq=False)
class Traced:
    """What running all parts gave.

    Attributes
    ----------
    values : dict
        The new value of p and of every state.
    changed : dict
        Those that differ from the value before the step.
    accept : Expr or None
        Whether the step is made; None where it always is.
    adapted : dict
        The new values of the numbers of the whole optimizer, by their full names, after a step.
    refused : dict
        The same after a refused one: those from before, unless their own piece refused it.
    random : dict
        Which inputs are random numbers: the numbers of their key, and which stream.
    scalar_states : dict
        The new value of each state that is one number.
    decays : dict
        The decay of each average that is corrected, by the correction's name.
    late : frozenset of str
        The states whose ``start`` reduces arrays, which nothing knows before the first step.
    """

    values: dict[Operand, Symbol]
    changed: dict[Operand, Symbol]
    accept: Expr | None
    adapted: dict[str, Expr]
    refused: dict[str, Expr]
    random: dict[Operand, tuple[tuple[Expr, ...], int]]
    scalar_states: dict[str, Expr]
    decays: dict[str, Decay]
    late: frozenset[str]
