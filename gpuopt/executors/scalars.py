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


@dataclasses.dataclass(frozen=True, slots=True)
class StoredScalars:
    """A row of numbers for each array of an executor, in the memory of the device."""

    rows: Any


AnyScalars = Scalars | ScalarRows | StoredScalars
