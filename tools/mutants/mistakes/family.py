"""Mistakes in the formulas of single rules."""

from __future__ import annotations

from tools.mutants.planting import Mistake

__all__ = ["MISTAKES"]

MISTAKES = [
    Mistake(
        "Lion's two decays swapped",
        "Lion.update",
        "self.beta2 * m + (1 - self.beta2) * g",
        "self.beta1 * m + (1 - self.beta1) * g",
        "test_bits::test_formula",
    ),
    Mistake(
        "a first step without its last gradient",
        "OptimisticGradient.update",
        "at_first(t, g, last)",
        "last",
        "test_bits::test_formula",
    ),
]
