"""A function of a tree as a function of a real vector, with complex numbers as pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gpuopt.arrays.backend import array_module, is_cupy
from gpuopt.arrays.dtypes import COMPUTE, state_dtype
from gpuopt.arrays.quiet import quietly
from gpuopt.arrays.tree import TreeSpec
from gpuopt.training.objective import Objective

__all__ = ["Point", "Problem", "dot", "read"]


class Point(NamedTuple):
    """A vector, with the function's value and gradient, and the gradient's largest element.

    The other fields describe the line on which it was found: the distance along the direction, the
    derivative there, and the growth of the derivative relative to the start of the line.
    """

    x: Any
    value: float
    gradient: Any
    optimality: float
    step: float = 0.0
    slope: float = 0.0
    growth: float = 0.0


class Problem:
    """The function of a vector, which joins all arrays of a tree.

    The real inner product of such vectors is the right one for complex arrays, whose gradient is
    ``dL/dx + 1j * dL/dy``. The vector is float64 if an array is computed in float64, else float32.

    Attributes
    ----------
    calls : int
        The number of calls of the function.
    spec : TreeSpec
    eps : float
        The distance from 1 to the next number of the vector's dtype.
    """

    def __init__(self, objective: Objective, spec: TreeSpec) -> None:
        self._objective, self.spec = objective, spec
        self._xp = array_module(*spec.leaves)
        compute = {COMPUTE[array.dtype.name] for array in spec.leaves}
        self._dtype = max(compute, key=lambda dtype: dtype.itemsize)
        self.calls, self.eps = 0, float(np.finfo(self._dtype).eps)

    def at(self, x: Any) -> Point:
        """The function at `x`. This waits for a GPU once."""
        return self._point(x, None, 0.0)

    def along(self, start: Point, direction: Any) -> Callable[[float], Point]:
        """The function on a line."""

        def at(step: float) -> Point:
            x = quietly(_moved, start.x, self.number(step), direction)
            return self._point(x, direction, step)

        return at

    def number(self, number: float) -> Any:
        """A number of the vector's dtype."""
        return self._dtype.type(number)

    def _point(self, x: Any, direction: Any, step: float) -> Point:
        value, leaves = self._objective(self.arrays(x))
        self.calls += 1
        gradient, *numbers = quietly(self._numbers, leaves, direction)
        value, largest, slope = read(value, *numbers)
        return Point(x, value, gradient, largest, step, slope)

    def _numbers(self, leaves: list[Any], direction: Any) -> tuple[Any, Any, Any]:
        gradient = self.vector(leaves)
        slope = 0.0 if direction is None else dot(gradient, direction)
        return gradient, self.largest(leaves), slope

    def vector(self, arrays: list[Any]) -> Any:
        """The arrays of a tree as one vector, in new memory."""
        return self._xp.concatenate([self._pairs(array).reshape(-1) for array in arrays])

    def _pairs(self, array: Any) -> Any:
        if array.dtype.kind == "c":
            wide = array.astype(state_dtype(self._dtype, True), order="C", copy=False)
            return wide.reshape(-1).view(self._dtype)
        return array.astype(self._dtype, copy=False)

    def arrays(self, x: Any) -> list[Any]:
        """The arrays of the tree from a vector; arrays of its dtype are views."""
        found, start = [], 0
        for leaf in self.spec.leaves:
            pairs = leaf.dtype.kind == "c"
            part = x[start : (start := start + leaf.size * (1 + pairs))]
            if pairs:
                part = part.view(state_dtype(self._dtype, True))
            found.append(part.reshape(leaf.shape).astype(leaf.dtype, copy=False))
        return found

    def tree(self, x: Any) -> Any:
        """A copy of a vector as a tree."""
        return self.spec.build([array.copy() for array in self.arrays(x)])

    def largest(self, arrays: list[Any]) -> Any:
        """The largest modulus of an element of all arrays, on the device."""
        found = [abs(array).max().astype(self._dtype) for array in arrays if array.size]
        return self._xp.stack(found).max() if len(found) > 1 else found[0] if found else 0.0


def _moved(x: Any, step: Any, direction: Any) -> Any:
    return x + step * direction


def dot(a: Any, b: Any) -> Any:
    """The inner product, on the device. CuPy's own needs cuBLAS, which may be missing."""
    return (a * b).sum() if is_cupy(a) else a @ b


def read(*numbers: Any) -> list[float]:
    """Numbers on the device as floats. This waits for a GPU once, for all of them."""
    there = [number for number in numbers if is_cupy(number)]
    if len(there) > 1:
        stack = array_module(*there).stack([number.reshape(()).astype(float) for number in there])
        read_there = iter(stack.tolist())
        return [next(read_there) if is_cupy(number) else float(number) for number in numbers]
    return [float(number) for number in numbers]
