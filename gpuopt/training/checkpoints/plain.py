"""Trees of plain values as JSON, with their arrays apart, by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from gpuopt.arrays.backend import is_array, is_cupy
from gpuopt.arrays.dtypes import named
from gpuopt.arrays.tree import TreeSpec

__all__ = ["as_read", "on_device", "parsed", "plain"]

_LONGEST = 80  # characters of a key in the name of an array


class plain:  # noqa: N801 # read as a function: plain(tree).document
    """A tree of plain values and arrays in the form of JSON.

    Attributes
    ----------
    document
        The tree, made of JSON's types. An array is ``{"array": name}``.
    arrays : dict
        The arrays of NumPy by name: the keys on the way to them, with slashes. A bfloat16 array is
        stored as its bits, uint16.
    bfloat16 : set
        The names of the bfloat16 arrays.

    Raises
    ------
    TypeError
        If the tree holds anything else; the message says where.
    """

    def __init__(self, tree: Any) -> None:
        self.arrays: dict[str, Any] = {}
        self.bfloat16: set[str] = set()
        self._seen: dict[int, tuple[Any, dict[str, Any]]] = {}
        self._lower: set[str] = set()
        self.document = self._node(tree, ())

    def _node(self, value: Any, keys: tuple[Any, ...]) -> Any:
        if value is None or type(value) in (bool, int, float, str):
            return value
        if is_array(value) or isinstance(value, np.generic):
            if id(value) not in self._seen:
                self._seen[id(value)] = value, self._array(value, keys)
            return self._seen[id(value)][1]
        if isinstance(value, dict):
            pairs = value.items()
            return {
                "dict": [[self._node(k, (*keys, k)), self._node(v, (*keys, k))] for k, v in pairs]
            }
        if isinstance(value, (list, tuple)):
            entries = [self._node(each, (*keys, index)) for index, each in enumerate(value)]
            return {"tuple": entries} if isinstance(value, tuple) else entries
        if isinstance(value, complex):
            return {"complex": [value.real, value.imag]}
        for kind in (bool, int, float, str):  # of a class of its own
            if isinstance(value, kind):
                return kind(value)
        raise TypeError(
            f"{_shown(keys)} is a {type(value).__name__}, and a checkpoint holds numbers, texts, "
            f"None, arrays, lists, tuples and dicts of them{_remedy(value)}"
        )

    def _array(self, value: Any, keys: tuple[Any, ...]) -> dict[str, Any]:
        host = value.get() if is_cupy(value) else np.asarray(value)
        node: dict[str, Any] = {"scalar" if isinstance(value, np.generic) else "array": ""}
        if host.dtype.name == "bfloat16":  # which NumPy's format does not know
            host, node["as"] = host.view(np.uint16), "bfloat16"
        if isinstance(value, np.ma.MaskedArray):
            raise TypeError(f"{_shown(keys)} is a masked array: save its .data and its .mask")
        if host.dtype.hasobject or np.dtype(host.dtype.str) != host.dtype:
            raise TypeError(
                f"{_shown(keys)} is an array of {host.dtype}, and a checkpoint holds arrays of "
                "numbers and of texts"
            )
        node[next(iter(node))] = name = self._name(keys)
        self.arrays[name] = host
        if "as" in node:
            self.bfloat16.add(name)
        return node

    def _name(self, keys: tuple[Any, ...]) -> str:
        """A unique name that any system accepts as the name of a file."""
        parts = [re.sub(r"[^\w+-]", "_", str(key), flags=re.ASCII)[:_LONGEST] for key in keys]
        name = wanted = "/".join(parts)
        while name.lower() in self._lower:
            name = f"{wanted}+{len(self._lower)}"
        self._lower.add(name.lower())
        return name


def parsed(document: Any, arrays: Mapping[str, Any]) -> Any:
    """The tree of a `plain` document.

    Without ml_dtypes, a bfloat16 array becomes float32, which holds the same numbers.
    """
    if isinstance(document, list):
        return [parsed(each, arrays) for each in document]
    if not isinstance(document, dict):
        return document
    kind, content = next(iter(document.items()))
    if kind == "dict":
        return {parsed(key, arrays): parsed(value, arrays) for key, value in content}
    if kind == "tuple":
        return tuple(parsed(each, arrays) for each in content)
    if kind == "complex":
        return complex(*content)
    array = arrays[content]
    if "as" in document:
        array = _bfloat16(array)
    return array[()] if kind == "scalar" else array


def as_read(tree: Any) -> Any:
    """A tree as it is read from a file, if it can be kept in one."""
    content = plain(tree)
    return parsed(content.document, content.arrays)


def on_device(tree: Any, xp: Any) -> Any:
    """The tree with arrays of `xp`; an array that appears twice stays one array."""
    seen: dict[int, Any] = {}

    def there(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray):
            return leaf
        return seen[id(leaf)] if id(leaf) in seen else seen.setdefault(id(leaf), xp.asarray(leaf))

    return TreeSpec(tree, "checkpoint").map(there)


def _bfloat16(bits: Any) -> Any:
    try:
        return bits.view(named("bfloat16"))
    except ModuleNotFoundError:
        return (bits.astype(np.uint32) << 16).view(np.float32)


def _shown(keys: tuple[Any, ...]) -> str:
    return str(keys[0]) + "".join(f"[{key!r}]" for key in keys[1:])


def _remedy(value: Any) -> str:
    if isinstance(value, np.random.Generator):
        return ": save its .bit_generator.state"
    return ": make it a list" if isinstance(value, (set, frozenset)) else ""
