"""Patterns of the paths of arrays: keys and indices joined by slashes, as in ``layers/2/w``."""

from __future__ import annotations

import fnmatch

__all__ = ["matches"]


def matches(pattern: str, path: str) -> bool:
    """Whether `pattern` is the path of an array, or of something that it lies in.

    ``*``, ``?`` and ``[...]`` stand for what they do in file names.
    """
    keys = path.split("/")
    return any(fnmatch.fnmatchcase("/".join(keys[:n]), pattern) for n in range(1, len(keys) + 1))
