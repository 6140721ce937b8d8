"""Optimizers of several processes: each step takes the mean of their gradients.

Comes in: gradients of this process. `Averaging` lets each process make the whole step;
`gpuopt.distributed.sharding` is built on the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import numpy as np

from gpuopt.arrays.backend import array_module
from gpuopt.arrays.tree import TreeSpec
from gpuopt.distributed.agreement import Said, agree, heard, together, token_of
from gpuopt.distributed.buckets import Bucket, Order, buckets
from gpuopt.optimizer.optimizer import Optimizer
from gpuopt.rules.base import BindableT_co

__all__ = ["Averaging", "Distributed"]

T = TypeVar("T")


class Distributed(Optimizer[BindableT_co]):
    """What the optimizers of several processes have in common.

    Parameters
    ----------
    comm : mpi4py communicator
    order : {"fast", "fixed"}
    spec : TreeSpec
        All of the parameters.
    rule, params, **options
        What this process updates, as for `Optimizer`.
    """

    def __init__(
        self,
        comm: Any,
        order: Order,
        spec: TreeSpec,
        rule: BindableT_co,
        params: Any,
        **options: Any,
    ) -> None:
        super().__init__(rule, params, **options)
        self._comm, self._order, self._all = comm, order, spec
        self._buckets = buckets(comm, spec.leaves)
        room = max((bucket.room for bucket in self._buckets), default=0)
        self._scratch = [np.zeros(room, np.uint8) for _ in range(2)]
        leaves = self._binding.leaves
        self._averages = [array_module(leaf).zeros_like(leaf) for leaf in leaves]  # if it is empty
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
            In all processes alike, if one cannot make the step, or makes another. Nothing has
            changed then.
        """
        read, error = list[Any](), None
        value = 0.0
        try:
            read = list(self._read(grads))
            self._check_rule()
            value = 0.0 if loss is None else float(loss)
        except Exception as caught:  # told to all
            error = caught
        given = [g is not None for g in read]
        said = Said(error is not None, all(given), self.t, self._token, loss is not None, value)
        mean = heard(self._comm, said, error, given)
        for bucket in self._buckets:
            bucket.average(read, self._scratch, self._order)
            self._take(bucket)
        averages = [a if has else None for a, has in zip(self._averages, given, strict=True)]
        super().step(self._all.build(averages), None if loss is None else mean.loss)

    def _check_rule(self) -> None:
        """Raise an error if another rule was set that cannot be used here."""
        if self._known is not self._rule:
            self._known, self._token = self._rule, token_of(self._rule)

    def _read(self, grads: Any) -> list[Any]:
        """The gradient of each whole array, checked."""
        raise NotImplementedError

    def _take(self, bucket: Bucket) -> None:
        """Put what was averaged where the step of this process reads it."""
        raise NotImplementedError

    def _agreed(
        self, what: str, action: Callable[[], T], told: Callable[[T], str] | None = None
    ) -> T:
        found = together(self._comm, what, action)
        if told is not None:
            agree(self._comm, what, {"the file": told(found)})
        return found

    def _mapped(self, *_: Any) -> NoReturn:
        raise TypeError(
            "an optimizer of several processes is neither moved, resized, copied nor asked for a "
            "direction: take opt.state_dict(), and call gpuopt.distributed.init again"
        )

    def __getstate__(self) -> Any:
        self._mapped()


class Averaging(Distributed[BindableT_co]):
    """Each process has all state, and makes the whole step."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for place in itertools.chain.from_iterable(bucket.places for bucket in self._buckets):
            xp = array_module(self._all.leaves[place.which])
            self._averages[place.which] = xp.zeros(place.shape, place.dtype)

    def _read(self, grads: Any) -> list[Any]:
        return self._reader.read(grads)[0]

    def _take(self, bucket: Bucket) -> None:
        bucket.whole(self._averages, self._scratch)
