"""All parts of an update, run once on symbols: `trace_parts`.

Each part goes through the same stages: it is bound to symbols, asked whether the step is accepted,
updates, adapts its numbers, and may close a gate for the parts behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gpuopt.arrays.precision import MASTER
from gpuopt.rules.base import BoundPart, bind
from gpuopt.rules.hooks import has_hook
from gpuopt.tracing.buffers import Buffers
from gpuopt.tracing.errors import TraceError
from gpuopt.tracing.expr import Graph
from gpuopt.tracing.keeping import kept_unless
from gpuopt.tracing.kinds import Kind, kinds_of
from gpuopt.tracing.operands import GRAD, PARAM, Operand, hyper_array, state
from gpuopt.tracing.own_numbers import OwnNumbers
from gpuopt.tracing.rounding import may_be_short, rounded
from gpuopt.tracing.scheduled import traced_schedule
from gpuopt.tracing.setting import Masked, Open, Setting, Traced
from gpuopt.tracing.signatures import arranged, is_value, named_results, own_names
from gpuopt.tracing.states import States
from gpuopt.tracing.symbols import Symbol, always, bind_loss, bind_scale, lift, step_between
from gpuopt.tracing.undoing import Undoing, multiply_lr
from gpuopt.tracing.weights import Weights

if TYPE_CHECKING:
    from gpuopt.rules.base import Part

__all__ = ["trace_parts"]


def trace_parts(parts: tuple[Part, ...], graph: Graph, setting: Setting) -> Traced:
    """Run all parts on symbols that record into `graph`, one after another."""
    run = _Run(parts, graph, setting)
    for part, formula in run.bound():
        run.trace(part, formula)
    return run.finished()


class _Run:
    """The values that flow from part to part.

    `_flow` holds the gradient and the proposed parameter as the next part sees them, `_t` its
    count. `_widener` names the part that made that parameter complex. `_gates` counts the gates
    passed so far; `_active` is the truth value that all are open, None before the first.
    """

    def __init__(self, parts: tuple[Part, ...], graph: Graph, setting: Setting) -> None:
        self._parts, self._graph, self._setting = parts, graph, setting
        self._masked = isinstance(setting.mode, Masked)
        asking = [n for n, part in enumerate(parts) if has_hook(part.formula, "accept")]
        # These run even behind a closed gate: a step is accepted or not as a whole.
        self._asked = parts[: max(asking) + 1] if asking else ()
        self._values: dict[Operand, Symbol] = {PARAM: self._array(PARAM)}
        self._flow = {"g": self._array(GRAD), "new": self._array(PARAM)}
        self._t, self._gates = Symbol(graph, graph.leaf("step", "t")), 0
        self._active: Any = None
        self._widener = ""
        self._accept: Any = None
        self._numbers = OwnNumbers(graph)
        self._undoing: Undoing | None = None
        self._states = States(graph, setting)
        self._buffers = Buffers(graph)
        self._weights = graph.weights = Weights(setting.varying, self._masked)

    def bound(self) -> list[BoundPart]:
        """Bind: each part, and its formula with symbols for hyperparameters and numbers."""
        used = []
        for part in self._parts:
            given, arrays = part.formula.hyperparameters, self._setting.arrays
            named = {part.named(name): given[name] for name in part.formula.ranges}
            used += [name for name, x in named.items() if x is not None or name in arrays]
        made = bind(self._parts, {name: self._hyper(name) for name in used})
        for part, formula in made:
            bind_loss(self._graph, formula)
            self._numbers.bind(part, formula)
        multiply_lr(self._graph, made)
        if any(has_hook(formula, "undo") for _, formula in made):
            self._undoing = Undoing(self._graph, made)
            self._t = self._undoing.count
            self._weights.calls = self._graph.leaf("step", "t")
        return made

    def trace(self, part: Part, formula: Any) -> None:
        """Run one part: ask, update, adapt; behind a closed gate only what is asked."""
        before = self._states.before(part)
        arrays = [name for name in before if not self._setting.kind(name).is_number]
        self._values |= {state(name): before[name] for name in arrays}
        mode, t, p = self._setting.mode, self._t, self._array(PARAM)
        closed = isinstance(mode, Open) and self._gates > mode.gates
        if closed:
            self._flow["new"] = self._array(PARAM)
            if part not in self._asked:
                return
        last = self._last(part, formula, p)
        self._graph.part = (part.scope, part.name)
        self._weights.begin(part.named("", "_"), t.parts[0])
        accepted = self._ask(formula, t, p, last)
        if self._active is not None and (self._asked or self._masked):
            self._graph.acting = self._active.parts[0]
        names = [formula._arguments[-1] if part.name else "p"]
        names += [part.named(name, "_") for name in own_names(formula)]
        begun = self._states.begun(part, formula, t, self._array(PARAM), before)
        result = formula.update(t, p, last, *arranged(formula, self._buffers.among(part, begun)))
        first, *after = named_results(formula, self._graph, "update", names, result)
        bind_scale(self._graph, formula, t, arranged(formula, after))
        masked = self._masked and self._active is not None
        acts = self._active.parts[0] if masked else None
        after = self._buffers.taken_from(part, after, acts, closed)
        self._states.made_of(before, after)
        self._numbers.adapt(part, formula, p, last, accepted)
        self._graph.acting = None
        is_step = formula._gives == "step"
        self._flow |= {"new": p - first} if is_step else {formula._gives: first}
        self._widener = self._widened_by(formula)
        if closed:
            return
        for name, new in self._states.keep(part, before, after, acts).items():
            self._values[state(name)] = self._if_active(new, before[name])
        self._states.keep_weights(self._weights, acts)
        if has_hook(formula, "steps"):
            self._pass_gate(formula.steps(t - 1), formula.steps(t))

    def _widened_by(self, formula: Any) -> str:
        """What made a gradient or a parameter complex; empty where neither is."""
        what = "gradient" if formula._gives == "g" else "parameter"
        here = self._widener or f"{type(formula).__name__}.update gives a complex {what}"
        return here if any(len(self._flow[each].parts) == 2 for each in ("g", "new")) else ""

    def _last(self, part: Part, formula: Any, p: Symbol) -> Symbol:
        """What a part changes: the gradient, which others may read, the step, or the parameter."""
        if part.name and formula._gives != "g" and "g" not in formula.hyperparameters:
            vars(formula)["g"] = self._flow["g"]
        if formula._gives == "step":
            return step_between(p, self._flow["new"])
        return self._flow[formula._arguments[-1]]

    def finished(self) -> Traced:
        """Finish: the new parameter and states, widened, copied and rounded as they are stored."""
        setting, values = self._setting, self._values
        if self._masked and self._accept is None:
            self._accept = always(self._graph)
        values[PARAM] = self._if_active(self._flow["new"], self._array(PARAM))
        if len(values[PARAM].parts) == 2 and not setting.complex:
            raise TraceError(f"{self._widener} for a real one: take its .real")
        for array, value in values.items():
            values[array] = value.widened() if setting.is_complex(array) else value
        kinds, numbers = kinds_of(self._states.made), self._states.numbers
        if undoing := self._undoing:
            values = undoing.arrays(values, self._array)
            kinds |= undoing.kinds(kinds, Kind.COMPLEX if setting.complex else Kind.REAL)
            numbers = undoing.numbers(numbers, self._weights.sums)
            self._accept = undoing.accepted(self._accept)
            undoing.check_buffers(self._buffers.kept)
        if setting.precision.master:
            values[state(MASTER)] = values[PARAM]
        self._values = values
        short, precision = self._short(), setting.precision
        stored = dict.fromkeys(map(state, short), precision.state_dtype)
        stored |= {PARAM: "bfloat16"} if precision.stochastic_rounding else {}
        self._values = values = rounded(values, stored, self._graph, precision.seed)
        new = {array: value for array, value in values.items() if self._changes(array)}
        changed, only_if = kept_unless(self._graph, new)
        accept = None if self._accept is None else self._accept.parts[0]
        decays = {name: self._weights.decay(self._graph, name) for name in self._weights.decays}
        kept = self._numbers.adapted, self._numbers.refused, self._graph.random
        names = frozenset(self._states.late), frozenset(self._numbers.narrow), short
        errors, calls = self._graph.errors, (self._graph.outputs, self._buffers.kept)
        found = *kept, kinds, numbers, decays
        return Traced(changed, only_if, accept, *found, *names, errors, *calls)

    def _array(self, array: Operand) -> Symbol:
        """An array as it is before the step."""
        setting = self._setting
        where = state(MASTER) if array == PARAM and setting.precision.master else array
        components = where.components(setting.is_complex(array))
        re, *im = (self._graph.leaf("input", component) for component in components)
        return Symbol(self._graph, re, *im)

    def _changes(self, array: Operand) -> bool:
        """Whether the new value of an array is another than the old one."""
        return self._values[array].parts != self._array(array).parts

    def _short(self) -> frozenset[str]:
        """The states that are kept in less than 32 bits."""
        to, given = self._setting.precision.state_dtype, self._graph.outputs
        if to is None or (given and to == "dynamic8"):  # functions take states as they lie
            return frozenset()
        found = may_be_short(self._parts, self._states.made, self._array(PARAM))
        return frozenset(name for name in found if self._setting.kind(name) is Kind.REAL)

    def _if_active(self, new: Symbol, old: Symbol) -> Any:
        """The new value; in a masked program the old one where a gate before it is closed."""
        mask = self._masked and self._active is not None
        return np.where(self._active, new, old) if mask else new

    def _hyper(self, name: str) -> Symbol:
        """The symbol of a hyperparameter, or of the schedule that it follows on the device."""
        setting = self._setting
        if name in setting.schedules:
            return traced_schedule(self._graph, name, setting.schedules[name])
        leaf = ("input", hyper_array(name)) if name in setting.arrays else ("hyper", name)
        return Symbol(self._graph, self._graph.leaf(*leaf))

    def _ask(self, formula: Any, t: Symbol, p: Symbol, last: Symbol) -> Any:
        """Accept: let a part decide whether the step is made; its answer."""
        if not has_hook(formula, "accept"):
            return always(self._graph)
        returned = formula.accept(t, p, last)
        parts = lift(self._graph, returned).parts if is_value(returned) else ()
        if len(parts) != 1 or not parts[0].host:
            raise TraceError(
                f"{type(formula).__name__}.accept must return one truth value for the step, as "
                f"np.max or gpuopt.tree_max give; it returned {returned!r}"
            )
        answer = Symbol(self._graph, *parts) != 0
        self._accept = answer if self._accept is None else self._accept & answer
        return answer

    def _pass_gate(self, before: Any, now: Any) -> None:
        """Let what follows act where `now` is more than `before`, in the step of that number."""
        self._t, self._gates = before + 1, self._gates + 1
        opens = before != now
        self._active = opens if self._active is None else self._active & opens
