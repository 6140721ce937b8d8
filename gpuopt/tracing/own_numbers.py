"""The numbers of the whole optimizer that parts keep: as parts see them, and after a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gpuopt.rules.declared import reserved_names
from gpuopt.rules.hooks import has_hook
from gpuopt.tracing.errors import TraceError
from gpuopt.tracing.expr import Expr, Graph, reduction_keys
from gpuopt.tracing.signatures import named_results
from gpuopt.tracing.symbols import Symbol, lift

if TYPE_CHECKING:
    from gpuopt.rules.base import Part

__all__ = ["OwnNumbers"]


class OwnNumbers:
    """The numbers of all parts, by their full names.

    Attributes
    ----------
    adapted : dict
        What each is after a step.
    refused : dict
        What each is after a step that was refused.
    narrow : set of str
        Those that are kept in float32.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.adapted: dict[str, Expr] = {}
        self.refused: dict[str, Expr] = {}
        self.narrow: set[str] = set()

    def bind(self, part: Part, formula: Any) -> None:
        """Make attributes of the numbers that a part keeps."""
        if not has_hook(formula, "numbers"):
            return
        taken = {*reserved_names(), *dir(type(formula)), *part.formula.hyperparameters}
        for name in formula.numbers():
            if name in taken:
                raise TraceError(
                    f"{type(formula).__name__}.numbers: {name!r} is the name of a "
                    "hyperparameter or a method"
                )
            leaf = self._graph.leaf("number", part.named(name))
            if name in formula._number_ranges and formula._number_ranges[name].narrow:
                self.narrow.add(part.named(name))
            vars(formula)[name] = Symbol(self._graph, leaf)

    def adapt(self, part: Part, formula: Any, p: Symbol, last: Symbol, accepted: Any) -> None:
        """Take the new values of the numbers that a part keeps."""
        if not has_hook(formula, "numbers"):
            return
        name, names = type(formula).__name__, list(formula.numbers())
        if not has_hook(formula, "adapt"):
            raise TraceError(
                f"{name} has numbers of the whole optimizer, so it needs a method adapt(self, p, "
                "g, accepted)"
            )
        given = formula.adapt(p, last, accepted)
        values = named_results(formula, self._graph, "adapt", names, given)
        for number, value in zip(names, values, strict=True):
            (expr, *imaginary) = value.parts
            own = any(key.scope == "array" for key in reduction_keys([expr]))
            if imaginary or not expr.host or own:
                raise TraceError(
                    f"{name}.adapt must return numbers of the whole optimizer, computed from "
                    "others, from hyperparameters and from reductions of all arrays, such as "
                    f"gpuopt.tree_max; for {number} it returned {value!r}"
                )
            full, alone = part.named(number), lift(self._graph, accepted)
            self.adapted[full] = expr
            old: Any = Symbol(self._graph, self._graph.leaf("number", full))
            # An answer of each array for itself is taken for a refusal of its own.
            mixed = any(key.scope == "array" for key in reduction_keys(alone.parts))
            after: Any = value if mixed else np.where(accepted, old, value)
            (self.refused[full],) = after.parts
