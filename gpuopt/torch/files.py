"""Reads a state dict in PyTorch's form, which an optimizer of gpuopt wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpuopt.rules.base import Bindable
from gpuopt.torch.bound import Kept
from gpuopt.torch.groups import check_names, entries_of

__all__ = ["HEADER", "kept_in"]

HEADER = "gpuopt"
"""The key of what belongs to all tensors together."""


def kept_in(state_dict: dict[str, Any], rules: Sequence[Bindable]) -> Kept | None:
    """The state that a dict holds, for its tensors in order; None if it was saved before a step."""
    state, header = state_dict["state"], state_dict.get(HEADER)
    if header is None:
        if state:
            raise ValueError(
                f"state_dict has no {HEADER!r}: an optimizer of PyTorch wrote it, not gpuopt.torch"
            )
        for rule, group in zip(rules, state_dict["param_groups"], strict=True):
            check_names(rule, group)
            if missing := entries_of(rule).keys() - group.keys():
                raise ValueError(
                    f"state_dict is from another rule: a group has no {min(missing)!r}"
                )
        return None
    indices = [index for group in state_dict["param_groups"] for index in group["params"]]
    if missing := [index for index in indices if index not in state]:
        raise ValueError(f"state_dict['state'] has no entry for parameter {missing[0]}")
    return {"header": header, "tensors": [state[index] for index in indices], "loaded": True}
