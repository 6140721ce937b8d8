"""Numbers that the host brings to the device between steps, through pinned memory.

Nothing waits for that, unless the device is many steps behind.
"""

from __future__ import annotations

import collections
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuopt.executors.cuda.runtime import Runtime

__all__ = ["PinnedUpload", "UploadCache", "UploadRing"]

_RING = 16
"""Uploads of a ring: how many steps the device may be behind before the host waits for it."""
_RING_BYTES = 2**26
"""The most pinned memory of a ring. It has fewer uploads if they are large, but no fewer than 2."""


class PinnedUpload:
    """Numbers on the device, and the pinned memory that they are copied from.

    They are written again only after they were copied; if the device is some steps behind, that
    waits. Steps of one optimizer follow one another on the device, on whatever streams, so what a
    step reads there is not overwritten before it ran. An upload that is dropped before its copy was
    made leaves the pinned memory to `_COPYING`.

    Parameters
    ----------
    runtime : Runtime
    array : array
        Where the numbers are on the device.
    memory : buffer
        The pinned memory, or what holds it among others.
    host : array
        The numbers there.

    Attributes
    ----------
    array : array
        As given.
    """

    def __init__(self, runtime: Runtime, array: Any, memory: Any, host: Any) -> None:
        self.array, self._runtime, self._memory, self._host = array, runtime, memory, host
        self._copied = runtime.cuda.Event(disable_timing=True)

    @classmethod
    def several(cls, runtime: Runtime, width: int, dtype: Any, count: int) -> list[PinnedUpload]:
        """So many of them, of as many numbers each, in one piece of memory."""
        if count < 1:
            return []
        width = max(width, 1)
        array = runtime.xp.empty(count * width, dtype)
        memory = runtime.cuda.alloc_pinned_memory(array.nbytes)
        host, parts = np.frombuffer(memory, dtype, array.size), range(0, count * width, width)
        return [cls(runtime, array[n : n + width], memory, host[n : n + width]) for n in parts]

    def write(self, values: Any) -> Any:
        """Give the array, which begins with `values` when what is launched from now on runs."""
        self._copied.synchronize()  # returns at once where nothing was copied yet
        return self._send(values)

    def write_at_once(self, values: Any) -> Any:
        """Give the array, which holds `values` now; nothing may have been written to it before.

        While a stream is captured it copies nothing from the host, so another one does.
        """
        stream = self._runtime.cuda.Stream(non_blocking=True)
        with stream:
            self._send(values)
        stream.synchronize()
        return self.array

    def _send(self, values: Any) -> Any:
        host = self._host[: len(values)]
        host[...] = values
        self.array.data.copy_from_host_async(host.ctypes.data, host.nbytes)
        self._copied.record()
        return self.array

    def __del__(self) -> None:
        """Keep the pinned memory while it is copied: CuPy gives it to whoever asks next."""
        try:
            if not self._copied.done:
                _COPYING.append((self._copied, self._memory))
            while _COPYING and _COPYING[0][0].done:
                _COPYING.popleft()
        except Exception:
            pass  # CUDA is gone at exit and in a forked process; so is, at exit, what is imported


_COPYING: collections.deque[tuple[Any, Any]] = collections.deque()
"""Pinned memory of uploads that are gone, each with the event that its copy was made."""


class UploadRing:
    """Uploads that take turns, for numbers that change at every step: the host seldom waits."""

    def __init__(self, runtime: Runtime, width: int, dtype: Any) -> None:
        fitting = _RING_BYTES // (max(width, 1) * np.dtype(dtype).itemsize)
        count = min(_RING, max(2, fitting))
        self._uploads = collections.deque(PinnedUpload.several(runtime, width, dtype, count))

    def write(self, values: Any) -> Any:
        """Write the upload that was written longest ago, and give its array."""
        self._uploads.rotate(-1)
        return self._uploads[-1].write(values)


class UploadCache:
    """Uploads that are found again by the numbers they hold, for those that many steps share.

    Parameters
    ----------
    runtime : Runtime
    width : int
        How many numbers an upload holds.
    dtype : dtype
    count : int
        How many are kept: no fewer than one step uses. The one used longest ago is overwritten.
    """

    def __init__(self, runtime: Runtime, width: int, dtype: Any, count: int) -> None:
        self._several = functools.partial(PinnedUpload.several, runtime, width, dtype)
        self._count, self._unused = count, self._several(count)
        self._recent: dict[tuple[int, ...], PinnedUpload] = {}  # the one used last comes last
        self._kept: dict[tuple[int, ...], PinnedUpload] = {}

    def make_room(self, count: int) -> None:
        """Keep `count` uploads, if that is more than before."""
        self._unused += self._several(count - self._count)
        self._count = max(count, self._count)

    def of(self, values: Sequence[int]) -> Any:
        """The array of an upload that holds `values`."""
        key = tuple(values)
        if key in self._kept:
            return self._kept[key].array
        upload = self._recent.pop(key, None)
        if upload is None:
            full = not self._unused and len(self._recent) >= self._count
            upload = self._recent.pop(next(iter(self._recent))) if full else self._fresh()
            upload.write(key)
        self._recent[key] = upload
        return upload.array

    def keep(self, values: Sequence[int]) -> Any:
        """The same for launches that a CUDA graph captures; every replay reads it.

        So it is never written again. If no upload holds the numbers, a fresh one does at once: a
        step that still runs may read any other.
        """
        key = tuple(values)
        if key not in self._kept:
            upload = self._recent.pop(key, None)
            if upload is None:
                upload = self._fresh()
                upload.write_at_once(key)
            self._kept[key] = upload
        return self._kept[key].array

    def _fresh(self) -> PinnedUpload:
        """An upload that was never written; a new one only if graphs have kept others."""
        return self._unused.pop() if self._unused else self._several(1)[0]
