"""Rules that consist of rules and pieces: what a chain and a partition have in common."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Self, final

from gpuopt.rules.base import Bindable, Part, Update
from gpuopt.rules.elsewhere import by_hyperparameters, changes
from gpuopt.rules.piece import Piece
from gpuopt.rules.ranges import Range
from gpuopt.rules.tuples import whole
from gpuopt.rules.written import is_written

__all__ = ["Composite", "Joined", "named_parts", "without_arrays"]


class Composite(Bindable):
    """A rule of several others; the name of each is the prefix of its hyperparameters' names."""

    divides: ClassVar[bool] = False
    """Whether it divides the arrays among several rules."""

    @property
    def children(self) -> dict[str, Any]:
        """Its rules and pieces, by the prefix of their hyperparameters' names."""
        raise NotImplementedError

    def rebuilt(self, children: list[Any]) -> Self:
        """A copy with other children."""
        raise NotImplementedError

    @property
    def by_path(self) -> bool:
        return self.divides

    @property
    def hyperparameters(self) -> dict[str, Any]:
        return {
            f"{name}{field}": value
            for name, child in self.children.items()
            for field, value in child.hyperparameters.items()
        }

    @by_hyperparameters
    def replace(self, values: Mapping[str, Any] | None = None, /, **by_name: Any) -> Self:
        given = changes(self, values, by_name)

        def changed(name: str, child: Any) -> Any:
            fields = dict.fromkeys((*child.hyperparameters, *map(whole, child.hyperparameters)))
            own = {field: given[name + field] for field in fields if name + field in given}
            return child.replace(own)

        return self.rebuilt([changed(name, child) for name, child in self.children.items()])


@final
@dataclasses.dataclass(frozen=True)
class Joined:
    """An update of several formulas, one after another."""

    parts: tuple[Part, ...]

    @property
    def ranges(self) -> dict[str, Range]:
        return {
            part.named(name): found
            for part in self.parts
            for name, found in part.formula.ranges.items()
        }

    @property
    def hyperparameters(self) -> dict[str, Any]:
        return {
            part.named(name): value
            for part in self.parts
            for name, value in part.formula.hyperparameters.items()
        }

    def hyper(self, step: int) -> dict[str, float]:
        return {
            part.named(name): value
            for part in self.parts
            for name, value in part.formula.hyper(step).items()
        }


def named_parts(formulas: list[tuple[str, Any]]) -> tuple[Part, ...]:
    """Name each formula: "" for the rule, its class for a piece, numbered from the second on."""
    counts: dict[str, int] = {}
    parts = []
    for scope, formula in formulas:
        kind = name = type(formula).__name__ if isinstance(formula, Piece) else ""
        while name in counts:
            counts[kind] += 1
            name = f"{kind}_{counts[kind]}"
        counts[name] = 1
        parts.append(Part(name, scope, formula))
    return tuple(parts)


def without_arrays(update: Update) -> tuple[Update, dict[str, Any]]:
    """The update with numbers in place of arrays, and these by their hyperparameters' full names.

    The number is the default, or NaN if there is none; no step reads it.
    """
    taken: dict[str, Any] = {}
    parts = []
    for part in update.parts:
        own = part.formula.hyperparameters
        written = {name: value for name, value in own.items() if is_written(value)}
        formula = copy.copy(part.formula)
        vars(formula).update({name: getattr(type(formula), name, math.nan) for name in written})
        taken |= {part.named(name): value for name, value in written.items()}
        parts.append(part._replace(formula=formula))
    return (Joined(tuple(parts)), taken) if taken else (update, taken)
