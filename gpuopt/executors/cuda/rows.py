"""Rows of CuPy arrays that are updated where they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuopt.arrays.device import device_of
from gpuopt.codegen.cuda.rows import rows_source
from gpuopt.executors.cuda.launches import Launches, Passed
from gpuopt.executors.cuda.runtime import CUPY
from gpuopt.executors.cuda.uploads import UploadRing
from gpuopt.executors.scalars import Scalars
from gpuopt.tracing.by_row import ByRow
from gpuopt.tracing.operands import GRAD, PARAM, Operand, state

__all__ = ["DeviceRows"]


class DeviceRows:
    """`gpuopt.executors.RowUpdates` of CuPy arrays.

    A step uploads which rows they are, with the numbers of each, and launches one kernel.
    """

    def __init__(
        self,
        rows: ByRow,
        param: Any,
        states: dict[str, Any],
        hyper_arrays: dict[Operand, Any],
    ) -> None:
        self._rows, self._param, self._width = rows, param, math.prod(param.shape[1:])
        self._arrays = {PARAM: param, **{state(name): x for name, x in states.items()}}
        self._arrays |= hyper_arrays
        self._others = tuple((array, x.dtype) for array, x in hyper_arrays.items())
        nothing = np.zeros(1 + len(rows.operands))
        self._room, self._ring = len(nothing), UploadRing(CUPY, len(nothing), np.float64)
        if param.size:  # compiles the kernel, and updates no row
            self._launches(0, nothing, param, (0.0,) * len(rows.program.update.scalars), 1)()

    def plan(self, index: Any, grads: Any, columns: Sequence[Any], scalars: Scalars) -> Launches:
        values = np.concatenate([index % len(self._param), *(x[:, 0] for x in columns)])
        return self._launches(len(index), values, grads, scalars, grads.size)

    def _launches(
        self, count: int, values: Any, grads: Any, scalars: Scalars, size: int
    ) -> Launches:
        """The launch that updates the first `count` of the rows that `values` begins with."""
        launches = Launches(device_of(self._param))
        if not size:
            return launches
        kernel, p = self._rows.program.update, self._param.dtype
        source = rows_source(kernel, self._rows.operands, p, grads.dtype, self._others)
        reads = [grads if array == GRAD else self._arrays[array] for array in source.reads]
        outputs = [self._arrays[array] for array in source.arrays]
        before = [self._width, count, self._uploaded(values), *reads]
        launch = CUPY.compile_kernel(source)
        launches.add(launch, before, Passed(scalars), outputs, size=size)
        return launches

    def _uploaded(self, values: Any) -> Any:
        """The numbers on the device; there is room for the largest step so far."""
        if len(values) > self._room:
            self._room, self._ring = len(values), UploadRing(CUPY, len(values), np.float64)
        return self._ring.write(values)
