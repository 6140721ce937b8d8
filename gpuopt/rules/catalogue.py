"""Every rule and piece of the library, found in the files of their families."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

from gpuopt.rules import (
    accumulating,
    adaptive,
    by_loss,
    constraint_pieces,
    descent,
    distances,
    factored,
    first_moments,
    gradient_pieces,
    group_pieces,
    layerwise,
    looking_ahead,
    loss_pieces,
    matrices,
    parameter_pieces,
    piece,
    preconditioners,
    rates,
    scaling_pieces,
    schedule_free,
    second_moments,
    signs,
    slices,
    step_pieces,
    step_sizes,
    variation_pieces,
    velocities,
)
from gpuopt.rules.rule import Rule

__all__ = ["USUAL", "every_piece", "pieces", "rules", "whole_array_pieces", "whole_array_rules"]

USUAL = ("GradientDescent", "Momentum", "RMSProp", "Adam", "AdamW")
"""The default rules of the demo and of the benchmarks."""
_FAMILIES = (
    descent,
    adaptive,
    velocities,
    signs,
    accumulating,
    second_moments,
    first_moments,
    rates,
    layerwise,
    step_sizes,
    by_loss,
    looking_ahead,
    schedule_free,
    distances,
)
_OF_WHOLE_ARRAYS = (slices, factored, matrices, preconditioners)


def rules() -> dict[str, type[Rule]]:
    """Every rule by its name, simplest first, except those that call functions of whole arrays.

    They take arrays of every shape, and have the same bits on every executor.
    """
    return _rules_of(_FAMILIES)


def whole_array_rules() -> dict[str, type[Rule]]:
    """Every rule that calls functions of whole arrays, by its name."""
    return _rules_of(_OF_WHOLE_ARRAYS)


def _rules_of(modules: Sequence[ModuleType]) -> dict[str, type[Rule]]:
    found = [item for module in modules for item in vars(module).values() if isinstance(item, type)]
    return {cls.__name__: cls for cls in found if issubclass(cls, Rule) and cls is not Rule}


def pieces() -> dict[str, type[piece.Piece]]:
    """Every piece by its name, except those that call functions of whole arrays or read the loss.

    They work together, also if some arrays have no gradient.
    """
    return _pieces_of(
        (gradient_pieces, step_pieces, scaling_pieces, parameter_pieces, constraint_pieces)
    )


def every_piece() -> dict[str, type[piece.Piece]]:
    """Every piece of the library, by its name."""
    return {**pieces(), **whole_array_pieces(), **_pieces_of((loss_pieces,))}


def whole_array_pieces() -> dict[str, type[piece.Piece]]:
    """Every piece that calls functions of whole arrays, by its name."""
    return _pieces_of((group_pieces, variation_pieces))


def _pieces_of(modules: Sequence[ModuleType]) -> dict[str, type[piece.Piece]]:
    found = [item for module in modules for item in vars(module).values() if isinstance(item, type)]
    kinds = (piece.Piece, piece.GradientPiece, piece.StepPiece, piece.ParameterPiece)
    return {cls.__name__: cls for cls in found if issubclass(cls, piece.Piece) and cls not in kinds}
