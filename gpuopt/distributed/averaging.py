"""Optimizers of several processes: each step takes the mean of their gradients.

Comes in: gradients of this process. `Averaging` lets each process make the whole step;
`gpuopt.distributed.sharding` is built on the same.
"""

from __future__ import annotations

import zlib
from typing import Any, NoReturn

import numpy as np

from gpuopt.arrays.backend import array_module
from gpuopt.arrays.tree import TreeSpec
from gpuopt.distributed.agreement import Group, Said, heard, token_of
from gpuopt.distributed.buckets import Bucket, FlatBucket, Order, buckets
from gpuopt.distributed.transports import Transport
from gpuopt.optimizer.losses import given_loss
from gpuopt.optimizer.optimizer import Optimizer
from gpuopt.rules.base import BindableT_co

__all__ = ["Averaging", "Distributed"]


class Distributed(Optimizer[BindableT_co]):
    """What the optimizers of several processes have in common.

    Parameters
    ----------
    transport : Transport
    order : {"fast", "fixed"}
    spec : TreeSpec
        All of the parameters.
    rule, params, **options
        What this process updates, as for `Optimizer`.
    """

    _kind: type[Bucket]
    _buckets: list[Any]

    def __init__(
        self,
        transport: Transport,
        order: Order,
        spec: TreeSpec,
        rule: BindableT_co,
        params: Any,
        **options: Any,
    ) -> None:
        super().__init__(rule, params, **options)
        self._transport, self._order, self._all = transport, order, spec
        self._processes = Group(transport)
        self._buckets = buckets(self._kind, transport, spec.leaves)
        room = max((bucket.room for bucket in self._buckets), default=0)
        count = self._kind.scratches(order)
        self._scratch = [transport.xp.zeros(room, np.uint8) for _ in range(count)]
        self._averages = [x if x.size else x.copy() for x in self._binding.leaves]
        for bucket in self._buckets:
            for index, mean in bucket.means.items():
                self._averages[index] = array_module(self._averages[index]).asarray(mean)
        self._token = token_of(rule)
        self._known: Any = rule

    def step(self, grads: Any, loss: Any = None) -> None:
        """Update every array by the mean of all processes' gradients; all must call it.

        Parameters
        ----------
        grads
            Of this process, as for `Optimizer.step`. An array without a gradient counts as one of
            zeros, unless no process has one.
        loss
            Of this process; a rule reads the mean of all.

        Raises
        ------
        RuntimeError, ValueError
            In all processes, if one cannot make the step, or makes another. Nothing has changed
            then.
        """
        read, error, own, token = list[Any](), None, None, 0
        try:
            self._guard.check()
            read = list(self._read(grads))
            self._check_rule()
            token = self._token_of_step()
            own = given_loss(loss, self._binding.loss_reader, self._binding.leaves[0])
        except Exception as caught:  # told to all
            error = caught
        given = [g is not None for g in read]
        value = 0.0 if own is None or self._averages_loss else float(own)
        said = Said(error is not None, all(given), self._count, token, loss is not None, value)
        mean = heard(self._transport, said, error, given)
        with self._there():
            for bucket in self._buckets:
                bucket.average(read, self._scratch, self._order)
                self._take(bucket)
            averages = [a if has else None for a, has in zip(self._averages, given, strict=True)]
            if own is not None:
                own = self._mean_loss(own) if self._averages_loss else mean.loss
        super().step(self._all.build(averages), own)

    @property
    def _averages_loss(self) -> bool:
        """Whether losses are averaged on the GPU, so that the host does not wait for its own."""
        return self._transport.xp is not np

    def _mean_loss(self, own: Any) -> Any:
        """The mean of all losses, a 0-d array on the GPU."""
        xp, size = self._transport.xp, self._transport.size
        mine, losses = xp.empty(1), xp.empty((size, 1))
        mine[:] = own
        self._transport.all_gather(mine, losses)
        return losses.sum() / size

    @property
    def _count(self) -> int:
        """The count of steps, if the host knows it."""
        return 0 if self._binding.device_counts else self.t

    def _token_of_step(self) -> int:
        """A number that tells rules apart, and what their schedules give on the host."""
        hyper = self._binding.hyper
        if hyper.fixed is not None or self._binding.device_counts:
            return self._token
        values = [*hyper.at(self._binding.t).values()]
        return zlib.crc32(repr(values).encode(), self._token)

    def _check_rule(self) -> None:
        """Raise an error if another rule was set that cannot be used here."""
        if self._known is not self._rule:
            self._known, self._token = self._rule, token_of(self._rule)

    def _read(self, grads: Any) -> list[Any]:
        """The gradient of each whole array, checked."""
        raise NotImplementedError

    def _take(self, bucket: Bucket) -> None:
        """Put what was averaged where the step of this process reads it."""
        for index, mean in bucket.means.items():
            if array_module(own := self._averages[index]) is not self._transport.xp:
                own.set(mean)

    def _mapped(self, *_: Any) -> NoReturn:
        raise TypeError(
            "an optimizer of several processes is neither moved, resized, copied nor asked for a "
            "direction: take opt.state_dict(), and call gpuopt.distributed.init again"
        )

    def __getstate__(self) -> Any:
        self._mapped()


class Averaging(Distributed[BindableT_co]):
    """Each process has all state, and makes the whole step."""

    _kind = FlatBucket

    def _read(self, grads: Any) -> list[Any]:
        return self._reader.read(grads)[0]
