"""Whether a rule, arrays and the options of `init` agree; each check raises an error that says why
not.
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
    """Raise ValueError if paths choose among arrays, and two entries have one."""
    if rule.by_path and spec.twice is not None:
        raise ValueError(
            f"params: two entries have the path {spec.twice!r}, as the keys 1 and '1', or "
            f"'a/b' and 'b' in 'a', give it, and {rule.outline} tells arrays apart by their "
            "paths: rename one of their keys"
        )


def check_precision(
    precision: Precision, spec: TreeSpec, updated: Sequence[bool], updates: Updates
) -> None:
    """Raise ValueError if the precision asked for does not go with an array or an update."""
    arrays = [
        (path, a.dtype)
        for path, a, is_updated in zip(spec.paths, spec.leaves, updated, strict=True)
        if is_updated
    ]
    precision.check(arrays, {name for update in updates.values() for name in state_names(update)})


def check_counting(by_row: bool, elsewhere: bool) -> None:
    """Raise ValueError if rows are updated apart, and steps are counted elsewhere than here."""
    if by_row and elsewhere:
        raise ValueError(
            "rows go with neither capturable nor what a GPU decides (skip_nonfinite, LossScale), "
            "as the host counts the updates of each row: init without one of them"
        )
