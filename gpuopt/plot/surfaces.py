"""A function of two numbers, and the paths that optimizers take over it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpuopt.arrays.backend import on_host
from gpuopt.plot.look import DASHES, axes_for, colours_of, halo

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["contours"]

_POINTS = 121  # along each axis
_LEVELS = 16
_LOWEST = 1e-4  # of the levels above the lowest value, as a share of the highest
_HIGH = "#7A8BA0"  # the colour of the highest; the lowest has that of the background
_MARKED = 60  # a path of at most so many steps has a mark at each
_NEAR = 0.06  # paths that end closer than this share of the picture have their labels together

Paths = Mapping[str, ArrayLike] | ArrayLike
Limits = tuple[float, float] | None


def contours(
    fun: Callable[[Any], Any],
    paths: Paths = (),
    *,
    xlim: Limits = None,
    ylim: Limits = None,
    minima: ArrayLike = (),
    ax: Axes | None = None,
    dark: bool = False,
) -> Axes:
    """Draw a function of two numbers as contours, and over it the paths of optimizers.

    The levels follow the logarithm of the height above the lowest value in sight, so that a valley
    is seen as well as its walls.

    Parameters
    ----------
    fun : callable
        ``fun(x)`` gives the value, or the value and its gradient, at an array of shape (2,): a
        function that `minimize` takes. It is called at 14,641 points, with NumPy arrays.
    paths : dict of array_like, or array_like
        Points in their order, of shape (n, 2), by the name that labels them; or one path.
        NumPy or CuPy arrays, or lists of them.
    xlim, ylim : tuple of float, optional
        What is in sight. By default all of the paths, with a margin.
    minima : array_like
        Points to mark, of shape (2,) or (n, 2).
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
        If a path has another shape, or no limits can be found.

    Examples
    --------
    >>> import gpuopt as go, numpy as np
    >>> def bowl(x):
    ...     return x[0] ** 2 + 10 * x[1] ** 2, np.array([2 * x[0], 20 * x[1]])
    >>> x, path = np.array([4.0, 1.0]), []
    >>> opt = go.GradientDescent(0.09).init(x)
    >>> for _ in range(20):
    ...     path.append(x.copy())
    ...     opt.step(bowl(x)[1])
    >>> ax = go.plot.contours(bowl, {"gradient descent": path}, minima=[0, 0])
    """
    given = paths if isinstance(paths, Mapping) else {"": paths} if len(np.shape(paths)) else {}
    found = {name: _path(points, name) for name, points in given.items() if len(points)}  # type: ignore[arg-type]
    marks = np.asarray(minima, float).reshape(-1, 2)
    limits = _limits(xlim, 0, [*found.values(), marks]), _limits(ylim, 1, [*found.values(), marks])
    ax = axes_for(ax, dark)
    _surface(ax, fun, *limits)
    ends = [
        (name, *_draw(ax, points, number)) for number, (name, points) in enumerate(found.items())
    ]
    ax.plot(*marks.T, "*", color=colours_of(ax)[4], markersize=11, zorder=5, linestyle="none")
    ax.set(xlim=limits[0], ylim=limits[1], xlabel="x[0]", ylabel="x[1]")
    ax.grid(visible=False)
    _name(ax, ends)
    return ax


def _path(points: Any, name: str) -> NDArray[np.float64]:
    rows = [on_host(point) for point in on_host(points)]
    found = np.asarray(rows, float)
    if found.ndim != 2 or found.shape[1] != 2:
        raise ValueError(
            f"the path {name!r} must be points of two numbers, of shape (n, 2), got {found.shape}"
        )
    return found


def _limits(given: Limits, axis: int, points: Sequence[Any]) -> tuple[float, float]:
    if given is not None:
        return given
    here = np.concatenate([each[:, axis] for each in points])
    here = here[np.isfinite(here)]
    if not here.size:
        raise ValueError(f"{'xy'[axis]}lim is needed where no path says what should be in sight")
    low, high = float(here.min()), float(here.max())
    margin = 0.12 * (high - low) or 1.0
    return low - margin, high + margin


def _surface(
    ax: Axes, fun: Callable[[Any], Any], xlim: tuple[float, float], ylim: tuple[float, float]
) -> None:
    """The contours of the heights above the lowest."""
    x, y = np.linspace(*xlim, _POINTS), np.linspace(*ylim, _POINTS)
    heights = np.array([[_value(fun, np.array([a, b])) for a in x] for b in y])
    heights = np.where(np.isfinite(heights), heights, np.nan)
    heights -= np.nanmin(heights)
    highest = float(np.nanmax(heights)) or 1.0
    levels = [0, *(highest * np.geomspace(_LOWEST, 1, _LEVELS))]
    from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("heights", [ax.get_facecolor(), _HIGH])
    ax.contourf(x, y, heights, levels, norm=BoundaryNorm(levels, 256), cmap=shades, zorder=0)
    ax.contour(x, y, heights, levels[1:-1], colors=_HIGH, linewidths=0.5, zorder=1)


def _value(fun: Callable[[Any], Any], x: Any) -> float:
    found = fun(x)
    return float(found[0] if isinstance(found, tuple) else found)


def _draw(ax: Axes, points: Any, number: int) -> tuple[Any, str]:
    """A path from its start, a ring, to its end, a dot; where that is, and the colour."""
    colours = colours_of(ax)
    colour, dashes = colours[number % len(colours)], DASHES[number % len(DASHES)]
    mark: dict[str, Any] = {"marker": ".", "markersize": 5} if len(points) <= _MARKED else {}
    ax.plot(*points.T, color=colour, linestyle=dashes, path_effects=halo(ax), zorder=3, **mark)
    ax.plot(*points[0], "o", color=colour, markerfacecolor="none", markersize=8, zorder=4)
    ax.plot(*points[-1], "o", color=colour, markersize=6, zorder=4)
    return points[-1], colour


def _name(ax: Axes, ends: Sequence[tuple[str, Any, str]]) -> None:
    """The names where the paths end, one below the other where those ends are close."""
    placed: list[Any] = []
    for name, end, colour in ends:
        to_axes = ax.transData + ax.transAxes.inverted()
        place = np.clip(to_axes.transform(end), 0.02, 0.98)
        below = sum(bool(np.abs(place - other).max() < _NEAR) for other in placed)
        placed.append(place)
        side = -1 if place[0] > 0.7 else 1
        ax.annotate(
            name, place, xycoords="axes fraction", textcoords="offset points",
            xytext=(8 * side, 6 - 13 * below), ha="right" if side < 0 else "left",
            color=colour, path_effects=halo(ax), zorder=6,
        )  # fmt: skip
