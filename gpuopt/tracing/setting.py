"""What an update is traced for, `Setting`, and the result of a trace, `Traced`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from gpuopt.arrays.precision import Precision
from gpuopt.tracing.kinds import Kind
from gpuopt.tracing.operands import GRAD, PARAM, Operand

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpuopt.tracing.buffers import Kept
    from gpuopt.tracing.calls import Output
    from gpuopt.tracing.errors import TraceError
    from gpuopt.tracing.expr import Expr, StateKey
    from gpuopt.tracing.symbols import Symbol
    from gpuopt.tracing.weights import Decay

__all__ = ["Masked", "Mode", "Open", "ScalarState", "Setting", "Traced"]


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
    kinds : dict
        What each state is taken for; one that is not here for the least that it can be.
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
    kinds: Mapping[str, Kind]
    arrays: frozenset[str]
    mode: Mode
    schedules: dict[str, Any]
    precision: Precision
    varying: frozenset[str] = frozenset()

    def is_complex(self, array: Operand) -> bool:
        """Whether an array is complex."""
        return self.complex if array in (PARAM, GRAD) else self.kind(array.name) is Kind.COMPLEX

    def kind(self, state: str) -> Kind:
        """What a state is taken for."""
        return self.kinds.get(state, Kind.SHARED)


@dataclasses.dataclass(frozen=True, eq=False)
class Traced:
    """What running all parts gave.

    Attributes
    ----------
    changed : dict
        The new values of p and of arrays of state that differ from those before the step.
    only_if : dict
        Of arrays that change in some steps alone: the truth value with which they do.
    accept : Expr or None
        Whether the step is made; None where it always is.
    adapted : dict
        The new values of the numbers of the whole optimizer, by their full names, after a step.
    refused : dict
        The same after a refused one: those from before, unless their own piece refused it.
    random : dict
        Which inputs are random numbers: the numbers of their key, and which stream.
    kinds : dict
        What each state must be.
    scalar_states : dict
        The states that are one number, by their keys.
    decays : dict
        The decay of each average that is corrected, by the correction's name.
    late : frozenset of str
        The states whose ``start`` reduces arrays or begins numbers, which `new_state` cannot.
    narrow : frozenset of str
        The numbers of the whole optimizer that are kept in float32.
    short : frozenset of str
        The states that are kept in less than 32 bits.
    errors : list of TraceError
        What the formulas do that states forbid, if they are what they were taken for.
    outputs : dict
        Which inputs functions of whole arrays gave.
    buffers : dict
        The new value of each buffer that changes, by its name.
    """

    changed: dict[Operand, Symbol]
    only_if: dict[Operand, Expr]
    accept: Expr | None
    adapted: dict[str, Expr]
    refused: dict[str, Expr]
    random: dict[Operand, tuple[tuple[Expr, ...], int]]
    kinds: dict[str, Kind]
    scalar_states: dict[StateKey, ScalarState]
    decays: dict[str, Decay]
    late: frozenset[str]
    narrow: frozenset[str]
    short: frozenset[str]
    errors: list[TraceError]
    outputs: dict[Operand, Output]
    buffers: dict[str, Kept]

    @property
    def numbers(self) -> list[Expr]:
        """The host values that it gives: what decides, and numbers that change."""
        states = (each for key, each in self.scalar_states.items() if each.new.value != key)
        found = [self.accept, *self.adapted.values(), *self.refused.values()]
        found += [value for each in states for value in (each.new, each.acts)]
        return [value for value in found if value is not None]


class ScalarState(NamedTuple):
    """A state that is one number.

    Attributes
    ----------
    initial : float or None
        What it is before the first step; None where ``start`` gives it.
    new : Expr
        What it is after a step.
    acts : Expr or None
        The truth value without which it stays what it is; None where it always changes.
    """

    initial: float | None
    new: Expr
    acts: Expr | None = None
