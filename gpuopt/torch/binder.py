"""Binds the rules of all groups to their tensors when a step or a state dict needs it.

Comes in: groups of parameters. Goes out: a `Bound` with the current numbers of the groups and the
current memory of the tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from gpuopt.rules.base import Bindable
from gpuopt.torch.bound import Bound, Kept
from gpuopt.torch.owners import Owners

__all__ = ["Binder"]


class Binder:
    """Binds rules to tensors, and keeps their state while they are not bound.

    Parameters
    ----------
    owners : Owners
        The rules.
    options : dict
        The options of `Rule.init`.

    Attributes
    ----------
    bound : Bound or None
        The rules and tensors of the last step, until a group is added or a tensor moves.
    """

    def __init__(self, owners: Owners, options: Mapping[str, Any]) -> None:
        self._owners, self._options = owners, options
        self.bound: Bound | None = None
        self._kept: Kept | None = None
        self._used, self._seen = list[Bindable](), list[list[Any]]()

    @property
    def is_new(self) -> bool:
        """Whether there is no state yet."""
        return self.bound is None and self._kept is None

    def of(self, groups: Sequence[Mapping[str, Any]]) -> Bound:
        """The current rules, bound to the current memory of the tensors."""
        if self.bound is not None and self.bound.moved:
            self.release()
        owners = self._owners
        seen = [list(map(_number, group.values())) for group in groups]
        if self.bound is None:
            now = owners.now(groups)
            used = [*self._used, *now[len(self._used) :]]  # those that made the state
            bound = Bound(owners.joined(used), owners.tensors(groups), self._options)
            if self._kept is not None:
                bound.go_on(self._kept)
            bound.optimizer.rule = owners.joined(now)
            self.bound, self._kept, self._used = bound, None, now
        elif seen != self._seen:
            self._used = owners.now(groups)
            self.bound.optimizer.rule = owners.joined(self._used)
        self._seen = seen
        return self.bound

    def release(self) -> None:
        """Set the state aside until the rules are bound again."""
        if self.bound is not None:
            self._kept, self.bound = self.bound.kept(), None

    def loaded(self, kept: Kept | None, groups: Sequence[Mapping[str, Any]]) -> Binder:
        """A new binder that continues from a saved state."""
        new = Binder(self._owners, self._options)
        if kept is not None:
            new._kept = kept
            with self._owners.following(groups, kept["header"]):
                new.of(groups)
        return new

    def __getstate__(self) -> dict[str, Any]:
        kept = self._kept if self.bound is None else self.bound.kept()
        return {**vars(self), "bound": None, "_kept": kept}


def _number(value: Any) -> Any:
    """An entry of a group, to be compared: for a tensor its number, which may change in place."""
    return value.tolist() if isinstance(value, torch.Tensor) else value
