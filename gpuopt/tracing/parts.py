"""All parts of an update run once on symbols: rules, and the pieces around them, one after
another.
"""

from __future__ import annotations

import inspect
import numbers
from typing import TYPE_CHECKING, Any

import numpy as np

from gpuopt.arrays.precision import MASTER, Precision
from gpuopt.arrays.random import ROUNDING
from gpuopt.rules.base import BoundPart, bind
from gpuopt.rules.formula import reserved_names
from gpuopt.rules.hooks import has_hook
from gpuopt.rules.noise import uniform
from gpuopt.tracing.expr import Expr, Graph, TraceError, reduction_keys
from gpuopt.tracing.operands import GRAD, PARAM, Operand, hyper_array, state
from gpuopt.tracing.symbols import Symbol, lift

if TYPE_CHECKING:
    from gpuopt.rules.base import Part

__all__ = ["PartsRun", "own_states", "state_names"]


def state_names(update: Any) -> dict[str, float | None]:
    """The states and their initial values (None where ``start`` gives them), from the signatures of
    ``update``.
    """
    states: dict[str, float | None] = {}
    for part in update.parts:
        own = own_states(part.formula)
        if clash := [name for name in own if part.named(name, "_") in states]:
            raise TraceError(
                f"{type(part.formula).__name__}.update: state {clash[0]} has the same name in "
                "another part"
            )
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
        if has_hook(formula, "start"):
            states[parameter.name] = None
        elif isinstance(initial, (int, float)) and not isinstance(initial, bool):
            states[parameter.name] = float(initial)
        else:
            raise TraceError(
                f"{name}.update: state {parameter.name} needs a number to start at, as in "
                f"{parameter.name}=0.0"
            )
    return states


class PartsRun:
    """All parts run on symbols: `values`, the new value of p and of every state; whether the step
    is accepted; and `adapted`, the new values of the numbers of the whole optimizer.

    `found` names the states that are known to be complex. With a master copy, that is what all
    parts see for p.
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
        precision: Precision,
    ) -> None:
        self.precision = precision
        self.parts, self.graph, self.complex, self.found = parts, graph, is_complex, found
        self.name = next(type(part.formula).__name__ for part in parts if not part.name)
        self.accept: Any = None
        self.adapted: dict[str, Expr] = {}
        self._arrays, self._passed, self._scheduled = arrays, passed, scheduled
        self.values: dict[Operand, Symbol] = {PARAM: self.array(PARAM)}
        asking = [number for number, part in enumerate(parts) if has_hook(part.formula, "accept")]
        self._asked = (
            parts[: max(asking) + 1] if asking else ()
        )  # run even if held: a step is accepted or not as a whole
        self._flow = {"g": self.array(GRAD), "new": self.array(PARAM)}
        self._t, self._gates = Symbol(graph, graph.leaf("step", "t")), 0
        self._acting: Any = (
            None  # whether what follows acts in this step; with `passed`, that is known beforehand
        )
        for part, formula in self._stand_ins():
            self._part(part, formula)
        if passed is None and self.accept is None:
            self.accept = self._always()
        self.values[PARAM] = self._unless_held(self._flow["new"], self.array(PARAM))
        if len(self.values[PARAM].parts) == 2 and not is_complex:
            raise TraceError(
                f"{self.name}.update gives a complex parameter for a real one: take its .real"
            )
        self.values = {
            array: value.widened() if self._is_complex(array) else value
            for array, value in self.values.items()
        }
        if precision.master:
            self.values[state(MASTER)] = self.values[PARAM]
        if precision.stochastic_rounding and self.values[PARAM].parts != self.array(PARAM).parts:
            self.values[PARAM] = self._rounded(self.values[PARAM])

    def _rounded(self, p: Symbol) -> Symbol:
        """The new p rounded up or down at random; where it does not act in this step, p is a
        bfloat16 and stays what it is.
        """
        u = uniform(
            p, self.precision.seed, Symbol(self.graph, self.graph.leaf("step", "t")), ROUNDING
        )
        return Symbol(self.graph, self.graph.stochastic_bfloat16(p.parts[0], u.parts[0]))

    def _unless_held(self, new: Symbol, old: Symbol) -> Any:
        """The new value, or the old one where the update itself must see to what does not act in
        this step.
        """
        return (
            new
            if self._passed is not None or self._acting is None
            else np.where(self._acting, new, old)
        )

    def array(self, array: Operand) -> Symbol:
        """An array as it is before the step."""
        where = state(MASTER) if array == PARAM and self.precision.master else array
        re, *im = (
            self.graph.leaf("input", component)
            for component in where.components(self._is_complex(array))
        )
        return Symbol(self.graph, re, *im)

    def _is_complex(self, array: Operand) -> bool:
        return self.complex if array in (PARAM, GRAD) else array.name in self.found

    def _stand_ins(self) -> list[BoundPart]:
        """Each part, and its formula with symbols for hyperparameters."""
        names = (
            (part.named(name), getattr(part.formula, name))
            for part in self.parts
            for name in part.formula.ranges
        )
        used = [name for name, value in names if value is not None or name in self._arrays]
        made = bind(self.parts, {name: self._hyper(name) for name in used})
        for part, formula in made:
            if not has_hook(formula, "numbers"):
                continue
            taken = {*reserved_names(), *dir(type(formula)), *part.formula.hyperparameters}
            for name in formula.numbers():
                if name in taken:
                    raise TraceError(
                        f"{type(formula).__name__}.numbers: {name!r} is the name of a "
                        "hyperparameter or a method"
                    )
                vars(formula)[name] = Symbol(
                    self.graph, self.graph.leaf("number", part.named(name))
                )
        return made

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
                f"{name} follows a schedule, which must run on the GPU here, where a piece of the "
                "chain decides whether a step "
                f"is made: write it with NumPy's functions, or use one of gpuopt.schedules. {error}"
            ) from None

    def _part(self, part: Part, formula: Any) -> None:
        """Run one part, unless a part before it holds it back."""
        states = [state(part.named(name, "_")) for name in own_states(part.formula)]
        before = [self.array(name) for name in states]
        self.values |= zip(states, before, strict=True)
        held = self._passed is not None and self._gates > self._passed
        if held:
            self._flow["new"] = self.array(PARAM)
            if part not in self._asked:
                return
        self.graph.part = (part.scope, part.name)
        t, p, last = self._t, self.array(PARAM), self._flow[formula._arguments[-1]]
        accepted = (
            self._ask(formula, formula.accept(t, p, last))
            if has_hook(formula, "accept")
            else self._always()
        )
        if self._acting is not None and (self._asked or self._passed is None):
            self.graph.acting = self._acting.parts[0]
        first, *after = _named(
            formula,
            self.graph,
            "update",
            [formula._arguments[-1] if part.name else "p", *(each.name for each in states)],
            formula.update(t, p, last, *before),
        )
        if has_hook(formula, "numbers"):
            self._adapt(
                part,
                formula,
                formula.adapt(p, last, accepted) if has_hook(formula, "adapt") else None,
            )
        self.graph.acting = None
        self._flow[formula._gives] = first
        if held:
            return
        if has_hook(formula, "start"):
            begun = _named(
                formula, self.graph, "start", [each.name for each in states], formula.start(p)
            )
            after = [
                a.widened() if len(b.parts) == 2 else a for a, b in zip(after, begun, strict=True)
            ]
        for name, new, old in zip(states, after, before, strict=True):
            self.values[name] = self._unless_held(new, old)
        if has_hook(formula, "steps"):
            self._hold(formula.steps(t - 1), formula.steps(t))

    def _always(self) -> Any:
        """A truth value that holds."""
        return Symbol(
            self.graph, self.graph.node("equal", self.graph.constant(0), self.graph.constant(0))
        )

    def _ask(self, formula: Any, answer: Any) -> Any:
        """Let a part decide whether the step is made; its answer."""
        answer = lift(self.graph, answer)
        if len(answer.parts) == 2 or not answer.parts[0].host:
            raise TraceError(
                f"{type(formula).__name__}.accept must return one truth value for the step, as "
                "np.max or gpuopt.tree_max give; "
                f"it returned {answer!r}"
            )
        answer = answer != 0
        self.accept = answer if self.accept is None else self.accept & answer
        return answer

    def _adapt(self, part: Part, formula: Any, result: Any) -> None:
        """Take the new values of the numbers of the whole optimizer that a part has."""
        name, names = type(formula).__name__, list(formula.numbers())
        if not has_hook(formula, "adapt"):
            raise TraceError(
                f"{name} has numbers of the whole optimizer, so it needs a method adapt(self, p, "
                "g, accepted)"
            )
        for number, value in zip(
            names, _named(formula, self.graph, "adapt", names, result), strict=True
        ):
            (expr, *imaginary) = value.parts
            if (
                imaginary
                or not expr.host
                or any(total.scope == "array" for total in reduction_keys([expr]))
            ):
                raise TraceError(
                    f"{name}.adapt must give numbers of the whole optimizer, made of others, of "
                    "hyperparameters and of "
                    f"reductions of all arrays, such as gpuopt.tree_max; for {number} it gave "
                    f"{value!r}"
                )
            self.adapted[part.named(number)] = expr

    def _hold(self, before: Any, now: Any) -> None:
        """What follows acts only where `now` is more than `before`, in the step with that
        number.
        """
        self._t, self._gates = before + 1, self._gates + 1
        self._acting = before != now if self._acting is None else self._acting & (before != now)


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
