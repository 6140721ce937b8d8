"""A context in which NumPy reports no floating-point errors, because gradients may hold any value.

`numpy.errstate` is Python code, in which Ctrl-C could leave it to the caller for good.
"""

import contextvars
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np

__all__ = ["QUIET", "cast", "quietly"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

QUIET = contextvars.Context()
"""``QUIET.copy().run(function, ...)`` calls a function there."""
QUIET.run(np.seterr, all="ignore")


def quietly(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Call a function in that context."""
    return QUIET.copy().run(function, *args, **kwargs)


def cast(array: Any, dtype: Any) -> Any:
    """A copy of an array in another dtype.

    Nothing warns of a NaN that signals, nor of a number that is too large for the dtype.
    """
    return quietly(array.astype, dtype)
