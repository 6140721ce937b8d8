"""Another rule for the same arrays, checked before anything is changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gpuopt.optimizer.hyperparameters import HyperValues, Updates
from gpuopt.tracing.program import UpdateProgram

__all__ = ["RuleChange"]


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
