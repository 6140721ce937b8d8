"""The hyperparameters of a rule as entries of a parameter group, which schedulers read and write.

Comes in: a rule. Goes out: the entries of its group, and the rule with the values of the entries.
The entries `betas` and `momentum` have the names that PyTorch's schedulers look for.
"""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import torch
from gpuopt.rules.base import Bindable, class_hint
from gpuopt.rules.chains import loss_scale_name

__all__ = [
    "Group",
    "check_names",
    "check_rule",
    "entries_of",
    "filled",
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
"""The entries of the groups of PyTorch's optimizers."""
_OF_SCHEDULERS = {"base_momentum", "initial_lr", "max_lr", "max_momentum", "min_lr"}
"""The entries that PyTorch's schedulers add to groups."""
_HAIR = 1e-12


def entries_of(rule: Bindable) -> dict[str, Any]:
    """The entries of a rule in its group: its float hyperparameters, without those of pieces.

    A hyperparameter with a schedule of gpuopt has the schedule's first value.
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
        if "." not in name
    }


def _together(known: Mapping[str, Any]) -> dict[str, list[str]]:
    """The entries that stand for hyperparameters of another name."""
    betas = [name for name in ("beta1", "beta2", "beta3") if name in known]
    if betas:
        return {"betas": betas}
    return {"momentum": ["beta"]} if "beta" in known and "momentum" not in known else {}


def values_of(rule: Bindable, group: Group) -> dict[str, float]:
    """The hyperparameters of the rule with the values that the group has now.

    Raises
    ------
    TypeError, ValueError
        If an entry is not a number, or has the wrong count of numbers.
    """
    found = dict[str, float]()
    known = _numbers(rule)
    for entry, names in _together(known).items():
        if entry in group:
            single = entry == "momentum"
            given = _several(entry, [group[entry]] if single else group[entry], names)
            found |= zip(names, given, strict=True)
    return found | {name: _number(name, group[name]) for name in known if name in group}


def _several(entry: str, given: Any, names: Sequence[str]) -> list[float]:
    """The numbers of an entry that stands for several hyperparameters."""
    if not isinstance(given, (tuple, list)) or len(given) != len(names):
        wanted = f"{len(names)} numbers, ({', '.join(names)})"
        raise ValueError(f"{entry!r} of a group must be {wanted}, got {given!r}")
    return [_number(entry, value) for value in given]


def _number(name: str, value: Any) -> float:
    """An entry of a group as a number. A scheduler may end slightly below a rate of 0."""
    array = isinstance(value, (torch.Tensor, np.ndarray))
    if not (array or isinstance(value, numbers.Real)) or isinstance(value, bool):
        raise TypeError(f"{name!r} of a group must be a number, got {value!r}")
    if array and tuple(value.shape) not in ((), (1,)):
        raise ValueError(f"{name!r} of a group must be one number, got {value!r}")
    number = float(value)
    return 0.0 if name == "lr" and -_HAIR < number < 0 else number


def filled(rule: Bindable, group: Group) -> dict[str, Any]:
    """The group with all entries of its rule: those it lacks have the values of the rule.

    Raises
    ------
    ValueError
        If it has an entry of PyTorch's optimizers that the rule does not have.
    """
    check_names(rule, group)
    own = renewed(rule, group, {})
    hidden = {name for names in _together(rule.hyperparameters).values() for name in names}
    given = {name: value for name, value in group.items() if name not in hidden}
    return {**given, **{name: x for name, x in entries_of(own).items() if name not in given}}


def check_names(rule: Bindable, group: Group) -> None:
    """Raise ValueError if the group names a hyperparameter that the rule does not have."""
    entries, known = entries_of(rule), rule.hyperparameters
    for name in group:
        if name in entries or name in _OF_SCHEDULERS or (name in known and name not in _OF_PYTORCH):
            continue
        typo = difflib.get_close_matches(name, entries, 1, 0.8)
        if name in _OF_PYTORCH or typo:
            raise ValueError(
                f"a group has {name!r}, and {rule!r} takes {', '.join(entries) or 'no numbers'} "
                "there: give the group another rule, as {'params': …, 'rule': gpuopt.AdamW()}"
            )


def check_rule(rule: Any) -> None:
    """Raise an error if this is not a rule, or if it contains `LossScale`."""
    if not isinstance(rule, Bindable):
        raise TypeError(
            "rule must be a gpuopt.Rule, such as gpuopt.Adam(), or a chain of one, got "
            f"{type(rule).__name__}{class_hint(rule)}"
        )
    if loss_scale_name(rule) is not None:
        raise ValueError(
            f"leave LossScale out of {rule!r}: use torch.amp.GradScaler to scale the loss"
        )


def schedules_of(rule: Bindable) -> dict[str, Any]:
    """The schedules of gpuopt by the names of their entries."""
    found = {name: x for name, x in rule.hyperparameters.items() if callable(x)}
    return {name: x for name, x in found.items() if name in entries_of(rule)}


def renewed(rule: Bindable, group: Group, before: Mapping[str, float]) -> Bindable:
    """The rule with the values of the group that differ from those `before`.

    A schedule of gpuopt therefore stays until another value takes its place.
    """
    now = values_of(rule, group)
    return rule.replace({name: x for name, x in now.items() if before.get(name) != x})
