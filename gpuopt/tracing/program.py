"""What a traced update runs: an `UpdateProgram`, made of kernels, each the code of one launch."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from gpuopt.arrays.dtypes import named, state_dtype
from gpuopt.rules.whole_arrays import Buffer
from gpuopt.tracing.buffers import Kept
from gpuopt.tracing.calls import Call, Output
from gpuopt.tracing.expr import (
    Expr,
    ReductionKey,
    StateKey,
    differs,
    reachable,
    reduction_keys,
)
from gpuopt.tracing.operands import Operand
from gpuopt.tracing.printing import Printed, format_expr
from gpuopt.tracing.setting import ScalarState
from gpuopt.tracing.weights import Decay

__all__ = ["Kernel", "StateSpec", "UpdateProgram"]


@dataclasses.dataclass(frozen=True)
class StateSpec:
    """One array of a rule's state: its name, the value it starts at, and whether it is complex.

    One that is `scratch` holds what a function of whole arrays gets, and is not a state for users.
    One may be `stored` in less than its dtype, as an option of `init` says.
    """

    name: str
    initial: float | None
    complex: bool
    scratch: bool = False
    stored: str | None = None

    def dtype(self, compute: np.dtype[Any]) -> np.dtype[Any]:
        """Its dtype as kernels see it, for parameters computed in `compute`."""
        wide = self.stored != "bfloat16"
        return state_dtype(compute, self.complex) if wide else named("bfloat16")

    @property
    def coded(self) -> bool:
        """Whether it is stored in bytes, which are decoded before a kernel sees it."""
        return self.stored == "dynamic8"


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Kernel(Printed):
    """The array code of one launch, which ends in `stores`, or in `reductions`.

    There is no launch if it has only calls.

    Attributes
    ----------
    name : str
        The rule's class.
    complex : bool
        Whether parameter and gradient are complex.
    states : tuple of StateSpec
        The states of the program, some of which it may read or change.
    loads : tuple of Operand
        The arrays that are read, or the components of complex ones.
    ops : tuple of Expr
        The array operations, in order.
    stores : dict
        The new values of arrays that change, or of all components of complex ones.
    only_if : dict
        For an array that changes in some steps alone the host value that says whether it does.
    reductions : tuple of Expr
        Reductions of array values. A kernel that has any stores nothing.
    calls : tuple of Call
        The functions of whole arrays that are called after it, for each array.
    passed : frozenset of Output
        Which results of calls other calls get, or are kept in buffers.
    scalars : tuple of Expr
        The host values that it takes as arguments (constants are not among them).
    random : dict
        Which of the loads are random numbers: the numbers of their key, and which stream.
    accept : Expr or None
        The truth value without which nothing is stored; None where it always is.
    scalar_states : dict
        The states that are one number and that the update reads or changes, by their keys.
    buffers : dict
        The new value of each buffer that changes, by its name.
    """

    name: str
    complex: bool
    states: tuple[StateSpec, ...]
    loads: tuple[Operand, ...] = ()
    ops: tuple[Expr, ...] = ()
    stores: dict[Operand, Expr] = dataclasses.field(default_factory=dict)
    only_if: dict[Operand, Expr] = dataclasses.field(default_factory=dict)
    reductions: tuple[Expr, ...] = ()
    calls: tuple[Call, ...] = ()
    passed: frozenset[Output] = frozenset()
    scalars: tuple[Expr, ...] = ()
    random: dict[Operand, tuple[tuple[Expr, ...], int]] = dataclasses.field(default_factory=dict)
    accept: Expr | None = None
    scalar_states: dict[StateKey, ScalarState] = dataclasses.field(default_factory=dict)
    buffers: dict[str, Kept] = dataclasses.field(default_factory=dict)
    needs: frozenset[ReductionKey] = dataclasses.field(init=False)
    """The reductions that `scalars`, `accept` and `scalar_states` depend on."""
    per_array: bool = dataclasses.field(init=False)
    """Whether these may differ from array to array, though counts are the same."""
    seeds: tuple[int, ...] = dataclasses.field(init=False)
    """The parts of seeds in the keys of `random`, for kernels that take them as arguments."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "per_array", differs(self.ends))
        object.__setattr__(self, "needs", frozenset(reduction_keys(self.ends)))
        keys = dict.fromkeys(key for key, _ in self.random.values())
        parts = (part for key in keys for part in key if part.op == "constant")
        object.__setattr__(self, "seeds", tuple(int(part.value) for part in parts))

    @property
    def ends(self) -> list[Expr]:
        """The host values that it needs: `scalars`, `accept` and `scalar_states`."""
        accept = [] if self.accept is None else [self.accept]
        return [*self.scalars, *accept, *(state.new for state in self.scalar_states.values())]

    @property
    def launched(self) -> bool:
        """Whether it has array code; not if it only calls functions with what is in memory."""
        return bool(self.stores) or not self.calls

    def __str__(self) -> str:
        """The kernel for readers: scalars by their formulas, then a line for each operation."""
        lines = [f"scalar {_name(e)} = {format_expr(e)}" for e in self.scalars if e.args]
        lines += [f"{_name(e)} = {format_expr(e, readable=1)}" for e in self.ops]
        for target, value in self.stores.items():
            asked = self.only_if.get(target.array)
            lines.append(f"{target} <- {_name(value)}{f', if {_name(asked)}' if asked else ''}")
        lines += [
            f"{_name(e)} = {e.op}({_name(e.args[0])}), of the {e.value.scope}"
            for e in self.reductions
        ]
        lines += [f"then {call}" for call in self.calls]
        lines += [f"{name} <- {kept.output.place}" for name, kept in self.buffers.items()]
        return "\n".join(lines)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class UpdateProgram(Printed):
    """The update of one rule or chain, for real or for complex parameters.

    Attributes
    ----------
    name : str
        The rule's class.
    complex : bool
        Whether parameter and gradient are complex.
    states : tuple of StateSpec
        The state that is read or changed; other state is not listed.
    hyper : tuple of str
        The float hyperparameters of all parts by their full names, in order; whether they are used
        or not.
    stages : tuple of Kernel
        The kernels that reduce or make what functions of whole arrays get, before the update: first
        those of array values, then those that need their results, and so on.
    buffers : dict
        How each buffer that is used begins, by its name.
    made : dict
        What functions of whole arrays give to kernels, and whether that is complex.
    update : Kernel
        The kernel that stores new values.
    shared : dict
        The new value of each number of the whole optimizer, by its full name, after a step.
    refused : dict
        The same after a step that was refused: another one only where its own piece refused it.
    narrow : frozenset of str
        The numbers of the whole optimizer that are kept in float32.
    decays : dict
        The decay of each average that is corrected, by the correction's name.
    """

    name: str
    complex: bool
    states: tuple[StateSpec, ...]
    hyper: tuple[str, ...]
    stages: tuple[Kernel, ...]
    update: Kernel
    shared: dict[str, Expr]
    refused: dict[str, Expr]
    narrow: frozenset[str] = frozenset()
    decays: dict[str, Decay] = dataclasses.field(default_factory=dict)
    buffers: dict[str, Buffer] = dataclasses.field(default_factory=dict)
    made: dict[Operand, bool] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        loads = (operand for kernel in self.kernels for operand in kernel.loads)
        made = {op.array: bool(op.component) for op in loads if op.kind == "made"}
        object.__setattr__(self, "made", made)

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """All kernels, in the order in which they run."""
        return (*self.stages, self.update)

    @property
    def totals(self) -> frozenset[ReductionKey]:
        """What the stages reduce."""
        return frozenset(each.value for stage in self.stages for each in stage.reductions)

    @functools.cached_property
    def dimensions(self) -> list[ReductionKey]:
        """What it reads of the shapes of arrays."""
        ends = [end for kernel in self.kernels for end in kernel.ends]
        return sorted({key for key in reduction_keys(ends) if key.of_shape}, key=str)

    @functools.cached_property
    def loss_reader(self) -> str | None:
        """The class that reads the loss of the step; None if none does."""
        ends = [end for kernel in self.kernels for end in kernel.ends]
        found = reachable([*ends, *self.shared.values(), *self.refused.values()])
        return next((expr.value for expr in found if expr.op == "loss"), None)

    @property
    def needs(self) -> list[tuple[str, Any]]:
        """The states that it needs, and what they are, buffers, and room for results; without the
        sums of averages' weights.
        """
        keys = (key for key in self.update.scalar_states if key.name not in self.decays)
        arrays: list[tuple[str, Any]] = [(state.name, state.complex) for state in self.states]
        arrays += [(name, None) for name in self.buffers]
        made = [(place.name, wide) for place, wide in self.made.items()]
        return [*arrays, *((key.name, key) for key in keys), *made]

    @property
    def accept(self) -> Expr | None:
        """The truth value that decides whether the step is made at all; None where it always is."""
        return self.update.accept

    def __str__(self) -> str:
        """The program for readers, kernel by kernel."""
        found = []
        for number, kernel in enumerate(self.kernels, start=1):
            what = "update" if kernel is self.update else f"stage {number}"
            reads = ", ".join(map(str, kernel.loads))
            lines = [f"{self.name}, {what}: reads {reads}", *str(kernel).splitlines()]
            found.append("\n  ".join(lines))
        if self.accept is not None:
            found.append(f"made only if {format_expr(self.accept)}")
        then = {key.name: state.new for key, state in self.update.scalar_states.items()}
        found += [f"then {name} = {format_expr(x)}" for name, x in {**then, **self.shared}.items()]
        return "\n".join(found)


def _name(expr: Expr) -> str:
    """What a line calls a value: an operation by its number, anything else by itself."""
    return f"x{expr.index}" if expr.args else format_expr(expr)
