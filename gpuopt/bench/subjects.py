"""What is measured: each rule with its defaults, and chains."""

from __future__ import annotations

from collections.abc import Callable

from gpuopt.bench.by_hand import CHAIN, CLIP
from gpuopt.rules import (
    Adam,
    average,
    bounds,
    chain,
    clip_global_norm,
    clip_norm,
    rules,
    weight_decay,
)
from gpuopt.rules.base import Bindable

__all__ = ["STANDARD", "subjects"]

STANDARD = ("Adam", "AdamW", "GradientDescent", "Momentum", "RMSProp", CLIP, CHAIN)
"""What is measured by default; the most wanted come first, because a run may be stopped."""


def subjects() -> dict[str, Callable[[], Bindable]]:
    """A function for each rule with its defaults, and for the chains, by name."""
    return {**rules(), CLIP: _clip, CHAIN: _chain}


def _clip() -> Bindable:
    return chain(clip_norm(1.0), Adam())


def _chain() -> Bindable:
    return chain(
        clip_global_norm(1.0), weight_decay(1e-4), Adam(1e-3), bounds(-1.0, 1.0), average(0.999)
    )
