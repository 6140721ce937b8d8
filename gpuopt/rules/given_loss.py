"""The loss as a formula reads it, ``self.loss``: it is there only while a step is made."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar, Self

__all__ = ["HINT", "ReadsLoss", "give_loss"]

HINT = (
    "update, accept and adapt can read it during opt.step(grads, loss=value); to call update "
    "yourself, write rule.with_loss(value).update(...)"
)
"""Where a formula has its loss."""


class _Loss:
    """The attribute ``loss`` of formulas, which is made where one reads it."""

    def __get__(self, formula: Any, owner: type) -> Any:
        given = None if formula is None else vars(formula).get("_given_loss")
        if given is None:
            raise AttributeError(f"{owner.__name__!r} has no attribute 'loss': {HINT}")
        return given()


class ReadsLoss:
    """The base of rules and pieces, which may read the loss of the step."""

    loss: ClassVar[Any] = _Loss()

    def with_loss(self, loss: Any) -> Self:
        """A copy that reads `loss` as ``self.loss``, to call its ``update`` yourself.

        `Optimizer.step` is given the loss itself.

        Examples
        --------
        >>> import gpuopt as go
        >>> class Polyak(go.Rule):
        ...     def update(self, t, p, g):
        ...         return p - self.loss / g**2 * g
        >>> Polyak().with_loss(4.0).update(1, 2.0, 4.0)
        1.0
        """
        found = copy.copy(self)
        give_loss(found, lambda: loss)
        return found


def give_loss(formula: Any, given: Callable[[], Any]) -> None:
    """Let a formula that is bound read what `given` returns as its loss."""
    vars(formula)["_given_loss"] = given
