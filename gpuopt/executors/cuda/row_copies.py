"""Rows of arrays that are gathered, and put back, by one kernel each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuopt.codegen.cuda.rows import gather_source, scatter_source
from gpuopt.executors.cuda.runtime import CUPY
from gpuopt.executors.cuda.uploads import UploadRing
from gpuopt.executors.row_copies import Pairs

__all__ = ["DeviceCopies"]


class DeviceCopies:
    """`RowCopies` of CuPy arrays: a step uploads one small array, and launches two kernels."""

    def __init__(self, written: Pairs, read: Pairs, numbers: Sequence[Any]) -> None:
        _, room = written[0]
        self._size, self._rows, self._count = room.size, len(written[0][0]), len(room)
        pairs = [(_plain(whole), _plain(rows)) for whole, rows in (*written, *read)]
        back = pairs[: len(written)]
        self._taken = [*(whole for whole, _ in pairs), *(rows for _, rows in pairs), *numbers]
        self._back = [*(rows for _, rows in back), *(whole for whole, _ in back)]
        dtypes = tuple(whole.dtype for whole, _ in pairs)
        gather = gather_source(dtypes, tuple(x.dtype for x in numbers))
        self._gather = CUPY.compile_kernel(gather)
        self._scatter = CUPY.compile_kernel(scatter_source(dtypes[: len(back)]))
        self._ring = UploadRing(CUPY, self._count * (1 + len(numbers)), np.float64)

    def given(self, index: Any, columns: Sequence[Any]) -> Any:
        if not self._size:
            return None
        return self._ring.write(np.concatenate([index % self._rows, *(x[:, 0] for x in columns)]))

    def take(self, where: Any) -> None:
        self._launch(self._gather, where, self._taken)

    def put(self, where: Any) -> None:
        self._launch(self._scatter, where, self._back)

    def _launch(self, kernel: Any, where: Any, arrays: Sequence[Any]) -> None:
        if where is not None:
            width = self._size // self._count
            kernel(width, self._count, where, *arrays, size=self._size)


def _plain(array: Any) -> Any:
    """The array, or its bits where they are those of a dtype of 16 bits."""
    return array.view(np.uint16) if array.dtype.itemsize == 2 else array
