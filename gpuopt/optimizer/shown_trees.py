"""Trees that an optimizer shows: assign into their arrays; no entry is replaced."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["shown_tree"]


_CONTAINERS = (dict, list, tuple)


def shown_tree(tree: Any, path: str) -> Any:
    """A copy of the containers of `tree`, which is at `path`, that refuses new entries.

    Those that refuse them already stay as they are.
    """
    if not isinstance(tree, _CONTAINERS) or isinstance(tree, (_Dict, _List)):
        return tree
    if isinstance(tree, dict):
        found: Any = _Dict({key: _inside(one, path, key) for key, one in tree.items()})
    else:
        entries = [_inside(one, path, place) for place, one in enumerate(tree)]
        if isinstance(tree, tuple):
            return type(tree)(*entries) if hasattr(tree, "_fields") else tuple(entries)
        found = _List(entries)
    found.path = path
    return found


def _inside(entry: Any, path: str, key: Any) -> Any:
    """The entry of a tree at `path`; few are containers, and only those need a path."""
    return shown_tree(entry, f"{path}[{key!r}]") if isinstance(entry, _CONTAINERS) else entry


class _Dict(dict[Any, Any]):
    """A dict that keeps its entries; a copy of it is a plain dict."""

    path: str


class _List(list[Any]):
    """A list that keeps its entries; a copy of it is a plain list."""

    path: str


def _assign(self: Any, key: Any, value: Any) -> None:
    """Allow what ``tree[key] += 1`` ends with, after the array has changed in place."""
    held = self.get(key) if isinstance(self, dict) else self[key]
    if held is None or held is not value:
        raise TypeError(_replaced(f"{self.path}[{key!r}]", held))


def _refuse(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
    raise TypeError(_replaced(self.path, self))


def _reduce(self: Any) -> tuple[Any, ...]:
    kind = dict if isinstance(self, dict) else list
    return kind, (kind(self),)


_CHANGES: dict[Any, str] = {
    _Dict: "__delitem__ __ior__ clear pop popitem setdefault update",
    _List: "__delitem__ __iadd__ __imul__ append clear extend insert pop remove reverse sort",
}
for _kind, _names in _CHANGES.items():
    _kind.__setitem__, _kind.__reduce__ = _assign, _reduce
    for _name in _names.split():
        setattr(_kind, _name, _refuse)


def _replaced(path: str, entry: Any) -> str:
    """What to type in place of an assignment to an entry."""
    refused = f"{path} cannot be replaced, because no step would read the new value"
    if path.startswith("opt.counts"):
        return f"{refused}; change a copy of opt.state_dict(), and write opt.load_state_dict(copy)"
    while isinstance(entry, _CONTAINERS) and entry:
        key = next(iter(entry)) if isinstance(entry, dict) else 0
        path, entry = f"{path}[{key!r}]", entry[key]
    if entry is None or isinstance(entry, _CONTAINERS):
        return f"{refused}; there is no such array"
    return f"{refused}; write {path}[...] = value"
