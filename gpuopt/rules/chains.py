"""A chain: pieces around a rule, which run with it as one kernel."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from typing import Any, final

from gpuopt.rules.base import Bindable, Part, Update, class_hint
from gpuopt.rules.composite import Composite, Joined, named_parts
from gpuopt.rules.elsewhere import never_changes
from gpuopt.rules.formula import Formula
from gpuopt.rules.hooks import has_hook
from gpuopt.rules.piece import GradientPiece, ParameterPiece, Piece, StepPiece
from gpuopt.rules.rule import Rule
from gpuopt.rules.step_pieces import LossScale

__all__ = ["Chain", "chain"]

KEEP_STATES = "let it keep them as states instead, as in update(self, t, p, g, name=0.0)"
"""What to do with a rule that keeps numbers where it cannot."""


def chain(*pieces: Formula | Bindable) -> Chain:
    """Pieces around a rule, read left to right and run as one kernel.

    Parameters
    ----------
    *pieces : GradientPiece, Rule or Partition, StepPiece, ParameterPiece
        Pieces that change the gradient, one rule, pieces that change its step, and pieces that
        change the parameter, in this order. A chain in this list is replaced by its pieces.

    Returns
    -------
    Chain
        Use it like a rule: ``chain(...).init(params)``.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a piece, or stands on the wrong side of the rule, or if there is not
        exactly one rule.

    Examples
    --------
    >>> import gpuopt as go
    >>> go.chain(go.clip(1.0), go.GradientDescent(0.1), go.bounds(0.0, 1.0))
    chain(clip(value=1.0), GradientDescent(lr=0.1), bounds(lo=0.0, hi=1.0))
    """
    return Chain(
        tuple(
            part
            for piece in pieces
            for part in (piece.pieces if isinstance(piece, Chain) else (piece,))
        )
    )


def _in_order(pieces: Sequence[Any]) -> str:
    """A chain of these pieces in an order in which they may stand."""
    kinds = (GradientPiece, Bindable, StepPiece, ParameterPiece)
    found = sorted(pieces, key=lambda piece: [not isinstance(piece, kind) for kind in kinds])
    return f"chain({', '.join(map(repr, found))})"


@final
@dataclasses.dataclass(frozen=True, repr=False)
class Chain(Composite):
    """Pieces around one rule or partition. `chain` makes it; use it like a rule.

    Attributes
    ----------
    pieces : tuple
        The pieces in the order in which they act; one of them is the rule or the partition.
    """

    pieces: tuple[Any, ...]

    def __post_init__(self) -> None:
        for piece in self.pieces:
            if not (isinstance(piece, (Rule, Piece)) or _divides(piece)):
                hint = class_hint(piece)
                if isinstance(piece, (list, tuple)):
                    hint = ": pieces are arguments, so write gpuopt.chain(*pieces)"
                elif isinstance(getattr(piece, "rule", None), Bindable):
                    hint = ": an optimizer has one, so pass optimizer.rule"
                raise TypeError(f"chain: {piece!r} is neither a piece nor a rule{hint}")
        rules = [k for k, piece in enumerate(self.pieces) if isinstance(piece, Bindable)]
        if len(rules) != 1:
            raise ValueError(
                f"chain needs one rule, such as gpuopt.Adam(), got {len(rules)}: {self!r}"
            )
        for k, piece in enumerate(self.pieces):
            if isinstance(piece, GradientPiece) and k > rules[0]:
                raise ValueError(
                    f"chain: {piece!r} changes the gradient, so it must stand before the rule: "
                    f"{_in_order(self.pieces)}"
                )
            if isinstance(piece, (StepPiece, ParameterPiece)) and k < rules[0]:
                what = "step" if isinstance(piece, StepPiece) else "parameter"
                raise ValueError(
                    f"chain: {piece!r} changes the {what}, so it must stand after the rule: "
                    f"{_in_order(self.pieces)}"
                )
            if isinstance(piece, StepPiece) and isinstance(self.pieces[k - 1], ParameterPiece):
                raise ValueError(
                    f"chain: {piece!r} changes the step, so it must stand before "
                    f"{self.pieces[k - 1]!r}, which changes the parameter: "
                    f"{_in_order(self.pieces)}"
                )
        rule, *behind = self.pieces[rules[0] :]
        if behind and getattr(rule, "_averages", False):
            raise ValueError(
                f"chain: {rule!r} averages parameters itself, so {behind[0]!r} behind it would not "
                "reach what evaluation() gives: take another rule and average() behind the "
                "piece, as in chain(Adam(), bounds(lo=0.0), average())"
            )
        self._check_numbers()

    def _check_numbers(self) -> None:
        """Raise ValueError if a piece keeps numbers but does not see every step of all arrays."""
        divides: Any = None
        for piece in self.pieces:
            if divides is not None and has_hook(piece, "numbers"):
                what = f"chain: {piece!r} keeps numbers of every step of all arrays"
                remedy = f"so it must stand before {divides!r}"
                if isinstance(piece, Rule):
                    remedy = f"so it cannot stand behind {divides!r}: {KEEP_STATES}"
                raise ValueError(f"{what}, {remedy}")
            if divides is None and (has_hook(piece, "steps") or _divides(piece)):
                divides = piece
        if sum(isinstance(piece, LossScale) for piece in self.pieces) > 1:
            raise ValueError(
                f"chain: the loss has one scale, so a chain has at most one LossScale: {self!r}"
            )
        # A freeze may be first.
        before = next((piece for piece in self.pieces if not has_hook(piece, "holds")), None)
        for piece in self.pieces:
            if isinstance(piece, LossScale) and piece is not before:
                raise ValueError(
                    f"chain: {before!r} would read gradients that are still scaled: put {piece!r} "
                    "before it"
                )

    def __repr__(self) -> str:
        return f"chain({', '.join(map(repr, self.pieces))})"

    @property
    def structure(self) -> Any:
        """For each piece its class; for one that chooses arrays or steps its fixed values too."""
        return tuple(
            piece.structure if isinstance(piece, Bindable) else _kind(piece)
            for piece in self.pieces
        )

    @property
    def children(self) -> dict[str, Any]:
        parts = named_parts([("", piece) for piece in self.pieces])
        return {f"{part.name}." if part.name else "": part.formula for part in parts}

    def rebuilt(self, children: list[Any]) -> Chain:
        return Chain(tuple(children))

    @property
    def outline(self) -> str:
        names = (
            piece.outline if isinstance(piece, Bindable) else type(piece).__name__
            for piece in self.pieces
        )
        return f"chain({', '.join(names)})"

    @property
    def by_path(self) -> bool:
        return any(has_hook(piece, "holds") or _divides(piece) for piece in self.pieces)

    def group_keys(self, paths: Sequence[str], arrays: Sequence[Any]) -> list[Hashable]:
        frozen = [piece.holds(paths) for piece in self.pieces if has_hook(piece, "holds")]
        keys = next(piece for piece in self.pieces if isinstance(piece, Bindable)).group_keys(
            paths, arrays
        )
        return [None if any(held) else key for key, *held in zip(keys, *frozen, strict=True)]

    def update_for(self, key: Hashable) -> Update:
        found: list[tuple[str, Any]] = []
        for piece in self.pieces:
            inner = (
                piece.update_for(key).parts
                if isinstance(piece, Bindable)
                else (Part("", "", piece),)
            )
            found += [(part.scope, part.formula) for part in inner]
        return Joined(named_parts(found))


Chain.__setattr__ = never_changes  # type: ignore[method-assign] # where frozen gives no remedy


def _divides(piece: Any) -> bool:
    """Whether it is a partition."""
    return isinstance(piece, Composite) and piece.divides


def _kind(piece: Piece) -> Any:
    """The class, with the fixed values of a piece that chooses arrays or steps."""
    fixed = {
        name: value for name, value in piece.hyperparameters.items() if name not in piece.ranges
    }
    return (
        (type(piece), *fixed.items())
        if has_hook(piece, "holds") or has_hook(piece, "steps")
        else type(piece)
    )


def takes_back(rule: Bindable) -> bool:
    """Whether a step is taken back if the loss after it is not finite."""
    return isinstance(rule, Chain) and any(has_hook(piece, "undo") for piece in rule.pieces)


def loss_scale_name(rule: Bindable) -> str | None:
    """The full name of the number to multiply the loss by; None if there is none."""
    parts = named_parts([("", piece) for piece in rule.pieces]) if isinstance(rule, Chain) else ()
    names = (part.named("scale") for part in parts if isinstance(part.formula, LossScale))
    return next(names, None)
