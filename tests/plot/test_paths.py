"""Paths over contours and on a landscape: where they are, that their names can be read, and how they move."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from numpy.testing import assert_allclose

import gpuopt as go


@pytest.fixture
def ax() -> Any:
    return Figure().subplots()


def bowl(x: Any) -> tuple[Any, Any]:
    return (x * x).sum(), 2 * x


def texts(ax: Any) -> dict[str, Any]:
    """The frame of each name, as it is drawn."""
    ax.figure.canvas.draw()
    return {t.get_text(): t.get_window_extent() for t in ax.texts if isinstance(t, Annotation)}


@pytest.mark.parametrize("end", [(0.0, 0.0), (3.9, 0.95), (-4.4, -1.2)], ids=["middle", "right", "left"])
def test_names_of_paths_that_end_together_can_be_read(end: tuple[float, float]) -> None:
    """They cover neither each other, nor an end, nor the line along which both came, and are in sight."""
    ax: Any = Figure(layout="constrained").subplots()
    way = np.linspace((-4, 1), end, 30)
    names = ["gradient descent", "momentum", "Adam"]
    go.plot.contours(bowl, {name: way + 0.01 * number for number, name in enumerate(names)}, xlim=(-5, 5), ylim=(-2, 2), ax=ax)
    found = texts(ax)
    assert set(found) == set(names)
    frames = list(found.values())
    assert not any(a.overlaps(b) for i, a in enumerate(frames) for b in frames[:i])
    points = ax.transData.transform(way)
    inside = [frame.contains(*point) for frame in frames for point in points]
    assert not any(inside)
    assert all(ax.bbox.padded(2).contains(*corner) for frame in frames for corner in frame.corners())


def test_the_function_gets_arrays_of_the_library_of_the_paths(xp: Any, ax: Any) -> None:
    asked = []

    def fun(x: Any) -> Any:
        asked.append(type(x))
        return (xp.arange(1.0, 1.0 + len(x)) * x * x).sum()

    go.plot.contours(fun, [xp.array([1.0, 1.0]), xp.array([0.5, 0.0])], ax=ax)
    go.plot.contours(fun, {"one": xp.ones((3, 2))}, ax=ax)
    assert set(asked) == {xp.ndarray}
    asked.clear()
    go.plot.landscape(fun, {"one": [xp.array([1.0]), xp.array([0.5])]}, ax=ax)
    assert set(asked) == {xp.ndarray}


def test_points_lie_on_the_curve_of_a_landscape(ax: Any) -> None:
    path = np.array([2.0, -1.0, 0.5])
    assert go.plot.landscape(bowl, {"a": path, "b": path[:, None] / 2}, ax=ax) is ax
    lines = [np.asarray(line.get_xydata()) for line in ax.lines]
    curve = lines[0]
    assert_allclose(curve[:, 1], curve[:, 0] ** 2)
    for points in (path, path / 2):
        assert any(np.array_equal(line, np.column_stack([points, points**2])) for line in lines)
    assert ax.get_xlim()[0] < -1 < 2 < ax.get_xlim()[1]
    assert ax.get_ylim()[0] < 0 < 4 < ax.get_ylim()[1]
    assert set(texts(ax)) == {"a", "b"}


def test_what_is_no_path_or_minimum_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"path 'a' must be real points of one number, of shape \(n,\) or \(n, 1\), got .* \(2, 3\)"
    ):
        go.plot.landscape(bowl, {"a": np.ones((2, 3))})
    with pytest.raises(ValueError, match=r"a path must be real points of two numbers, .* append x\.copy\(\)"):
        go.plot.contours(bowl, 3.0)
    with pytest.raises(ValueError, match=r"the path 'a' must be real points .* got complex128"):
        go.plot.contours(bowl, {"a": np.ones((2, 2), complex)})
    for wrong in ([0, 0, 0], 1.0, np.ones((2, 3))):
        with pytest.raises(ValueError, match=r"minima must be a point of two numbers, .* minima=\[0, 0\]"):
            go.plot.contours(bowl, np.ones((3, 2)), minima=wrong)
    with pytest.raises(ValueError, match=r"no path has finite points to show: pass xlim=\(-1, 1\)"):
        go.plot.landscape(bowl)


def test_paths_grow_step_by_step(ax: Any) -> None:
    paths = {"long": np.linspace((-4, 1), (0, 0), 11), "short": np.linspace((-4, 1), (1, 0), 6)}
    go.plot.contours(bowl, paths, ax=ax)
    whole = [line.get_xydata() for line in ax.lines]
    moving = go.plot.animate(ax, frames=11, seconds=2.2)
    assert moving._interval == 200  # type: ignore[attr-defined]
    show = moving._func  # type: ignore[attr-defined]
    for frame in range(11):
        show(frame)
        now = [line.get_xydata() for line in ax.lines]
        for path in paths.values():
            there = path[: frame + 1]
            assert any(np.array_equal(line, there) for line in now)
            assert any(np.array_equal(line, there[-1:]) for line in now)  # the dot at its end
    for line, before in zip(ax.lines, whole, strict=True):
        assert_allclose(line.get_xydata(), before)
    moving._draw_was_started = True  # type: ignore[attr-defined]  # it warns if nobody draws it


def test_curves_grow_along_their_axis(ax: Any) -> None:
    """Though a long one is drawn with fewer points than it has updates."""
    go.plot.compare({"long": np.arange(1.0, 602.0), "short": np.arange(1.0, 11.0)}, smooth=1, ax=ax)
    moving = go.plot.animate(ax, frames=101)
    moving._func(1)  # type: ignore[attr-defined]
    ends = [float(np.asarray(line.get_xdata())[-1]) for line in ax.lines[:2]]
    moving._draw_was_started = True  # type: ignore[attr-defined]
    assert ends == [7, 7]


def test_what_cannot_move_is_refused(ax: Any) -> None:
    with pytest.raises(ValueError, match=r"nothing on ax can grow: pass what go\.plot\.contours"):
        go.plot.animate(ax)
    go.plot.compare([3.0, 2.0], ax=ax)
    with pytest.raises(ValueError, match="frames must be a whole number of at least 2, got 1"):
        go.plot.animate(ax, frames=1)
    with pytest.raises(ValueError, match=r"seconds must be a number > 0, got 0\.0"):
        go.plot.animate(ax, seconds=0.0)
