"""Numbers that the host changes between steps, brought to the device through pinned memory, without waiting for it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuopt.executors.cuda.runtime import Runtime

__all__ = ["Lists", "Turns", "Upload"]

_TURNS = 4


class Upload:
    """Numbers on the device, and the pinned memory that they are copied from.

    They are written again only after they were copied: that waits where the device is some steps behind. Steps of one optimizer
    follow one another on the device, on whatever streams, so what a step reads there is not overwritten before it ran.

    Attributes
    ----------
    array : array
        The numbers on the device.
    """

    def __init__(self, runtime: Runtime, width: int, dtype: Any) -> None:
        self.array = runtime.xp.empty(max(width, 1), dtype)
        self._memory = runtime.cuda.alloc_pinned_memory(self.array.nbytes)
        self._host = np.frombuffer(self._memory, dtype, self.array.size)
        self._copied = runtime.cuda.Event(disable_timing=True)

    def write(self, values: Any) -> Any:
        """The array, which holds `values` when what is launched from now on runs."""
        self._copied.synchronize()  # returns at once where nothing was copied yet
        self._host[...] = values
        self.array.data.copy_from_host_async(self._host.ctypes.data, self._host.nbytes)
        self._copied.record()
        return self.array


class Turns:
    """Numbers that are others at every step: arrays that take turns, so that the host need not wait for the device."""

    def __init__(self, runtime: Runtime, width: int, dtype: Any) -> None:
        self._uploads = [Upload(runtime, width, dtype) for _ in range(_TURNS)]

    def write(self, values: Any) -> Any:
        """An array that holds `values`: the one that was written longest ago."""
        self._uploads.append(self._uploads.pop(0))
        return self._uploads[-1].write(values)


class Lists:
    """Lists of numbers on the device; the `count` that were used last need no second copy, and one step may use as many.

    What a CUDA graph captured is read at every replay: such a list is kept, and never written again. One that was sent inside
    the capture is not found again: it is there when the graph is launched first, which may never be.
    """

    def __init__(self, runtime: Runtime, width: int, dtype: Any, count: int) -> None:
        self._make, self._count = functools.partial(Upload, runtime, width, dtype), count
        self._spare = [self._make() for _ in range(count)]
        self._held: dict[tuple[int, ...], Upload] = {}  # the one used last comes last
        self._captured: dict[tuple[int, ...], Upload] = {}
        self._copied_by_graphs: list[Upload] = []

    def make_room(self, count: int) -> None:
        """Make room for `count` lists, if there is less."""
        more = [self._make() for _ in range(count - self._count)]
        self._spare, self._count = self._spare + more, max(count, self._count)

    def of(self, values: Sequence[int], capturing: bool = False) -> Any:
        """A list that holds `values`."""
        key = tuple(values)
        if key in self._captured:
            return self._captured[key].array
        upload = self._held.pop(key, None)
        if upload is not None:
            (self._captured if capturing else self._held)[key] = upload
            return upload.array
        upload = self._free()
        upload.write(key)
        if capturing:  # the copy is part of the graph: until a replay the list holds something else
            self._copied_by_graphs.append(upload)
        else:
            self._held[key] = upload
        return upload.array

    def _free(self) -> Upload:
        """One that is not in use; only after captures, which keep theirs, it may be a new one."""
        if self._spare:
            return self._spare.pop()
        return self._held.pop(next(iter(self._held))) if len(self._held) >= self._count else self._make()
