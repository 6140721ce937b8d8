"""The numbers of a rule in a group of parameters, where PyTorch's schedulers read and write them.

Comes in: a rule. Goes out: the entries of its group, and the rule with what is in them now. `betas`
and `momentum` are called as in PyTorch, for there they are looked for.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from gpuopt.rules import Chain, chain, partition
from gpuopt.rules.base import Bindable, class_hint
from gpuopt.rules.chains import loss_scale_name

__all__ = [
    "check_names",
    "check_rule",
    "entries_of",
    "filled",
    "joined",
    "renewed",
    "schedules_of",
    "values_of",
]

Group = Mapping[str, Any]
_OF_PYTORCH = {
    *("alpha", "amsgrad", "betas", "capturable", "centered", "dampening", "eps", "etas", "foreach"),
    *("fused", "initial_accumulator_value", "lambd", "lr", "lr_decay", "maximize", "momentum"),
    *("momentum_decay", "nesterov", "rho", "step_sizes", "weight_decay"),
}
"""What the groups of PyTorch's optimizers take."""
_HAIR = 1e-12


def entries_of(rule: Bindable) -> dict[str, Any]:
    """What a group has for the rule: its float hyperparameters, without those of pieces.

    One that follows a schedule of gpuopt has its first value, which stands there to be seen.
    """
    found = {name: x(0) if callable(x) else x for name, x in _numbers(rule).items()}
    for entry, names in _together(found).items():
        values = [found.pop(name) for name in names]
        found[entry] = values[0] if entry == "momentum" else tuple(values)
    return found


def _numbers(rule: Bindable) -> dict[str, Any]:
    """The float hyperparameters of a rule, and those with a schedule; without those of pieces."""
    return {
        name: value
        for name, value in rule.hyperparameters.items()
        if isinstance(value, float) or callable(value)
        if "." not in name.rpartition("/")[2]
    }


def _together(known: Mapping[str, Any]) -> dict[str, list[str]]:
    """The entries that stand for hyperparameters of another name."""
    betas = [name for name in ("beta1", "beta2", "beta3") if name in known]
    if betas:
        return {"betas": betas}
    return {"momentum": ["beta"]} if "beta" in known and "momentum" not in known else {}


def values_of(rule: Bindable, group: Group) -> dict[str, float]:
    """The value of each hyperparameter of the rule that the group has, as it is there now."""
    found = dict[str, float]()
    known = _numbers(rule)
    for entry, names in _together(known).items():
        if entry in group:
            given = group[entry]
            found |= zip(names, [given] if entry == "momentum" else given, strict=True)
    own = {name: group[name] for name in known if name in group}
    return {
        name: _number(name, value) for name, value in (found | own).items() if value is not None
    }


def _number(name: str, value: Any) -> float:
    """The number that stands in a group; a scheduler may end a hair below a rate of 0."""
    number = float(value)
    return 0.0 if name == "lr" and -_HAIR < number < 0 else number


def filled(rule: Bindable, group: Group) -> dict[str, Any]:
    """The group with an entry for each number of its rule that it does not have.

    Raises
    ------
    ValueError
        If it has one that an optimizer of PyTorch would take, and the rule does not.
    """
    check_names(rule, group)
    own = renewed(rule, group, {})
    hidden = {name for names in _together(rule.hyperparameters).values() for name in names}
    given = {name: value for name, value in group.items() if name not in hidden}
    return {**given, **{name: x for name, x in entries_of(own).items() if name not in given}}


def check_names(rule: Bindable, group: Group) -> None:
    """Raise ValueError if the rule has no such hyperparameter as a name in the group says."""
    entries, known = entries_of(rule), rule.hyperparameters
    for name in group:
        typo = difflib.get_close_matches(name, entries, 1, 0.8)
        if name in entries or (name in known and name not in _OF_PYTORCH):
            continue
        if name in _OF_PYTORCH or typo:
            raise ValueError(
                f"a group has {name!r}, and {rule!r} takes {', '.join(entries) or 'no numbers'} "
                "there: give the group another rule, as {'params': …, 'rule': gpuopt.AdamW()}"
            )


def check_rule(rule: Any) -> None:
    """Raise an error if it is no rule, or needs a loss that somebody else scales."""
    if not isinstance(rule, Bindable):
        raise TypeError(
            "rule must be a gpuopt.Rule, such as gpuopt.Adam(), or a chain of one, got "
            f"{type(rule).__name__}{class_hint(rule)}"
        )
    if loss_scale_name(rule) is not None:
        raise ValueError(
            f"leave LossScale out of {rule!r}: take torch.amp.GradScaler, which scales"
        )


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
