"""The gradients of a step: matched with the parameters, and checked before anything is written."""

from __future__ import annotations

import functools
import operator
from typing import Any, Final, NamedTuple

import numpy as np

from gpuopt.arrays import check
from gpuopt.arrays.exchange import shared
from gpuopt.arrays.identity import SameObjects
from gpuopt.arrays.memory import Memory, address, bounds
from gpuopt.arrays.rows import Rows
from gpuopt.arrays.tree import TreeSpec

__all__ = ["GradientReader", "Located", "Whereabouts"]

_SHAPE, _DTYPE, _OWNS = map(operator.attrgetter, ("shape", "dtype", "flags.owndata"))
_LIKENESS = operator.attrgetter("dtype", "shape", "strides", "data.device_id")
_ADDRESS = operator.attrgetter("data.ptr")

_MANY: Final = 16
"""From this number of arrays on it pays to remember NumPy's gradients: fewer are checked as fast.
"""

_KEPT: Final = 8
"""The most whereabouts that are known: as many lists of addresses are kept on a device."""


class Whereabouts(NamedTuple):
    """What a step has to know of its gradients beside themselves.

    On a device the same object comes again for gradients that are what they were, where they were.

    Attributes
    ----------
    complete : bool
        Whether each array that is updated has a gradient.
    addresses : tuple of int, optional
        Of each gradient on a device, if all are like their parameters: in dtype, shape, strides and
        device.
    """

    complete: bool
    addresses: tuple[int, ...] | None = None


_COMPLETE = Whereabouts(True)


class Located(NamedTuple):
    """Gradients on a CPU whose addresses another library knows, in the order of the parameters.

    Attributes
    ----------
    arrays : list of array
        None if there is no gradient.
    addresses : tuple of int, optional
        If all have the dtype, shape and strides of their parameters.
    """

    arrays: list[Any]
    addresses: tuple[int, ...] | None


class GradientReader:
    """Reads the gradients of given parameters.

    Parameters
    ----------
    spec : TreeSpec
        The structure of the parameters.
    params : list of array
        The parameters in the order of `spec`.
    states : list of dict
        For each of them its state by name, which a gradient must not share memory with either.
    updated : list of bool
        Whether it is updated at all.
    """

    def __init__(
        self, spec: TreeSpec, params: list[Any], states: list[dict[str, Any]], updated: list[bool]
    ) -> None:
        self._spec, self._params, self._keys = spec, params, set(spec.keys or ())
        self._updated = [index for index, is_updated in enumerate(updated) if is_updated]
        self._shapes, self._dtypes, self._type = (
            [p.shape for p in params],
            [p.dtype for p in params],
            type(params[0]),
        )
        self._numpy = [np.ndarray] * len(params)
        self._same = SameObjects()  # the gradients of the step before
        if self._type is not np.ndarray:
            self._where = Whereabouts(False)
            self._known: dict[tuple[int, ...], Whereabouts] = {}
            self._alike = [_LIKENESS(p) for p in params]
        state = [
            (array, f"opt.state[{name!r}]{path}")
            for path, own in zip(spec.paths, states, strict=True)
            for name, array in own.items()
        ]
        self._names = [f"params{path}" for path in spec.paths] + [name for _, name in state]
        self._memory = Memory(params + [array for array, _ in state], self._names)

    def read(self, grads: Any, found: list[Any] | None = None) -> tuple[list[Any], Whereabouts]:
        """The gradient of each array, or None; and where they are. They may be `found` already.

        Raises
        ------
        TypeError, ValueError
            If a gradient does not fit; the message names it by its path.
        """
        if found is None:
            keys = self._spec.keys
            if keys is not None and isinstance(grads, dict) and grads.keys() == self._keys:
                found = [*map(grads.__getitem__, keys)]
            elif type(grads) is Located:
                return self._read_located(grads)
            else:
                found = (
                    self._spec.match(grads, "grads", "no gradient in this step")
                    if self._spec.containers
                    else [grads]
                )
        if self._type is np.ndarray:
            many = len(found) >= _MANY
            if many and self._same(found):
                return found, _COMPLETE
            if (  # the usual case: NumPy's own arrays of the right shapes and dtypes
                [*map(type, found)] == self._numpy
                and [*map(_SHAPE, found)] == self._shapes
                and [*map(_DTYPE, found)] == self._dtypes
                and all(map(_OWNS, found))  # not only without a base: their memory is theirs
                and not self._memory.foreign
                and self._memory.owners.isdisjoint(map(id, found))
            ):
                if many:
                    self._same.remember(found)
                return found, _COMPLETE
            found = self._shared(found)
            return self._checked(found), Whereabouts(self._complete(found))
        if not self._same(found):
            self._same.forget()
            found = self._shared(found)
            where = self._like_params(found)
            self._where = where or Whereabouts(self._complete(self._checked(found)))
            self._same.remember(found)
        return found, self._where

    def _read_located(self, grads: Located) -> tuple[list[Any], Whereabouts]:
        """The same of gradients whose addresses are known: they need no check one by one."""
        if grads.addresses is not None and self._apart(grads.addresses):
            return grads.arrays, _COMPLETE
        return self.read(None, grads.arrays)

    def _apart(self, addresses: tuple[int, ...]) -> bool:
        """Whether gradients at these addresses, all like their parameters, share no memory."""
        begin = np.array(addresses, np.int64)
        return self._memory.clear_of(begin + self._spans[0], begin + self._spans[1])

    @functools.cached_property
    def _spans(self) -> Any:
        """How far each parameter reaches before and behind its first element."""
        params = self._params
        return (np.array([*map(bounds, params)], np.int64) - [[address(p)] for p in params]).T

    def _shared(self, found: list[Any]) -> list[Any]:
        """The gradients, of which those of other libraries are arrays with the same memory."""
        if set(map(type, found)) <= {self._type, type(None)}:
            return found
        return [shared(g, f"grads{path}") for g, path in zip(found, self._spec.paths, strict=True)]

    def _complete(self, found: list[Any]) -> bool:
        """Whether each array that is updated has a gradient."""
        return all(found[index] is not None for index in self._updated)

    def _checked(self, found: list[Any]) -> list[Any]:
        """The gradients, each checked by itself."""
        for index, (given, p) in enumerate(zip(found, self._params, strict=True)):
            g = given
            if g is None:
                continue
            if isinstance(g, Rows):
                path = self._spec.paths[index]
                raise TypeError(
                    f"grads{path} has gradients of rows, but params{path} is updated as a whole: "
                    f"call init with rows={self._spec.names[index] or '*'!r}"
                )
            if isinstance(g, np.generic) and not p.shape:
                found[index] = g = np.asarray(g)  # what NumPy's arithmetic makes of a 0-d array
            if (
                type(g) is not np.ndarray
                or type(p) is not np.ndarray
                or g.shape != p.shape
                or g.dtype != p.dtype
            ):
                check.gradient(g, p, self._spec.paths[index])
                if isinstance(g, np.ndarray):
                    found[index] = g.view(np.ndarray)
            if self._memory.suspects(found[index]):
                self._check_alias(found[index], p, index)
        return found

    def _like_params(self, found: list[Any]) -> Whereabouts | None:
        """Where CuPy's arrays are that lie as the parameters do, and share no memory with them."""
        if set(map(type, found)) != {self._type}:
            return None
        if not all(map(operator.eq, map(_LIKENESS, found), self._alike)):
            return None
        addresses = tuple(map(_ADDRESS, found))
        where = self._known.get(addresses)
        if where is None:
            if not self._apart(addresses):
                return None
            if len(self._known) == _KEPT:
                self._known.clear()
            where = self._known[addresses] = Whereabouts(True, addresses)
        return where

    def check_apart(self, g: Any, index: int) -> None:
        """Raise ValueError if the gradient of rows of an array shares memory with anything else."""
        if not self._memory.suspects(g):
            return
        for other in self._memory.sharing(g):
            if other != index:
                raise self._overlap(index, other)

    def _overlap(self, index: int, other: int) -> ValueError:
        return ValueError(
            f"grads{self._spec.paths[index]} shares memory with {self._names[other]}, "
            "which the step would alter before it is read: pass a copy"
        )

    def _check_alias(self, g: Any, p: Any, index: int) -> None:
        """A gradient may be its own parameter, and share memory with nothing else."""
        for other in self._memory.sharing(g):
            same = (
                other == index
                and bounds(g) == bounds(p)
                and g.strides == p.strides
                and g.dtype == p.dtype
            )
            if not same:
                raise self._overlap(index, other)
