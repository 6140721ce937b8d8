"""A context in which NumPy reports no floating-point errors, because gradients may hold any value.

`numpy.errstate` is Python code, in which Ctrl-C could leave it to the caller for good.
"""

import contextvars
from typing import Any

import numpy as np

__all__ = ["QUIET", "cast"]

QUIET = contextvars.Context()
"""``QUIET.copy().run(function, ...)`` calls a function there."""
QUIET.run(np.seterr, all="ignore")


def cast(array: Any, dtype: Any) -> Any:
    """A copy of an array in another dtype.

    Nothing warns of a NaN that signals, nor of a number that is too large for the dtype.
    """
    return QUIET.copy().run(array.astype, dtype)
