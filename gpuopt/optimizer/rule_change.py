"""Another rule for the same arrays, checked before anything is changed."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gpuopt.optimizer.hyperparameters import HyperValues, Updates
from gpuopt.rules.base import Bindable, class_hint
from gpuopt.rules.elsewhere import meant, replacement
from gpuopt.tracing.program import UpdateProgram

if TYPE_CHECKING:
    from gpuopt.optimizer.binding import Binding

__all__ = ["RuleChange", "check_read", "check_structure"]


class RuleChange(NamedTuple):
    """Other updates for the same arrays, checked; with hyperparameters and programs."""

    updates: Updates
    hyper: HyperValues
    programs: Sequence[list[UpdateProgram]]
    varying: Sequence[frozenset[str]]
    by_row: Sequence[list[UpdateProgram]] = ()

    @property
    def begun(self) -> bool:
        """Whether something may have changed once it is used; see `gpuopt.optimizer.guard.Work`."""
        return True


def check_structure(rule: Any, old: Bindable) -> None:
    """Raise TypeError for anything but a rule that can continue with the state of another."""
    if not isinstance(rule, Bindable):
        number = isinstance(rule, numbers.Real) and not isinstance(rule, bool)
        rates = meant(old, "lr", rule) if number else {}
        hint = f"; write opt.rule = {replacement('opt.rule', rates)}" if rates else class_hint(rule)
        raise TypeError(f"opt.rule must be a rule like {old!r}, got {rule!r}{hint}")
    if rule.structure != old.structure:
        raise TypeError(
            f"opt.rule must keep the structure of {old!r}, got {rule!r}; for another, write "
            "opt = rule.init(params)"
        )


def check_read(updates: Updates, binding: Binding) -> None:
    """Raise ValueError if a number changes that no step reads: it has arrays in its place."""
    groups = [*binding.groups, *binding.row_groups]
    for key, old in binding.updates.items():
        own = [binding.hyper_arrays[group.indices[0]] for group in groups if group.key == key]
        for name in frozenset.intersection(*own):
            number = updates[key].hyperparameters[name]
            if number != old.hyperparameters[name]:
                raise ValueError(
                    f"{name}: no step reads {number!r}, because each array has an array in place "
                    f"of this number: assign into those that init got, as in {name}[...] = values"
                )
