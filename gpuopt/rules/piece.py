"""The base classes of pieces: they stand in a chain before or after its rule."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any, ClassVar

from gpuopt.rules.formula import Formula
from gpuopt.rules.given_loss import HINT
from gpuopt.rules.hooks import HookName, allowed_hooks, has_hook

__all__ = ["GradientPiece", "ParameterPiece", "StepPiece"]

if TYPE_CHECKING:

    class ChainRule:
        """The rule of a chain, as a piece sees it: its hyperparameters can be read."""

        def __getattr__(self, name: str) -> float | Any: ...
else:
    ChainRule = Any  # the annotations of pieces are evaluated


class Piece(Formula):
    """A part of a chain before or after its rule. It may read the hyperparameters of `rule`."""

    _arguments: ClassVar[tuple[str, ...]] = ()
    _takes_arrays: ClassVar[bool] = True

    rule: ChainRule

    if not TYPE_CHECKING:  # it would let a type checker believe in any name

        def __getattr__(self, name: str) -> Any:
            why = ": it is set where a chain is run" if name == "rule" else ""
            if name != "rule" and has_hook(self, "numbers"):
                why = "; if it is one of its numbers, it is set where a chain is run"
            if name == "t":
                why = ": only update gets it; keep in a state what another method needs"
            if name == "g" and "g" not in self._arguments:
                why = ": it is set where a chain is run"
            if name == "loss":
                why = f": {HINT}"
            if name in {"init", "step"}:
                order = "piece, gpuopt.Adam()" if "g" in self._arguments else "gpuopt.Adam(), piece"
                why = f": a piece works in a chain; write gpuopt.chain({order}).init(params)"
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{why}")


@typing.dataclass_transform(frozen_default=True)
class GradientPiece(Piece):
    """A piece that changes the gradient before the rule sees it. Write it like a rule.

    ``update(self, t, p, g, <state>=<initial value>, ...)`` returns ``(g, *state)``. Fields may be
    given by position.

    A piece may have more methods, called hooks. ``steps(self, t)`` returns how many times the rest
    of the chain has acted after `t` calls. If that number does not grow by 1, the rest of the chain
    waits in this call (`gpuopt.accumulate`). ``accept(self, t, p, g)`` returns a truth value,
    computed from reductions. If it is false, nothing changes in this step
    (`gpuopt.skip_nonfinite`). ``numbers(self)`` returns a dict of numbers of the whole optimizer,
    with their initial values. In the other methods they are attributes. ``adapt(self, p, g,
    accepted)`` returns a tuple of their values after each step; `accepted` is the result of this
    piece's ``accept`` (`gpuopt.LossScale`). ``holds(self, paths)`` returns for each path whether
    its array stays unchanged (`gpuopt.freeze`). Do not give a method with another meaning the name
    of a hook.

    Examples
    --------
    >>> import gpuopt as go
    >>> class soft_clip(go.GradientPiece):
    ...     limit: go.Positive
    ...     def update(self, t, p, g):
    ...         return self.limit * np.tanh(g / self.limit)
    >>> rule = go.chain(soft_clip(2.0), go.Adam(lr=0.1))
    """

    _arguments: ClassVar[tuple[str, ...]] = ("t", "p", "g")
    _may_have: ClassVar[frozenset[HookName]] = allowed_hooks("GradientPiece")
    _gives: ClassVar[str] = "g"
    _example: ClassVar[str] = "gpuopt.clip(1.0)"


@typing.dataclass_transform(frozen_default=True)
class StepPiece(Piece):
    """A piece between the rule and the parameter: it changes the step of the rule. Write it like a
    rule.

    ``update(self, t, p, step, <state>=<initial value>, ...)`` returns ``(step, *state)``; `step` is
    what the rule would subtract from `p`, with its learning rate, and ``self.g`` is the gradient
    that the rule saw. You may pass fields by position. In a chain, the piece stands behind the rule
    and before the pieces that change the parameter.

    Examples
    --------
    >>> import gpuopt as go
    >>> class at_most(go.StepPiece):
    ...     longest: go.Positive
    ...     def update(self, t, p, step):
    ...         return np.clip(step, -self.longest, self.longest)
    >>> rule = go.chain(go.Adam(lr=0.1), at_most(0.05), go.bounds(lo=0.0))
    """

    if TYPE_CHECKING:
        g: ClassVar[Any]

    _arguments: ClassVar[tuple[str, ...]] = ("t", "p", "step")
    _may_have: ClassVar[frozenset[HookName]] = allowed_hooks("StepPiece")
    _gives: ClassVar[str] = "step"
    _example: ClassVar[str] = "gpuopt.trust_ratio()"


@typing.dataclass_transform(frozen_default=True)
class ParameterPiece(Piece):
    """A piece that changes, or observes, the parameter of the rule. Write it like a rule.

    ``update(self, t, p, new, <state>=<initial value>, ...)`` returns ``(new, *state)``; `p` is the
    parameter before the step, `new` the parameter after it, and ``self.g`` the gradient that the
    rule saw. You may pass fields by position. If the piece has a method ``evaluation(self, p,
    *state)``, `Optimizer.evaluation` returns its result in place of `p`; it is called with NumPy or
    CuPy arrays. The piece may keep numbers of the whole optimizer, as a `GradientPiece` may.
    """

    if TYPE_CHECKING:
        g: ClassVar[Any]

    _arguments: ClassVar[tuple[str, ...]] = ("t", "p", "new")
    _may_have: ClassVar[frozenset[HookName]] = allowed_hooks("ParameterPiece")
    _gives: ClassVar[str] = "new"
    _example: ClassVar[str] = "gpuopt.bounds(0.0, 1.0)"


def rate_of(piece: StepPiece | ParameterPiece, remedy: str = "") -> Any:
    """The learning rate of the rule before a piece, which asks for it in ``update``."""
    if not hasattr(piece.rule, "lr"):
        raise TypeError(
            f"{type(piece).__name__} needs a rule with lr, got {type(piece.rule).__name__}: "
            + (remedy or f"write gpuopt.chain(gpuopt.AdamW(), gpuopt.{piece!r})")
        )
    return piece.rule.lr
