"""Patterns of the paths of arrays: keys, fields and indices joined by slashes, ``layers/2/w``."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Sequence

__all__ = ["is_path", "matching"]


def matching(pattern: str, paths: Sequence[str], who: str) -> list[bool]:
    """For each path whether `pattern` matches it, or the beginning of it.

    ``*``, ``?`` and ``[...]`` work as in file names; but a pattern that is a path, or the beginning
    of one, letter by letter, stands for that alone.

    Raises
    ------
    ValueError
        If it matches none; `who` asks.
    """
    beginnings = [_beginnings(path) for path in paths]
    literal = [pattern in each for each in beginnings]
    if any(literal):
        return literal
    found = [any(fnmatch.fnmatchcase(one, pattern) for one in each) for each in beginnings]
    if not any(found):
        known = dict.fromkeys(one for each in beginnings for one in reversed(each))
        close = difflib.get_close_matches(pattern, known, n=1)
        hint = f"did you mean {close[0]!r}? There are" if close else "there are"
        every = ", ".join(map(repr, paths))
        raise ValueError(f"{who}: {pattern!r} matches no array; {hint} {every}")
    return found


def _beginnings(path: str) -> list[str]:
    keys = path.split("/")
    return ["/".join(keys[:n]) for n in range(1, len(keys) + 1)]


def is_path(pattern: str, paths: Sequence[str]) -> bool:
    """Whether the pattern is a path, or the beginning of one, letter by letter."""
    return any(pattern in _beginnings(path) for path in paths)
