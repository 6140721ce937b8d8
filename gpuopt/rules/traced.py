"""Base class of what stands for an array while a formula is traced."""

from __future__ import annotations

from typing import Any

__all__ = ["Traced"]


class Traced:
    """The stand-in for an array in ``update``, for questions that NumPy has no function for."""

    __slots__ = ()
    parts: tuple[Any, ...]
    made: Any
    """What it is to a function of whole arrays, if that is another thing than its parts."""

    def over_tree(self, kind: str) -> Any:
        """The ``"sum"``, ``"mean"`` or ``"max"`` over all arrays of the optimizer."""
        raise NotImplementedError

    def weights(self, beta: Any, t: Any) -> Any:
        """The sum of the weights of this moving average, where it is not ``1 - beta**t``."""
        raise NotImplementedError

    def uniform(self, key: tuple[Any, ...], stream: int) -> Any:
        """Uniform random numbers in (0, 1), one for each element."""
        raise NotImplementedError

    def given_to(self, function: Any, args: list[Any], keywords: tuple[str, ...]) -> Any:
        """What a function of whole arrays gives, called with these; the last ones by keywords."""
        raise NotImplementedError
