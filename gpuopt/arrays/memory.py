"""The memory of arrays, and the arrays that share it."""

from __future__ import annotations

import bisect
import functools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from gpuopt.arrays.backend import is_cupy
from gpuopt.arrays.lattices import Lattices

__all__ = ["Memory", "address", "bounds", "overlaps_itself", "share"]

MANY = 8
"""Up to this number, arrays are compared one by one; of more, those that interleave are told apart
first.
"""


class Memory:
    """The memory of named arrays, to find others that share it.

    Attributes
    ----------
    owners : set of int
        The ids of the objects to which the arrays' memory belongs. A NumPy array that owns its
        memory (``flags.owndata``) and is none of them shares no memory with the arrays.
    foreign : bool
        Whether some memory belongs to something other than NumPy arrays. Then that does not hold.
    """

    def __init__(self, arrays: list[Any], names: list[str]) -> None:
        entries = sorted((*bounds(a), i) for i, a in enumerate(arrays) if a.size)
        self._arrays, self._names, self._entries = arrays, names, entries
        self._lows = [low for low, _, _ in entries]
        self._begins = np.array(self._lows, np.int64)
        self._reached = np.maximum.accumulate([0, *(high for _, high, _ in entries)])
        self._longest = max((high - low for low, high, _ in entries), default=0)
        owners = [_owner(a) for a in arrays]
        self.owners, self.foreign = {id(owner) for owner in owners}, not all(map(_owns, owners))

    def check_distinct(self) -> None:
        """Raise ValueError if two of the arrays share memory."""
        for i, (low, high, a) in enumerate(self._entries):
            for other_low, b in self._within(self._arrays[a], i + 1, low, high):
                if share(self._arrays[a], self._arrays[b]):
                    first, second = self._names[min(a, b)], self._names[max(a, b)]
                    same = self._arrays[a].shape == self._arrays[b].shape and other_low == low
                    raise ValueError(
                        f"{second} {'is' if same else 'overlaps'} the same memory as {first}: pass "
                        "every array once"
                    )

    def _within(self, array: Any, first: int, low: int, high: int) -> Iterator[tuple[int, int]]:
        """The arrays, from the entry `first` on, that may have an element in common with another
        one, from `low` to `high`: where each begins, and its index.
        """
        last = bisect.bisect_left(self._lows, high, first)
        possible: Iterable[int] = range(first, last)
        if last - first > MANY:
            apart = self._lattices.apart_from(array, low, slice(first, last))
            possible = (first + np.flatnonzero(~apart)).tolist()
        for k in possible:
            begin, end, index = self._entries[k]
            if end > low:
                yield begin, index

    @functools.cached_property
    def _lattices(self) -> Lattices:
        return Lattices([(low, self._arrays[index]) for low, _, index in self._entries])

    def clear_of(self, lows: np.ndarray[Any, Any], highs: np.ndarray[Any, Any]) -> bool:
        """Whether no array overlaps one of the ranges from `lows` to `highs`; vectorized."""
        before = self._begins.searchsorted(highs)  # how many begin before it ends
        return bool((self._reached[before] <= lows).all())

    def suspects(self, g: Any) -> bool:
        """Whether `g` might share memory with one of the arrays; a cheap test that rules most
        gradients out.
        """
        owner = _owner(g)
        return self.foreign or id(owner) in self.owners or not _owns(owner)

    def sharing(self, g: Any) -> list[int]:
        """The arrays that share memory with `g`, by index."""
        if not g.size:
            return []
        low, high = bounds(g)
        first = bisect.bisect_left(self._lows, low - self._longest)
        near = self._within(g, first, low, high)
        return [index for _, index in near if share(self._arrays[index], g)]


def address(array: Any) -> int:
    """Where the first element of an array lies."""
    return int(array.data.ptr if is_cupy(array) else array.__array_interface__["data"][0])


def bounds(array: Any) -> tuple[int, int]:
    """The first address of an array's memory, and the one after the last."""
    low = address(array)
    high = low + array.itemsize
    for stride, length in zip(array.strides, array.shape, strict=True):
        if stride < 0:
            low += stride * (length - 1)
        else:
            high += stride * (length - 1)
    return low, high


def _owner(array: Any) -> Any:
    """The object that an array's memory belongs to."""
    return array if array.base is None else array.base


def _owns(owner: Any) -> bool:
    """Whether memory that belongs to `owner` can be reached through NumPy's views of it alone.

    An array that was laid on an address, as Numba's ``carray`` does it, has no base and owns
    nothing.
    """
    return bool(type(owner) is np.ndarray and owner.flags.owndata)


def share(a: Any, b: Any) -> bool:
    """Whether two arrays have an element in common; True if that is too hard to tell."""
    one, other = (np.asarray(_Addresses(x)) if is_cupy(x) else x for x in (a, b))
    try:
        return np.shares_memory(one, other, max_work=100_000)  # type: ignore[arg-type]
    except (np.exceptions.TooHardError, TypeError):
        return np.may_share_memory(one, other)


class _Addresses:
    """Where the elements of a CuPy array lie, as NumPy asks for it. NumPy compares the addresses,
    and reads nothing there.

    CuPy's own ``shares_memory`` either launches kernels and waits for them, or compares the bounds
    alone.
    """

    def __init__(self, array: Any) -> None:
        self.__array_interface__ = {
            "version": 3,
            "typestr": f"|V{array.itemsize}",
            "data": (array.data.ptr, False),
            "shape": array.shape,
            "strides": array.strides,
        }


def overlaps_itself(array: Any) -> bool:
    """Whether two elements may share memory: a stride is within the reach of smaller ones."""
    reach = array.itemsize
    for stride, length in sorted(
        (abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1
    ):
        if stride < reach:
            return bool(array.size)
        reach += stride * (length - 1)
    return False
