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

__all__ = ["subjects"]

_FIRST = ("Adam", "AdamW", "GradientDescent")


def subjects() -> dict[str, Callable[[], Bindable]]:
    """A function for each rule with its defaults, and for the chains, by name.

    What is asked for most comes first: a run may be stopped.
    """
    known = rules()
    return {**{name: known[name] for name in _FIRST}, **known, CLIP: _clip, CHAIN: _chain}


def _clip() -> Bindable:
    return chain(clip_norm(1.0), Adam())


def _chain() -> Bindable:
    return chain(
        clip_global_norm(1.0), weight_decay(1e-4), Adam(1e-3), bounds(-1.0, 1.0), average(0.999)
    )
