"""Patterns of the paths of arrays: keys and indices joined by slashes, as in ``layers/2/w``."""

from __future__ import annotations

import fnmatch

__all__ = ["matches"]


def matches(pattern: str, path: str) -> bool:
    """Whether `pattern` matches the path of an array, or the beginning of the path.

    ``*``, ``?`` and ``[...]`` work as in file names.
    """
    keys = path.split("/")
    return any(fnmatch.fnmatchcase("/".join(keys[:n]), pattern) for n in range(1, len(keys) + 1))
