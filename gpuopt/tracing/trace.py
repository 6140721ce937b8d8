"""A rule run once on symbols gives an `UpdateProgram`: straight-line array code, and scalar code
for the host.

The array code is a list of real operations on the components of arrays; every executor runs that
list. The scalar code is evaluated once a step, in float64; its results enter the array code as
arguments, so a new learning rate never means a new kernel. A reduction is scalar code whose
argument is an array: it cuts the array code into stages.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from gpuopt.arrays.precision import MASTER, PLAIN, Precision
from gpuopt.rules.hooks import has_hook
from gpuopt.rules.tuples import put
from gpuopt.rules.whole_arrays import Buffer
from gpuopt.tracing.assemble import assemble
from gpuopt.tracing.errors import TraceError
from gpuopt.tracing.expr import Expr, Graph, reachable
from gpuopt.tracing.kinds import Kind
from gpuopt.tracing.parts import trace_parts
from gpuopt.tracing.program import UpdateProgram
from gpuopt.tracing.setting import Masked, Mode, Open, Setting
from gpuopt.tracing.signatures import state_names
from gpuopt.tracing.undoing import copies_of

if TYPE_CHECKING:
    from gpuopt.rules.base import Part, Update

__all__ = ["Masked", "Open", "TraceError", "gates", "gates_open", "trace"]


def trace(
    update: Update,
    is_complex: bool = False,
    arrays: frozenset[str] = frozenset(),
    mode: Mode | None = None,
    precision: Precision = PLAIN,
    varying: frozenset[str] = frozenset(),
) -> UpdateProgram:
    """Run the ``update`` of a rule, or of every part of a chain, on symbols.

    Parameters
    ----------
    update : Update
        Its static hyperparameters, and which of its float ones are the constant 0, decide the
        result; the values of the others do not. Results are cached by that.
    is_complex : bool
        Whether parameter and gradient are complex.
    arrays : frozenset of str
        The hyperparameters that are arrays, by their full names.
    mode : Open or Masked, optional
        How many gates let the rest of the chain act, or that this is decided while the update runs,
        by what the scalar code makes of the count. All gates are open by default.
    precision : Precision
        Whether p is read from a master copy, a state that is stored with it, or rounded at random
        when it is stored.
    varying : frozenset of str
        The corrections of averages whose decay changes between steps, by the names that
        `UpdateProgram.decays` has for them. Those whose decay follows a schedule are known.

    Raises
    ------
    TraceError
        If ``update`` is neither elementwise nor a reduction; the message names the line and the
        remedy.
    """
    values = update.hyperparameters
    off = frozenset(name for name in update.ranges if values[name] == 0.0 and name not in arrays)
    if mode is None:
        mode = Open(len(gates(update)))
    scheduled = _schedules(update, arrays)
    schedules = scheduled if isinstance(mode, Masked) else {}
    bare = [_bare(part, arrays) for part in update.parts]
    followed = tuple(
        (name, v if isinstance(v, Hashable) else id(v)) for name, v in schedules.items()
    )
    what = is_complex, arrays, mode, followed, precision
    key = tuple(part_key for _, part_key in bare), off, *what
    setting = Setting(is_complex, {MASTER: Kind.REAL}, arrays, mode, schedules, precision, varying)
    parts = tuple(part for part, _ in bare)
    program = _traced(_Structure(parts, (*key, varying), setting, off))
    decays = program.decays.items() if scheduled else ()
    moving = {name for name, decay in decays if not scheduled.keys().isdisjoint(_hyper(decay.beta))}
    if moving <= varying:
        return program
    setting = dataclasses.replace(setting, varying=varying | moving)
    return _traced(_Structure(parts, (*key, setting.varying), setting, off))


def _hyper(expr: Expr) -> set[str]:
    """The hyperparameters that a value depends on."""
    return {leaf.value for leaf in reachable([expr]) if leaf.op == "hyper"}


def _schedules(update: Update, arrays: frozenset[str]) -> dict[str, Any]:
    """The schedules that hyperparameters follow, by full name."""
    found = {}
    for part in update.parts:
        values = part.formula.hyperparameters
        for name in part.formula.ranges:
            full, value = part.named(name), values[name]
            if callable(value) and full not in arrays:
                found[full] = value
    return found


def _bare(part: Part, arrays: frozenset[str]) -> tuple[Part, Hashable]:
    """A part without the values of its float hyperparameters, and what decides its trace.

    The cache must not keep a schedule alive, nor what it refers to, unless it traces it.
    """
    formula, plain, rest = part.formula, copy.copy(part.formula), []
    for name, value in formula.hyperparameters.items():
        if name in formula.ranges and (value is not None or part.named(name) in arrays):
            put(vars(plain), {name: 0.0})
        else:
            rest.append((name, type(value), value))
    key = part.name, part.scope, type(formula), tuple(formula.ranges), tuple(rest)
    return part._replace(formula=plain), key


class _Structure:
    """What is traced; it compares by the key, which decides all the rest."""

    def __init__(
        self, parts: tuple[Part, ...], key: Hashable, setting: Setting, off: frozenset[str]
    ) -> None:
        self.parts, self.key, self.setting, self.off = parts, key, setting, off

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Structure) and self.key == other.key


@functools.lru_cache(maxsize=512)
def _traced(structure: _Structure) -> UpdateProgram:
    setting = structure.setting
    every = state_names(structure)
    buffers = {name: start for name, start in every.items() if isinstance(start, Buffer)}
    names = {name: start for name, start in every.items() if not isinstance(start, Buffer)}
    names |= copies_of(structure.parts, names)
    names |= {MASTER: None} if setting.precision.master else {}
    while True:
        # A state is what the rule makes of it: begin with the least, until none is new.
        traced = trace_parts(structure.parts, Graph(structure.off), setting)
        found = {name: max(kind, setting.kind(name)) for name, kind in traced.kinds.items()}
        if all(kind is setting.kind(name) for name, kind in found.items()):
            if traced.errors:
                raise traced.errors[0]
            return assemble(structure.parts, setting, traced, names, buffers)
        setting = dataclasses.replace(setting, kinds={**setting.kinds, **found})


def gates(update: Update) -> list[Any]:
    """The formulas that hold back what follows them in some steps."""
    return [part.formula for part in update.parts if has_hook(part.formula, "steps")]


def gates_open(update: Update, t: int) -> int:
    """How many gates let the rest of the chain act in the `t`-th call."""
    for count, gate in enumerate(gates(update)):
        before, t = gate.steps(t - 1), gate.steps(t)
        if before == t:
            return count
    return len(gates(update))
