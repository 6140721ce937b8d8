"""Which Numba loop runs on a tile, and where the arrays lie that it takes: found, and compiled,
once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gpuopt.arrays.dtypes import state_dtype
from gpuopt.arrays.random import GOLDEN, ROUNDING
from gpuopt.codegen.numba_header import HEAD, Stored
from gpuopt.codegen.order import LANES, REDUCTION_CHUNK, chunks
from gpuopt.codegen.tile import Whole, wholes
from gpuopt.executors.cpu.numba_compile import fold_code, loop_code, widens
from gpuopt.executors.cpu.packs import PackTile
from gpuopt.executors.cpu.runs import Runs, lay_out
from gpuopt.executors.cpu.work import ArrayTile
from gpuopt.executors.fold import Folds
from gpuopt.tracing.operands import GRAD, PARAM, state
from gpuopt.tracing.program import Kernel

__all__ = ["DRAWN", "Given", "Layout", "Loops", "address", "divided", "table"]

DRAWN = GOLDEN - 2**64
"""By how much a place in a sequence of random numbers advances with an element."""
ALIGNED = 1_024
"""What a run is divided by: portions begin as the run does, beside lines of the cache."""


def address(x: Any) -> int:
    """Where an array begins."""
    found: int = x.__array_interface__["data"][0]
    return found


class Given:
    """An array that a loop takes.

    Attributes
    ----------
    whole : Whole
    dtype : dtype
        What it takes it in.
    start : int or None
        Where the array begins, or 0 for the gradient itself; None if it is copied into scratch.
    offsets : array
        How many bytes later each run begins.
    width : int
        How many bytes further the next element lies. Where it is `DRAWN`, these are random numbers,
        and places in their sequence stand for addresses.
    """

    __slots__ = ("dtype", "offsets", "start", "whole", "width")

    def __init__(
        self,
        whole: Whole,
        dtype: np.dtype[Any],
        start: int | None,
        offsets: Any,
        width: int | None = None,
    ) -> None:
        self.whole, self.dtype, self.start = whole, dtype, start
        self.offsets, self.width = offsets, dtype.itemsize if width is None else width


class Layout(NamedTuple):
    """A loop, and what it takes with a tile.

    Attributes
    ----------
    function : callable
        The loop.
    arrays : list of Given
    lengths : array
        The elements of each run.
    rows : list of array
        The addresses that come after those of the arrays.
    numbers : int or array
        Which array of the optimizer it is for; or each run.
    """

    function: Callable[[Any, int, int], None]
    arrays: list[Given]
    lengths: Any
    rows: list[Any]
    numbers: Any = 0


class Loops:
    """The loops of a kernel.

    Parameters
    ----------
    kernel : Kernel
    compute, dtype : dtype
        What they compute in, and that of the parameters.
    folds : Folds
        What a reduction folds into.

    Attributes
    ----------
    dtype : dtype
        What parameters are taken in.
    reads_random : bool
        Whether random numbers are read as arrays. Those that are all there to round by are sooner
        drawn in the loop; others, of which it makes much, are sooner read.
    """

    def __init__(
        self, kernel: Kernel, compute: np.dtype[Any], dtype: np.dtype[Any], folds: Folds
    ) -> None:
        self._kernel, self._compute, self._folds = kernel, compute, folds
        self.dtype = dtype if widens(dtype) else compute
        streams = [stream for _, stream in kernel.random.values()]
        self.reads_random = any(stream < ROUNDING for stream in streams)
        arrays = wholes(kernel, results=False)
        self._code(arrays, self._dtypes(arrays, self.dtype), bool(kernel.reductions))

    def _dtypes(self, arrays: Sequence[Whole], gradient: np.dtype[Any]) -> list[np.dtype[Any]]:
        """What each array is taken in, if gradients come in that dtype."""
        own = gradient if gradient == self.dtype else self._compute
        of = {state(each.name): each.dtype(self._compute) for each in self._kernel.states}
        of |= {PARAM: self.dtype, GRAD: own}
        return [of.get(w.array) or state_dtype(self._compute, w.complex) for w in arrays]

    def _code(
        self,
        arrays: Sequence[Whole],
        dtypes: Sequence[np.dtype[Any]],
        folds: bool,
        steps: Sequence[int] = (),
        draws: bool = True,
    ) -> Any:
        """The loop for arrays of these dtypes that advance by these steps, or by 1; it `draws`
        random bits, or reads random numbers.
        """
        drawn = self._kernel.random if draws and not self.reads_random else ()
        kinds = [dtype.name if dtype.itemsize == 2 else "" for dtype in dtypes]
        kinds = ["drawn" if w.array in drawn else k for w, k in zip(arrays, kinds, strict=True)]
        each = zip(arrays, kinds, steps or [1] * len(arrays), strict=True)
        stored = [Stored(whole.array, kind, step) for whole, kind, step in each]
        unusual = tuple(one for one in stored if one.kind or one.step > 1)
        code = fold_code if folds else loop_code
        return code(self._kernel, self._compute, unusual)

    def of_array(self, tile: ArrayTile, g: Any, folds: bool) -> Layout:
        """The loop for an array, with a gradient that lies as `g` does."""
        arrays = wholes(self._kernel, results=not folds)
        dtypes = self._dtypes(arrays, g.dtype)
        found = [tile.flat(whole.array, g) for whole in arrays]
        for number, (x, dtype) in enumerate(zip(found, dtypes, strict=True)):
            if x is not None and not (x.dtype == dtype and x.flags.aligned):
                found[number] = None
        runs = lay_out(tile.shape, found, [dtype.itemsize for dtype in dtypes], folds)
        draws = tile.array.in_order and not self.reads_random
        function = self._code(arrays, dtypes, folds, runs.steps, draws)
        lengths, offsets, rows = np.array([runs.length]), runs.offsets, []
        if folds:
            lengths, offsets = _chunks(tile.size, runs, dtypes)
            first, position = tile.offset // REDUCTION_CHUNK, tile.array.position
            rows = [
                _rows(self._folds.rows(number, position)[first:], np.arange(len(lengths)))
                for number in range(len(self._folds.ops))
            ]
        starts = [
            None if not taken else 0 if whole.array == GRAD else address(x)
            for whole, x, taken in zip(arrays, found, runs.taken, strict=True)
        ]
        widths = [step * dtype.itemsize for step, dtype in zip(runs.steps, dtypes, strict=True)]
        given = list(map(Given, arrays, dtypes, starts, offsets, widths))
        for each in given if draws else ():
            if each.whole.array in self._kernel.random:
                elements = tile.offset + each.offsets // each.width
                each.start, each.offsets, each.width = 0, elements * DRAWN, DRAWN
        return Layout(function, given, lengths, rows, tile.array.index)

    def of_pack(self, tile: PackTile, gradient: np.dtype[Any], folds: bool) -> Layout:
        """The loop for packed arrays, with gradients that are gathered in that dtype."""
        arrays = wholes(self._kernel, results=not folds)
        dtypes, given = self._dtypes(arrays, gradient), []
        lengths = np.array(tile.sizes, np.int64)
        before = np.cumsum(lengths) - lengths
        for whole, dtype in zip(arrays, dtypes, strict=True):
            x, offsets = tile.flat(whole.array, None), before * dtype.itemsize
            start = None if x is None else address(x)
            if whole.array == PARAM and all(
                p.dtype == dtype and p.flags.aligned for p in tile.arrays[PARAM]
            ):
                start, offsets = 0, np.array(list(map(address, tile.arrays[PARAM])), np.int64)
            width = None
            if whole.array in self._kernel.random and not self.reads_random:
                start, offsets, width = 0, 0 * before, DRAWN  # each from its first number on
            given.append(Given(whole, dtype, start, offsets, width))
        function = self._code(arrays, dtypes, folds)
        rows = [_rows(last, tile.positions) for last in self._folds.last] if folds else []
        return Layout(function, given, lengths, rows, np.array(tile.indices, np.uint64))


def _chunks(size: int, runs: Runs, dtypes: Sequence[np.dtype[Any]]) -> tuple[Any, list[Any]]:
    """The lengths of the chunks of one run, and where each array has them."""
    first = np.arange(chunks(size), dtype=np.int64) * REDUCTION_CHUNK
    lengths = np.minimum(size - first, REDUCTION_CHUNK)
    widths = [step * dtype.itemsize for step, dtype in zip(runs.steps, dtypes, strict=True)]
    return lengths, [first * width for width in widths]


def _rows(rows: Any, which: Any) -> Any:
    """The addresses of some rows of lanes."""
    return address(rows) + np.array(which, np.int64) * (LANES * rows.itemsize)


def table(scalars: Any, runs: Any) -> Any:
    """The numbers that a loop reads."""
    head = [len(runs), address(scalars), 0, 0]
    assert len(head) == HEAD
    return np.concatenate([head, runs.reshape(-1)]).astype(np.int64)


def divided(runs: Any, widths: Sequence[int], size: int) -> list[Any]:
    """Runs in portions of some `size` elements; `widths` has how many bytes each column advances by
    with an element.

    A single run is divided, at multiples of `ALIGNED` elements; others stay whole.
    """
    if len(runs) > 1:
        before = np.cumsum(runs[:, 0]) - runs[:, 0]
        ends = np.searchsorted(before, range(size, int(before[-1]) + 1, size))
        return np.split(runs, np.unique(ends))
    size, (length, *starts) = -(-size // ALIGNED) * ALIGNED, runs[0].tolist()
    first = np.arange(0, max(length, 1), size)
    columns = [start + first * width for start, width in zip(starts, widths, strict=True)]
    return list(np.stack([np.minimum(length - first, size), *columns], axis=1)[:, None])
