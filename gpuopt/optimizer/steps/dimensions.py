"""The numbers of arrays' shapes that formulas read: ``p.size``, ``p.ndim``, ``p.shape[0]``."""

from __future__ import annotations

import math
from typing import Any

from gpuopt.optimizer.binding import Binding
from gpuopt.optimizer.rule_change import RuleChange
from gpuopt.tracing.expr import ReductionKey

__all__ = ["dimensions"]


def dimensions(binding: Binding, change: RuleChange) -> dict[ReductionKey, list[float]]:
    """For each number that updates read of a shape a list: that number of each array.

    Raises
    ------
    ValueError
        If an array of theirs lacks the axis.
    """
    found = dict[ReductionKey, list[float]]()
    for group, programs in zip(binding.groups, change.programs, strict=True):
        for key in programs[-1].dimensions:
            row = found.setdefault(key, [_dimension(key, leaf) for leaf in binding.leaves])
            if missing := [index for index in group.indices if math.isnan(row[index])]:
                path, shape = binding.spec.paths[missing[0]], binding.leaves[missing[0]].shape
                raise ValueError(
                    f"{programs[-1].name} reads p.{key.name}, and params{path} has the shape "
                    f"{shape}: give it another rule, with gpuopt.partition, or read p.size or "
                    "p.ndim"
                )
    return found


def _dimension(key: ReductionKey, array: Any) -> float:
    """That number of one array; NaN if it lacks the axis."""
    if key.axis is None:
        return float(getattr(array, key.name))
    return float(array.shape[key.axis]) if -array.ndim <= key.axis < array.ndim else math.nan
