"""A function of two numbers, or of one, and the paths that optimizers take over it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from gpuopt.arrays.backend import on_host
from gpuopt.plot.look import axes_for, colours_of, is_dark
from gpuopt.plot.paths import (
    Limits,
    Paths,
    check_function,
    draw,
    library_of,
    limits,
    name_ends,
    read,
    value,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["contours", "landscape"]

_POINTS = 121  # along each axis of contours
_CURVE = 401  # along that of a landscape
_LEVELS = 16
_LOWEST = 1e-4  # of the levels above the lowest value, as a share of the highest
_HIGH = {False: "#9FB1C5", True: "#56677C"}
"""The colour of the highest on white, and on black; the lowest has that of the background."""


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
        function that `minimize` takes. It is called at 14,641 points, with arrays of the library of
        the paths.
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
        If a path or `minima` has another shape, or no limits can be found.

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
    check_function(fun)
    found, marks = read(paths, 2), _minima(minima)
    seen = [*(path.points for path in found), marks]
    xlim, ylim = limits({"xlim": xlim, "ylim": ylim}, seen)
    ax = axes_for(ax, dark)
    library = library_of(found)
    _surface(ax, lambda x, y: value(fun, library.asarray([x, y])), xlim, ylim)
    ax.plot(*marks.T, "*", color=colours_of(ax)[4], markersize=11, zorder=5, linestyle="none")
    ax.set(xlim=xlim, ylim=ylim, xlabel="x[0]", ylabel="x[1]")
    ax.grid(visible=False)
    colours = [draw(ax, path.points, number) for number, path in enumerate(found)]
    name_ends(ax, [path.name for path in found], [path.points for path in found], colours)
    return ax


def landscape(
    fun: Callable[[Any], Any],
    paths: Paths = (),
    *,
    xlim: Limits = None,
    ax: Axes | None = None,
    dark: bool = False,
) -> Axes:
    """Draw a function of one number as a curve, and on it the points where optimizers were.

    Parameters
    ----------
    fun : callable
        ``fun(x)`` gives the value, or the value and its gradient, at an array of shape (1,): a
        function that `minimize` takes. It is called at 401 points, and at those of the paths, with
        arrays of their library.
    paths : dict of array_like, or array_like
        Points in their order, of shape (n, 1) or (n,), by the name that labels them; or one path.
        NumPy or CuPy arrays, or lists of them.
    xlim : tuple of float, optional
        What is in sight. By default all of the paths, with a margin.
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
    ...     return float(x @ x), 2 * x
    >>> x, path = np.array([4.0]), []
    >>> opt = go.GradientDescent(0.1).init(x)
    >>> for _ in range(20):
    ...     path.append(x.copy())
    ...     opt.step(bowl(x)[1])
    >>> ax = go.plot.landscape(bowl, {"gradient descent": path})
    """
    check_function(fun)
    found = read(paths, 1)
    ((low, high),) = limits({"xlim": xlim}, [path.points for path in found])
    ax = axes_for(ax, dark)
    x = np.linspace(low, high, _CURVE)
    library = library_of(found)

    def height(at: float) -> float:
        return value(fun, library.asarray([at]))

    curve = np.array([height(at) for at in x])
    ax.plot(x, curve, color="0.6", linewidth=1.2, zorder=1)
    room = 0.08 * float(np.ptp(curve[np.isfinite(curve)])) or 1.0
    ax.set(xlim=(low, high), ylim=(np.nanmin(curve) - room, np.nanmax(curve) + room))
    ax.set(xlabel="x", ylabel="f(x)")
    on_it = [np.array([[at, height(at)] for at in path.points[:, 0]]) for path in found]
    colours = [draw(ax, points, number) for number, points in enumerate(on_it)]
    name_ends(ax, [path.name for path in found], on_it, colours)
    return ax


def _minima(given: ArrayLike) -> Any:
    """Points of two numbers, of shape (n, 2)."""
    try:
        points = np.asarray(on_host(given), float)
    except (TypeError, ValueError):
        points = np.empty(1)
    if points.size and (points.ndim not in (1, 2) or points.shape[-1] != 2):
        raise ValueError(
            "minima must be a point of two numbers, or several of shape (n, 2), got "
            f"{getattr(given, 'shape', given)!r}: for example minima=[0, 0], or "
            "minima=[[3, 2], [-2.8, 3.1]]"
        )
    return points.reshape(-1, 2)


def _surface(
    ax: Axes,
    height: Callable[[float, float], float],
    xlim: tuple[float, float],
    ylim: tuple[float, float],
) -> None:
    """The contours of the heights above the lowest."""
    x, y = np.linspace(*xlim, _POINTS), np.linspace(*ylim, _POINTS)
    heights = np.array([[height(a, b) for a in x] for b in y])
    heights = np.where(np.isfinite(heights), heights, np.nan)
    heights -= np.nanmin(heights)
    highest = float(np.nanmax(heights)) or 1.0
    levels = [0, *(highest * np.geomspace(_LOWEST, 1, _LEVELS))]
    from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap

    high = _HIGH[is_dark(ax)]
    shades = LinearSegmentedColormap.from_list("heights", [ax.get_facecolor(), high])
    ax.contourf(x, y, heights, levels, norm=BoundaryNorm(levels, 256), cmap=shades, zorder=0)
    ax.contour(x, y, heights, levels[1:-1], colors=high, linewidths=0.5, zorder=1)
