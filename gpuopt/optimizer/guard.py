"""Refuses concurrent use, use in a forked process, and use after a step that failed halfway."""

from __future__ import annotations

import operator
import os
import threading
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Protocol

from gpuopt.arrays.exchange import is_tensor, note_written, place_of, tensor_of
from gpuopt.arrays.tree import TreeSpec

__all__ = ["Guard"]


class Work(Protocol):
    """What changes several arrays.

    Attributes
    ----------
    begun : bool
        Whether it may have written something by now.
    """

    @property
    def begun(self) -> bool: ...


class Guard:
    """Refuses an operation on an optimizer that is not safe now.

    Parameters
    ----------
    spec : TreeSpec
    params
        The parameters, as given to `init`.
    on_device : bool
        Whether they are on a GPU.

    Attributes
    ----------
    unfinished : Work or None
        A step, load or change of rule that was begun and did not end.
    """

    def __init__(self, spec: TreeSpec, params: Any, on_device: bool) -> None:
        self._spec, self._params = spec, params
        self._lock, self._process = threading.Lock(), os.getpid() if on_device else 0
        self.unfinished: Work | None = None
        self._dicts = [each for each in spec.containers if isinstance(each, dict)]
        self._keys = [*chain(*self._dicts)]
        self._held = [each.values() if isinstance(each, dict) else each for each in spec.containers]
        self._lengths, self._entries = [*map(len, self._held)], [*chain(*self._held)]
        self._bound = spec.match(params, "params")
        self._tensors = [x for x in self._bound if is_tensor(x)]
        self._places = [*map(place_of, self._tensors)]

    @property
    def inconsistent(self) -> bool:
        """Whether a change of several arrays began to write and did not end."""
        return self.unfinished is not None and self.unfinished.begun

    def exclusive(self, what: str) -> threading.Lock:
        """The lock to hold, a plain one, safe from Ctrl-C; RuntimeError if it is taken."""
        if self._lock.locked():
            raise RuntimeError(
                "this optimizer is in use by another thread, or by a call inside its own step or "
                f"inside go.graph, and cannot be {what} now"
            )
        return self._lock

    def check_process(self) -> None:
        """Raise RuntimeError if CUDA was used before the process was forked."""
        if self._process and self._process != os.getpid():
            raise RuntimeError(
                "this optimizer's arrays are on a GPU and this process was forked after that; "
                "CUDA does not work in a forked process: start processes with "
                "multiprocessing.get_context('spawn')"
            )

    def check_whole(self) -> None:
        """Check the process, and raise RuntimeError if a step failed halfway."""
        self.check_process()
        if self.inconsistent:
            raise RuntimeError(
                "an earlier step or load of this optimizer was interrupted halfway, so parameters "
                "and state do not match: restore the parameters and call load_state_dict"
            )

    def check(self) -> None:
        """Check all that; ValueError if an entry of params was replaced: a step would miss it."""
        if self.unfinished is not None or (self._process and self._process != os.getpid()):
            self.check_whole()
        # Where every container holds what it held, in that order, the tree is what it was.
        unchanged = (
            [*map(len, self._held)] == self._lengths
            and [*chain(*self._dicts)] == self._keys
            and all(map(operator.is_, chain(*self._held), self._entries))
        )
        if not unchanged:
            self._check_leaves()
        if self._tensors and [*map(place_of, self._tensors)] != self._places:
            self._check_memory()

    def _check_leaves(self) -> None:
        """Raise ValueError or TypeError unless params still holds the arrays that init was
        given.
        """
        now = self._spec.match(self._params, "params")
        for path, array, was in zip(self._spec.paths, now, self._bound, strict=True):
            if array is not was:
                raise ValueError(
                    f"params{path} is no longer the array that was given to init: assign into that "
                    f"one, params{path}[...] = x, or call init again"
                )

    def _check_memory(self) -> None:
        """Raise ValueError unless each tensor of PyTorch lies where and as it did."""
        tensors = [
            (p, x) for p, x in zip(self._spec.paths, self._bound, strict=True) if is_tensor(x)
        ]
        for (path, tensor), place in zip(tensors, self._places, strict=True):
            if place_of(tensor) != place:
                what = "other memory" if tensor.data_ptr() != place[0] else "another layout"
                raise ValueError(
                    f"params{path} has {what} than it had in init: copy into that one, "
                    f"params{path}.copy_(x), or call init again"
                )

    def alike(self, arrays: Sequence[Any]) -> list[Any]:
        """New arrays in place of the parameters: tensors of PyTorch if the parameters are."""
        return [
            tensor_of(new).requires_grad_(x.requires_grad) if is_tensor(x) else new
            for new, x in zip(arrays, self._bound, strict=True)
        ]

    def written(self, grads: Iterable[Any], updated: Iterable[bool]) -> None:
        """Tell PyTorch which tensors were written to: those that are updated, with a gradient."""
        if self._tensors:
            each = zip(self._bound, grads, updated, strict=True)
            note_written([x for x, g, own in each if own and g is not None and is_tensor(x)])
