"""Numbers that the host brings to the device between steps, through pinned memory.

Nothing waits for that, unless the device is some steps behind.
"""

from __future__ import annotations

import collections
import contextlib
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuopt.executors.cuda.runtime import Runtime

__all__ = ["CapturedUploads", "PinnedUpload", "UploadCache", "UploadRing"]

_RING = 4
"""Uploads of a ring: how many steps the device may be behind before the host waits for it."""


class PinnedUpload:
    """Numbers on the device, and the pinned memory that they are copied from.

    They are written again only after they were copied; if the device is some steps behind, that
    waits. Steps of one optimizer follow one another on the device, on whatever streams, so what a
    step reads there is not overwritten before it ran. An upload that is dropped before its copy was
    made leaves the pinned memory to `_COPYING`.

    Attributes
    ----------
    array : array
        The numbers on the device.
    captured : bool
        Whether a CUDA graph makes the copy: nobody can ask when.
    """

    def __init__(self, runtime: Runtime, width: int, dtype: Any) -> None:
        self.array = runtime.xp.empty(max(width, 1), dtype)
        self._memory = runtime.cuda.alloc_pinned_memory(self.array.nbytes)
        self._host = np.frombuffer(self._memory, dtype, self.array.size)
        self._copied = runtime.cuda.Event(disable_timing=True)
        self.captured = False

    def write(self, values: Any) -> Any:
        """Give the array, which holds `values` when what is launched from now on runs."""
        self._copied.synchronize()  # returns at once where nothing was copied yet
        self._host[...] = values
        self.array.data.copy_from_host_async(self._host.ctypes.data, self._host.nbytes)
        self._copied.record()
        return self.array

    def __del__(self) -> None:
        """Keep the pinned memory while it is copied: CuPy gives it to whoever asks next."""
        with contextlib.suppress(Exception):  # CUDA is gone at exit, and in a forked process
            if not self.captured and not self._copied.done:
                _COPYING.append((self._copied, self._memory))
            while _COPYING and _COPYING[0][0].done:
                _COPYING.popleft()


_COPYING: collections.deque[tuple[Any, Any]] = collections.deque()
"""Pinned memory of uploads that are gone, each with the event that its copy was made."""


class UploadRing:
    """Uploads that take turns, for numbers that change at every step: the host seldom waits."""

    def __init__(self, runtime: Runtime, width: int, dtype: Any) -> None:
        self._uploads = [PinnedUpload(runtime, width, dtype) for _ in range(_RING)]

    def write(self, values: Any) -> Any:
        """Write the upload that was written longest ago, and give its array."""
        self._uploads.append(self._uploads.pop(0))
        return self._uploads[-1].write(values)


class UploadCache:
    """Uploads that are found again by the numbers they hold, for those that many steps share.

    Parameters
    ----------
    runtime : Runtime
    width : int
        The most numbers of an upload.
    dtype : dtype
    count : int
        How many are kept: no fewer than one step uses. The one used longest ago is written anew.
    """

    def __init__(self, runtime: Runtime, width: int, dtype: Any, count: int) -> None:
        self._make, self._count = functools.partial(PinnedUpload, runtime, width, dtype), count
        self._unused = [self._make() for _ in range(count)]
        self._recent: dict[tuple[int, ...], PinnedUpload] = {}  # the one used last comes last
        self._kept: dict[tuple[int, ...], PinnedUpload] = {}

    def make_room(self, count: int) -> None:
        """Keep `count` uploads, if that is more than before."""
        self._unused += [self._make() for _ in range(count - self._count)]
        self._count = max(count, self._count)

    def of(self, values: Sequence[int]) -> Any:
        """The array of an upload that holds `values`."""
        key = tuple(values)
        if key in self._kept:
            return self._kept[key].array
        upload = self._recent.pop(key, None)
        if upload is None:
            upload = self.take()
            upload.write(key)
        self._recent[key] = upload
        return upload.array

    def keep(self, key: tuple[int, ...]) -> PinnedUpload | None:
        """The upload that holds these numbers, if there is one; it is never written again."""
        if key in self._recent:
            self._kept[key] = self._recent.pop(key)
        return self._kept.get(key)

    def take(self) -> PinnedUpload:
        """An upload that the cache gives up; a new one only if others were taken or kept before."""
        if self._unused:
            return self._unused.pop()
        if len(self._recent) < self._count:
            return self._make()
        return self._recent.pop(next(iter(self._recent)))


class CapturedUploads:
    """Uploads for launches that a CUDA graph captures; every replay reads them.

    None is ever written again. What the cache holds was copied before the capture, and serves both.
    Anything else is copied by the graph itself: until a replay, which may never come, it is not
    there. So it is not found again, not even by the next capture.
    """

    def __init__(self, cache: UploadCache) -> None:
        self._cache = cache
        self._copied_by_graphs: list[PinnedUpload] = []

    def of(self, values: Sequence[int]) -> Any:
        """The array of an upload that holds `values` when the graph runs."""
        key = tuple(values)
        upload = self._cache.keep(key)
        if upload is None:
            upload = self._cache.take()
            upload.captured = True
            upload.write(key)
            self._copied_by_graphs.append(upload)
        return upload.array
