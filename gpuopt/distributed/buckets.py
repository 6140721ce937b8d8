"""Many arrays in few messages: each process gets a share of each array, and sends back its own.

Comes in: arrays, and a communicator. Goes out: means over the processes, each added up in the same
order on one of them, so that all have the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from gpuopt.arrays.backend import array_module, on_host
from gpuopt.arrays.dtypes import COMPUTE, is_complex

__all__ = ["Bucket", "Order", "Place", "broadcast", "buckets", "gathered", "share_of"]

Order = Literal["fast", "fixed"]
_LARGEST = 1 << 22
"""A bucket has so many elements, or is one array."""


class Place(NamedTuple):
    """Where the shares of an array lie: from `start` on in the row of each process.

    Attributes
    ----------
    which : int
        The index of the array.
    start, share : int
        In numbers; a complex element is two.
    shape : tuple of int
    dtype : dtype
        In which it is sent.
    """

    which: int
    start: int
    share: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def share_of(size: int, ranks: int, rank: int) -> slice:
    """The elements of a flat array that are a process's: as many each, until there are no more."""
    share = -(-size // ranks)
    return slice(min(rank * share, size), min((rank + 1) * share, size))


class Bucket:
    """Some arrays of one dtype, laid out so that each process has one row of the same length.

    Parameters
    ----------
    comm : mpi4py communicator
    leaves : dict
        Arrays by their index, all of one dtype.

    Attributes
    ----------
    own : array
        The row of this process, as far as it is known: of gradients.
    """

    def __init__(self, comm: Any, leaves: dict[int, Any]) -> None:
        self._comm, self.places, start = comm, list[Place](), 0
        kind = next(iter(leaves.values())).dtype
        self._dtype = np.dtype(COMPUTE[kind.name])
        wide = 2 if is_complex(kind) else 1
        self._raw = np.dtype(f"u{kind.itemsize // wide}")
        sent = np.result_type(self._dtype, np.complex64) if wide == 2 else self._dtype
        for index, leaf in leaves.items():
            share = -(-leaf.size // comm.size) * wide
            self.places.append(Place(index, start, share, leaf.shape, sent))
            start += share
        self.length, self.own = start, np.zeros(start, self._dtype)

    def average(self, arrays: Sequence[Any], scratch: Sequence[Any], order: Order) -> None:
        """Put the share of this process in the mean of all processes' arrays into `own`.

        What has no array counts as 0.
        """
        rows, more = (self._rows(each, self._dtype) for each in scratch)
        with np.errstate(all="ignore"):
            for place in self.places:
                array = arrays[place.which]
                if array is None:
                    rows[:, place.start : place.start + place.share] = 0
                else:
                    _spread(_numbers(on_host(array), self._dtype), place, rows)
            if order == "fast":
                self._comm.Reduce_scatter_block(rows, self.own)
            else:
                self._comm.Alltoall(rows, more)
                self.own[...] = more[0]
                for row in more[1:]:
                    self.own += row
            self.own /= self._comm.size

    def shares(self) -> Iterator[tuple[int, Any]]:
        """The share of this process in each array, as it lies in `own`."""
        for place in self.places:
            size = math.prod(place.shape)
            count = share_of(size, self._comm.size, self._comm.rank)
            wide = 2 if place.dtype.kind == "c" else 1
            numbers = self.own[place.start : place.start + (count.stop - count.start) * wide]
            yield place.which, numbers.view(place.dtype)

    def whole(self, into: Sequence[Any], scratch: Sequence[Any]) -> None:
        """Gather what all processes have in `own`, and write it into arrays."""
        rows = self._rows(scratch[0], self._dtype)
        self._comm.Allgather(self.own, rows)
        for place in self.places:
            _write(into[place.which], _joined(place, rows).view(place.dtype))

    def exchange(self, arrays: Sequence[Any], scratch: Sequence[Any]) -> None:
        """Write into whole arrays what each process has in its own share of them."""
        rows, row = self._rows(scratch[0], self._raw), self._rows(scratch[1], self._raw)[0]
        for place in self.places:
            flat = arrays[place.which].reshape(-1)
            own = flat[share_of(flat.size, self._comm.size, self._comm.rank)]
            numbers = on_host(own).view(self._raw)
            row[place.start : place.start + numbers.size] = numbers
        self._comm.Allgather(row.view(np.uint8), rows.view(np.uint8))
        for place in self.places:
            array = arrays[place.which]
            _write(array, _joined(place, rows).view(array.dtype))

    def _rows(self, scratch: Any, dtype: np.dtype[Any]) -> Any:
        """Scratch as a row for each process."""
        count = self._comm.size * self.length
        return scratch.view(dtype)[:count].reshape(self._comm.size, self.length)

    @property
    def room(self) -> int:
        """How many bytes of scratch it needs."""
        widest = max(self._dtype.itemsize, self._raw.itemsize)
        size = int(self._comm.size * self.length * widest)
        return -(-size // 8) * 8  # whole numbers of every dtype


def buckets(comm: Any, leaves: Sequence[Any]) -> list[Bucket]:
    """Buckets of all arrays, which are alike in all processes."""
    found, now, count = list[Bucket](), dict[int, Any](), 0
    by_dtype = sorted(range(len(leaves)), key=lambda index: leaves[index].dtype.name)
    for index in by_dtype:
        leaf = leaves[index]
        if not leaf.size:
            continue
        other = bool(now) and next(iter(now.values())).dtype != leaf.dtype
        if now and (other or count + leaf.size > _LARGEST):
            found.append(Bucket(comm, now))
            now, count = {}, 0
        now[index] = leaf
        count += leaf.size
    return [*found, Bucket(comm, now)] if now else found


def gathered(comm: Any, own: Any, like: Any) -> Any:
    """A new array of the shape of `like`, from the shares that processes have of it."""
    share = -(-like.size // comm.size)
    row = np.zeros(share, own.dtype)
    rows = np.empty((comm.size, share), own.dtype)
    row[: own.size] = on_host(own)
    comm.Allgather(row.view(np.uint8), rows.view(np.uint8))
    whole = rows.reshape(-1)[: like.size].reshape(like.shape)
    return array_module(own).asarray(whole)


def broadcast(comm: Any, array: Any) -> None:
    """Give the array of every process the values of the first one's."""
    host = np.ascontiguousarray(on_host(array)).copy()
    comm.Bcast(host.reshape(-1).view(np.uint8), 0)
    _write(array, host)


def _numbers(array: Any, dtype: np.dtype[Any]) -> Any:
    """The elements of an array in C order, a complex one as two numbers."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(flat.real.dtype) if flat.dtype.kind == "c" else flat


def _spread(numbers: Any, place: Place, rows: Any) -> None:
    """Lay an array out, a share in each row."""
    full, rest = divmod(numbers.size, place.share)
    stop = place.start + place.share
    rows[:full, place.start : stop] = numbers[: full * place.share].reshape(full, place.share)
    if rest:
        rows[full, place.start : place.start + rest] = numbers[full * place.share :]


def _joined(place: Place, rows: Any) -> Any:
    """The numbers of an array, out of all rows."""
    wide = 2 if place.dtype.kind == "c" else 1
    joined = rows[:, place.start : place.start + place.share].reshape(-1)
    return np.ascontiguousarray(joined[: math.prod(place.shape) * wide])


def _write(array: Any, flat: Any) -> None:
    """Write the elements of an array in C order."""
    array[...] = array_module(array).asarray(flat.reshape(array.shape))
