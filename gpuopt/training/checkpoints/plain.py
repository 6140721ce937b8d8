"""Trees of plain values as JSON, beside which their arrays lie by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from gpuopt.arrays.backend import is_array, is_cupy
from gpuopt.arrays.dtypes import named

__all__ = ["parsed", "plain"]

_LONGEST = 80  # characters of a key in the name of an array


class plain:  # noqa: N801 # read as a function: plain(tree).document
    """A tree of plain values and arrays, written as JSON has it.

    Attributes
    ----------
    document
        The tree, of what JSON knows. An array is ``{"array": name}``.
    arrays : dict
        The arrays of NumPy, by their names: the keys on the way to them, with slashes. One of
        bfloat16 is there as its bits, uint16.
    bfloat16 : set
        The names of such.

    Raises
    ------
    TypeError
        If there is anything else in the tree; the message says where.
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
            f"{_shown(keys)} is a {type(value).__name__}, and a checkpoint keeps numbers, texts, "
            f"None, arrays, lists, tuples and dicts of them{_remedy(value)}"
        )

    def _array(self, value: Any, keys: tuple[Any, ...]) -> dict[str, Any]:
        host = value.get() if is_cupy(value) else np.asarray(value)
        node: dict[str, Any] = {"scalar" if isinstance(value, np.generic) else "array": ""}
        if host.dtype.name == "bfloat16":  # which NumPy's format does not know
            host, node["as"] = host.view(np.uint16), "bfloat16"
        if isinstance(value, np.ma.MaskedArray):
            raise TypeError(f"{_shown(keys)} is a masked array: keep its .data and its .mask apart")
        if host.dtype.hasobject or np.dtype(host.dtype.str) != host.dtype:
            raise TypeError(
                f"{_shown(keys)} is an array of {host.dtype}, and a checkpoint keeps arrays of "
                "numbers and of texts"
            )
        node[next(iter(node))] = name = self._name(keys)
        self.arrays[name] = host
        if "as" in node:
            self.bfloat16.add(name)
        return node

    def _name(self, keys: tuple[Any, ...]) -> str:
        """A name that is no other's, of which any system could make a file."""
        parts = [re.sub(r"[^\w+-]", "_", str(key), flags=re.ASCII)[:_LONGEST] for key in keys]
        name = wanted = "/".join(parts)
        while name.lower() in self._lower:
            name = f"{wanted}+{len(self._lower)}"
        self._lower.add(name.lower())
        return name


def parsed(document: Any, arrays: Mapping[str, Any]) -> Any:
    """The tree of a `plain` document.

    A bfloat16 is a float32, which has all of its numbers, where ml_dtypes is not installed.
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


def _bfloat16(bits: Any) -> Any:
    try:
        return bits.view(named("bfloat16"))
    except ModuleNotFoundError:
        return (bits.astype(np.uint32) << 16).view(np.float32)


def _shown(keys: tuple[Any, ...]) -> str:
    return str(keys[0]) + "".join(f"[{key!r}]" for key in keys[1:])


def _remedy(value: Any) -> str:
    if isinstance(value, np.random.Generator):
        return ": keep its .bit_generator.state"
    return ": make it a list" if isinstance(value, (set, frozenset)) else ""
