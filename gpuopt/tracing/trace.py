"""A rule run once on symbols gives an `UpdateProgram`: straight-line array code, and scalar code
for the host.

The array code is a list of real operations on the components of arrays; every executor runs that
list. The scalar code is evaluated once a step, in float64; its results enter the array code as
arguments, so a new learning rate never means a new kernel. A reduction is scalar code whose
argument is an array: it cuts the array code into stages.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from gpuopt.arrays.precision import MASTER, PLAIN, Precision
from gpuopt.rules.hooks import has_hook
from gpuopt.tracing.expr import Expr, Graph, TraceError, reachable
from gpuopt.tracing.operands import Operand, state
from gpuopt.tracing.parts import PartsRun, own_states, state_names
from gpuopt.tracing.program import Kernel, StateSpec, UpdateProgram

if TYPE_CHECKING:
    from gpuopt.rules.base import Part, Update

__all__ = ["TraceError", "own_states", "passes", "state_names", "trace"]


def trace(
    update: Update,
    is_complex: bool = False,
    arrays: frozenset[str] = frozenset(),
    passed: int | None = None,
    masked: bool = False,
    precision: Precision = PLAIN,
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
    passed : int or None
        How many parts with a method ``steps`` let the rest of the chain act; None for all.
    masked : bool
        Whether that is decided while the update runs, by what the scalar code makes of the count.
        Schedules are traced then, and every update asks whether it is made, so that it can be
        launched without being made.
    precision : Precision
        Whether p is read from a master copy, a state that is stored with it, or rounded at random
        when it is stored.

    Raises
    ------
    TraceError
        If ``update`` is neither elementwise nor a reduction; the message names the line and the
        remedy.
    """
    fields = update.hyperparameters
    off = frozenset(name for name in update.ranges if fields[name] == 0.0 and name not in arrays)
    bare, key = [], []
    scheduled: dict[str, Any] = {}
    for part in update.parts:
        if masked:
            values = (
                (part.named(name), getattr(part.formula, name)) for name in part.formula.ranges
            )
            scheduled |= {
                name: value for name, value in values if callable(value) and name not in arrays
            }
        dynamic = {
            n
            for n in part.formula.ranges
            if getattr(part.formula, n) is not None or part.named(n) in arrays
        }
        rest = (
            (n, type(v), v) for n, v in part.formula.hyperparameters.items() if n not in dynamic
        )
        key.append((part.name, part.scope, type(part.formula), tuple(rest)))
        plain = copy.copy(part.formula)
        for name in (
            dynamic
        ):  # the cache must not keep a schedule alive, nor what it refers to, unless it traces it
            object.__setattr__(plain, name, 0.0)
        bare.append(part._replace(formula=plain))
    gates = sum(has_hook(part.formula, "steps") for part in bare)
    passed = None if masked else gates if passed is None else passed
    followed = tuple(
        (name, v if isinstance(v, Hashable) else id(v)) for name, v in scheduled.items()
    )
    structure = _Structure(
        tuple(bare), (tuple(key), off, is_complex, arrays, passed, followed, precision), scheduled
    )
    return _traced(structure, off, is_complex, arrays, passed, precision)


class _Structure:
    """Parts that compare by what decides their trace; and the schedules that are traced with
    them.
    """

    def __init__(
        self, parts: tuple[Part, ...], key: tuple[Any, ...], scheduled: dict[str, Any]
    ) -> None:
        self.parts, self.key, self.scheduled = parts, key, scheduled

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Structure) and self.key == other.key


@functools.lru_cache(maxsize=512)
def _traced(
    structure: _Structure,
    off: frozenset[str],
    is_complex: bool,
    arrays: frozenset[str],
    passed: int | None,
    precision: Precision,
) -> UpdateProgram:
    names = state_names(structure) | ({MASTER: None} if precision.master else {})
    found: frozenset[str] = frozenset()
    while (
        True
    ):  # a state is complex where the rule makes it so: begin with real ones, until nothing changes
        run = PartsRun(
            structure.parts,
            Graph(off),
            is_complex,
            found,
            arrays,
            passed,
            structure.scheduled,
            precision,
        )
        seen = frozenset(name for name in names if len(run.values[state(name)].parts) == 2) | found
        if seen == found:
            return _assemble(run, names)
        found = seen


def passes(update: Update, t: int) -> int:
    """How many parts with a method ``steps`` let the rest of the chain act in the `t`-th call."""
    count = 0
    gates: list[Any] = [part.formula for part in update.parts if has_hook(part.formula, "steps")]
    for gate in gates:
        before, t = gate.steps(t - 1), gate.steps(t)
        if before == t:
            return count
        count += 1
    return count


def _assemble(run: PartsRun, names: dict[str, float | None]) -> UpdateProgram:
    """Keep what is read or changed, put it in order, and cut it where a reduction must be known
    before what follows.
    """
    stores: dict[Operand, Expr] = {}
    for array, value in run.values.items():
        if value.parts != run.array(array).parts:
            stores |= zip(array.components(len(value.parts) == 2), value.parts, strict=True)
    accept = None if run.accept is None else run.accept.parts[0]
    decided = [*([] if accept is None else [accept]), *run.adapted.values()]
    roots = [*stores.values(), *decided]
    by_depth: dict[int, list[Expr]] = {}
    depths: dict[Expr, int] = {}
    used = sorted(set(reachable(roots)), key=lambda expr: expr.index)
    for expr in used:  # the arguments of a value come before it
        depths[expr] = max((depths[arg] for arg in expr.args), default=0) + expr.reduces
        if expr.reduces:
            by_depth.setdefault(depths[expr], []).append(expr)
    touched = {expr.value.array for expr in used if expr.op == "input"} | {
        operand.array for operand in stores
    }
    kept = {
        part.named(s, "_")
        for part in run.parts
        if has_hook(part.formula, "evaluation")
        for s in own_states(part.formula)
    }
    kept |= {MASTER} if run.precision.master else set()
    states = tuple(
        StateSpec(s, v, s in run.found)
        for s, v in names.items()
        if state(s) in touched or s in kept
    )
    return UpdateProgram(
        name=run.name,
        complex=run.complex,
        states=states,
        hyper=tuple(part.named(name) for part in run.parts for name in part.formula.ranges),
        stages=tuple(
            _kernel(run, states, {}, tuple(found)) for _, found in sorted(by_depth.items())
        ),
        update=_kernel(run, states, stores, (), accept),
        shared=run.adapted,
    )


def _kernel(
    run: PartsRun,
    states: tuple[StateSpec, ...],
    stores: dict[Operand, Expr],
    reductions: tuple[Expr, ...],
    accept: Expr | None = None,
) -> Kernel:
    """The array code that ends in `stores`, or in `reductions`; what it needs of reductions comes
    in as scalars.
    """
    ends = [*stores.values(), *(expr.args[0] for expr in reductions)]
    live = sorted(
        set(reachable(ends, within=lambda expr: not expr.host)), key=lambda expr: expr.index
    )
    ops = tuple(expr for expr in live if expr.args and not expr.host)
    outer = dict.fromkeys(arg for op in ops for arg in op.args if arg.host) | dict.fromkeys(
        e for e in ends if e.host
    )
    loads = tuple(expr.value for expr in live if expr.op == "input")
    random = {operand: made for operand, made in run.graph.random.items() if operand in loads}
    outer |= dict.fromkeys(part for key, _ in random.values() for part in key)
    return Kernel(
        name=run.name,
        complex=run.complex,
        states=states,
        loads=loads,
        ops=ops,
        stores=stores,
        reductions=reductions,
        scalars=tuple(expr for expr in outer if expr.op != "constant"),
        random=random,
        accept=accept,
    )
