"""The processes that update the same parameters, as training loops and files see them.

Usually that is one. `gpuopt.distributed` has those that are several.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["ALONE", "Processes"]

T = TypeVar("T")


class Processes:
    """One process, which is alone.

    Where there are several, all call each method in the same order; an action may call one, too. If
    an action raises an error in one process, all raise one that names its rank.

    Attributes
    ----------
    size, rank : int
    """

    size, rank = 1, 0

    def together(self, what: str, action: Callable[[], T]) -> T:
        """What `action` gives here, when it is done in all processes."""
        return action()

    def each(self, what: str, action: Callable[[], T]) -> list[T]:
        """What `action` gives in each process, by rank."""
        return [action()]

    def means(self, what: str, action: Callable[[], tuple[int, list[Any]]]) -> list[Any]:
        """The means of numbers over all processes, each counted as often as `action` says first."""
        return action()[1]

    def agree(self, what: str, mine: dict[str, str]) -> None:
        """Raise ValueError in all processes if one says something else than the first."""

    def fail(self, error: Exception) -> None:
        """Let the others, who wait for this process in `Optimizer.step`, raise an error, too."""


ALONE = Processes()
