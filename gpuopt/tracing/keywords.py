"""Keywords of NumPy's functions: those that change nothing are taken, others are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gpuopt.tracing.errors import trace_error

__all__ = ["refuse_keywords"]

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "where": (True,),
    "casting": ("same_kind",),
    "order": ("K", "A", "C", "F"),  # of the memory of a result, which a rule does not see
    "subok": (True, False),
    "keepdims": (False,),
}
"""The values with which a keyword says nothing; None is one of every keyword."""
_REMEDIES = {
    "where": "choose with np.where(mask, a, b)",
    "dtype": "a rule computes in float32 or float64, as its arrays ask for: leave dtype out",
    "out": "it would alter an array, as an operator such as += would alter the caller's array: "
    "write x = {0}(…), or x = x + y",
    "axis": "it reduces the whole array: leave axis out, or write a function of whole arrays "
    "(gpuopt.whole_array)",
    "keepdims": "a number broadcasts: leave keepdims out, or say along which axis",
    "initial": "write {0}(x) + initial, or np.maximum or np.minimum of {0}(x) and initial",
    "ord": "{0}(x) is the Euclidean norm of all elements; write np.sum(np.abs(x)) or "
    "np.max(np.abs(x)) for others",
}


def refuse_keywords(function: str, given: Mapping[str, Any]) -> None:
    """Raise TraceError, with the remedy, for a keyword that would change what is computed."""
    for name, value in given.items():
        if not _is_neutral(name, value):
            remedy = _REMEDIES.get(name, f"leave {name} out").format(function)
            raise trace_error(f"{function}(…, {name}=…) is not available in a rule: {remedy}")


def _is_neutral(name: str, value: Any) -> bool:
    if name == "out" and isinstance(value, tuple):
        return all(each is None for each in value)
    known = _NEUTRAL.get(name, ())
    return (
        value is None
        or value is np._NoValue
        or any(value is each for each in known)
        or (isinstance(value, str) and value in known)
    )
