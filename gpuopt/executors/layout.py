"""Where an array's elements lie in memory, and where its state lies: shared by the executors.

An executor works on elements that follow one another. A `ParamView` sees a parameter in the order
of its memory: so C order, Fortran order and any other permutation of axes are one flat array. Its
state is a part of one flat buffer, in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np

from gpuopt.arrays.dynamic8 import coded_bytes, encoded, sections
from gpuopt.tracing.program import UpdateProgram

__all__ = [
    "PADDING",
    "ArrayOrder",
    "Initial",
    "ParamView",
    "cut",
    "even",
    "lines",
    "new_coded",
    "new_state",
    "no_values",
]

Index = tuple[Any, ...]
Initial = Callable[[int, tuple[int, ...]], Mapping[str, Any]]
"""From the position of an array and an order of axes to what its state begins with, by name.

States that begin with one number need not be there. The values have their axes in that order.
"""


def no_values(position: int, axes: tuple[int, ...]) -> Mapping[str, Any]:
    """The initial values of arrays whose states all begin with one number."""
    return {}


class ParamView:
    """A parameter array in the order of its memory.

    Attributes
    ----------
    axes : tuple of int
        The axes by falling stride.
    nd : array
        The parameter with its axes in that order.
    flat : array or None
        The parameter as a flat array, if its elements lie without gaps.
    start, stop : int
        Where its state lies in the buffers.
    """

    __slots__ = ("axes", "flat", "nd", "param", "size", "start", "stop")

    def __init__(self, param: Any) -> None:
        self.param, self.size = param, param.size
        self.axes = tuple(sorted(range(param.ndim), key=lambda axis: -abs(param.strides[axis])))
        self.nd = param.transpose(self.axes)
        self.flat = self.nd.reshape(-1) if self.nd.flags.c_contiguous else None
        self.start = self.stop = 0

    def state(self, buffers: dict[str, Any]) -> dict[str, Any]:
        """Its state by name: its part of each buffer, seen with the parameter's shape."""
        axes = np.argsort(self.axes)
        return {name: self.part(buffer).transpose(axes) for name, buffer in buffers.items()}

    def part(self, buffer: Any) -> Any:
        """Its part of a buffer, with the shape of `nd`."""
        return buffer[self.start : self.stop].reshape(self.nd.shape)


class ArrayOrder:
    """One array of an executor, as its tiles know it: they do not hold the array, which holds them.

    Parameters
    ----------
    position, index : int
        Which array of the executor it is, and of the optimizer.
    shape : tuple of int
    axes : tuple of int
        The order of axes in which the tiles follow one another.

    Attributes
    ----------
    in_order : bool
        Whether that is the order of indices.
    """

    def __init__(
        self, position: int, index: int, shape: tuple[int, ...], axes: tuple[int, ...]
    ) -> None:
        self.position, self.index = position, index
        self._shape, self._axes = shape, axes
        self.in_order = axes == tuple(range(len(axes)))

    def indices(self, offset: int, ramp: Any, out: Any, rest: Any, work: Any) -> tuple[Any, int]:
        """The index in C order of each element of the tile at `offset`, as numbers and what to add.

        `ramp` holds 0, 1, 2 …; the others are scratch, all of the tile's size.
        """
        if self.in_order:
            return ramp, offset
        np.add(ramp, np.uint64(offset), out=rest)  # in the order of memory, taken apart by axes
        out.fill(0)
        for axis in reversed(self._axes):
            length = np.uint64(self._shape[axis])
            np.remainder(rest, length, out=work)
            np.multiply(work, np.uint64(math.prod(self._shape[axis + 1 :])), out=work)
            np.add(out, work, out=out)
            np.floor_divide(rest, length, out=rest)
        return out, 0


def cut(shape: tuple[int, ...], limit: int) -> Iterator[tuple[Index, int]]:
    """Cut an array of `shape` into parts of at most `limit` elements that follow one another.

    Yields the index of each part, in C order, and its elements.
    """
    total = math.prod(shape)
    if total <= limit:
        if total:
            yield (), total
        return
    inner = total // shape[0]
    if inner <= limit:
        rows = limit // inner
        for first in range(0, shape[0], rows):
            last = min(first + rows, shape[0])
            yield (slice(first, last),), (last - first) * inner
        return
    for index in range(shape[0]):
        for rest, count in cut(shape[1:], limit):
            yield (index, *rest), count


PADDING = 32
"""The state of an array that is updated by itself begins at a multiple of this number of elements.

Those are whole cache lines and vectors.
"""


def even(size: int, parts: int) -> int:
    """The elements of each of so many parts of one size; at least one part."""
    each = -(-size // max(1, parts))
    return each if each < PADDING else -(-each // PADDING) * PADDING


def place(views: list[ParamView], packed: Collection[ParamView]) -> int:
    """Give each view its part of the state buffers; return how long these must be.

    Those that are `packed` come first, without gaps, so that they are updated as one array.
    """
    total = 0
    for view in packed:
        view.start, view.stop = total, total + view.size
        total = view.stop
    for view in views:
        if view not in packed:
            view.start = -(-total // PADDING) * PADDING
            view.stop = total = view.start + view.size
    return total


LINE = 64
"""The bytes of a line of the cache."""


def lines(size: int, dtype: np.dtype[Any]) -> Any:
    """Make a flat NumPy array that begins with a line of the cache, as those of NumPy do not.

    Vectors that lie across two lines take longer.
    """
    wanted = size * dtype.itemsize
    room = np.empty(wanted + LINE, np.uint8)
    start = -room.__array_interface__["data"][0] % LINE
    return room[start : start + wanted].view(dtype)


def new_state(
    xp: Any,
    program: UpdateProgram,
    compute: np.dtype[Any],
    views: list[ParamView],
    initial: Initial,
    packed: Collection[ParamView] = (),
) -> dict[str, Any]:
    """Make the flat buffer of each state that is not coded in bytes, with its initial values."""
    total = place(views, packed)
    buffers = {}
    for state in (each for each in program.states if not each.coded):
        value = 0.0 if state.initial is None else state.initial
        dtype = state.dtype(compute)
        if xp is np:
            buffers[state.name] = lines(total, dtype)
            buffers[state.name].fill(value)
        else:
            buffers[state.name] = xp.full(total, value, dtype=dtype)
    if any(state.initial is None for state in program.states):
        for position, view in enumerate(views):
            for name, values in initial(position, view.axes).items():
                if name in buffers:
                    view.part(buffers[name])[...] = values
    return buffers


def new_coded(xp: Any, program: UpdateProgram, size: int) -> dict[str, Any]:
    """Make those states of an array of that size that are coded in bytes, each by itself."""
    found = {}
    for state in (each for each in program.states if each.coded):
        one = encoded(np.full(1, state.initial, np.float32))
        made = (
            lines(coded_bytes(size), one.dtype)
            if xp is np
            else xp.empty(coded_bytes(size), one.dtype)
        )
        codes, tops = sections(made)
        codes[:size], codes[size:], tops[...] = int(one[0]), 0, int(sections(one)[1][0])
        found[state.name] = made
    return found
