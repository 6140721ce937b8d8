"""Tells cheaply whether objects are the very same as before, without keeping them alive."""

from __future__ import annotations

import itertools
import operator
import weakref
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["SameObjects"]


class SameObjects:
    """Objects that were seen last, some of which may be None, by weak references.

    An object that was collected since is never the same. Its reference gives None, as if it had
    been missing, and another object may have its id.
    """

    __slots__ = ("_collected", "_seen")

    def __init__(self) -> None:
        self._seen: list[Callable[[], Any]] = []
        self._collected: list[Any] = []  # references to what is gone

    def __call__(self, objects: Sequence[Any]) -> bool:
        """Whether these are the remembered objects, in the same order, all of them alive."""
        if self._collected or not self._seen or len(objects) != len(self._seen):
            return False
        return all(map(operator.is_, objects, map(operator.call, self._seen)))

    def remember(self, objects: Sequence[Any]) -> None:
        """Remember these objects in place of those before."""
        self.forget()
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
