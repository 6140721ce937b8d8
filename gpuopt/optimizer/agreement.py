"""Checks that a rule, arrays and the options of `init` fit together; each raises an error that says
why not.
"""

from __future__ import annotations

from collections.abc import Sequence

from gpuopt.arrays.precision import Precision
from gpuopt.arrays.tree import TreeSpec
from gpuopt.optimizer.hyperparameters import Updates
from gpuopt.rules.base import Bindable
from gpuopt.tracing.signatures import state_names

__all__ = ["check_counting", "check_paths", "check_precision"]


def check_paths(rule: Bindable, spec: TreeSpec) -> None:
    """Raise ValueError if the rule selects arrays by paths, and two entries have the same path."""
    if rule.by_path and spec.twice is not None:
        raise ValueError(
            f"params: two entries have the path {spec.twice!r}, and {rule.outline} tells arrays "
            "apart by their paths: rename a key (1 and '1' give the same path, and so do 'a/b' and "
            "'b' inside 'a')"
        )


def check_precision(
    precision: Precision, spec: TreeSpec, updated: Sequence[bool], updates: Updates
) -> None:
    """Raise ValueError if the options for precision do not fit an array or an update."""
    arrays = [
        (path, a.dtype)
        for path, a, is_updated in zip(spec.paths, spec.leaves, updated, strict=True)
        if is_updated
    ]
    precision.check(arrays, {name for update in updates.values() for name in state_names(update)})


def check_counting(by_row: bool, elsewhere: bool) -> None:
    """Raise ValueError if rows are updated separately, and a device counts the steps."""
    if by_row and elsewhere:
        raise ValueError(
            "rows cannot be combined with capturable=True, skip_nonfinite or LossScale, because "
            "the host counts the updates of each row: leave one of them out"
        )
