"""The loss of a step, as `Optimizer.step` gets it: checked, and passed to what runs the update.

A rule or a piece reads it as ``self.loss``. If nothing reads a loss, it is checked and dropped.
"""

from __future__ import annotations

from typing import Any, NoReturn

from gpuopt.arrays.backend import is_cupy
from gpuopt.arrays.check import place
from gpuopt.arrays.exchange import shared
from gpuopt.arrays.foreign import conversion, convertible

__all__ = ["LossWrite", "given_loss", "missing_gradient", "missing_loss"]


def given_loss(loss: Any, reader: str | None, param: Any) -> Any:
    """The loss as an update reads it: a float, or a 0-d array on the device of `param`.

    None if no class is the `reader`.

    Raises
    ------
    TypeError, ValueError
        If it is missing, no real number, or on another device.
    """
    if loss is None:
        return None if reader is None else missing_loss(reader)
    if type(loss) is float:  # the usual case
        return None if reader is None else loss
    loss = shared(loss, "loss")
    shape, kind = getattr(loss, "shape", None), getattr(getattr(loss, "dtype", None), "kind", "")
    if not (type(loss) in (int, float) or (shape == () and kind and kind in "fiubV")):
        raise TypeError(f"loss must be a real number or a 0-d array, got {_described(loss, kind)}")
    if reader is None:
        return None
    if not is_cupy(loss):
        return float(loss)
    if place(loss) != place(param):
        remedy = "move it" if is_cupy(param) else "pass loss.item(), which waits for the GPU"
        raise ValueError(f"loss is on {place(loss)}, params on {place(param)}: {remedy}")
    return loss


def missing_loss(reader: str) -> Any:
    """Refuse a step without the loss that the class `reader` reads."""
    raise ValueError(f"{reader} reads the loss of the step: write opt.step(grads, loss=value)")


def missing_gradient(undoing: str) -> NoReturn:
    """Refuse a step that the class `undoing` could not take back."""
    raise ValueError(
        f"{undoing} takes back a step of all arrays, so each needs a gradient: give an array of "
        "zeros in place of None"
    )


def _described(loss: Any, kind: str) -> str:
    """A value that is not a loss, and what to write in its place."""
    shape = getattr(loss, "shape", None)
    found = type(loss).__name__ + ("" if shape is None else f" of shape {tuple(shape)}")
    if kind == "c" or isinstance(loss, complex):
        return f"{found}: pass loss.real"
    if shape and getattr(loss, "size", 0) == 1:
        return f"{found}: pass loss.reshape(())"
    if shape is not None and len(shape) == 0 and convertible(loss):
        return f"{found}: pass {conversion(loss, 'loss')}"
    return found if shape is not None else f"{found} {loss!r}"


class LossWrite:
    """What puts the loss of a step where the kernels of scalars read it, without waiting.

    Attributes
    ----------
    begun : bool
        Whether something that an optimizer holds was written: never.
    """

    begun = False

    def __init__(self, memory: Any, device: Any, loss: Any) -> None:
        self._memory, self._device, self._loss = memory, device, loss

    def __call__(self) -> None:
        with self._device:
            self._memory[:] = self._loss
