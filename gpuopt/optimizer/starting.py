"""The parts of an update whose hook `start` begins their states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from gpuopt.rules.base import Part, Update, bind
from gpuopt.rules.hooks import has_hook
from gpuopt.tracing.signatures import own_states

__all__ = ["starting"]


def starting(update: Update, hyper: Mapping[str, Any]) -> Iterator[tuple[Part, Any, list[str]]]:
    """Each part with a hook `start`, bound as before the first step, and its states; `hyper` holds
    arrays in place of hyperparameters.
    """
    for part, formula in bind(update.parts, {**update.hyper(0), **hyper}):
        if has_hook(formula, "numbers"):
            vars(formula).update(cast("Any", formula).numbers())
        if has_hook(formula, "start"):
            yield part, formula, [part.named(name, "_") for name in own_states(formula)]
