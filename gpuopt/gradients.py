"""The gradients of a step: matched with the parameters, and checked before anything is written."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuopt import check
from gpuopt.tree import Spec

__all__ = ["GradientReader"]


class GradientReader:
    """Reads the gradients of given parameters.

    Parameters
    ----------
    spec : Spec
        The structure of the parameters.
    params : list of array
        The parameters in the order of `spec`.
    states : list of dict
        For each of them its state by name, which a gradient must not share memory with either.
    """

    def __init__(self, spec: Spec, params: list[Any], states: list[dict[str, Any]]) -> None:
        self._spec, self._params = spec, params
        self._shapes, self._dtypes = [p.shape for p in params], [p.dtype for p in params]
        state = [
            (array, f"opt.state[{name!r}]{path}")
            for path, own in zip(spec.paths, states, strict=True)
            for name, array in own.items()
        ]
        self._names = [f"params{path}" for path in spec.paths] + [name for _, name in state]
        self._memory = check.Memory(params + [array for array, _ in state], self._names)

    def read(self, grads: Any) -> tuple[list[Any], bool]:
        """The gradient of each array, None where it has none; and whether it is sure that each has one.

        Raises
        ------
        TypeError, ValueError
            Where a gradient does not fit; the message names it by its path.
        """
        found = self._spec.match(grads, "grads")
        if self._plain(found):
            return found, True
        for index, (given, p) in enumerate(zip(found, self._params, strict=True)):
            g = given
            if g is None:
                continue
            if isinstance(g, np.generic) and not p.shape:
                found[index] = g = np.asarray(g)  # what NumPy's arithmetic makes of a 0-d array
            if type(g) is not np.ndarray or type(p) is not np.ndarray or g.shape != p.shape or g.dtype != p.dtype:
                check.gradient(g, p, self._spec.paths[index])
                if isinstance(g, np.ndarray):
                    found[index] = g.view(np.ndarray)
            if self._memory.suspects(found[index]):
                self._check_alias(found[index], p, index)
        return found, False

    def _plain(self, found: list[Any]) -> bool:
        """Whether all are NumPy's own arrays of the right shape and dtype that share no memory: the usual case, told fast."""
        return (
            set(map(type, found)) == {np.ndarray}
            and [g.shape for g in found] == self._shapes
            and [g.dtype for g in found] == self._dtypes
            and self._memory.surely_apart(found)
        )

    def _check_alias(self, g: Any, p: Any, index: int) -> None:
        """A gradient may be its own parameter, and share memory with nothing else."""
        for other in self._memory.sharing(g):
            same = other == index and check.bounds(g) == check.bounds(p) and g.strides == p.strides and g.dtype == p.dtype
            if not same:
                raise ValueError(
                    f"grads{self._spec.paths[index]} shares memory with {self._names[other]}, which the step would alter "
                    "before it is read: pass a copy"
                )
