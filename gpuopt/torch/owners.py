"""The rule of each group of parameters, and one rule for all of them.

Comes in: a rule, and a group. Goes out: a group for each rule of a partition; and one rule, which
an optimizer of gpuopt takes for all tensors.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from gpuopt.arrays.exchange import shared
from gpuopt.rules import Chain, Partition, chain, partition
from gpuopt.rules.base import Bindable
from gpuopt.torch.groups import Group, entries_of, filled, renewed, schedules_of, values_of

__all__ = ["Owners", "Path"]

Path = str | int
"""The path of an array: the name of its tensor with slashes, or its number."""


class Owner:
    """The rule of a group of parameters, with its paths, schedules and first numbers.

    Attributes
    ----------
    rule : Bindable
        With its first hyperparameters.
    shared : bool
        Whether this is the rule of the optimizer, or a part of it.
    paths : list of str or int
        The path of the array of each tensor.
    schedules : dict
        The schedules of gpuopt by the names of their entries.
    shown : dict
        The numbers that gpuopt wrote into the group last.
    """

    def __init__(self, rule: Bindable, shared: bool, paths: list[Path]) -> None:
        self.rule, self.shared, self.paths = rule, shared, paths
        self.schedules = schedules_of(rule)
        self.shown = values_of(rule, entries_of(rule))


class Owners:
    """The rules of all groups of an optimizer.

    Parameters
    ----------
    default : Bindable
        The rule of groups that have none of their own.
    """

    def __init__(self, default: Bindable) -> None:
        self.default, self._each = default, list[Owner]()

    def add(self, group: Group, rule: Bindable) -> list[dict[str, Any]]:
        """The groups to add for a group: one, or one for each rule of a partition."""
        parts = [*_divided(rule, group, _paths_of(group, self._each))]
        found = [filled(own, part) for own, part, _ in parts]
        self._each += [Owner(own, rule is self.default, paths) for own, _, paths in parts]
        return found

    @property
    def rules(self) -> list[Bindable]:
        """The rule of each group, with its first hyperparameters."""
        return [owner.rule for owner in self._each]

    def now(self, groups: Sequence[Group]) -> list[Bindable]:
        """The rule of each group, with the current values of the group."""
        pairs = zip(self._each, groups, strict=True)
        return [renewed(owner.rule, group, owner.shown) for owner, group in pairs]

    def tensors(self, groups: Sequence[Group]) -> dict[Path, Any]:
        """The tensors of all groups by the paths of their arrays."""
        pairs = [
            pair
            for owner, group in zip(self._each, groups, strict=True)
            for pair in zip(owner.paths, group["params"], strict=True)
        ]
        return dict(pairs)

    def show(self, groups: Sequence[dict[str, Any]], t: int) -> None:
        """Write the value of each schedule of gpuopt after `t` steps into its group."""
        for owner, group in zip(self._each, groups, strict=True):
            for name, schedule in owner.schedules.items():
                if group[name] == owner.shown[name]:
                    group[name] = owner.shown[name] = schedule(t)

    @contextmanager
    def following(self, groups: Sequence[Group], header: Mapping[str, Any]) -> Iterator[None]:
        """Continue the schedules of gpuopt that a saved state followed.

        If the ``with`` ends in an error, nothing changes.
        """
        before = [dict(owner.shown) for owner in self._each]
        for index, (owner, group) in enumerate(zip(self._each, groups, strict=True)):
            front = f"{index}/" if len(self._each) > 1 else ""
            now = {
                name: schedule(header["t"])
                for name, schedule in owner.schedules.items()
                if f"{front}{name}" in header["schedules"]
            }
            owner.shown |= {name: x for name, x in now.items() if group[name] == x}
        try:
            yield
        except BaseException:
            for owner, shown in zip(self._each, before, strict=True):
                owner.shown = shown
            raise

    def joined(self, rules: Sequence[Bindable]) -> Bindable:
        """One rule made of the rules of all groups.

        If all groups have the optimizer's own rule, its pieces see the arrays of all groups.
        """
        if len(rules) == 1:
            return rules[0]
        group_of = _GroupOf(tuple(tuple(owner.paths) for owner in self._each))
        if not (all(owner.shared for owner in self._each) and isinstance(self.default, Chain)):
            return partition({str(index): rule for index, rule in enumerate(rules)}, group_of)
        front, _, back = _taken_apart(self.default)
        cores = [_chained(_pieces(rule)[len(front) :][: -len(back) or None]) for rule in rules]
        divided = partition({str(index): core for index, core in enumerate(cores)}, group_of)
        return chain(*front, divided, *back)


def _paths_of(group: Group, owners: Sequence[Owner]) -> list[Path]:
    """The paths of the arrays of a group that is added; no two arrays have the same."""
    taken = {path for owner in owners for path in owner.paths}
    if group.get("param_names") is None:
        return list(range(len(taken), len(taken) + len(group["params"])))
    found = list[Path]()
    for name in group["param_names"]:
        path = name.replace(".", "/")
        while path in taken:
            path = f"{len(owners)}/{path}"
        taken.add(path)
        found.append(path)
    return found


def _divided(
    rule: Bindable, group: Group, paths: list[Path]
) -> Iterator[tuple[Bindable, dict[str, Any], list[Path]]]:
    """The group with its rule; or one group for each rule of a partition that has tensors here."""
    front, core, back = _taken_apart(rule)
    if not isinstance(core, Partition):
        yield rule, dict(group), paths
        return
    tensors = zip(paths, group["params"], strict=True)
    arrays = [shared(p, f"params[{path!r}]", write=True) for path, p in tensors]
    labels = core.labels(list(map(str, paths)), arrays)
    for key, inner in core.rules.items():
        own = [index for index, label in enumerate(labels) if label == key]
        lists = {n: [group[n][i] for i in own] for n in ("params", "param_names") if n in group}
        if own:
            yield (
                _chained((*front, *_pieces(inner), *back)),
                {**group, **lists},
                [paths[i] for i in own],
            )


@dataclasses.dataclass(frozen=True)
class _GroupOf:
    """The group of an array, by its path."""

    paths: tuple[tuple[Path, ...], ...]

    @functools.cached_property
    def _groups(self) -> dict[str, str]:
        return {str(path): str(k) for k, own in enumerate(self.paths) for path in own}

    def __call__(self, path: str, _: Any) -> str:
        return self._groups[path]

    def __repr__(self) -> str:
        return "group"


Pieces = tuple[Any, ...]


def _pieces(rule: Bindable) -> Pieces:
    return rule.pieces if isinstance(rule, Chain) else (rule,)


def _chained(pieces: Pieces) -> Bindable:
    rule: Bindable = pieces[0] if len(pieces) == 1 else chain(*pieces)
    return rule


def _taken_apart(rule: Bindable) -> tuple[Pieces, Any, Pieces]:
    """The pieces before the rule or partition of a chain, this itself, and those behind it."""
    pieces = _pieces(rule)
    place = next(k for k, piece in enumerate(pieces) if isinstance(piece, Bindable))
    return pieces[:place], pieces[place], pieces[place + 1 :]
