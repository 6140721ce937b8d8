"""The numbers of a rule in a group of parameters, where PyTorch's schedulers read and write them.

Comes in: a rule. Goes out: the entries of its group, and the rule with what is in them now. `betas`
and `momentum` are called as in PyTorch, for there they are looked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpuopt.rules import Chain, chain, partition
from gpuopt.rules.base import Bindable

__all__ = ["entries_of", "filled", "joined", "renewed", "schedules_of", "values_of"]

Group = Mapping[str, Any]


def entries_of(rule: Bindable) -> dict[str, Any]:
    """What a group has for the rule: its float hyperparameters, without those of pieces.

    One that follows a schedule of gpuopt has its first value, which stands there to be seen.
    """
    found = {
        name: value(0) if callable(value) else value
        for name, value in rule.hyperparameters.items()
        if isinstance(value, float) or callable(value)
        if "." not in name.rpartition("/")[2]
    }
    for entry, names in _together(found).items():
        values = [found.pop(name) for name in names]
        found[entry] = values[0] if entry == "momentum" else tuple(values)
    return found


def _together(known: Mapping[str, Any]) -> dict[str, list[str]]:
    """The entries that stand for hyperparameters of another name."""
    betas = [name for name in ("beta1", "beta2", "beta3") if name in known]
    if betas:
        return {"betas": betas}
    return {"momentum": ["beta"]} if "beta" in known and "momentum" not in known else {}


def values_of(rule: Bindable, group: Group) -> dict[str, float]:
    """The value of each hyperparameter of the rule that the group has, as it is there now."""
    found = dict[str, float]()
    known = rule.hyperparameters
    for entry, names in _together(known).items():
        if entry in group:
            given = group[entry]
            found |= zip(names, [given] if entry == "momentum" else given, strict=True)
    own = {name: group[name] for name in known if name in group}
    return {name: float(value) for name, value in (found | own).items() if value is not None}


def filled(rule: Bindable, group: Group) -> dict[str, Any]:
    """The group with an entry for each number of its rule that it does not have."""
    own = renewed(rule, group, {})
    hidden = {name for names in _together(rule.hyperparameters).values() for name in names}
    given = {name: value for name, value in group.items() if name not in hidden}
    return {**given, **{name: x for name, x in entries_of(own).items() if name not in given}}


def schedules_of(rule: Bindable) -> dict[str, Any]:
    """The schedules of gpuopt by the names of their entries."""
    found = {name: x for name, x in rule.hyperparameters.items() if callable(x)}
    return {name: x for name, x in found.items() if name in entries_of(rule)}


def renewed(rule: Bindable, group: Group, before: Mapping[str, float]) -> Bindable:
    """The rule with what the group has now, where that is not what it had before.

    So a schedule of gpuopt holds until something else is written in its place.
    """
    now = values_of(rule, group)
    return rule.replace({name: x for name, x in now.items() if before.get(name) != x})


def joined(default: Bindable, rules: Sequence[Bindable], shared: Sequence[bool]) -> Bindable:
    """One rule for all groups; `shared` says which of them have the default, with other numbers.

    Where all have it, its pieces see the arrays of all groups.
    """
    if len(rules) == 1:
        return rules[0]
    if not (all(shared) and isinstance(default, Chain)):
        return partition({str(index): rule for index, rule in enumerate(rules)})
    place = next(k for k, piece in enumerate(default.pieces) if isinstance(piece, Bindable))
    cores = [rule.pieces[place] for rule in rules if isinstance(rule, Chain)]
    divided = partition({str(index): core for index, core in enumerate(cores)})
    return chain(*default.pieces[:place], divided, *default.pieces[place + 1 :])
