"""Many arrays in few messages: the mean of each of their elements is made in one process.

Comes in: arrays, and a transport. Goes out: means over the processes, which have the same bits in
all. `gpuopt.distributed.shares` has the buckets of processes that keep shares of the state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import numpy as np

from gpuopt.arrays.backend import array_module
from gpuopt.arrays.dtypes import COMPUTE, is_complex
from gpuopt.distributed.transports import Transport

__all__ = ["Bucket", "FlatBucket", "Order", "broadcast", "buckets", "write"]

Order = Literal["fast", "fixed"]
_LARGEST = 1 << 22
"""A bucket has so many elements, or is one array."""
_ALIGNED = 16
"""Arrays, and the rows of processes, begin at a multiple of so many numbers."""


class Bucket:
    """Some arrays of one dtype, and a row for each process, which makes the mean of its numbers.

    Parameters
    ----------
    transport : Transport
    leaves : dict
        Arrays by their index, all of one dtype.

    Attributes
    ----------
    own : array
        The row of this process.
    means : dict
        By the index of an array, where its mean comes to lie: views in the dtype that is sent.
    """

    own: Any
    means: dict[int, Any]

    def __init__(self, transport: Transport, leaves: dict[int, Any]) -> None:
        kind = next(iter(leaves.values())).dtype
        self._transport, self._dtype = transport, np.dtype(COMPUTE[kind.name])
        self._wide = 2 if is_complex(kind) else 1  # numbers of an element
        self._sent = np.result_type(self._dtype, np.complex64) if self._wide == 2 else self._dtype

    @staticmethod
    def scratches(order: Order) -> int:
        """How many arrays of scratch buckets share, each with `room` for any of them."""
        raise NotImplementedError

    def average(self, arrays: Sequence[Any], scratch: Sequence[Any], order: Order) -> None:
        """Make `means` of all processes' arrays. What has no array counts as 0."""
        raise NotImplementedError

    def _reduce(self, rows: Any, received: Any, order: Order) -> None:
        """Make `own` the mean of the rows that all processes have for this one."""
        if order == "fast":
            self._transport.reduce_scatter(rows, self.own)
        else:
            self._transport.all_to_all(rows, received)
            self.own[...] = received[0]
            for row in received[1:]:
                self.own += row
        self.own /= self._transport.size

    def _rows(self, scratch: Any, dtype: np.dtype[Any]) -> Any:
        """Scratch as a row for each process."""
        count = self._transport.size * self.own.size
        return scratch.view(dtype)[:count].reshape(self._transport.size, self.own.size)

    @property
    def room(self) -> int:
        """How many bytes of scratch it needs."""
        size = int(self._transport.size * self.own.nbytes)
        return -(-size // 8) * 8  # whole numbers of every dtype


class FlatBucket(Bucket):
    """Arrays one after the other, where the means come to lie, too."""

    def __init__(self, transport: Transport, leaves: dict[int, Any]) -> None:
        super().__init__(transport, leaves)
        stop, places = 0, dict[int, slice]()
        for index, leaf in leaves.items():
            start = -(-stop // _ALIGNED) * _ALIGNED
            stop = start + leaf.size * self._wide
            places[index] = slice(start, stop)
        length = -(-stop // (transport.size * _ALIGNED)) * _ALIGNED
        self._whole = transport.xp.zeros((transport.size, length), self._dtype)
        self.own, flat = transport.xp.zeros(length, self._dtype), self._whole.reshape(-1)
        self.means = {
            index: flat[place].view(self._sent).reshape(leaves[index].shape)
            for index, place in places.items()
        }

    @staticmethod
    def scratches(order: Order) -> int:
        return int(order == "fixed")

    def average(self, arrays: Sequence[Any], scratch: Sequence[Any], order: Order) -> None:
        with np.errstate(all="ignore"):
            for index, mean in self.means.items():
                array = arrays[index]
                mean[...] = 0 if array is None else self._transport.here(array)
            received = self._rows(scratch[0], self._dtype) if order == "fixed" else None
            self._reduce(self._whole, received, order)
        self._transport.all_gather(self.own, self._whole)


BucketT = TypeVar("BucketT", bound=Bucket)


def buckets(kind: type[BucketT], transport: Transport, leaves: Sequence[Any]) -> list[BucketT]:
    """Buckets of all arrays, which are alike in all processes."""
    found, now, count = list[BucketT](), dict[int, Any](), 0
    by_dtype = sorted(range(len(leaves)), key=lambda index: leaves[index].dtype.name)
    for index in by_dtype:
        leaf = leaves[index]
        if not leaf.size:
            continue
        other = bool(now) and next(iter(now.values())).dtype != leaf.dtype
        if now and (other or count + leaf.size > _LARGEST):
            found.append(kind(transport, now))
            now, count = {}, 0
        now[index] = leaf
        count += leaf.size
    return [*found, kind(transport, now)] if now else found


def broadcast(transport: Transport, array: Any) -> None:
    """Give the array of every process the values of the first one's."""
    if not array.size:
        return
    flat = transport.here(array).reshape(-1).copy()
    transport.broadcast(flat)
    write(array, flat)


def write(array: Any, flat: Any) -> None:
    """Write the elements of an array in C order."""
    array[...] = array_module(array).asarray(flat.reshape(array.shape))
