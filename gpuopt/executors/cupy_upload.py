"""Numbers that the host changes between steps, brought to the device through pinned memory, without waiting for it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import cupy
import numpy as np

__all__ = ["Addresses", "Uploads"]


class Uploads:
    """A few rows of numbers on the device, written in turn.

    A row is written again only after it was copied: that waits where the device is as many steps behind as there are rows.
    Steps of one optimizer follow one another on the device, on whatever streams; so a row is not written too early there.
    """

    def __init__(self, count: int, width: int, dtype: Any) -> None:
        whole = cupy.empty((count, max(width, 1)), dtype)
        self._memory = cupy.cuda.alloc_pinned_memory(whole.nbytes)
        self._host = np.frombuffer(self._memory, dtype, whole.size).reshape(whole.shape)
        self.rows = [whole[row] for row in range(count)]
        self._copied = [cupy.cuda.Event(disable_timing=True) for _ in range(count)]
        self._last = -1

    def put(self, values: Any) -> Any:
        """A row that holds `values` when what is launched from now on runs."""
        self._last = (self._last + 1) % len(self.rows)
        return self.write(self._last, values)

    def write(self, row: int, values: Any) -> Any:
        """Write a row, and give it."""
        self._copied[row].synchronize()  # returns at once where nothing was copied yet
        self._host[row] = values
        self.rows[row].data.copy_from_host_async(self._host[row].ctypes.data, self._host[row].nbytes)
        self._copied[row].record()
        return self.rows[row]


class Addresses:
    """Lists of addresses on the device; the `kept` that were used last need no second copy, and one step may use as many.

    What a CUDA graph captured is read at every replay: such a list is kept, and never written again.
    """

    def __init__(self, width: int, capturable: bool, kept: int) -> None:
        self._width, self._capturable = width, capturable
        self._uploads = Uploads(kept, width, np.int64)
        self._held: dict[Hashable, int] = {number: number for number in range(kept)}  # the one used last comes last
        self._captured: dict[Hashable, Any] = {}

    def of(self, addresses: Sequence[int]) -> Any:
        """A list on the device that holds `addresses`."""
        key = tuple(addresses)
        if key in self._captured:
            return self._captured[key]
        if self._capturable and cupy.cuda.get_current_stream().is_capturing():
            self._captured[key] = Uploads(1, self._width, np.int64).put(key)
            return self._captured[key]
        if key in self._held:
            self._held[key] = row = self._held.pop(key)
            return self._uploads.rows[row]
        row = self._held.pop(next(iter(self._held)))
        self._held[key] = row
        return self._uploads.write(row, key)
