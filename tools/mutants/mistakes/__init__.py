"""The mistakes, by wing. Some are those of published optimizers; others are what somebody could get wrong in this code."""

from __future__ import annotations

from tools.mutants.mistakes import (
    arrays,
    backtracking,
    bench,
    checkpoints,
    codegen,
    device,
    distributed,
    doors,
    executors,
    family,
    line_search,
    minimize,
    optimizer,
    pictures,
    pieces,
    precision,
    rules,
    training,
    whole_arrays,
)
from tools.mutants.planting import Mistake

__all__ = ["MISTAKES"]

WINGS = (
    arrays,
    rules,
    family,
    backtracking,
    codegen,
    executors,
    optimizer,
    pieces,
    precision,
    whole_arrays,
    training,
    minimize,
    line_search,
    checkpoints,
    bench,
    device,
    distributed,
    doors,
    pictures,
)
MISTAKES: list[Mistake] = [one for wing in WINGS for one in wing.MISTAKES]
