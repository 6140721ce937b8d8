"""Buckets of processes that keep the state of a share of each array, and update that.

Comes in: arrays, and a transport. Goes out: to each process the mean in its share of each array;
and whole arrays, from the shares of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gpuopt.arrays.backend import array_module
from gpuopt.distributed.buckets import Bucket, Order, write
from gpuopt.distributed.transports import Transport

__all__ = ["ShareBucket", "gathered", "share_of"]


class Place(NamedTuple):
    """Where the shares of an array lie: from `start` on in the row of each process.

    Attributes
    ----------
    which : int
        The index of the array.
    start, share : int
        In numbers; a complex element is two.
    whole : int
        How many numbers the whole array has.
    """

    which: int
    start: int
    share: int
    whole: int


def share_of(size: int, ranks: int, rank: int) -> slice:
    """The elements of a flat array that are a process's: as many each, until there are no more."""
    share = -(-size // ranks)
    return slice(min(rank * share, size), min((rank + 1) * share, size))


class ShareBucket(Bucket):
    """In the row of each process lie its shares of all arrays."""

    def __init__(self, transport: Transport, leaves: dict[int, Any]) -> None:
        super().__init__(transport, leaves)
        self._raw = np.dtype(f"u{next(iter(leaves.values())).dtype.itemsize // self._wide}")
        self._places, start = list[Place](), 0
        for index, leaf in leaves.items():
            share = -(-leaf.size // transport.size) * self._wide
            self._places.append(Place(index, start, share, leaf.size * self._wide))
            start += share
        self.own, self.means = transport.xp.zeros(start, self._dtype), {}
        for place in self._places:
            size = leaves[place.which].size
            taken = share_of(size, transport.size, transport.rank)
            stop = place.start + (taken.stop - taken.start) * self._wide
            self.means[place.which] = self.own[place.start : stop].view(self._sent)

    @staticmethod
    def scratches(order: Order) -> int:
        return 2

    def average(self, arrays: Sequence[Any], scratch: Sequence[Any], order: Order) -> None:
        rows, received = (self._rows(each, self._dtype) for each in scratch)
        with np.errstate(all="ignore"):
            for place in self._places:
                array = arrays[place.which]
                if array is None:
                    rows[:, place.start : place.start + place.share] = 0
                else:
                    _spread(_numbers(self._transport.here(array)), place, rows)
            self._reduce(rows, received, order)

    def exchange(self, arrays: Sequence[Any], scratch: Sequence[Any]) -> None:
        """Write into whole arrays what each process has in its own share of them."""
        rows, row = self._rows(scratch[0], self._raw), self._rows(scratch[1], self._raw)[0]
        for place in self._places:
            flat = arrays[place.which].reshape(-1)
            own = flat[share_of(flat.size, self._transport.size, self._transport.rank)]
            numbers = self._transport.here(own).view(self._raw)
            row[place.start : place.start + numbers.size] = numbers
        self._transport.all_gather(row, rows)
        for place in self._places:
            array = arrays[place.which]
            write(array, _joined(place, rows).view(array.dtype))


def gathered(transport: Transport, own: Any, like: Any) -> Any:
    """A new array of the shape of `like`, from the shares that processes have of it."""
    share, xp = -(-like.size // transport.size), transport.xp
    row, rows = xp.zeros(share, own.dtype), xp.empty((transport.size, share), own.dtype)
    row[: own.size] = transport.here(own)
    if share:
        transport.all_gather(row, rows)
    whole = rows.reshape(-1)[: like.size].reshape(like.shape)
    return array_module(own).asarray(whole)


def _numbers(array: Any) -> Any:
    """The elements of an array in C order, a complex one as two numbers."""
    flat = array_module(array).ascontiguousarray(array).reshape(-1)
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
    joined = rows[:, place.start : place.start + place.share].reshape(-1)
    return joined[: place.whole]
