"""Numbers that change from update to update: losses of trainings, and schedules."""

from __future__ import annotations

import itertools
import numbers
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpuopt.arrays.backend import on_host
from gpuopt.arrays.options import brief, pair, whole
from gpuopt.plot.labels import Label, label_ends
from gpuopt.plot.look import DASHES, axes_for, colours_of
from gpuopt.plot.paths import PATH, Limits
from gpuopt.training.history import History, plain_numbers, running_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["compare", "schedule"]

Rate = Callable[[int], float] | float
Against = Literal["updates", "examples", "seconds"]
_AXES = {"updates": "updates", "examples": "examples seen", "seconds": "seconds"}
_SMOOTH = 40  # a line is the mean over this share of its updates
_POINTS = 300  # of a line at most, so that dashes stay visible


def compare(
    histories: Mapping[str, History | ArrayLike] | History | ArrayLike,
    against: Against = "updates",
    *,
    smooth: int | None = None,
    xlim: Limits = None,
    yscale: Literal["log", "linear"] | None = None,
    ax: Axes | None = None,
    dark: bool = False,
) -> Axes:
    """Draw the losses of several trainings, each labelled where its line ends.

    Parameters
    ----------
    histories : dict, History or array_like
        What `fit` returned, by the name that labels it; or one alone, without a label. Losses of a
        loop of your own may be an array_like of shape (updates,), against updates alone.
    against : {"updates", "examples", "seconds"}
        What the lines are drawn against. Stochastic gradient descent makes many updates with few
        examples, and gradient descent few with all: what is compared depends on it.
    smooth : int, optional
        The number of updates over which the mean is drawn, since the loss of one small batch says
        little. By default a 40th of those of each line.
    xlim : tuple of float, optional
        What is in sight: lines end there, and so are their labels. By default all of the longest.
    yscale : {"log", "linear"}, optional
        By default logarithmic where all losses are greater than 0.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure is made without it.
    dark : bool
        Whether a new figure is light on dark.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If there is nothing to draw, or `against` cannot be told of what is given.

    Examples
    --------
    >>> import gpuopt as go, numpy as np
    >>> losses = {"fast": 0.9 ** np.arange(100), "slow": 0.99 ** np.arange(100)}
    >>> ax = go.plot.compare(losses)
    """
    smooth = None if smooth is None else whole("smooth", smooth, 1)
    if xlim is not None:
        pair("xlim", xlim)
    if against not in _AXES:
        raise ValueError(f"against must be 'updates', 'examples' or 'seconds', got {against!r}")
    given = histories if isinstance(histories, Mapping) else {"": histories}
    if not given:
        raise ValueError("histories is empty: pass a dict of names and what fit returned")
    if isinstance(histories, (list, tuple)) and any(isinstance(h, History) for h in histories):
        raise TypeError(
            "each History needs a name: pass a dict, "
            '{f"run {i}": history for i, history in enumerate(histories)}'
        )
    curves = {name: _curve(each, name, against, smooth, xlim) for name, each in given.items()}
    if yscale is None:
        yscale = "log" if all((loss > 0).all() for _, loss in curves.values()) else "linear"
    ax = axes_for(ax, dark)
    _draw(ax, curves, yscale, xlim)
    ax.set(xlabel=_AXES[against], ylabel="loss")
    ax.locator_params("x", nbins=6, integer=against != "seconds")
    return ax


def schedule(
    schedules: Rate | Mapping[str, Rate],
    steps: int,
    *,
    ax: Axes | None = None,
    dark: bool = False,
) -> Axes:
    """Draw the values of schedules over their steps, each labelled where its line ends.

    Parameters
    ----------
    schedules : callable, float or dict of these
        A schedule, or several by the names that label them: `gpuopt.schedules`, functions of the
        number of completed steps, or numbers, which stay as they are.
    steps : int
        How many steps are drawn, at least 1.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure is made without it.
    dark : bool
        Whether a new figure is light on dark.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If `steps` is less than 1, or a schedule is none.

    Examples
    --------
    >>> import gpuopt as go
    >>> lr = go.schedules.WarmUp(go.schedules.Cosine(0.1, steps=90), steps=10)
    >>> ax = go.plot.schedule(lr, 100)
    """
    steps = whole("steps", steps, 1)
    given = schedules if isinstance(schedules, Mapping) else {"": schedules}
    if not given:
        raise ValueError("schedules is empty: pass one, or a dict of some by their names")
    at = np.arange(steps)
    curves = {
        name: (at, np.array([_rate(f, name, int(t)) for t in at])) for name, f in given.items()
    }
    ax = axes_for(ax, dark)
    _draw(ax, curves, "linear", None)
    ax.set(xlabel="completed steps", ylabel="value")
    return ax


def _rate(given: Any, name: str, step: int) -> float:
    if callable(given):
        return float(given(step))
    if isinstance(given, numbers.Real) and given is not True and given is not False:
        return float(given)
    raise TypeError(
        f"schedules{f'[{name!r}]' if name else ''} must be a number or a schedule such as "
        f"gpuopt.schedules.Cosine(0.1, steps=90), got {brief(given)}"
    )


def _curve(
    given: Any, name: str, against: Against, smooth: int | None, xlim: Limits
) -> tuple[Any, Any]:
    """Where the points of a line are, and their heights."""
    if not isinstance(given, History) and against != "updates":
        raise TypeError(
            f"{name!r} is not a History, and only a History knows its {against}: pass what fit "
            "returned, or against='updates'"
        )
    losses = given.loss if isinstance(given, History) else on_host(given)
    try:
        loss = np.asarray(losses, float)
    except (TypeError, ValueError):
        loss = np.empty(0)
    if loss.ndim != 1 or not loss.size:
        raise ValueError(
            f"{repr(name) if name else 'histories'} must be what fit returned, or losses of shape "
            f"(updates,), got {brief(getattr(losses, 'shape', losses))}"
        )
    every: NDArray[Any] = np.arange(1, loss.size + 1)
    if isinstance(given, History) and against != "updates":
        every = every * (getattr(given, against) / loss.size)
    drawn = np.isfinite(loss)  # others are of steps that were taken back, as a rule
    if not drawn.any():
        raise ValueError(f"{name!r} has no finite loss to draw")
    every, loss = _within(every[drawn], loss[drawn], name, xlim)
    mean = running_mean(loss, smooth or max(1, loss.size // _SMOOTH))
    at = np.unique(np.linspace(0, loss.size - 1, _POINTS).astype(int))
    return every[at], mean[at]


def _within(where: Any, height: Any, name: str, xlim: Limits) -> tuple[Any, Any]:
    """The points of a line that are in sight."""
    if xlim is None:
        return where, height
    seen = (where >= xlim[0]) & (where <= xlim[1])
    if not seen.any():
        raise ValueError(
            f"{name!r} has no point in xlim={xlim!r}: its line goes from {where[0]:g} to "
            f"{where[-1]:g}"
        )
    return where[seen], height[seen]


def _draw(ax: Axes, curves: Mapping[str, tuple[Any, Any]], yscale: str, xlim: Limits) -> None:
    """Lines, and their labels: after the axes are as they will stay."""
    colours = colours_of(ax)
    styles = zip(itertools.cycle(colours), itertools.cycle(DASHES), strict=False)
    for (where, height), (colour, dashes) in zip(curves.values(), styles, strict=False):
        ax.plot(where, height, color=colour, linestyle=dashes, gid=PATH)
    ax.set_yscale(yscale)
    plain_numbers(ax)
    ax.set_xlim(xlim or (0, max(float(where[-1]) for where, _ in curves.values())))
    to_axes = ax.transData + ax.transAxes.inverted()
    labels = []
    for (name, points), colour in zip(curves.items(), itertools.cycle(colours), strict=False):
        seen = to_axes.transform(np.column_stack(points))
        labels += [Label(seen[:, 1], name, colour, float(seen[-1, 0]))] if name else []
    label_ends(ax, labels)
