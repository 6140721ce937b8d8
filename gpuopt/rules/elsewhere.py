"""Names that users look for where they are not."""

from __future__ import annotations

from typing import Any

__all__ = ["NotHere"]


class NotHere:
    """A name that is somewhere else: an attribute that raises AttributeError, with what to type.

    A ``__getattr__`` would make every attribute of the class slower.
    """

    def __init__(self, hint: str) -> None:
        self._hint = hint

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        raise AttributeError(f"{owner.__name__!r} has no attribute {self._name!r}: {self._hint}")
