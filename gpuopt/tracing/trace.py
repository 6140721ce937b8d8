"""A rule run once on symbols gives a `Trace`: straight-line array code, and scalar code for the host.

The array code is a list of real operations on the components of arrays; every executor runs that list. The scalar code is
evaluated once a step, in float64; its results enter the array code as arguments, so a new learning rate never means a new
kernel. A reduction is scalar code whose argument is an array: it cuts the array code into stages.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from gpuopt.arrays.precision import MASTER, PLAIN, Precision
from gpuopt.rules.hooks import has_hook
from gpuopt.tracing.expr import Expr, Graph, ReductionKey, TraceError, reachable, reduction_keys
from gpuopt.tracing.parts import PartsRun, components, own_states, state_names

if TYPE_CHECKING:
    from gpuopt.rules.base import Part, Update

__all__ = ["State", "Trace", "TraceError", "components", "own_states", "passes", "state_names", "trace"]


@dataclasses.dataclass(frozen=True)
class State:
    """One array of a rule's state: its name, the value it starts at, and whether it is complex."""

    name: str
    initial: float | None
    complex: bool


@dataclasses.dataclass(frozen=True, eq=False)
class Trace:
    """The update of one rule or chain, for real or for complex parameters; or one stage of it, which ends in reductions.

    Attributes
    ----------
    name : str
        The rule's class.
    complex : bool
        Whether parameter and gradient are complex.
    states : tuple of State
        The state that is read or changed; other state is not listed.
    loads : tuple of str
        The components read: ``"p"``, or ``"p.re"`` and ``"p.im"`` of a complex array.
    ops : tuple of Expr
        The array operations, in order.
    stores : dict
        New value of each array that changes, by its name: a tuple of one component, or two.
    scalars : tuple of Expr
        The host values that the array code takes as arguments (constants are not among them).
    reductions : tuple of Expr
        In a stage, which stores nothing: what it reduces.
    stages : tuple of Trace
        What runs before: a stage for the reductions of array values, one for those that need its results, and so on.
    accept : Expr or None
        The truth value that decides whether the step is made at all.
    adapted : dict
        The new value of each number of the whole optimizer, by its full name, after a step or a refusal of one.
    per_array : bool
        Whether the scalars may differ from array to array, being made of reductions of each.
    needs : frozenset of ReductionKey
        The totals that the scalars are made of.
    random : dict
        Which of the loads are random numbers: the numbers of their key, and which stream.
    hyper : tuple of str
        The float hyperparameters of all parts by their full names, in order; whether they are used or not.
    """

    name: str
    complex: bool
    states: tuple[State, ...]
    loads: tuple[str, ...]
    ops: tuple[Expr, ...]
    stores: dict[str, tuple[Expr, ...]]
    scalars: tuple[Expr, ...]
    reductions: tuple[Expr, ...] = ()
    stages: tuple[Trace, ...] = ()
    accept: Expr | None = None
    adapted: dict[str, Expr] = dataclasses.field(default_factory=dict)
    per_array: bool = False
    needs: frozenset[ReductionKey] = frozenset()
    random: dict[str, tuple[tuple[Expr, ...], int]] = dataclasses.field(default_factory=dict)
    hyper: tuple[str, ...] = ()

    def is_complex(self, array: str) -> bool:
        """Whether the array of that name (``"p"``, ``"g"``, a state, or an array for a hyperparameter) is complex."""
        if array in ("p", "g"):
            return self.complex
        return any(s.complex for s in self.states if s.name == array)


def trace(
    update: Update,
    is_complex: bool = False,
    arrays: frozenset[str] = frozenset(),
    passed: int | None = None,
    masked: bool = False,
    precision: Precision = PLAIN,
) -> Trace:
    """Run the ``update`` of a rule, or of every part of a chain, on symbols.

    Parameters
    ----------
    update : Update
        Its static hyperparameters, and which of its float ones are the constant 0, decide the result; the values of
        the others do not. Results are cached by that.
    is_complex : bool
        Whether parameter and gradient are complex.
    arrays : frozenset of str
        The hyperparameters that are arrays, by their full names.
    passed : int or None
        How many parts with a method ``steps`` let the rest of the chain act; None for all.
    masked : bool
        Whether that is decided while the update runs, by what the scalar code makes of the count. Schedules are traced then,
        and every update asks whether it is made, so that it can be launched without being made.
    precision : Precision
        Whether p is read from a master copy, a state that is stored with it, or rounded at random when it is stored.

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
            values = ((part.named(name), getattr(part.formula, name)) for name in part.formula.ranges)
            scheduled |= {name: value for name, value in values if callable(value) and name not in arrays}
        dynamic = {n for n in part.formula.ranges if getattr(part.formula, n) is not None or part.named(n) in arrays}
        rest = ((n, type(v), v) for n, v in part.formula.hyperparameters.items() if n not in dynamic)
        key.append((part.name, part.scope, type(part.formula), tuple(rest)))
        plain = copy.copy(part.formula)
        for name in dynamic:  # the cache must not keep a schedule alive, nor what it refers to, unless it traces it
            object.__setattr__(plain, name, 0.0)
        bare.append(part._replace(formula=plain))
    gates = sum(has_hook(part.formula, "steps") for part in bare)
    passed = None if masked else gates if passed is None else passed
    followed = tuple((name, v if isinstance(v, Hashable) else id(v)) for name, v in scheduled.items())
    structure = _Structure(tuple(bare), (tuple(key), off, is_complex, arrays, passed, followed, precision), scheduled)
    return _traced(structure, off, is_complex, arrays, passed, precision)


class _Structure:
    """Parts that compare by what decides their trace; and the schedules that are traced with them."""

    def __init__(self, parts: tuple[Part, ...], key: tuple[Any, ...], scheduled: dict[str, Any]) -> None:
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
) -> Trace:
    names = state_names(structure) | ({MASTER: None} if precision.master else {})
    found: frozenset[str] = frozenset()
    while True:  # a state is complex where the rule makes it so: begin with real ones, until nothing changes
        run = PartsRun(structure.parts, Graph(off), is_complex, found, arrays, passed, structure.scheduled, precision)
        seen = frozenset(name for name in names if len(run.values[name].parts) == 2) | found
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


def _assemble(run: PartsRun, names: dict[str, float | None]) -> Trace:
    """Keep what is read or changed, put it in order, and cut it where a reduction must be known before what follows."""
    stores = {array: value.parts for array, value in run.values.items() if value.parts != run.array(array).parts}
    accept = None if run.accept is None else run.accept.parts[0]
    decided = [*([] if accept is None else [accept]), *run.adapted.values()]
    roots = [*(part for parts in stores.values() for part in parts), *decided]
    by_depth: dict[int, list[Expr]] = {}
    depths: dict[Expr, int] = {}
    used = sorted(set(reachable(roots)), key=lambda expr: expr.index)
    for expr in used:  # the arguments of a value come before it
        depths[expr] = max((depths[arg] for arg in expr.args), default=0) + expr.reduces
        if expr.reduces:
            by_depth.setdefault(depths[expr], []).append(expr)
    read = {expr.value.partition(".")[0] for expr in used if expr.op == "input"}
    kept = {part.named(s, "_") for part in run.parts if has_hook(part.formula, "evaluation") for s in own_states(part.formula)}
    kept |= {MASTER} if run.precision.master else set()
    states = tuple(State(s, v, s in run.found) for s, v in names.items() if s in read or s in stores or s in kept)
    hyper = tuple(part.named(name) for part in run.parts for name in part.formula.ranges)
    start = Trace(run.name, run.complex, states, (), (), {}, (), random=run.graph.random, hyper=hyper)
    stages = tuple(_straight(start, {}, tuple(found)) for _, found in sorted(by_depth.items()))
    last = _straight(start, stores, ())
    if run.adapted:
        last = dataclasses.replace(last, adapted=run.adapted)
    if accept is None:
        return dataclasses.replace(last, stages=stages)
    needs = last.needs | set(reduction_keys([accept]))
    per_array = any(total.scope == "array" for total in needs)
    return dataclasses.replace(last, stages=stages, accept=accept, per_array=per_array, needs=needs)


def _straight(start: Trace, stores: dict[str, tuple[Expr, ...]], reductions: tuple[Expr, ...]) -> Trace:
    """The array code that ends in `stores`, or in `reductions`; what it needs of reductions comes in as scalars."""
    ends = [*(part for parts in stores.values() for part in parts), *(expr.args[0] for expr in reductions)]
    live = sorted(set(reachable(ends, within=lambda expr: not expr.host)), key=lambda expr: expr.index)
    ops = tuple(expr for expr in live if expr.args and not expr.host)
    outer = dict.fromkeys(arg for op in ops for arg in op.args if arg.host) | dict.fromkeys(e for e in ends if e.host)
    loads = tuple(expr.value for expr in live if expr.op == "input")
    random = {name: made for name, made in start.random.items() if name in loads}
    outer |= dict.fromkeys(part for key, _ in random.values() for part in key)
    scalars = tuple(expr for expr in outer if expr.op != "constant")
    code = {"loads": loads, "ops": ops, "stores": stores, "scalars": scalars, "reductions": reductions, "random": random}
    needs = frozenset(reduction_keys(scalars))
    return dataclasses.replace(
        start,
        **code,  # type: ignore[arg-type]
        per_array=any(total.scope == "array" for total in needs),
        needs=needs,
    )
