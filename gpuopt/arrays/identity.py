"""Tells cheaply whether objects are the very same as before, without keeping them alive."""

from __future__ import annotations

import itertools
import operator
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final

__all__ = ["SameObjects"]


PATIENCE: Final = 8
"""After so many vain attempts in a row, objects are remembered only once in as many calls."""


class SameObjects:
    """Objects that were seen last, some of which may be None, by weak references.

    An object that was collected since is never the same. Its reference gives None, as if it had
    been missing, and another object may have its id. References cost more than they save where
    objects are always others, so fewer are made then.
    """

    __slots__ = ("_collected", "_in_vain", "_seen")

    def __init__(self) -> None:
        self._in_vain = 0
        self._seen: list[Callable[[], Any]] = []
        self._collected: list[Any] = []  # references to what is gone

    def __call__(self, objects: Sequence[Any]) -> bool:
        """Whether these are the remembered objects, in the same order, all of them alive."""
        if self._collected or not self._seen or len(objects) != len(self._seen):
            return False
        if not all(map(operator.is_, objects, map(operator.call, self._seen))):
            return False
        self._in_vain = 0
        return True

    def remember(self, objects: Sequence[Any]) -> None:
        """Remember these objects, or nothing, in place of those before."""
        self.forget()
        self._in_vain += 1
        if self._in_vain > PATIENCE and self._in_vain % PATIENCE:
            return
        collected = self._collected.append
        try:
            self._seen = list(map(weakref.ref, objects, itertools.repeat(collected)))
        except TypeError:  # None has no weak reference
            self._seen = [_missing if x is None else weakref.ref(x, collected) for x in objects]

    def forget(self) -> None:
        """Remember nothing, so that no objects are the same."""
        self._seen, self._collected = [], []


def _missing() -> None:
    """Stand for a reference to None."""
