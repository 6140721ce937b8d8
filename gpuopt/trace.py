"""A rule run once on symbols gives a `Trace`: straight-line array code, and scalar code for the host.

The array code is a list of real operations on the components of arrays; every executor runs that list. The scalar code is
evaluated once a step, in float64; its results enter the array code as arguments, so a new learning rate never means a new
kernel. A reduction is scalar code whose argument is an array: it cuts the array code into phases.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import numbers
from collections.abc import Hashable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from gpuopt.graph import Expr, Graph, Total, TraceError, reachable
from gpuopt.host_code import Evaluate, compiled
from gpuopt.rules.base import instantiated
from gpuopt.symbols import Symbol, hyper_array, lift

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
    """The update of one rule or chain, for real or for complex parameters; or one phase of it, which ends in reductions.

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
    evaluate : callable
        The scalars from the count, the hyperparameters, and the results of reductions by their names.
    reductions : tuple of Expr
        In a phase, which stores nothing: what it reduces.
    phases : tuple of Trace
        What runs before: a phase for the reductions of array values, one for those that need its results, and so on.
    accept : Expr or None
        The truth value that decides whether the step is made at all.
    accepts : callable or None
        `accept` as a function of the same arguments as `evaluate`, in a tuple.
    apart : bool
        Whether the scalars may differ from array to array, being made of reductions of each.
    needs : frozenset of Total
        The totals that the scalars are made of.
    random : dict
        Which of the loads are random numbers: the numbers of their key, and which stream.
    """

    name: str
    complex: bool
    states: tuple[State, ...]
    loads: tuple[str, ...]
    ops: tuple[Expr, ...]
    stores: dict[str, tuple[Expr, ...]]
    scalars: tuple[Expr, ...]
    evaluate: Evaluate
    reductions: tuple[Expr, ...] = ()
    phases: tuple[Trace, ...] = ()
    accept: Expr | None = None
    accepts: Evaluate | None = None
    apart: bool = False
    needs: frozenset[Total] = frozenset()
    random: dict[str, tuple[tuple[Expr, ...], int]] = dataclasses.field(default_factory=dict)

    def is_complex(self, array: str) -> bool:
        """Whether the array of that name (``"p"``, ``"g"``, a state, or an array for a hyperparameter) is complex."""
        if array in ("p", "g"):
            return self.complex
        return any(s.complex for s in self.states if s.name == array)


def components(array: str, is_complex: bool) -> tuple[str, ...]:
    """The names of an array's real components."""
    return (f"{array}.re", f"{array}.im") if is_complex else (array,)


def trace(
    update: Update,
    is_complex: bool = False,
    arrays: frozenset[str] = frozenset(),
    passed: int | None = None,
    masked: bool = False,
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
        Whether that is decided while the update runs, by what the scalar code makes of the count. Schedules are traced then.

    Raises
    ------
    TraceError
        Where ``update`` is neither elementwise nor a reduction; the message names the line and the remedy.
    """
    off = frozenset(name for name in update.ranges if update.fields[name] == 0.0 and name not in arrays)
    bare, key = [], []
    scheduled: dict[str, Any] = {}
    for part in update.parts:
        if masked:
            values = ((part.named(name), getattr(part.formula, name)) for name in part.formula.ranges)
            scheduled |= {name: value for name, value in values if callable(value) and name not in arrays}
        dynamic = {n for n in part.formula.ranges if getattr(part.formula, n) is not None or part.named(n) in arrays}
        rest = ((n, type(v), v) for n, v in part.formula.fields.items() if n not in dynamic)
        key.append((part.name, part.scope, type(part.formula), tuple(rest)))
        plain = copy.copy(part.formula)
        for name in dynamic:  # the cache must not keep a schedule alive, nor what it refers to, unless it traces it
            object.__setattr__(plain, name, 0.0)
        bare.append(part._replace(formula=plain))
    gates = sum(hasattr(part.formula, "steps") for part in bare)
    passed = None if masked else gates if passed is None else passed
    followed = tuple((name, v if isinstance(v, Hashable) else id(v)) for name, v in scheduled.items())
    structure = _Structure(tuple(bare), (tuple(key), off, is_complex, arrays, passed, followed), scheduled)
    return _traced(structure, off, is_complex, arrays, passed)


class _Structure:
    """Parts that compare by what decides their trace; and the schedules that are traced with them."""

    def __init__(self, parts: tuple[Part, ...], key: tuple[Any, ...], scheduled: dict[str, Any]) -> None:
        self.parts, self.key, self.scheduled = parts, key, scheduled

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Structure) and self.key == other.key


@functools.lru_cache(maxsize=512)
def _traced(structure: _Structure, off: frozenset[str], is_complex: bool, arrays: frozenset[str], passed: int | None) -> Trace:
    names = state_names(structure)
    found: frozenset[str] = frozenset()
    while True:  # a state is complex where the rule makes it so: begin with real ones, until nothing changes
        run = _Run(structure.parts, Graph(off), is_complex, found, arrays, passed, structure.scheduled)
        seen = frozenset(name for name in names if len(run.values[name].parts) == 2) | found
        if seen == found:
            return _assemble(run, names)
        found = seen


def passes(update: Update, t: int) -> int:
    """How many parts with a method ``steps`` let the rest of the chain act in the `t`-th call."""
    count = 0
    for part in update.parts:
        if steps := getattr(part.formula, "steps", None):
            before, t = steps(t - 1), steps(t)
            if before == t:
                return count
            count += 1
    return count


def state_names(update: Any) -> dict[str, float | None]:
    """The states and their initial values (None where ``start`` gives them), from the signatures of ``update``."""
    states: dict[str, float | None] = {}
    for part in update.parts:
        own = own_states(part.formula)
        if clash := [name for name in own if part.named(name, "_") in states]:
            raise TraceError(f"{type(part.formula).__name__}.update: state {clash[0]} is called like that of another part")
        states |= {part.named(name, "_"): initial for name, initial in own.items()}
    return states


def own_states(formula: Any) -> dict[str, float | None]:
    """The states of one formula and their initial values, from the signature of its ``update``."""
    name, arguments = type(formula).__name__, formula._arguments
    _, *parameters = inspect.signature(type(formula).update).parameters.values()
    if tuple(p.name for p in parameters[: len(arguments)]) != arguments:
        wanted = f"{name}.update must begin with (self, {', '.join(arguments)})"
        raise TraceError(f"{wanted}, got {inspect.signature(type(formula).update)}")
    states: dict[str, float | None] = {}
    for parameter in parameters[len(arguments) :]:
        initial = parameter.default
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
            raise TraceError(f"{name}.update: state {parameter} must be an ordinary parameter")
        if hasattr(formula, "start"):
            states[parameter.name] = None
        elif isinstance(initial, (int, float)) and not isinstance(initial, bool):
            states[parameter.name] = float(initial)
        else:
            raise TraceError(f"{name}.update: state {parameter.name} needs a number to start at, as in {parameter.name}=0.0")
    return states


class _Run:
    """All parts run on symbols: `values`, the new value of p and of every state; and whether the step is accepted.

    `found` names the states that are known to be complex.
    """

    def __init__(
        self,
        parts: tuple[Part, ...],
        graph: Graph,
        is_complex: bool,
        found: frozenset[str],
        arrays: frozenset[str],
        passed: int | None,
        scheduled: dict[str, Any],
    ) -> None:
        self.parts, self.graph, self.complex, self.found = parts, graph, is_complex, found
        self.name = next(type(part.formula).__name__ for part in parts if not part.name)
        self.accept: Any = None
        self._arrays, self._passed, self._scheduled = arrays, passed, scheduled
        self.values = {"p": self.array("p")}
        asking = [number for number, part in enumerate(parts) if hasattr(part.formula, "accept")]
        self._asked = parts[: max(asking) + 1] if asking else ()  # run even if held: a step is accepted or not as a whole
        self._flow = {"g": self.array("g"), "new": self.array("p")}
        self._t, self._gates = Symbol(graph, graph.leaf("step", "t")), 0
        self._acting: Any = None  # whether what follows acts in this step; with `passed`, that is known beforehand
        self._ready: Any = None
        for part, formula in self._stand_ins():
            self._part(part, formula)
        new = self._flow["new"]
        self.values["p"] = new if self._ready is None else np.where(self._ready, new, self.array("p"))
        if len(self.values["p"].parts) == 2 and not is_complex:
            raise TraceError(f"{self.name}.update gives a complex parameter for a real one: take its .real")
        widened = found | ({"p"} if is_complex else set())
        self.values = {name: value.widened() if name in widened else value for name, value in self.values.items()}

    def array(self, name: str) -> Symbol:
        """An array as it is before the step."""
        whole = self.complex if name in ("p", "g") else name in self.found
        re, *im = (self.graph.leaf("input", part) for part in components(name, whole))
        return Symbol(self.graph, re, *im)

    def _stand_ins(self) -> list[tuple[Part, Any]]:
        """Each part, and its formula with symbols for hyperparameters."""
        names = ((part.named(name), getattr(part.formula, name)) for part in self.parts for name in part.formula.ranges)
        used = [name for name, value in names if value is not None or name in self._arrays]
        return instantiated(self.parts, {name: self._hyper(name) for name in used})

    def _hyper(self, name: str) -> Symbol:
        if name in self._scheduled:
            return self._traced_schedule(name)
        leaf = ("input", hyper_array(name)) if name in self._arrays else ("hyper", name)
        return Symbol(self.graph, self.graph.leaf(*leaf))

    def _traced_schedule(self, name: str) -> Symbol:
        """A hyperparameter that follows a schedule, where the device counts the steps."""
        completed = Symbol(self.graph, self.graph.leaf("completed", "completed"))
        try:
            return lift(self.graph, self._scheduled[name](completed))
        except TraceError as error:
            raise TraceError(
                f"{name} follows a schedule, which must run on the GPU here, where a piece of the chain decides whether a step "
                f"is made: write it with NumPy's functions, or use one of gpuopt.schedules. {error}"
            ) from None

    def _part(self, part: Part, formula: Any) -> None:
        """Run one part, unless a part before it holds it back."""
        states = [part.named(name, "_") for name in own_states(part.formula)]
        before = [self.array(name) for name in states]
        self.values |= zip(states, before, strict=True)
        held = self._passed is not None and self._gates > self._passed
        if held:
            self._flow["new"] = self.array("p")
            if part not in self._asked:
                return
        self.graph.part = (part.scope, part.name)
        t, p, last = self._t, self.array("p"), self._flow[formula._arguments[-1]]
        if hasattr(formula, "accept"):
            self._ask(formula, formula.accept(t, p, last))
        if self._acting is not None and (self._asked or self._passed is None):
            self.graph.acting = self._acting.parts[0]
        first, *after = _named(
            formula,
            self.graph,
            "update",
            [formula._arguments[-1] if part.name else "p", *states],
            formula.update(t, p, last, *before),
        )
        self.graph.acting = None
        self._flow[formula._gives] = first
        if held:
            return
        if hasattr(formula, "start"):
            begun = _named(formula, self.graph, "start", states, formula.start(p))
            after = [a.widened() if len(b.parts) == 2 else a for a, b in zip(after, begun, strict=True)]
        for name, new, old in zip(states, after, before, strict=True):
            kept: Any = new if self._ready is None else np.where(self._ready, new, old)
            self.values[name] = kept
        if hasattr(formula, "steps"):
            self._hold(formula.steps(t - 1), formula.steps(t))

    def _ask(self, formula: Any, answer: Any) -> None:
        """Let a part decide whether the step is made."""
        answer = lift(self.graph, answer)
        if len(answer.parts) == 2 or not answer.parts[0].host:
            raise TraceError(
                f"{type(formula).__name__}.accept must give one truth value for the step, as of np.max or gpuopt.tree_max; "
                f"it gave {answer!r}"
            )
        self.accept = answer != 0 if self.accept is None else self.accept & (answer != 0)

    def _hold(self, before: Any, now: Any) -> None:
        """What follows acts only where `now` is more than `before`, in the step with that number."""
        self._t, self._gates = before + 1, self._gates + 1
        self._acting = before != now if self._acting is None else self._acting & (before != now)
        if self._passed is None:
            self._ready = self._acting


def _named(formula: Any, graph: Graph, method: str, names: list[str], result: Any) -> list[Symbol]:
    """The values that a method returned, one for each name."""
    values = result if isinstance(result, (tuple, list)) else (result,)
    what = f"{type(formula).__name__}.{method} must return ({', '.join(names)})"
    if result is None:
        raise TraceError(f"{what}; it returned None: is a return missing?")
    if len(values) != len(names):
        raise TraceError(f"{what}, {len(names)} values; it returned {len(values)}")
    for name, value in zip(names, values, strict=True):
        if not isinstance(value, Symbol) and not isinstance(value, (numbers.Number, np.generic)):
            raise TraceError(f"{what}; for {name} it returned {type(value).__name__} {value!r}")
    return [lift(graph, value) for value in values]


def _assemble(run: _Run, names: dict[str, float | None]) -> Trace:
    """Keep what is read or changed, put it in order, and cut it where a reduction must be known before what follows."""
    stores = {array: value.parts for array, value in run.values.items() if value.parts != run.array(array).parts}
    accept = None if run.accept is None else run.accept.parts[0]
    roots = [*(part for parts in stores.values() for part in parts), *([] if accept is None else [accept])]
    by_depth: dict[int, list[Expr]] = {}
    depths: dict[Expr, int] = {}
    used = sorted(set(reachable(roots)), key=lambda expr: expr.index)
    for expr in used:  # the arguments of a value come before it
        depths[expr] = max((depths[arg] for arg in expr.args), default=0) + expr.reduces
        if expr.reduces:
            by_depth.setdefault(depths[expr], []).append(expr)
    read = {expr.value.partition(".")[0] for expr in used if expr.op == "input"}
    kept = {part.named(s, "_") for part in run.parts if hasattr(part.formula, "evaluation") for s in own_states(part.formula)}
    states = tuple(State(s, v, s in run.found) for s, v in names.items() if s in read or s in stores or s in kept)
    start = Trace(run.name, run.complex, states, (), (), {}, (), compiled(()), random=run.graph.random)
    phases = tuple(_straight(start, {}, tuple(found)) for _, found in sorted(by_depth.items()))
    last = _straight(start, stores, ())
    if accept is None:
        return dataclasses.replace(last, phases=phases)
    needs = last.needs | {expr.value for expr in _totals([accept])}
    apart = any(total.over == "array" for total in needs)
    return dataclasses.replace(last, phases=phases, accept=accept, accepts=compiled((accept,)), apart=apart, needs=needs)


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
    needs = frozenset(expr.value for expr in _totals(scalars))
    return dataclasses.replace(
        start,
        **code,  # type: ignore[arg-type]
        evaluate=compiled(scalars),
        apart=any(total.over == "array" for total in needs),
        needs=needs,
    )


def _totals(scalars: Iterable[Expr]) -> Iterator[Expr]:
    """The reductions, and the size, that host values are made of."""
    ends = reachable(scalars, within=lambda expr: not expr.reduces)
    return (expr for expr in ends if expr.reduces or expr.op == "size")
