"""Numbers that change from update to update: losses of trainings, and schedules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpuopt.plot.labels import Label, label_ends
from gpuopt.plot.look import DASHES, axes_for, colours_of
from gpuopt.training.history import History, running_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["compare", "schedule"]

Against = Literal["updates", "examples", "seconds"]
_AXES = {"updates": "updates", "examples": "examples seen", "seconds": "seconds"}
_SMOOTH = 40  # a line is the mean over this share of its updates
_POINTS = 300  # of a line at most, so that dashes stay visible


def compare(
    histories: Mapping[str, History | ArrayLike],
    against: Against = "updates",
    *,
    smooth: int | None = None,
    ax: Axes | None = None,
    dark: bool = False,
) -> Axes:
    """Draw the losses of several trainings, each labelled where its line ends.

    Parameters
    ----------
    histories : dict
        What `fit` returned, by the name that labels it. Losses of a loop of your own may be an
        array_like of shape (updates,), against updates alone.
    against : {"updates", "examples", "seconds"}
        What the lines are drawn against. Stochastic gradient descent makes many updates with few
        examples, and gradient descent few with all: what is compared depends on it.
    smooth : int, optional
        The number of updates over which the mean is drawn, since the loss of one small batch says
        little. By default a 40th of those of each training.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure is made without it.
    dark : bool
        Whether a new figure is light on dark.

    Returns
    -------
    matplotlib.axes.Axes
        With a logarithmic loss axis where all losses are greater than 0.

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
    if against not in _AXES:
        raise ValueError(f"against must be 'updates', 'examples' or 'seconds', got {against!r}")
    if not histories:
        raise ValueError("histories is empty: pass a dict of names and what fit returned")
    curves = {name: _curve(given, name, against, smooth) for name, given in histories.items()}
    ax = axes_for(ax, dark)
    _draw(ax, curves, positive=all((loss > 0).all() for _, loss in curves.values()))
    ax.set(xlabel=_AXES[against], ylabel="loss")
    return ax


def schedule(
    schedules: Callable[[int], float] | Mapping[str, Callable[[int], float]],
    steps: int,
    *,
    ax: Axes | None = None,
    dark: bool = False,
) -> Axes:
    """Draw the values of schedules over their steps, each labelled where its line ends.

    Parameters
    ----------
    schedules : callable or dict of callable
        A schedule, or several by the names that label them: `gpuopt.schedules`, or functions of the
        number of completed steps.
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
    ValueError
        If `steps` is less than 1.

    Examples
    --------
    >>> import gpuopt as go
    >>> lr = go.schedules.WarmUp(go.schedules.Cosine(0.1, steps=90), steps=10)
    >>> ax = go.plot.schedule(lr, 100)
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps!r}")
    given = schedules if isinstance(schedules, Mapping) else {"": schedules}
    if not given:
        raise ValueError("schedules is empty: pass one, or a dict of some by their names")
    at = np.arange(steps)
    curves = {name: (at, np.array([float(f(int(t))) for t in at])) for name, f in given.items()}
    ax = axes_for(ax, dark)
    _draw(ax, curves, positive=False)
    ax.set(xlabel="completed steps", ylabel="value")
    return ax


def _curve(given: Any, name: str, against: Against, smooth: int | None) -> tuple[Any, Any]:
    """Where the points of a line are, and their heights."""
    if not isinstance(given, History) and against != "updates":
        raise TypeError(
            f"{name!r} is no History, and only that knows its {against}: pass what fit returned, "
            "or against='updates'"
        )
    loss = np.asarray(given.loss if isinstance(given, History) else given, float)
    if loss.ndim != 1 or not loss.size:
        raise ValueError(f"{name!r} must hold losses, of shape (updates,), got {loss.shape}")
    every: NDArray[Any] = np.arange(1, loss.size + 1)
    if isinstance(given, History) and against != "updates":
        every = every * (getattr(given, against) / loss.size)
    drawn = np.isfinite(loss)  # others are of steps that were taken back, as a rule
    if not drawn.any():
        raise ValueError(f"{name!r} has no finite loss to draw")
    every, loss = every[drawn], loss[drawn]
    mean = running_mean(loss, smooth or max(1, loss.size // _SMOOTH))
    at = np.unique(np.linspace(0, loss.size - 1, _POINTS).astype(int))
    return every[at], mean[at]


def _draw(ax: Axes, curves: Mapping[str, tuple[Any, Any]], positive: bool) -> None:
    colours = colours_of(ax)
    for number, (where, height) in enumerate(curves.values()):
        colour, dashes = colours[number % len(colours)], DASHES[number % len(DASHES)]
        ax.plot(where, height, color=colour, linestyle=dashes)
    if positive:
        ax.set_yscale("log")
    ax.set_xlim(0, max(float(where[-1]) for where, _ in curves.values()))
    to_axes = ax.transData + ax.transAxes.inverted()
    labels = [
        Label(
            to_axes.transform(np.column_stack([where, height]))[:, 1],
            name,
            colours[number % len(colours)],
        )
        for number, (name, (where, height)) in enumerate(curves.items())
        if name
    ]
    label_ends(ax, labels)
