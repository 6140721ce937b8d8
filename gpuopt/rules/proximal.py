"""The base of pieces that end a step with a projection, or with the proximal step of a penalty."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from gpuopt.rules.hooks import has_hook
from gpuopt.rules.piece import rate_of
from gpuopt.rules.traced import Traced

__all__ = ["Proximal", "is_number", "refuse_complex"]

METRICS = ("rule", "euclidean")


class Proximal:
    """Makes a parameter piece that puts the proximal step from the rule's new parameter in its
    place.

    Such a piece has one formula, ``nearest(self, x, scale)``: the y for which ``½·|y - x|²/scale +
    penalty(y)`` is least; the penalty of a set is 0 inside, and infinite outside. One with a field
    `metric` is given what the rule multiplies a gradient by, or its learning rate.
    """

    _set: ClassVar[bool] = True
    """Whether it is a set, of which the size of a scale that is one number changes nothing."""

    def nearest(self, x: Any, scale: Any) -> Any:
        """The proximal step from `x`, of one array."""
        raise NotImplementedError

    def update(self, t: Any, p: Any, new: Any) -> Any:
        return self.nearest(new, self._scale())

    def _scale(self: Any) -> Any:
        metric = getattr(self, "metric", "")
        if metric == "rule":
            return _scale_of_rule(self)
        return 1.0 if self._set else rate_of(self, "take a rule with a learning rate")

    def check(self) -> None:
        metric = getattr(self, "metric", "rule")
        if metric not in METRICS:
            raise ValueError(
                f"{type(self).__name__}: metric must be 'rule' or 'euclidean', got {metric!r}"
            )

    def prox(self, x: Any, step: Any = 1.0) -> Any:
        """The proximal step by itself, without a rule: ``argmin_y ½·‖y - x‖²/step + penalty(y)``.

        Parameters
        ----------
        x : array, or lists, tuples and dicts of arrays, nested
            NumPy or CuPy arrays, which are not altered.
        step : float, or an array like `x`
            What the penalty is multiplied by; an array is a diagonal metric, inverted.

        Returns
        -------
        like x
            New arrays.

        Examples
        --------
        >>> import gpuopt as go
        >>> go.l1(1.0).prox(np.array([3.0, -0.2]), 0.5).tolist()
        [2.5, 0.0]
        """
        if isinstance(x, Mapping):
            return {key: self._of(key).prox(own, step) for key, own in x.items()}
        if isinstance(x, (list, tuple)):
            found = [self._of(key).prox(own, step) for key, own in enumerate(x)]
            return type(x)(*found) if hasattr(x, "_fields") else type(x)(found)
        if trees := self._trees():
            raise TypeError(
                f"{type(self).__name__}: {next(iter(trees))} is a tree of arrays, and x is one "
                "array: pass prox a tree like it, or make a piece for each array"
            )
        with np.errstate(divide="ignore", invalid="ignore"):  # where no element takes the value
            return self.nearest(x, step)

    def _of(self: Any, key: Any) -> Any:
        """The same for one entry of a tree, of which its own trees of arrays have one, too."""
        found = copy.copy(self)
        vars(found).update({name: tree[key] for name, tree in self._trees().items()})
        return found

    def _trees(self: Any) -> dict[str, Any]:
        """The hyperparameters that are trees of arrays."""
        every = self.hyperparameters.items()
        return {name: x for name, x in every if isinstance(x, (Mapping, list, tuple))}


def _scale_of_rule(piece: Any) -> Any:
    """What the rule of a chain multiplied a gradient by."""
    scale = piece.rule.scale if has_hook(piece.rule, "scale") else None
    if scale is None:
        name, rule = type(piece).__name__, type(piece.rule).__name__
        why = f"{rule} does not say what it multiplies a gradient by"
        if has_hook(piece.rule, "scale"):
            why = f"a piece between {rule} and it changes the step"
        raise TypeError(
            f"{name} acts in the metric of its rule, but {why}: write gpuopt.{name}(..., "
            "metric='euclidean') for a step as behind gradient descent, or take a rule with a "
            "method scale, such as gpuopt.Adam"
        )
    return scale


def is_number(x: Any) -> bool:
    """Whether a value is one number for all elements."""
    return bool(x.parts[0].host) if isinstance(x, Traced) else np.ndim(x) == 0


def refuse_complex(piece: Proximal, x: Any) -> None:
    """Raise ValueError if `x` is complex, and has no order."""
    if np.iscomplexobj(x):
        raise ValueError(
            f"{type(piece).__name__}: complex numbers have no order; to bound real and imaginary "
            "parts alike, write rule.init(params.view(params.real.dtype))"
        )
