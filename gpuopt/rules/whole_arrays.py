"""Functions of whole arrays that a formula calls, and the states that only they see.

A formula is elementwise. What is not, such as a product of matrices, is a function in plain NumPy,
marked by `whole_array`: it runs between the fused parts of a step, once for each array.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any, overload

from gpuopt.rules.traced import Traced

__all__ = ["buffer", "whole_array"]


class WholeArrayFunction:
    """A function that sees whole arrays; made by `whole_array`. Called with arrays, it is itself.

    Attributes
    ----------
    function : callable
        What was marked.
    outputs : int
        How many values it gives.
    """

    def __init__(self, function: Callable[..., Any], outputs: int = 1) -> None:
        if not callable(function):
            raise TypeError(f"whole_array marks a function, got {function!r}")
        if type(outputs) is not int or outputs < 1:
            raise ValueError(f"whole_array: outputs must be a whole number >= 1, got {outputs!r}")
        functools.update_wrapper(self, function)
        self.function, self.outputs = function, outputs
        self.name = getattr(function, "__name__", type(function).__name__)

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        given = inspect.signature(self.function).bind(*args, **keywords)
        every = [*given.args, *given.kwargs.values()]
        for arg in every:
            if isinstance(arg, Traced):
                return arg.given_to(self, every, tuple(given.kwargs))
        return self.function(*args, **keywords)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<whole_array {self.name}, outputs={self.outputs}>"


@overload
def whole_array(function: Callable[..., Any], *, outputs: int = 1) -> WholeArrayFunction: ...
@overload
def whole_array(*, outputs: int = 1) -> Callable[[Callable[..., Any]], WholeArrayFunction]: ...
def whole_array(function: Callable[..., Any] | None = None, *, outputs: int = 1) -> Any:
    """Mark a function of whole arrays, which a formula may call.

    It is plain code for NumPy and CuPy arrays, such as matrix products, means along an axis, sorts,
    stencils and decompositions. Each step calls it once for each array, between the fused parts of
    the step. Its bits are those of the library that it calls.

    Each argument is what the formula passes: an array, which has the shape of the parameter and the
    dtype that the rule computes in, and must not be written to; a number, which is a 0-d array if
    only the GPU knows it; a `buffer`; the result of another such function; or anything else,
    unchanged.

    The formula may use a result that broadcasts to the parameter, pass it to another such function,
    or return it as the new value of a buffer. If an argument is complex, results are complex in the
    formula: take ``.real`` of a result that is real.

    Parameters
    ----------
    outputs : int
        The number of values that the function returns: a tuple of that length, or the value itself
        if it is 1.

    Examples
    --------
    >>> import gpuopt as go
    >>> @go.whole_array
    ... def row_means(g):
    ...     return g.mean(axis=-1, keepdims=True)
    >>> class Centered(go.Rule):
    ...     lr: go.NonNegative = 0.1
    ...     def update(self, t, p, g):
    ...         return p - self.lr * (g - row_means(g))
    >>> import numpy as np
    >>> x = np.zeros((2, 2))
    >>> Centered().init(x).step(np.array([[1.0, 3.0], [2.0, 2.0]]))
    >>> x.tolist()
    [[0.1, -0.1], [0.0, 0.0]]
    """
    if function is None:
        return functools.partial(WholeArrayFunction, outputs=outputs)
    return WholeArrayFunction(function, outputs)


class Buffer:
    """The default of an argument of ``update`` that is a buffer; made by `buffer`.

    Attributes
    ----------
    start : callable
        From the parameter to what the buffer holds before the first step.
    """

    def __init__(self, start: Callable[[Any], Any]) -> None:
        if not callable(start):
            raise TypeError(f"buffer takes a function of the parameter, got {start!r}")
        self.start = start

    def __repr__(self) -> str:
        return f"buffer({getattr(self.start, '__name__', self.start)})"


def buffer(start: Callable[[Any], Any]) -> Any:
    """A state of any shape and dtype, which only functions of whole arrays see.

    Use it as the default of an argument of ``update``. ``update`` passes the buffer to functions
    marked `whole_array`, and returns in its place the buffer itself or a result of such a function,
    of the same shape.

    Parameters
    ----------
    start : callable
        ``start(p)`` returns the array with which the buffer begins. `init` calls it with the
        parameter, in the dtype that the rule computes in.

    Examples
    --------
    >>> import gpuopt as go, numpy as np
    >>> @go.whole_array
    ... def second_moments(g, beta, v):
    ...     return beta * v + (1 - beta) * (g * g).mean(axis=-1, keepdims=True)
    >>> class ByRows(go.Rule):
    ...     lr: go.NonNegative = 0.1
    ...     beta: go.Decay = 0.9
    ...     def update(self, t, p, g, v=go.buffer(lambda p: np.zeros_like(p[..., :1]))):
    ...         v = second_moments(g, self.beta, v)
    ...         return p - self.lr * g / (np.sqrt(v) + 1e-8), v
    >>> ByRows().init(np.zeros((3, 5))).state["v"].shape
    (3, 1)
    """
    return Buffer(start)
