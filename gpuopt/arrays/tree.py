"""Trees: arrays in nested lists, tuples and dicts. Reads them, matches two, names the leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["TreeSpec", "leaves"]


class TreeSpec:
    """The structure of a tree, to find the leaves of another tree of the same structure.

    Parameters
    ----------
    tree : array, or lists, tuples and dicts of arrays, nested
    name : str
        The tree's name in messages: the path of a leaf is, for example,
        ``params['layers'][2]['w']``.

    Attributes
    ----------
    paths : list of str
        Each leaf's path without the tree's name, in the order of `leaves`; a field of a named tuple
        is ``.field``.
    names : list of str
        The same with slashes: ``layers/2/w``.
    twice : str or None
        Such a path that two entries have, arrays or containers: ``1`` of the keys 1 and ``"1"``.
    leaves : list of array
        The leaves.
    containers : list
        Every dict, list and tuple of the tree.
    keys : list or None
        The keys of the tree, if it is a dict of leaves alone.
    """

    def __init__(self, tree: Any, name: str) -> None:
        self.paths: list[str] = []
        self.names: list[str] = []
        self.twice: str | None = None
        self._named: dict[str, str] = {}
        self.leaves: list[Any] = []
        self.containers: list[Any] = []
        self._node = self._read(tree, (), "", name, ())
        flat = (
            isinstance(tree, dict) and len(tree) == len(self.leaves) and len(self.containers) == 1
        )
        self.keys = list(tree) if flat else None

    def _read(
        self, tree: Any, keys: tuple[str, ...], path: str, name: str, above: tuple[int, ...]
    ) -> Any:
        if id(tree) in above:
            raise ValueError(f"{name}{path} contains itself")
        named = "/".join(keys)
        if self._named.setdefault(named, path) != path:
            self.twice = named
        if isinstance(tree, (dict, list, tuple)):
            self.containers.append(tree)
            within = *above, id(tree)
            if isinstance(tree, dict):
                return dict, {
                    key: self._read(child, (*keys, str(key)), f"{path}[{key!r}]", name, within)
                    for key, child in tree.items()
                }
            fields = getattr(type(tree), "_fields", range(len(tree)))
            return type(tree), [
                self._read(child, (*keys, str(key)), path + _entry(key), name, within)
                for key, child in zip(fields, tree, strict=True)
            ]
        if isinstance(tree, (set, frozenset)) or hasattr(tree, "__next__"):
            raise TypeError(
                f"{name}{path} is a {type(tree).__name__}, which has no lasting order: "
                f"use a list or a dict, such as list({name}{path})"
            )
        self.paths.append(path)
        self.names.append(named)
        self.leaves.append(tree)
        return None

    def match(self, tree: Any, name: str, none: str = "") -> list[Any]:
        """The leaves of `tree` in the order of this one's.

        Two dicts are matched by key, two named tuples by the names of their fields; any other lists
        and tuples may stand for each other, by position. `none` is what None means as a leaf, for
        messages.

        Raises
        ------
        TypeError, ValueError
            If a container is of another kind, or entries are missing or too many; the message lists
            them.
        """
        found: list[Any] = []
        _match(self._node, tree, "", name, found, none)
        return found

    def build(self, values: list[Any]) -> Any:
        """A tree of this shape with `values` for leaves."""
        return _build(self._node, iter(values))

    def map(self, function: Callable[[Any], Any]) -> Any:
        """A tree of this shape with ``function(leaf)`` for each leaf."""
        return self.build([function(leaf) for leaf in self.leaves])


def _match(node: Any, tree: Any, path: str, name: str, found: list[Any], none: str) -> None:
    if node is None:
        found.append(tree)
        return
    kind, children = node
    if kind is dict:
        if not isinstance(tree, dict):
            raise TypeError(
                f"{name}{path} must be a dict with the keys {list(children)}, got "
                f"{type(tree).__name__}{_wrapped(children, name + path)}"
            )
        if tree.keys() != children.keys():
            raise ValueError(_difference(children, tree, name + path, "[{!r}]".format, none))
        if not any(children.values()):  # leaves alone
            found.extend(map(tree.__getitem__, children))
            return
        for key, child in children.items():
            _match(child, tree[key], f"{path}[{key!r}]", name, found, none)
        return
    if not isinstance(tree, (list, tuple)):
        raise TypeError(
            f"{name}{path} must be a list or tuple of length {len(children)}, got "
            f"{type(tree).__name__}{_wrapped(children, name + path)}"
        )
    fields = getattr(kind, "_fields", None)
    if fields is not None and (given := getattr(type(tree), "_fields", fields)) != fields:
        if set(given) != set(fields):
            wanted = dict(zip(fields, children, strict=True))
            raise ValueError(_difference(wanted, given, name + path, ".{}".format, none))
        tree = [tree[given.index(field)] for field in fields]
    if len(tree) != len(children):
        raise ValueError(f"{name}{path} must have {len(children)} entries, got {len(tree)}")
    if not any(children):
        found.extend(tree)
        return
    for key, child, value in zip(fields or range(len(tree)), children, tree, strict=True):
        _match(child, value, path + _entry(key), name, found, none)


def _entry(key: Any) -> str:
    """How an entry of a list, or a field of a named tuple, is written after the container."""
    return f".{key}" if isinstance(key, str) else f"[{key}]"


def _difference(
    wanted: dict[Any, Any], given: Any, path: str, entry: Callable[[Any], str], none: str
) -> str:
    """The keys that are missing, and those that are not wanted; or what None means for leaves."""
    missing = [key for key in wanted if key not in given]
    extra = [key for key in given if key not in wanted]
    told = "; ".join(
        f"{what}: {', '.join(path + entry(key) for key in keys)}"
        for what, keys in (("missing", missing), ("extra", extra))
        if keys
    )
    said = none and not extra and not any(wanted[key] for key in missing)
    return f"{told}; None there means {none}" if said else told


def _wrapped(children: Any, name: str) -> str:
    """The remedy for an array in place of a tree of one array."""
    if len(children) != 1:
        return ""
    key = f"{next(iter(children))!r}: " if isinstance(children, dict) else ""
    return f": pass {{{key}{name}}}" if key else f": pass [{name}]"


def _build(node: Any, values: Iterator[Any]) -> Any:
    if node is None:
        return next(values)
    kind, children = node
    if kind is dict:
        return {key: _build(child, values) for key, child in children.items()}
    parts = [_build(child, values) for child in children]
    if hasattr(kind, "_fields"):  # a named tuple
        return kind(*parts)
    return tuple(parts) if issubclass(kind, tuple) else parts


def leaves(tree: Any) -> list[Any]:
    """The leaves of a tree, in order."""
    return TreeSpec(tree, "tree").leaves
