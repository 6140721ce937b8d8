"""Rules made of rules: a chain of pieces around one, and a partition of the arrays among several."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Self, final, overload

from gpuopt.rules.base import Bindable, GradientPiece, ParameterPiece, Part, Piece, Rule, Update
from gpuopt.rules.formula import Formula, Range
from gpuopt.rules.gradient_pieces import LossScale
from gpuopt.rules.hooks import has_hook
from gpuopt.rules.paths import matches

__all__ = ["Chain", "Partition", "chain", "partition"]


class _Composite(Bindable):
    """A rule made of others; the name of each is the prefix of its hyperparameters' names."""

    @property
    def children(self) -> dict[str, Any]:
        """The rules and pieces it is made of, by the prefix of their hyperparameters' names."""
        raise NotImplementedError

    def rebuilt(self, children: list[Any]) -> Self:
        """A copy with other children."""
        raise NotImplementedError

    @property
    def hyperparameters(self) -> dict[str, Any]:
        return {
            f"{name}{field}": value for name, child in self.children.items() for field, value in child.hyperparameters.items()
        }

    def replace(self, values: Mapping[str, Any]) -> Self:
        if unknown := values.keys() - self.hyperparameters.keys():
            known = ", ".join(self.hyperparameters)
            raise TypeError(f"{self!r} has no hyperparameters {', '.join(sorted(unknown))}; it has {known}")

        def changed(name: str, child: Any) -> Any:
            return child.replace({field: values[name + field] for field in child.hyperparameters if name + field in values})

        return self.rebuilt([changed(name, child) for name, child in self.children.items()])


def chain(*pieces: Formula | Bindable) -> Chain:
    """Pieces around a rule, read left to right and run as one kernel.

    Parameters
    ----------
    *pieces : GradientPiece, Rule or Partition, ParameterPiece
        Pieces that change the gradient, one rule, and pieces that change the parameter, in this order. A chain among them
        stands for its pieces.

    Returns
    -------
    Chain
        Use it like a rule: ``chain(...).init(params)``.

    Raises
    ------
    TypeError, ValueError
        If an argument is no piece or stands on the wrong side of the rule, or there is not exactly
        one rule.

    Examples
    --------
    >>> import gpuopt as go
    >>> go.chain(go.clip(1.0), go.GradientDescent(0.1), go.bounds(0.0, 1.0))
    chain(clip(value=1.0), GradientDescent(lr=0.1), bounds(lo=0.0, hi=1.0))
    """
    return Chain(tuple(part for piece in pieces for part in (piece.pieces if isinstance(piece, Chain) else (piece,))))


@final
@dataclasses.dataclass(frozen=True, repr=False)
class Chain(_Composite):
    """Pieces around one rule or partition, made by `chain` and used as a rule is.

    Attributes
    ----------
    pieces : tuple
        In the order in which they act; one of them is the rule or the partition.
    """

    pieces: tuple[Any, ...]

    def __post_init__(self) -> None:
        for piece in self.pieces:
            if not isinstance(piece, (Rule, Partition, GradientPiece, ParameterPiece)):
                hint = f": call it, {piece.__name__}(...)" if isinstance(piece, type) and issubclass(piece, Formula) else ""
                raise TypeError(f"chain: {piece!r} is neither a piece nor a rule{hint}")
        rules = [k for k, piece in enumerate(self.pieces) if isinstance(piece, Bindable)]
        if len(rules) != 1:
            raise ValueError(f"chain needs one rule, such as gpuopt.Adam(), got {len(rules)}: {self!r}")
        for k, piece in enumerate(self.pieces):
            if isinstance(piece, GradientPiece) and k > rules[0]:
                raise ValueError(f"chain: {piece!r} changes the gradient, so it must stand before the rule: {self!r}")
            if isinstance(piece, ParameterPiece) and k < rules[0]:
                raise ValueError(f"chain: {piece!r} changes the parameter, so it must stand after the rule: {self!r}")
        self._check_numbers()

    def _check_numbers(self) -> None:
        """Raise ValueError if a piece keeps numbers but does not see every step of all arrays."""
        divides: Any = None
        for piece in self.pieces:
            if divides is not None and has_hook(piece, "numbers"):
                what = f"chain: {piece!r} keeps numbers of every step of all arrays"
                raise ValueError(f"{what}, so it must stand before {divides!r}")
            if divides is None and (has_hook(piece, "steps") or isinstance(piece, Partition)):
                divides = piece
        if sum(isinstance(piece, LossScale) for piece in self.pieces) > 1:
            raise ValueError(f"chain: the loss has one scale, so there can be one LossScale: {self!r}")
        before = next((piece for piece in self.pieces if not has_hook(piece, "holds")), None)  # freeze may be first
        for piece in self.pieces:
            if isinstance(piece, LossScale) and piece is not before:
                raise ValueError(f"chain: {before!r} would see gradients that are still scaled: put {piece!r} before it")

    def __repr__(self) -> str:
        return f"chain({', '.join(map(repr, self.pieces))})"

    @property
    def structure(self) -> Any:
        """For each piece its class; for one that chooses arrays or steps its fixed values too."""
        return tuple(piece.structure if isinstance(piece, Bindable) else _kind(piece) for piece in self.pieces)

    @property
    def children(self) -> dict[str, Any]:
        parts = _parts([("", piece) for piece in self.pieces])
        return {f"{part.name}." if part.name else "": part.formula for part in parts}

    def rebuilt(self, children: list[Any]) -> Chain:
        return Chain(tuple(children))

    @property
    def outline(self) -> str:
        names = (piece.outline if isinstance(piece, Bindable) else type(piece).__name__ for piece in self.pieces)
        return f"chain({', '.join(names)})"

    def group_keys(self, paths: Sequence[str], arrays: Sequence[Any]) -> list[Hashable]:
        frozen = [piece.holds(paths) for piece in self.pieces if has_hook(piece, "holds")]
        keys = next(piece for piece in self.pieces if isinstance(piece, Bindable)).group_keys(paths, arrays)
        return [None if any(held) else key for key, *held in zip(keys, *frozen, strict=True)]

    def update_for(self, key: Hashable) -> Update:
        found: list[tuple[str, Any]] = []
        for piece in self.pieces:
            inner = piece.update_for(key).parts if isinstance(piece, Bindable) else (Part("", "", piece),)
            found += [(part.scope, part.formula) for part in inner]
        return Joined(_parts(found))


@final
@dataclasses.dataclass(frozen=True)
class Joined:
    """An update of several formulas, one after another."""

    parts: tuple[Part, ...]

    @property
    def ranges(self) -> dict[str, Range]:
        return {part.named(name): found for part in self.parts for name, found in part.formula.ranges.items()}

    @property
    def hyperparameters(self) -> dict[str, Any]:
        return {part.named(name): value for part in self.parts for name, value in part.formula.hyperparameters.items()}

    def hyper(self, step: int) -> dict[str, float]:
        return {part.named(name): value for part in self.parts for name, value in part.formula.hyper(step).items()}


def _kind(piece: Piece) -> Any:
    """The class, with the fixed values of a piece that chooses arrays or steps."""
    fixed = {name: value for name, value in piece.hyperparameters.items() if name not in piece.ranges}
    return (type(piece), *fixed.items()) if has_hook(piece, "holds") or has_hook(piece, "steps") else type(piece)


def _parts(formulas: list[tuple[str, Any]]) -> tuple[Part, ...]:
    """Name each formula: "" for the rule, its class for a piece, numbered from the second on."""
    counts: dict[str, int] = {}
    parts = []
    for scope, formula in formulas:
        kind = name = type(formula).__name__ if isinstance(formula, Piece) else ""
        while name in counts:
            counts[kind] += 1
            name = f"{kind}_{counts[kind]}"
        counts[name] = 1
        parts.append(Part(name, scope, formula))
    return tuple(parts)


@overload
def partition(rules: Mapping[str, Bindable], by: None = None) -> Partition: ...
@overload
def partition(rules: Mapping[Any, Bindable], by: Callable[[str, Any], Hashable]) -> Partition: ...
def partition(rules: Mapping[Any, Bindable], by: Callable[[str, Any], Hashable] | None = None) -> Partition:
    """A rule for each group of arrays; the arrays of a rule share its launch.

    Parameters
    ----------
    rules : dict
        A rule or a chain by pattern. An array belongs to the first pattern that matches its path.
        The path is the keys and indices joined by slashes, as in ``"layers/2/w"``. A pattern is a
        path or the beginning of one; ``*``, ``?`` and ``[...]`` work as in file names.
    by : callable, optional
        ``by(path, array)`` gives the key in `rules` for each array, in place of patterns.

    Returns
    -------
    Partition
        Use it like a rule. Every array must belong to one of `rules`: `init` raises ValueError with
        a list of the others. Pieces with reductions over the tree, such as `clip_global_norm`, see
        the arrays of their own rule; in ``chain(clip_global_norm(1.0), partition(...))`` they see
        all.

    Examples
    --------
    >>> import gpuopt as go, numpy as np
    >>> rule = go.partition({"probe": go.Adam(1e-3), "*": go.Momentum(0.1)})
    >>> opt = rule.init({"probe": np.zeros(3), "object": np.zeros((4, 4))})
    """
    return Partition(dict(rules) if isinstance(rules, Mapping) else rules, by)


@final
@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Partition(_Composite):
    """A rule for each group of arrays, made by `partition` and used as a rule is.

    Attributes
    ----------
    rules : dict
        The rule or chain of each pattern, or of each key that `by` gives.
    by : callable or None
        ``by(path, array)`` gives the key of an array; without it, the keys of `rules` are patterns of paths.
    """

    rules: dict[Any, Any]
    by: Callable[[str, Any], Hashable] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.rules, dict) or not self.rules:
            raise TypeError(f"partition needs a dict of rules, such as {{'*': gpuopt.Adam()}}, got {self.rules!r}")
        for key, rule in self.rules.items():
            if not isinstance(rule, (Rule, Chain)) or is_partitioned(rule):
                raise TypeError(f"partition: {key!r} must have a rule, or a chain around one, got {rule!r}")
            if found := [part.formula for part in rule.update_for("").parts if has_hook(part.formula, "numbers")]:
                raise ValueError(
                    f"partition: {found[0]!r} keeps numbers of all arrays, so it must stand in front: "
                    f"chain({found[0]!r}, partition(...))"
                )
            if key is None:
                raise TypeError("partition: None cannot be a key")
            if self.by is None and not isinstance(key, str):
                raise TypeError(f"partition: a pattern must be a string, got {key!r}; with by=function keys may be anything")
        if self.by is not None and not callable(self.by):
            raise TypeError(f"partition: by must be a function of path and array that gives a key, got {self.by!r}")

    def __repr__(self) -> str:
        by = "" if self.by is None else f", by={self.by!r}"
        return f"partition({self.rules!r}{by})"

    def __eq__(self, other: object) -> bool:
        """Whether rules, patterns and their order are equal."""
        return isinstance(other, Partition) and (list(self.rules.items()), self.by) == (list(other.rules.items()), other.by)

    def __hash__(self) -> int:
        return hash((tuple(self.rules), self.by))

    @property
    def structure(self) -> Any:
        return tuple((key, rule.structure) for key, rule in self.rules.items()), self.by

    @property
    def children(self) -> dict[str, Any]:
        return {f"{key if isinstance(key, str) else f'<{key!r}>'}/": rule for key, rule in self.rules.items()}

    def rebuilt(self, children: list[Any]) -> Partition:
        return Partition(dict(zip(self.rules, children, strict=True)), self.by)

    @property
    def outline(self) -> str:
        return f"partition({', '.join(f'{key!r}: {rule.outline}' for key, rule in self.rules.items())})"

    def group_keys(self, paths: Sequence[str], arrays: Sequence[Any]) -> list[Hashable]:
        keys = [self._key(path, array) for path, array in zip(paths, arrays, strict=True)]
        if strays := [path for path, key in zip(paths, keys, strict=True) if key is None]:
            raise ValueError(
                f"partition: no pattern of {list(self.rules)} matches {', '.join(map(repr, strays))}; "
                "add one, such as '*' for all others"
            )
        found: list[Hashable] = list(keys)
        for key, rule in self.rules.items():
            own = [k for k, label in enumerate(keys) if label == key]
            for k, inner in zip(own, rule.group_keys([paths[k] for k in own], [arrays[k] for k in own]), strict=True):
                found[k] = None if inner is None else key
        return found

    def _key(self, path: str, array: Any) -> Any:
        if self.by is None:
            return next((pattern for pattern in self.rules if matches(pattern, path)), None)
        key = self.by(path, array)
        if not isinstance(key, Hashable) or key not in self.rules:
            raise ValueError(f"partition: by({path!r}, array) gave {key!r}, which is none of {list(self.rules)}")
        return key

    def update_for(self, key: Hashable) -> Update:
        return Joined(tuple(part._replace(scope=repr(key)) for part in self.rules[key].update_for("").parts))


def is_partitioned(rule: Bindable) -> bool:
    """Whether arrays are divided among several rules."""
    pieces = rule.pieces if isinstance(rule, Chain) else (rule,)
    return any(isinstance(piece, Partition) for piece in pieces)


def loss_scale_name(rule: Bindable) -> str | None:
    """The full name of the number that the loss is to be multiplied by; None where it is not."""
    parts = _parts([("", piece) for piece in rule.pieces]) if isinstance(rule, Chain) else ()
    names = (part.named("scale") for part in parts if isinstance(part.formula, LossScale))
    return next(names, None)
