"""Paths of optimizers: what is given, what must be in sight, and how they are drawn and named."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpuopt.arrays.backend import array_module, is_array, on_host
from gpuopt.arrays.options import brief, pair
from gpuopt.plot.look import DASHES, colours_of, halo

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "END",
    "PATH",
    "Limits",
    "Path",
    "Paths",
    "check_function",
    "draw",
    "library_of",
    "limits",
    "name_ends",
    "read",
    "value",
]

PATH = "gpuopt path"
"""What the lines of paths are called in the figure."""
END = "gpuopt end"
"""What the dots at their ends are called."""

_MARKED = 60  # a path of at most so many steps has a mark at each
_LETTER = 6.2, 13.0  # width and height of a letter of a name, in points
_SIDES = ((1, 0.5), (1, -0.5), (-1, 0.5), (-1, -0.5), (0, 1), (0, -1))
"""Where a name may be from the end of its path: to the right or left, and above or below."""

Paths = Mapping[str, ArrayLike] | ArrayLike
Limits = tuple[float, float] | None


class Path(NamedTuple):
    """The points of a path, of shape (n, size), and the library that its arrays were of."""

    name: str
    points: NDArray[np.float64]
    library: Any


def read(paths: Paths, size: int) -> list[Path]:
    """The paths that a user gives, by a name or alone, of points of `size` numbers.

    Raises
    ------
    ValueError
        If a path has another shape.
    """
    given: Mapping[str, Any] = paths if isinstance(paths, Mapping) else {"": paths}
    found = [_path(name, points, size) for name, points in given.items()]
    return [path for path in found if len(path.points)]


def check_function(fun: Any) -> None:
    """Raise TypeError unless `fun` can be called."""
    if not callable(fun):
        raise TypeError(
            f"fun must be callable, got {brief(fun)}: the function is first, then the paths"
        )


def library_of(paths: Sequence[Path]) -> Any:
    """The library whose arrays a function of all these points is called with."""
    return next((path.library for path in paths if path.library is not np), np)


def _path(name: str, given: Any, size: int) -> Path:
    rows = given if is_array(given) or not np.iterable(given) else list(given)
    library = array_module(*(rows if isinstance(rows, list) else [rows]))
    points = np.asarray([on_host(row) for row in rows] if isinstance(rows, list) else on_host(rows))
    if points.size == 0 and points.ndim:
        points = points.reshape(0, size)
    if size == 1 and points.ndim == 1:
        points = points[:, None]
    if points.ndim != 2 or points.shape[1] != size or points.dtype.kind not in "biuf":
        what = (
            "of one number, of shape (n,) or (n, 1)"
            if size == 1
            else "of two numbers, of shape (n, 2)"
        )
        called = f"the path {name!r}" if name else "a path"
        raise ValueError(
            f"{called} must be real points {what}, got {points.dtype} of shape {points.shape}: "
            "append x.copy() to a list after each step, and pass the list"
        )
    return Path(name, points.astype(float), library)


def limits(given: Mapping[str, Limits], points: Sequence[Any]) -> list[tuple[float, float]]:
    """What is in sight along each axis: what is `given`, or all finite points with a margin."""
    found = {name: pair(name, ends) for name, ends in given.items() if ends is not None}
    for axis, name in enumerate(given):
        here = np.concatenate([np.empty(0), *(each[:, axis] for each in points)])
        here = here[np.isfinite(here)]
        if name not in found and here.size:
            low, high = float(here.min()), float(here.max())
            margin = 0.12 * (high - low) or 1.0
            found[name] = low - margin, high + margin
    if missing := [name for name in given if name not in found]:
        raise ValueError(
            "no path has finite points to show: pass "
            f"{', '.join(f'{name}=(-1, 1)' for name in missing)}"
        )
    return [found[name] for name in given]


def value(fun: Any, x: Any) -> float:
    """The value of a function that may give its gradient, too."""
    found = fun(x)
    return float(found[0] if isinstance(found, tuple) else found)


def draw(ax: Axes, points: NDArray[np.float64], number: int) -> str:
    """Draw a path from its start, a ring, to its end, a dot; the colour of the `number`-th."""
    colours = colours_of(ax)
    colour, dashes = colours[number % len(colours)], DASHES[number % len(DASHES)]
    mark: dict[str, Any] = {"marker": ".", "markersize": 5} if len(points) <= _MARKED else {}
    lines = {"color": colour, "linestyle": dashes, "path_effects": halo(ax), **mark}
    ax.plot(*points.T, zorder=3, gid=PATH, **lines)
    ax.plot(*points[0], "o", color=colour, markerfacecolor="none", markersize=8, zorder=4)
    ax.plot(*points[-1], "o", color=colour, markersize=6, zorder=4, gid=END)
    return colour


def name_ends(ax: Axes, names: Sequence[str], paths: Sequence[Any], colours: Sequence[str]) -> None:
    """Write each name beside the end of its path, where it covers least of paths and names."""
    size = np.array([ax.bbox.width, ax.bbox.height]) * 72 / ax.figure.dpi
    to_axes = ax.transData + ax.transAxes.inverted()
    seen = [np.clip(_finite(to_axes.transform(points)), -1, 2) * size for points in paths]
    taken = np.concatenate([_filled(points) for points in seen]) if seen else np.empty((0, 2))
    for name, points, colour in zip(names, seen, colours, strict=True):
        if not name:
            continue
        end = np.clip(points[-1], 0.02 * size, 0.98 * size)
        wide = np.array([_LETTER[0] * len(name), _LETTER[1]])
        offsets = [
            np.array([x * (9 + wide[0] / 2), y * 2 * (5 + far + wide[1] / 2)])
            for far in (0, 10, 22)
            for x, y in _SIDES
        ]
        best = min(offsets, key=lambda at: _cost(end + at, wide, taken, size) + abs(at[1]) / 100)
        ax.annotate(
            name, end / size, xycoords="axes fraction", textcoords="offset points",
            xytext=tuple(best), ha="center", va="center", color=colour, path_effects=halo(ax),
            zorder=6,
        )  # fmt: skip
        grid = np.linspace(-0.5, 0.5, 9)
        letters = np.stack(np.meshgrid(grid * wide[0], grid * wide[1]), axis=-1).reshape(-1, 2)
        taken = np.concatenate([taken, end + best + np.repeat(letters, 3, axis=0)])


def _finite(points: Any) -> Any:
    return np.nan_to_num(points, nan=0.5, posinf=2.0, neginf=-1.0)


def _filled(points: Any) -> Any:
    """Points along a line at most 4 apart, so that none jumps over a name; its end counts more."""
    steps = [np.empty((0, 2)), np.repeat(points[-1:], 20, axis=0)]
    for begin, end in itertools.pairwise(points):
        count = 1 + int(np.abs(end - begin).max() / 4)
        steps.append(begin + (end - begin) * np.linspace(0, 1, count)[:, None])
    return np.concatenate(steps)


def _cost(centre: Any, wide: Any, taken: Any, size: Any) -> float:
    """How much a name of a size there covers, or is out of sight."""
    covered = (np.abs(taken - centre) < wide / 2 + 2).all(axis=1).sum()
    outside = np.maximum(0, wide / 2 - centre) + np.maximum(0, centre + wide / 2 - size)
    return float(covered + 10 * outside.sum())
