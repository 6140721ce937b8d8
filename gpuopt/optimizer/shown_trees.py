"""Trees that an optimizer shows: assign into their arrays; no entry is replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["shown_tree"]


def shown_tree(tree: Any, path: str) -> Any:
    """A copy of the containers of `tree`, which is at `path`, that refuses new entries."""
    if isinstance(tree, dict):
        found = _Dict({key: shown_tree(one, f"{path}[{key!r}]") for key, one in tree.items()})
        found.path = path
        return found
    if isinstance(tree, (list, tuple)):
        entries = [shown_tree(one, f"{path}[{k}]") for k, one in enumerate(tree)]
        if isinstance(tree, tuple):
            return type(tree)(*entries) if hasattr(tree, "_fields") else tuple(entries)
        listed = _List(entries)
        listed.path = path
        return listed
    return tree


class _Dict(dict[Any, Any]):
    """A dict that keeps its entries; a copy of it is a plain dict."""

    path: str

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)

    if not TYPE_CHECKING:

        def __setitem__(self, key, value):
            if key not in self or self[key] is not value:  # it is the same after `+=`
                raise TypeError(_replaced(f"{self.path}[{key!r}]", self.get(key)))

        def update(self, *others, **entries):
            raise TypeError(_replaced(self.path, self))

        __ior__ = update


class _List(list[Any]):
    """A list that keeps its entries; a copy of it is a plain list."""

    path: str

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)

    if not TYPE_CHECKING:

        def __setitem__(self, index, value):
            if self[index] is not value:
                raise TypeError(_replaced(f"{self.path}[{index!r}]", self[index]))


def _replaced(path: str, entry: Any) -> str:
    """What to type in place of an assignment to an entry."""
    refused = f"{path} cannot be replaced, because no step would read the new value"
    if path.startswith("opt.counts"):
        return f"{refused}; change a copy of opt.state_dict(), and write opt.load_state_dict(copy)"
    if entry is None:
        return f"{refused}; there is no such array"
    while isinstance(entry, (dict, list, tuple)) and entry:
        key = next(iter(entry)) if isinstance(entry, dict) else 0
        path, entry = f"{path}[{key!r}]", entry[key]
    return f"{refused}; write {path}[...] = value"
