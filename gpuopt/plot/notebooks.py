"""A picture that follows a training while it runs."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from gpuopt.arrays.backend import optional_import
from gpuopt.arrays.options import number
from gpuopt.plot.look import axes_for, colours_of
from gpuopt.training.history import History, plain_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Live", "live"]


def live(seconds: float = 0.5, *, ax: Axes | None = None, dark: bool = False) -> Live:
    """A callback of `fit` and `minimize` that draws the loss while they run.

    In a notebook the figure is below the cell, and is drawn again; elsewhere it is in a window, if
    matplotlib has one.

    Parameters
    ----------
    seconds : float
        The least time between two drawings; reading a loss waits for the GPU.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure is made without it.
    dark : bool
        Whether a new figure is light on dark.

    Returns
    -------
    Live
        ``live(state)`` takes a `History`, or a result of `minimize` or `iterate`. Its ``ax`` holds
        what was drawn.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If an argument is not as described.

    Examples
    --------
    >>> import gpuopt as go, numpy as np
    >>> watch = go.plot.live()
    >>> x = go.minimize(lambda x: (x @ x, 2 * x), np.ones(3), go.Adam(0.1), callback=watch).x
    >>> watch.close()
    """
    try:
        number("seconds", seconds, finite=False)
    except TypeError as error:
        remedy = "a call of live makes a callback: write callback=gpuopt.plot.live()"
        raise TypeError(f"{error}; {remedy}") from None
    return Live(seconds, axes_for(ax, dark))


class Live:
    """What `live` returns.

    Attributes
    ----------
    ax : matplotlib.axes.Axes
    """

    def __init__(self, seconds: float, ax: Axes) -> None:
        self.ax, self._seconds = ax, number("seconds", seconds, finite=False)
        self._points: list[tuple[int, float]] = []
        (self._line,) = ax.plot([], [], color=colours_of(ax)[0])
        self._last = -np.inf
        self._shown: Any = None
        self._history: History | None = None
        ax.set(xlabel="updates", ylabel="loss")

    def __call__(self, intermediate_result: Any) -> None:
        """Note the loss, and draw if it is time."""
        state = intermediate_result
        self._history = state if isinstance(state, History) else None
        if self._history is None:
            self._points.append((int(state.nit), float(state.fun)))
        if time.monotonic() - self._last >= self._seconds:
            self.draw()

    def draw(self) -> None:
        """Draw what is known now."""
        if self._history is not None:
            self._points = list(enumerate(self._history.loss.tolist(), 1))
        update, loss = np.array(self._points).reshape(-1, 2).T
        self._line.set_data(update, loss)
        self.ax.set_yscale("log" if len(loss) and (loss > 0).all() else "linear")
        self.ax.relim()
        self.ax.autoscale_view()
        plain_numbers(self.ax)
        self._show()
        self._last = time.monotonic()

    def close(self) -> None:
        """Draw the last time, and let the figure go."""
        self.draw()
        optional_import("matplotlib.pyplot", "gpuopt.plot").close(self.ax.figure)

    def _show(self) -> None:
        ipython = sys.modules.get("IPython")
        if ipython is None or ipython.get_ipython() is None:
            self.ax.figure.canvas.draw_idle()
            self.ax.figure.canvas.flush_events()
            return
        if self._shown is None:
            display = optional_import("IPython.display", "gpuopt.plot.live").display
            self._shown = display(self.ax.figure, display_id=True)
        else:
            self._shown.update(self.ax.figure)
