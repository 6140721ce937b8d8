"""The scalars that a kernel is run with, in the three forms that an executor may be given."""

from __future__ import annotations

import dataclasses
from typing import Any

__all__ = ["AnyScalars", "ScalarRows", "Scalars", "StoredScalars"]

Scalars = tuple[float, ...]
"""Numbers that hold for all arrays."""


@dataclasses.dataclass(frozen=True, slots=True)
class ScalarRows:
    """A row of numbers for each array of an executor, on the host.

    They differ if the arrays were updated unequally often.
    """

    rows: list[Scalars]

    def of(self, position: int) -> Scalars:
        """Those of one array."""
        return self.rows[position]


@dataclasses.dataclass(frozen=True, slots=True)
class StoredScalars:
    """A row of numbers for each array of an executor, in the memory of the device."""

    rows: Any

    def of(self, position: int) -> Any:
        """Those of one array: whether its step is accepted, if that is asked, then its scalars."""
        return self.rows[position]


AnyScalars = Scalars | ScalarRows | StoredScalars
