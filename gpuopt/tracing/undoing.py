"""Steps that are taken back: the copies that this needs, and the results of such a step.

Comes in: a part with the hook ``undo``, and the new values of a step. Goes out: values that are
those from before the last step where the hook says so, and copies of what each step begins with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gpuopt.rules.hooks import has_hook
from gpuopt.tracing.errors import TraceError
from gpuopt.tracing.expr import Graph, StateKey
from gpuopt.tracing.kinds import Kind
from gpuopt.tracing.operands import PARAM, Operand, state
from gpuopt.tracing.setting import ScalarState
from gpuopt.tracing.signatures import momentum_names
from gpuopt.tracing.symbols import Symbol, lift

if TYPE_CHECKING:
    from gpuopt.rules.base import BoundPart, Part

__all__ = ["Undoing", "copies_of", "counted", "multiply_lr"]


def copies_of(parts: Iterable[Part], names: Iterable[str]) -> dict[str, float]:
    """The names of the copies of the parameter and of these states, and what they begin with; none
    if no part takes a step back.
    """
    undoing = [part for part in parts if has_hook(part.formula, "undo")]
    return {_copy(part, name): 0.0 for part in undoing for name in (PARAM.name, *names)}


def counted(part: Part) -> str:
    """The state of a part that counts the steps that were not taken back."""
    return part.named("steps", "_")


def _copy(part: Part, name: str) -> str:
    return part.named(f"before_{name}", "_")


class Undoing:
    """A part that may take the last step back.

    How many steps were not is a state that is one number. It is the count of all parts.

    Raises
    ------
    TraceError
        If there is another such part, or a part that acts in some steps only.
    """

    def __init__(self, graph: Graph, bound: list[BoundPart]) -> None:
        (self._part, formula), *others = (each for each in bound if has_hook(each[1], "undo"))
        name = type(formula).__name__
        if others:
            raise TraceError(
                f"{name} takes steps back, and so does {type(others[0][1]).__name__}: leave one "
                "of them out"
            )
        if gate := next((each for _, each in bound if has_hook(each, "steps")), None):
            raise TraceError(
                f"{name} takes back the step before, and {type(gate).__name__} makes one in some "
                "steps only: leave one of them out"
            )
        self._graph, self._name = graph, name
        self._back: Any = _number(graph, formula, "undo") != 0
        self._momentum = {full for part, each in bound for full in momentum_names(part, each)}
        self._key = StateKey(counted(self._part), self._part.scope)
        self._steps: Any = Symbol(graph, graph.leaf("state", self._key))

    @property
    def count(self) -> Symbol:
        """Which step this is, of those that were not taken back."""
        found: Symbol = self._steps + 1
        return found

    def accepted(self, accept: Any) -> Any:
        """Whether a step is made that other parts may refuse: its gradients do not matter if the
        last one is taken back.
        """
        return None if accept is None else accept | self._back

    def kinds(self, kinds: Mapping[str, Kind], of_param: Kind) -> dict[str, Kind]:
        """What copies must be: what they are copies of."""
        return {_copy(self._part, name): kind for name, kind in {**kinds, "p": of_param}.items()}

    def arrays(
        self, values: Mapping[Operand, Symbol], before: Callable[[Operand], Symbol]
    ) -> dict[Operand, Any]:
        """The new values of arrays, and of their copies; `before` has those before the step."""
        found = dict[Operand, Any](values)
        for place, new in values.items():
            old, kept = before(place), state(_copy(self._part, place.name))
            if place.name in self._momentum:
                found[place] = np.where(self._back, 0.0, new)
            elif new.parts != old.parts:
                found[place] = np.where(self._back, before(kept), new)
                found[kept] = np.where(self._back, before(kept), old)
        return found

    def numbers(
        self, states: Mapping[StateKey, ScalarState], sums: Iterable[str]
    ) -> dict[StateKey, ScalarState]:
        """The same of states that are one number. The `sums` of averages' weights continue."""
        every = {**states, self._key: ScalarState(0.0, self.count.parts[0])}
        found = dict(every)
        for key, each in every.items():
            if key.name in sums or each.new.value == key:  # it does not change
                continue
            kept = StateKey(_copy(self._part, key.name), key.tree)
            old, copy = (Symbol(self._graph, self._graph.leaf("state", k)) for k in (key, kept))
            found[key] = each._replace(new=self._chosen(copy, Symbol(self._graph, each.new)))
            found[kept] = ScalarState(each.initial or 0.0, self._chosen(copy, old))
        return found

    def _chosen(self, returned: Any, new: Any) -> Any:
        """A number that is another one where the last step is taken back."""
        return np.where(self._back, returned, new).parts[0]

    def check_buffers(self, names: Iterable[str]) -> None:
        """Raise TraceError if there are buffers that change."""
        if name := next(iter(names), None):
            raise TraceError(
                f"{self._name} cannot take back a step that changes a buffer, such as the state "
                f"{name!r}: take a rule without buffers, such as gpuopt.Adam()"
            )


def multiply_lr(graph: Graph, bound: list[BoundPart]) -> None:
    """Multiply the learning rate of the rule by what parts say with the hook ``scale_lr``."""
    rule = next(formula for part, formula in bound if not part.name)
    for _, formula in bound:
        if has_hook(formula, "scale_lr"):
            if "lr" not in rule.ranges:
                raise TraceError(
                    f"{type(formula).__name__} multiplies the lr of the rule, and "
                    f"{type(rule).__name__} has none: take another rule, such as gpuopt.Adam()"
                )
            vars(rule)["lr"] = rule.lr * _number(graph, formula, "scale_lr")


def _number(graph: Graph, formula: Any, hook: str) -> Any:
    """What a hook gives that has no arguments: a number of the whole optimizer."""
    found = lift(graph, getattr(formula, hook)())
    if len(found.parts) != 1 or not found.parts[0].host:
        raise TraceError(f"{type(formula).__name__}.{hook} must return a number, got {found!r}")
    return found
