"""The record of a training: the loss of every update, on the device until it is read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpuopt.arrays.check import axes_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["History", "plain_numbers", "running_mean"]

_COUNTS = ("epochs", "steps", "examples", "seconds")
_BLOCK = 1024  # losses to an array
_HOST_SCALARS = (int, float, np.generic, np.ndarray)


class History:
    """The record of a call of `fit`.

    Attributes
    ----------
    epochs, steps : int
        Epochs finished and updates made.
    examples : int
        Examples that the updates have used; repeated examples count each time.
    seconds : float
        Wall time up to the end of the last finished epoch.
    """

    def __init__(self, returns: bool = False) -> None:
        self._returns = returns  # whether a step is taken back after which a loss is not finite
        self.epochs = 0
        self.steps = 0
        self.examples = 0
        self.seconds = 0.0
        self._blocks: list[Any] = []  # arrays of _BLOCK losses, on the params' device
        self._unchecked = 0  # how many of the last losses may not be finite
        self._validation: list[Any] = []  # one number for each epoch, where it was computed
        self._metrics: dict[str, list[Any]] = {}

    @property
    def loss(self) -> NDArray[np.float64]:
        """The loss before each update, shape (steps,). Reading it waits for the device."""
        blocks = [block if isinstance(block, np.ndarray) else block.get() for block in self._blocks]
        return np.concatenate([np.empty(0), *blocks])[: self.steps]

    @property
    def validation(self) -> NDArray[np.float64]:
        """The mean validation loss after each epoch, shape (epochs,); empty without validation."""
        return np.array(list(map(float, self._validation)))

    @property
    def metrics(self) -> dict[str, NDArray[np.float64]]:
        """The values of each metric of `fit` after each epoch, by name, shape (epochs,)."""
        return {name: np.array(list(map(float, each))) for name, each in self._metrics.items()}

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the loss against the updates, and its running mean if an epoch has several updates.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw. By default, in a new figure in the style of `gpuopt.plot`.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        with axes_for(ax, "History.plot") as drawn:
            self._draw(drawn)
        return drawn  # type: ignore[no-any-return]

    def _draw(self, ax: Axes) -> None:
        loss = self.loss
        update = np.arange(1, loss.size + 1)
        window = loss.size // max(self.epochs, 1)
        if window > 1:
            ax.plot(update, loss, color="0.8", linewidth=0.8, label="each update")
            ax.plot(update, running_mean(loss, window), label=f"mean of the last {window}")
            ax.legend()
        else:
            ax.plot(update, loss, label="training")
        if (validation := self.validation).size:
            at = np.arange(1, validation.size + 1) * (loss.size / validation.size)
            ax.plot(at, validation, marker=".", label="validation")
            ax.legend()
        if loss.size and loss.min() > 0:
            ax.set_yscale("log")
            plain_numbers(ax)
        ax.set_xlabel("update")
        ax.set_ylabel("loss" if validation.size else "training loss")

    def to_dict(self) -> dict[str, Any]:
        """The record as plain numbers and lists, for JSON or a table. It waits for the device."""
        found = self._saved()
        arrays = {name: found[name].tolist() for name in ("loss", "validation")}
        metrics = {name: each.tolist() for name, each in found["metrics"].items()}
        return {**found, **arrays, "metrics": metrics}

    def _saved(self) -> dict[str, Any]:
        """The record as plain numbers and arrays on the host."""
        counts = {name: getattr(self, name) for name in _COUNTS}
        after = {"validation": self.validation, "metrics": self.metrics}
        return {**counts, "loss": self.loss, **after}

    def _restore(self, saved: dict[str, Any], xp: Any) -> None:
        """Continue from a saved record, with losses in arrays of `xp`."""
        for name in _COUNTS:
            setattr(self, name, saved[name])
        blocks = np.empty((math.ceil(self.steps / _BLOCK), _BLOCK))
        blocks.reshape(-1)[: self.steps] = saved["loss"]
        self._blocks, self._unchecked = [xp.asarray(block) for block in blocks], 0
        self._validation = saved["validation"].tolist()
        self._metrics = {name: each.tolist() for name, each in saved["metrics"].items()}

    def __repr__(self) -> str:
        return f"History(epochs={self.epochs}, steps={self.steps}, seconds={self.seconds:.3g})"

    def _add(self, loss: Any, xp: Any) -> None:
        """Record the loss of the next update; a loss that the host knows is checked at once."""
        if isinstance(loss, _HOST_SCALARS):
            if not (math.isfinite(loss) or (self._returns and self.steps)):
                raise _not_finite(float(loss), self.steps + 1, self.epochs + 1)
        else:
            self._unchecked += 1
        at = self.steps % _BLOCK
        if at == 0:
            self._blocks.append(xp.empty(_BLOCK, dtype=np.float64))
        # Copied, not kept: it may be a buffer that the next call overwrites, or a view that keeps a
        # large array alive.
        self._blocks[-1][at] = loss

    def _check(self) -> None:
        """Look for the first loss that is not finite among those only the device knew. Waits for
        the device.
        """
        if self._unchecked:
            loss = self.loss
            bad = np.flatnonzero(~np.isfinite(loss[:1] if self._returns else loss))
            if bad.size:
                # Epochs are of one length, the running one included.
                first, length = int(bad[0]), self.steps // max(self.epochs, 1)
                raise _not_finite(float(loss[first]), first + 1, first // length + 1)
            self._unchecked = 0


def running_mean(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """The mean of the last `window` values at each place; of fewer at the start."""
    total = np.cumsum(values)
    before = np.concatenate([np.zeros(min(window, values.size)), total[:-window]])
    return np.asarray((total - before) / np.minimum(np.arange(1, values.size + 1), window))


def plain_numbers(ax: Axes) -> None:
    """Write plain numbers at a logarithmic axis that is too short for powers of ten alone."""
    low, high = ax.get_ylim()
    if ax.get_yscale() == "log" and high < 10 * low:
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter("{x:g}")
        ax.grid(which="minor", axis="y")


def _not_finite(loss: float, update: int, epoch: int) -> FloatingPointError:
    rate = "the learning rate may be too large, or" if update > 1 else "params or"
    return FloatingPointError(
        f"the loss is {loss} at update {update} (epoch {epoch}): {rate} the data may not be finite"
    )
