"""Examples in files, read batch by batch: the next one while the current one is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from gpuopt.arrays.backend import is_cupy
from gpuopt.arrays.device import device_of

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["Stored", "is_stored"]


def is_stored(array: Any, on_gpu: bool) -> bool:
    """Whether this is an array in a file: of h5py or zarr, or a memmap for a GPU."""
    if isinstance(array, np.ndarray):
        return on_gpu and isinstance(array, np.memmap)
    libraries = {base.__module__.partition(".")[0] for base in type(array).__mro__}
    return bool(libraries & {"h5py", "zarr"}) and hasattr(array, "shape")


class Stored(tuple[Any, ...]):
    """Arrays of which some are in files; their batches go to the device of `param`."""

    param: Any

    def batches(self, size: int, order: Any) -> Iterator[tuple[Any, ...]]:
        """Batches of `size` examples, in `order` or in their own, each read before its use.

        A GPU gets them on a separate stream, which waits for all launches before the request of a
        batch. A new batch may take the memory of the batch before the current one; the current one
        is held until the next is there.
        """
        from concurrent.futures import ThreadPoolExecutor

        places = [slice(first, first + size) for first in range(0, self[0].shape[0], size)]
        if order is not None:
            places = [order[place] for place in places]
        sending = _Sending(self.param) if is_cupy(self.param) else None
        with ThreadPoolExecutor(1) as reader:

            def asked(place: Any) -> Future[tuple[Any, ...]]:
                event = sending and sending.event()
                return reader.submit(self._read, place, sending, event)

            waiting = asked(places[0])
            for following in (*places[1:], None):
                batch = waiting.result()
                if following is not None:
                    waiting = asked(following)
                yield batch

    def _read(self, place: Any, sending: _Sending | None, event: Any) -> tuple[Any, ...]:
        found = [_examples(array, place) for array in self]
        return tuple(found) if sending is None else sending.sent(found, event)


def _examples(array: Any, place: Any) -> Any:
    """Some examples of an array. A file needs their indices in increasing order."""
    if isinstance(place, slice) or isinstance(array, np.ndarray):
        return np.asarray(array[place])
    by_number = np.argsort(place)
    found = getattr(array, "oindex", array)[place[by_number]]
    examples = np.empty_like(found)
    examples[by_number] = found
    return examples


class _Sending:
    """A stream on the device of a parameter, on which batches are sent."""

    def __init__(self, param: Any) -> None:
        import cupy

        self._cupy, self._param = cupy, param
        with device_of(param):
            self._stream = cupy.cuda.Stream(non_blocking=True)

    def event(self) -> Any:
        """An event after all launches so far."""
        with device_of(self._param):
            event = self._cupy.cuda.Event(disable_timing=True)
            event.record()
        return event

    def sent(self, arrays: list[Any], event: Any) -> tuple[Any, ...]:
        """Copies on the device, when they have arrived."""
        cupy = self._cupy
        with device_of(self._param), self._stream:
            self._stream.wait_event(event)
            pinned = [self._pinned(array) for array in arrays]
            found = tuple(cupy.empty(array.shape, array.dtype) for array in pinned)
            for new, array in zip(found, pinned, strict=True):
                if array.size:
                    new.set(array, stream=self._stream)
            self._stream.synchronize()
        return found

    def _pinned(self, array: Any) -> Any:
        """A copy in pinned memory, which a GPU reads directly."""
        if not array.size:
            return array
        memory = self._cupy.cuda.alloc_pinned_memory(array.nbytes)
        copy = np.frombuffer(memory, array.dtype, array.size).reshape(array.shape)
        copy[...] = array
        return copy
