"""Mistakes in what runs an update."""

from __future__ import annotations

from tools.mutants.planting import Mistake

__all__ = ["MISTAKES"]

MISTAKES = [
    Mistake(
        "the last array skipped",
        "TileExecutor",
        "units.each if _1 else units.packed",
        "units.each if _1 else units.packed[:-1]",
        "test_bits::test_formula",
    ),
    Mistake(
        "the last tile skipped",
        "TiledArray.work",
        "self._tiles.get(_1) or self._cut(_1)",
        "(self._tiles.get(_1) or self._cut(_1))[:9]",
        "test_bits::test_tiles_and_packs",
    ),
    Mistake(
        "addresses of gradients that moved kept",
        "LaunchPlanner.plan",
        "_1 or not self._same(grads)",
        "_1",
        "test_launches test_gradients",
    ),
]
