"""Mistakes in what runs an update."""

from __future__ import annotations

from tools.mutants.planting import Mistake

__all__ = ["MISTAKES"]

MISTAKES = [
    Mistake(
        "the last array skipped",
        "TileExecutor",
        "self._singles if _1 else self._units",
        "self._singles if _1 else self._units[:-1]",
        "test_bits::test_formula",
    ),
    Mistake(
        "the last tile skipped",
        "TiledArray.work",
        "self._tiles(_1)",
        "self._tiles(_1)[:9]",
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
