"""A picture that moves: its paths or lines grow from their start to their end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gpuopt.arrays import options
from gpuopt.arrays.backend import optional_import
from gpuopt.arrays.check import check_axes
from gpuopt.plot.paths import END, PATH

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.axes import Axes

__all__ = ["animate"]


def animate(ax: Axes, *, frames: int = 48, seconds: float = 4.0) -> FuncAnimation:
    """Make the paths of a picture grow step by step, or its lines along their axis.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        What `contours`, `landscape`, `compare` or `schedule` returned.
    frames : int
        The number of pictures, at least 2; the first shows the starts, the last everything.
    seconds : float
        How long they take together.

    Returns
    -------
    matplotlib.animation.FuncAnimation
        ``animation.save("descent.gif", writer="pillow")`` writes it. Keep it as long as it is to
        move; matplotlib does not.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If nothing on `ax` can grow, or a number is out of its range.

    Examples
    --------
    >>> import gpuopt as go, numpy as np
    >>> ax = go.plot.compare({"fast": 0.9 ** np.arange(100), "slow": 0.99 ** np.arange(100)})
    >>> moving = go.plot.animate(ax)
    >>> moving.save("race.gif", writer="pillow")  # doctest: +SKIP
    """
    frames = options.whole("frames", frames, 2)
    seconds = options.number("seconds", seconds, above=True)
    check_axes(ax)
    lines = [line for line in ax.lines if line.get_gid() == PATH]
    ends: list[Any] = [line for line in ax.lines if line.get_gid() == END] or [None] * len(lines)
    if not lines:
        raise ValueError(
            "nothing on ax can grow: pass what go.plot.contours, landscape, compare or schedule "
            "returned"
        )
    whole = [np.asarray(line.get_xydata()) for line in lines]
    times = [
        points[:, 0] if end is None else np.arange(len(points))
        for points, end in zip(whole, ends, strict=True)
    ]
    first, last = min(at[0] for at in times), max(at[-1] for at in times)

    def show(frame: int) -> list[Any]:
        now = first + (last - first) * frame / (frames - 1)
        for line, end, points, at in zip(lines, ends, whole, times, strict=True):
            there = points[at <= now]
            line.set_data(*there.T)
            if end is not None:
                end.set_data(*there[-1:].T)
        return [*lines, *filter(None, ends)]

    library = optional_import("matplotlib.animation", "gpuopt.plot.animate")
    moving: FuncAnimation = library.FuncAnimation(
        ax.get_figure(root=True),
        show,
        frames=frames,
        interval=1000 * seconds / frames,
        repeat=False,
    )
    return moving
