"""A partition: a rule for each group of arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, ClassVar, final, overload

from gpuopt.rules.base import Bindable, Update, class_hint
from gpuopt.rules.chains import KEEP_STATES, Chain
from gpuopt.rules.composite import Composite, Joined
from gpuopt.rules.elsewhere import never_changes
from gpuopt.rules.hooks import has_hook
from gpuopt.rules.paths import is_path, matching
from gpuopt.rules.piece import GradientPiece, ParameterPiece, StepPiece
from gpuopt.rules.rule import Rule

__all__ = ["Partition", "partition"]


@overload
def partition(rules: Mapping[str, Bindable], by: None = None) -> Partition: ...
@overload
def partition(rules: Mapping[Any, Bindable], by: Callable[[str, Any], Hashable]) -> Partition: ...
def partition(
    rules: Mapping[Any, Bindable], by: Callable[[str, Any], Hashable] | None = None
) -> Partition:
    """Give each group of arrays its own rule. The arrays of a rule share its launch.

    Parameters
    ----------
    rules : dict
        Patterns, and a rule or a chain for each. An array belongs to the first pattern that matches
        its path. The path consists of the keys, fields and indices, joined by slashes, as in
        ``"layers/2/w"``. A pattern is a path or the beginning of one, or contains ``*``, ``?`` and
        ``[...]``, which work as in file names. Each pattern must match an array. Put a pattern
        before those that match more.
    by : callable, optional
        ``by(path, array)`` returns the key in `rules` for each array. It replaces patterns.

    Returns
    -------
    Partition
        Use it like a rule. Every array must belong to one of `rules`: `init` raises ValueError with
        a list of the others. Pieces with reductions over the tree, such as `clip_global_norm`, see
        the arrays of their own rule. In ``chain(clip_global_norm(1.0), partition(...))`` they see
        all arrays.

    Examples
    --------
    >>> import gpuopt as go, numpy as np
    >>> rule = go.partition({"probe": go.Adam(1e-3), "*": go.Momentum(0.1)})
    >>> opt = rule.init({"probe": np.zeros(3), "object": np.zeros((4, 4))})
    """
    return Partition(dict(rules) if isinstance(rules, Mapping) else rules, by)


@final
@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Partition(Composite):
    """A rule for each group of arrays. `partition` makes it; use it like a rule.

    Attributes
    ----------
    rules : dict
        The rule or chain of each pattern, or of each key that `by` returns.
    by : callable or None
        ``by(path, array)`` returns the key of an array; without it, the keys of `rules` are
        patterns of paths.
    """

    divides: ClassVar[bool] = True
    rules: dict[Any, Any]
    by: Callable[[str, Any], Hashable] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.rules, dict) or not self.rules:
            raise TypeError(
                "partition needs a dict of rules, such as {'*': gpuopt.Adam()}, got "
                f"{self.rules!r}"
            )
        for key, rule in self.rules.items():
            if not isinstance(rule, (Rule, Chain)) or is_partitioned(rule):
                hint = class_hint(rule) or _in_a_chain(rule)
                if rule is None and isinstance(key, str):
                    chained = f"gpuopt.chain(gpuopt.freeze({key!r}), gpuopt.Adam())"
                    hint = f": to leave arrays unchanged, write {chained}"
                raise TypeError(
                    f"partition: {key!r} must have a rule, or a chain around one, got {rule!r}"
                    f"{hint}"
                )
            if found := [
                part.formula
                for part in rule.update_for("").parts
                if has_hook(part.formula, "numbers")
            ]:
                remedy = f"so it must stand in front: chain({found[0]!r}, partition(...))"
                if isinstance(found[0], Rule):
                    remedy = f"and the rules of a partition see only some: {KEEP_STATES}"
                raise ValueError(f"partition: {found[0]!r} keeps numbers of all arrays, {remedy}")
            if key is None:
                raise TypeError("partition: None cannot be a key")
            if self.by is None and not isinstance(key, str):
                raise TypeError(
                    f"partition: a pattern must be a string, got {key!r}; "
                    "with by=function keys may be anything"
                )
        if self.by is not None and not callable(self.by):
            raise TypeError(
                "partition: by must be a function of path and array that gives a key, got "
                f"{self.by!r}"
            )

    def __repr__(self) -> str:
        by = "" if self.by is None else f", by={self.by!r}"
        return f"partition({self.rules!r}{by})"

    def __eq__(self, other: object) -> bool:
        """Whether rules, patterns and their order are equal."""
        return isinstance(other, Partition) and (list(self.rules.items()), self.by) == (
            list(other.rules.items()),
            other.by,
        )

    def __hash__(self) -> int:
        return hash((tuple(self.rules), self.by))

    @property
    def structure(self) -> Any:
        return tuple((key, rule.structure) for key, rule in self.rules.items()), self.by

    @property
    def children(self) -> dict[str, Any]:
        return {
            f"{key if isinstance(key, str) else f'<{key!r}>'}/": rule
            for key, rule in self.rules.items()
        }

    def rebuilt(self, children: list[Any]) -> Partition:
        return Partition(dict(zip(self.rules, children, strict=True)), self.by)

    @property
    def outline(self) -> str:
        outlines = ", ".join(f"{key!r}: {rule.outline}" for key, rule in self.rules.items())
        return f"partition({outlines})"

    def labels(self, paths: Sequence[str], arrays: Sequence[Any]) -> list[Hashable]:
        """The key of the rule of each array."""
        if self.by is None:
            keys = self._by_patterns(paths)
        else:
            pairs = zip(paths, arrays, strict=True)
            keys = [self._by_function(self.by, path, array) for path, array in pairs]
        if strays := [path for path, key in zip(paths, keys, strict=True) if key is None]:
            raise ValueError(
                f"partition: no pattern of {list(self.rules)} matches "
                f"{', '.join(map(repr, strays))}; add one, such as '*' for all others"
            )
        return keys

    def group_keys(self, paths: Sequence[str], arrays: Sequence[Any]) -> list[Hashable]:
        keys = self.labels(paths, arrays)
        found = list(keys)
        for key, rule in self.rules.items():
            own = [k for k, label in enumerate(keys) if label == key]
            for k, inner in zip(
                own, rule.group_keys([paths[k] for k in own], [arrays[k] for k in own]), strict=True
            ):
                found[k] = None if inner is None else key
        return found

    def _by_patterns(self, paths: Sequence[str]) -> list[Any]:
        """The first pattern that matches each path, or None."""
        keys: list[Any] = [None] * len(paths)
        sets: dict[str, set[int]] = {}
        for pattern in self.rules:
            found = {
                k for k, is_here in enumerate(matching(pattern, paths, "partition")) if is_here
            }
            own = [k for k in found if keys[k] is None]
            for k in own:
                keys[k] = pattern
            # Where those before match no more than this one, it is for all others, of which there
            # are none.
            wider = (before for before, theirs in sets.items() if theirs > found)
            taken = keys[min(found)] if is_path(pattern, paths) else next(wider, None)
            if not own and taken is not None:
                raise ValueError(
                    f"partition: {pattern!r} gets no array, because {taken!r} before it matches "
                    f"the same: put {pattern!r} first"
                )
            sets[pattern] = found
        return keys

    def _by_function(self, by: Callable[[str, Any], Hashable], path: str, array: Any) -> Any:
        key = by(path, array)
        if not isinstance(key, Hashable) or key not in self.rules:
            raise ValueError(
                f"partition: by({path!r}, array) gave {key!r}, which is none of {list(self.rules)}"
            )
        return key

    def update_for(self, key: Hashable) -> Update:
        return Joined(
            tuple(part._replace(scope=repr(key)) for part in self.rules[key].update_for("").parts)
        )


Partition.__setattr__ = never_changes  # type: ignore[method-assign] # where frozen gives no remedy


def _in_a_chain(piece: Any) -> str:
    """What to type for a piece without a rule."""
    if isinstance(piece, GradientPiece):
        return ": a piece works in a chain, as in gpuopt.chain(piece, gpuopt.Adam())"
    if isinstance(piece, (StepPiece, ParameterPiece)):
        return ": a piece works in a chain, as in gpuopt.chain(gpuopt.Adam(), piece)"
    return ""


def is_partitioned(rule: Bindable) -> bool:
    """Whether arrays are divided among several rules."""
    pieces = rule.pieces if isinstance(rule, Chain) else (rule,)
    return any(isinstance(piece, Partition) for piece in pieces)
