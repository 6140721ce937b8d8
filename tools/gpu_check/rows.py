"""Numbers that are kept as they come: a line of JSON each, so that a process may be killed at any time."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def parsed(data: bytes) -> list[Row]:
    """The rows of a file; the last line may be broken off."""
    found = []
    for line in data.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            found.append(row)
    return found


BEGUN = "begun"
"""The word of a row for what was begun: if no other row follows, it was never ended."""


def latest(rows: Iterable[Row], *keys: str) -> dict[tuple[Any, ...], Row]:
    """The last row of each thing that was tried, by the values of `keys`."""
    return {tuple(row[key] for key in keys): row for row in rows}


class Rows:
    """A file of rows: those that were left in it, and those that are added."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.all = parsed(path.read_bytes()) if path is not None and path.exists() else []

    def add(self, **row: Any) -> None:
        self.all.append(row)
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"\n{json.dumps(row)}")  # the line before may have been broken off
