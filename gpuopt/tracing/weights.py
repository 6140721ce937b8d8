"""The weights of moving averages, by whose sum `gpuopt.debias` divides.

An average ``m = β·m + (1-β)·g`` that began at 0 is a sum of gradients. Its weights add up to ``w =
β·w + (1-β)``, which is ``1 - βᵗ`` if β is the same in all steps. Otherwise w is a state of one
number.
"""

from __future__ import annotations

from typing import NamedTuple, cast

from gpuopt.rules.rule import sum_of_weights
from gpuopt.tracing.expr import Expr, Graph, StateKey, reachable
from gpuopt.tracing.symbols import Symbol

__all__ = ["UNKNOWN", "Decay", "Weights"]


class Decay(NamedTuple):
    """The decay of an average that a formula corrects.

    Attributes
    ----------
    beta : Expr
        The decay in this step.
    total : Expr
        The sum of the weights after t steps, if the decay was always that.
    fixed : bool
        Whether the decay is taken to be the same in all steps.
    """

    beta: Expr
    total: Expr
    fixed: bool


class Weights:
    """What the corrections of one trace divide by; methods are given its graph, which has this.

    Parameters
    ----------
    varying : frozenset of str
        The corrections whose decay is known to change from step to step, by their names.
    kept : bool
        Whether there is a sum for each correction, so that a decay may change without another
        program. It is `UNKNOWN` while the decay was always the same.

    Attributes
    ----------
    decays : dict
        The decay, the count, and whether the decay is fixed, of each correction by its name.
    sums : dict
        The sum of the weights after this step, for those that have one.
    calls : Expr or None
        What stands for the count in a `Decay`, where the count is a state.
    """

    def __init__(self, varying: frozenset[str], kept: bool) -> None:
        self._varying, self._kept = varying, kept
        self._part, self._calls = "", 0
        self._of: dict[Expr, Expr | None] = {}
        self._count: Expr | None = None
        self.decays: dict[str, tuple[Expr, Expr, bool]] = {}
        self.sums: dict[str, Expr] = {}
        self.calls: Expr | None = None

    def begin(self, part: str, count: Expr) -> None:
        """Continue with a part, whose averages were updated so often after this step."""
        self._part, self._count, self._calls, self._of = part, count, 0, {}

    def total(self, graph: Graph, beta: Expr, t: Expr) -> Expr | None:
        """The sum of the weights of an average with that decay; None where ``1 - βᵗ`` is right."""
        if not beta.host or t is not self._count:
            return None
        if beta not in self._of:
            self._of[beta] = self._next(graph, beta, t)
        return self._of[beta]

    def _next(self, graph: Graph, beta: Expr, t: Expr) -> Expr | None:
        """The same of a decay that the part did not ask for yet."""
        self._calls += 1
        name = f"{self._part}debias({self._calls})"
        fixed = name not in self._varying and all(e.op in _FIXED for e in _leaves(beta))
        self.decays[name] = beta, t, fixed
        if fixed and not self._kept:
            return None
        node, before = graph.node, self.before(graph, name)
        rest = node("subtract", graph.constant(1), beta)
        self.sums[name] = new = node("add", node("multiply", beta, before), rest)
        if fixed:
            unknown = node("less", before, graph.constant(0))
            self.sums[name] = node("where", unknown, before, new)
            new = node("where", unknown, _closed(graph, beta, t), new)
        return new

    def before(self, graph: Graph, name: str) -> Expr:
        """The sum of the weights before this step."""
        return graph.leaf("state", StateKey(name))

    def decay(self, graph: Graph, name: str) -> Decay:
        """The decay of a correction, with the sum that a constant one gives."""
        beta, t, fixed = self.decays[name]
        zero = graph.constant(0)
        t = self.calls or t
        begun = graph.node("greater", t, zero)
        return Decay(beta, graph.node("where", begun, _closed(graph, beta, t), zero), fixed)


UNKNOWN = -1.0
"""The sum of the weights of an average whose decay was always the same: ``1 - βᵗ`` gives it."""

_FIXED = ("constant", "hyper")
"""What is the same in all steps; `gpuopt.tracing.trace` knows which hyperparameters are not."""


def _leaves(expr: Expr) -> list[Expr]:
    return [found for found in reachable([expr]) if not found.args]


def _closed(graph: Graph, beta: Expr, t: Expr) -> Expr:
    """The sum of the weights where the decay was always that: ``1 - βᵗ``."""
    (total,) = sum_of_weights(Symbol(graph, beta), Symbol(graph, t)).parts
    return cast("Expr", total)
