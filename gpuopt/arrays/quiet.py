"""A context in which NumPy reports no floating-point errors, because gradients may hold any value.

`numpy.errstate` is Python code, in which Ctrl-C could leave it to the caller for good.
"""

import contextvars

import numpy as np

__all__ = ["QUIET"]

QUIET = contextvars.Context()
"""``QUIET.copy().run(function, ...)`` calls a function there."""
QUIET.run(np.seterr, all="ignore")
