"""The Numba executor: a kernel as one compiled loop, run over arrays as they are stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpuopt.arrays.dtypes import state_dtype
from gpuopt.codegen.numba_header import Stored
from gpuopt.codegen.order import LANES, REDUCTION_CHUNK, chunks
from gpuopt.codegen.tile import Whole, wholes
from gpuopt.executors.cpu.kernel import Bound, CompiledKernel
from gpuopt.executors.cpu.numba_calls import Call, Given, address, words
from gpuopt.executors.cpu.numba_compile import fill_code, fold_code, loop_code, widens
from gpuopt.executors.cpu.packs import PackTile
from gpuopt.executors.cpu.runs import Runs, lay_out
from gpuopt.executors.cpu.scratch import Scratch
from gpuopt.executors.cpu.tiles import TileExecutor
from gpuopt.executors.cpu.work import ArrayTile, Tile
from gpuopt.tracing.operands import GRAD, PARAM
from gpuopt.tracing.program import Kernel

__all__ = ["NumbaExecutor"]


class NumbaKernel(CompiledKernel):
    """A loop that reads and writes each element once; a stage's folds what it maps.

    Parameters
    ----------
    kernel, compute, scratch, sizes
        As for `CompiledKernel`.
    dtype : dtype
        Of the parameters.
    """

    def __init__(
        self,
        kernel: Kernel,
        compute: np.dtype[Any],
        scratch: Scratch,
        sizes: Sequence[int],
        dtype: np.dtype[Any],
    ) -> None:
        super().__init__(kernel, compute, scratch, sizes)
        self._dtype = dtype if widens(dtype) else compute
        self._is_wide = self._dtype.itemsize > 2
        if kernel.random:
            fill_code(compute)  # compiled before the first step
        arrays = wholes(kernel, results=False)
        dtypes = self._dtypes(arrays, self._dtype)
        self._code(fold_code if kernel.reductions else loop_code, arrays, dtypes)

    def _dtypes(self, arrays: Sequence[Whole], gradient: np.dtype[Any]) -> list[np.dtype[Any]]:
        """What each array is taken in, if gradients come in that dtype."""
        own = gradient if gradient == self._dtype else self.compute
        of = {PARAM: self._dtype, GRAD: own}
        return [of.get(w.array) or state_dtype(self.compute, w.complex) for w in arrays]

    def _code(
        self,
        compiled: Callable[..., Any],
        arrays: Sequence[Whole],
        dtypes: Sequence[np.dtype[Any]],
        steps: Sequence[int] = (),
    ) -> Any:
        """The loop for arrays of these dtypes that go on by these steps, or by 1."""
        kinds = [dtype.name if dtype.itemsize == 2 else "" for dtype in dtypes]
        each = zip(arrays, kinds, steps or [1] * len(arrays), strict=True)
        stored = [Stored(whole.array, kind, step) for whole, kind, step in each]
        unusual = tuple(one for one in stored if one.kind or one.step > 1)
        return compiled(self.kernel, self.compute, unusual)

    def bind(self, tile: Tile, g: Any) -> Bound:
        direct = tile.calls.get(self)
        if direct is not None and g.ndim == 1 and g.dtype == self._dtype and g.flags.carray:
            function, table = direct
            return function, g if self._is_wide else words(g), table
        call = self._call(tile, g, folds=False)
        if call.direct is None:
            return Call.run, call, (tile, g)
        tile.calls[self] = call.function, call.direct
        return call.function, words(g), call.direct

    def bind_rows(self, tile: PackTile, g: Any, rows: Any) -> Bound:
        return self._call(tile, g, folds=False, rows=True).run_rows, (tile, g), rows

    def _call(self, tile: Tile, g: Any, folds: bool, rows: bool = False) -> Call:
        """How a loop is called with such a gradient; it is found, and compiled, once."""
        calls: dict[Any, Call] = tile.calls
        if type(tile) is PackTile:
            stored = self._is_wide or all(x.dtype == self._dtype for x in g)
            dtype = self._dtype if stored else self.compute
            key: Any = self, folds, rows, dtype
            if key not in calls:
                calls[key] = self._of_pack(tile, dtype, folds)
            return calls[key]
        assert isinstance(tile, ArrayTile)
        flat = g.ndim == 1 and g.dtype == self._dtype and g.flags.carray
        key = self, folds, None if flat else (g.strides, g.dtype, g.flags.aligned)
        if key not in calls:
            calls[key] = self._of_array(tile, g, flat, folds)
        return calls[key]

    def _of_array(self, tile: ArrayTile, g: Any, flat: bool, folds: bool) -> Call:
        arrays = wholes(self.kernel, results=not folds)
        dtypes = self._dtypes(arrays, g.dtype)
        found = [tile.flat(whole.array, g) for whole in arrays]
        for number, (x, dtype) in enumerate(zip(found, dtypes, strict=True)):
            if x is not None and not (x.dtype == dtype and x.flags.aligned):
                found[number] = None
        runs = lay_out(tile.shape, found, [dtype.itemsize for dtype in dtypes], folds)
        function = self._code(fold_code if folds else loop_code, arrays, dtypes, runs.steps)
        lengths, offsets, rows = np.array([runs.length]), runs.offsets, []
        if folds:
            lengths, offsets = _chunks(tile.size, runs, dtypes)
            first, position = tile.offset // REDUCTION_CHUNK, tile.array.position
            rows = [
                _rows(self.folds.rows(number, position)[first:], np.arange(len(lengths)))
                for number in range(len(self.folds.ops))
            ]
        starts = [
            None if not taken else 0 if whole.array == GRAD else address(x)
            for whole, x, taken in zip(arrays, found, runs.taken, strict=True)
        ]
        given = list(map(Given, arrays, dtypes, starts, offsets))
        return Call(self, function, tile.size, given, flat, lengths, rows)

    def _of_pack(self, tile: PackTile, gradient: np.dtype[Any], folds: bool) -> Call:
        arrays = wholes(self.kernel, results=not folds)
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
            given.append(Given(whole, dtype, start, offsets))
        function = self._code(fold_code if folds else loop_code, arrays, dtypes)
        rows = [_rows(last, tile.positions) for last in self.folds.last] if folds else []
        return Call(self, function, tile.size, given, False, lengths, rows)

    def mapped(self, tile: Tile, g: Any, thread: int) -> list[Any]:
        return self._call(tile, g, folds=False).run((tile, g), thread)

    def fold_tile(self, tile: ArrayTile, g: Any, thread: int) -> None:
        self._call(tile, g, folds=True).run((tile, g), thread)

    def fold_pack(self, tile: PackTile, g: Any, thread: int) -> None:
        self._call(tile, g, folds=True).run((tile, g), thread)

    def fill(self, values: Any, start: int, index: Any, room: list[Any]) -> None:
        fill_code(values.dtype)(values, np.uint64(start), index)


def _chunks(size: int, runs: Runs, dtypes: Sequence[np.dtype[Any]]) -> tuple[Any, list[Any]]:
    """The lengths of the chunks of one run, and where each array has them."""
    first = np.arange(chunks(size), dtype=np.int64) * REDUCTION_CHUNK
    lengths = np.minimum(size - first, REDUCTION_CHUNK)
    widths = [step * dtype.itemsize for step, dtype in zip(runs.steps, dtypes, strict=True)]
    return lengths, [first * width for width in widths]


def _rows(rows: Any, which: Any) -> Any:
    """The addresses of some rows of lanes."""
    return address(rows) + np.array(which, np.int64) * (LANES * rows.itemsize)


class NumbaExecutor(TileExecutor):
    """Arrays that are updated by one loop, which reads and writes each element once."""

    name = "numba"
    tile = folded = 524_288
    pack = 1_000_000

    def _compile(self, kernel: Kernel) -> CompiledKernel:
        return NumbaKernel(kernel, self.compute, self._scratch, self._sizes, self._dtype)
