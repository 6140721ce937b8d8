"""The states of the parts of an update during tracing: before the step, and after it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from gpuopt.rules.hooks import has_hook
from gpuopt.tracing.expr import Expr, Graph, StateKey, reduces
from gpuopt.tracing.kinds import BEGUN, Kind
from gpuopt.tracing.operands import state
from gpuopt.tracing.setting import ScalarState, Setting
from gpuopt.tracing.signatures import named_results, own_states
from gpuopt.tracing.symbols import Symbol
from gpuopt.tracing.weights import UNKNOWN, Weights

if TYPE_CHECKING:
    from gpuopt.rules.base import Part

__all__ = ["States"]


class States:
    """The states of all parts.

    Attributes
    ----------
    made : dict
        For each state its new value, and what it begins with if ``start`` gives that.
    numbers : dict
        The states that are one number, by their keys.
    late : set of str
        The states that nothing knows before the first step, or that are begun with such.
    """

    def __init__(self, graph: Graph, setting: Setting) -> None:
        self._graph, self._setting = graph, setting
        self.made: dict[str, tuple[Symbol, ...]] = {}
        self.numbers: dict[StateKey, ScalarState] = {}
        self.late: set[str] = set()

    def before(self, part: Part) -> dict[str, Symbol]:
        """The states of a part by their full names."""
        found = {}
        for name in (part.named(name, "_") for name in own_states(part.formula)):
            if self._setting.kind(name).is_number:
                found[name] = Symbol(self._graph, self._graph.leaf("state", self._key(part, name)))
            else:
                components = state(name).components(self._setting.is_complex(state(name)))
                found[name] = Symbol(
                    self._graph, *(self._graph.leaf("input", c) for c in components)
                )
        return found

    def _key(self, part: Part, name: str) -> StateKey:
        shared = self._setting.kind(name) is Kind.SHARED
        return StateKey(name, part.scope if shared else None)

    def begun(
        self, part: Part, formula: Any, t: Symbol, p: Symbol, before: dict[str, Symbol]
    ) -> list[Symbol]:
        """The states before the step; in the first one that acts, what ``start`` gives.

        For states of the tree that is the first step of any array.
        """
        self.made |= dict.fromkeys(before, ())
        if not has_hook(formula, "start"):
            return [*before.values()]
        names, kinds = [*before], [self._setting.kind(name) for name in before]
        begun = named_results(formula, self._graph, "start", names, formula.start(p))
        self.made |= {name: (value,) for name, value in zip(names, begun, strict=True)}
        parts = [part for value in begun for part in value.parts]
        if reduces(parts) or any(kind.is_number for kind in kinds):
            self.late.update(names)
        key, first = StateKey(part.named(BEGUN, "_"), part.scope), [t == 1] * len(names)
        if Kind.SHARED in kinds:
            did = Symbol(self._graph, self._graph.leaf("state", key))
            first = [did == 0 if kind is Kind.SHARED else t == 1 for kind in kinds]
        old: Any = zip(first, begun, before.values(), strict=True)
        return [np.where(*each) for each in old]

    def made_of(self, names: Iterable[str], after: list[Symbol]) -> None:
        """Note what new states depend on, also where they are not kept."""
        for name, new in zip(names, after, strict=True):
            self.made[name] = new, *self.made[name]

    def keep(
        self, part: Part, before: dict[str, Symbol], after: list[Symbol], acts: Expr | None
    ) -> dict[str, Symbol]:
        """Note the new states of a part; those that are arrays."""
        initial, graph = own_states(part.formula).values(), self._graph
        arrays, shared = {}, False
        for (name, new), value in zip(zip(before, after, strict=True), initial, strict=True):
            if self._setting.kind(name).is_number:
                key = self._key(part, name)
                self.numbers[key] = ScalarState(value, graph.number(new.parts[0]), acts)
                shared = shared or (value is None and key.tree is not None)
            else:
                arrays[name] = new
        if shared:
            key = StateKey(part.named(BEGUN, "_"), part.scope)
            self.numbers[key] = ScalarState(0.0, graph.constant(1), acts)
        return arrays

    def keep_weights(self, weights: Weights, acts: Expr | None) -> None:
        """Note the sums of weights of a part's averages that are not a function of the count."""
        for name in weights.sums.keys() - {key.name for key in self.numbers}:
            self.numbers[StateKey(name)] = ScalarState(UNKNOWN, weights.sums[name], acts)
