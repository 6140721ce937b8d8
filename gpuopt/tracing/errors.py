"""The error for what a rule's ``update`` may not do; it names the line."""

from __future__ import annotations

import linecache
import os
import sys
from pathlib import Path
from types import FrameType

import numpy as np

from gpuopt.rules.formula import Formula

__all__ = ["ELEMENTWISE", "TraceError", "trace_error"]

ELEMENTWISE = (
    "a rule is elementwise: use operators and np.sqrt, np.abs, np.maximum, np.minimum, np.where, "
    "np.sign, np.exp …, or a "
    "reduction to one number: np.sum, np.mean, np.max, np.min, np.all, np.any, np.linalg.norm, "
    "gpuopt.tree_sum …; for anything else call a function that is marked by @gpuopt.whole_array"
)


class TraceError(TypeError):
    """A rule's ``update`` does something that cannot run elementwise on arrays."""


_PACKAGE = f"{Path(__file__).parent.parent}{os.sep}"
_LIBRARIES = (_PACKAGE, f"{Path(np.__file__).parent}{os.sep}")


def trace_error(message: str) -> TraceError:
    """A TraceError that names the line of the rule that is being traced, if one is."""
    frame: FrameType | None = sys._getframe(1)
    while frame and not _is_of_a_rule(frame):
        frame = frame.f_back
    if frame is None:
        return TraceError(message)
    file, number = frame.f_code.co_filename, frame.f_lineno
    line = linecache.getline(file, number).strip()
    return TraceError(
        f"{message}\n  {file}, line {number}, in {frame.f_code.co_name}"
        + (f":\n    {line}" if line else "")
    )


def _is_of_a_rule(frame: FrameType) -> bool:
    """Whether a frame is not of this package or NumPy, by its file; or of a rule of this package.

    What stands between a rule's line and an error is none: the tracer, and what formulas call.
    """
    inside = frame.f_code.co_filename.startswith(_LIBRARIES)
    return not inside or isinstance(frame.f_locals.get("self"), Formula)
