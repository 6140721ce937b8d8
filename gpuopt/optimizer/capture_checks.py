"""Checks of what may be captured, and explanations of errors in a capture."""

from __future__ import annotations

import linecache
import traceback
from typing import Any

from gpuopt.arrays.backend import is_cupy
from gpuopt.arrays.options import brief
from gpuopt.optimizer.capturing import Capturing
from gpuopt.optimizer.optimizer import Optimizer

__all__ = ["REFUSED", "check_arguments", "check_batch", "explain"]


REFUSED = (
    "CuPy captures neither cuBLAS (@, dot, matmul, tensordot, einsum) nor cuSOLVER, cuSPARSE and "
    "cuRAND, nor any copy of a value to the host or of an array from it (float(x), if x, x.get(), "
    "x[mask], cupy.asarray of a NumPy array). Use elementwise functions, sums, FFTs or kernels of "
    "your own, and compute the rest beforehand, as part of the batch; or capture the update alone "
    "(docs/cuda-graphs.md)"
)
"""What CuPy does not capture, and the remedy."""
_LIBRARIES = ("cupy", "cupy_backends", "cupyx", "gpuopt")
"""The packages whose code is not the user's."""


def check_arguments(loss_and_grad: Any, opt: Any, batch: tuple[Any, ...]) -> Capturing:
    """The inside of an optimizer that can be captured."""
    if not callable(loss_and_grad):
        raise TypeError(f"go.graph: loss_and_grad must be callable, not {brief(loss_and_grad)}")
    if not isinstance(opt, Optimizer):
        raise TypeError(
            "go.graph: opt must be an Optimizer, from rule.init(params, capturable=True), got "
            f"{type(opt).__name__}"
        )
    if opt.executor != "cupy":
        raise ValueError(
            "go.graph: a CUDA graph needs an optimizer of CuPy arrays; "
            "for NumPy arrays call opt.step"
        )
    if not opt.capturable:
        raise ValueError(
            "go.graph: this optimizer's steps cannot be captured: "
            "make it with rule.init(params, capturable=True)"
        )
    if (inside := opt._capturing()) is None:
        raise ValueError(f"go.graph: {opt.rule!r} updates none of the arrays")
    for number, array in enumerate(batch):
        if not is_cupy(array):
            raise TypeError(
                f"go.graph: batch[{number}] must be a CuPy array, which every replay reads, got "
                f"{type(array).__name__}: {_remedy(array)}"
            )
    return inside


def _remedy(array: Any) -> str:
    return (
        "give the arrays one by one, as in *batch"
        if isinstance(array, (tuple, list))
        else "use cupy.asarray"
    )


def check_batch(new: tuple[Any, ...], kept: tuple[Any, ...]) -> None:
    """Raise TypeError or ValueError if new arrays cannot be copied to those that are captured."""
    if len(new) != len(kept):
        raise ValueError(
            f"the step was captured with {len(kept)} arrays for its batch, got {len(new)}"
        )
    for number, (array, static) in enumerate(zip(new, kept, strict=True)):
        if not is_cupy(array):
            raise TypeError(
                f"batch[{number}] must be a CuPy array, got {type(array).__name__}: "
                f"{_remedy(array)}"
            )
        if (array.shape, array.dtype) != (static.shape, static.dtype):
            found, wanted = (f"{a.dtype} {a.shape}" for a in (array, static))
            raise ValueError(f"batch[{number}] must be {wanted}, as it was captured, got {found}")


def explain(error: BaseException) -> None:
    """Raise RuntimeError if CuPy or CUDA refused to capture; the message names the user's line."""
    said = str(error).lower()
    # NotImplementedError is a RuntimeError, too.
    if not (isinstance(error, RuntimeError) and "stream" in said and "captur" in said):
        return
    where = ""
    for frame, number in traceback.walk_tb(error.__traceback__):
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _LIBRARIES:
            line = linecache.getline(frame.f_code.co_filename, number).strip()
            code = frame.f_code
            where = f"\n  {code.co_filename}, line {number}, in {code.co_name}:\n    {line}"
    raise RuntimeError(f"go.graph: {error}. {REFUSED}{where}") from error
