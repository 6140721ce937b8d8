"""Pictures: what is drawn where, in which colours, and what is refused."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from numpy.testing import assert_allclose

import gpuopt as go
from gpuopt.plot.labels import _GAP, Label, label_ends
from gpuopt.plot.look import colours_of


@pytest.fixture
def ax() -> Any:
    return Figure().subplots()


def bowl(x: Any) -> tuple[float, Any]:
    return x[0] ** 2 + 10 * x[1] ** 2, np.array([2 * x[0], 20 * x[1]])


def test_labels_are_moved_apart_and_keep_their_order() -> None:
    panel = Figure().subplots()
    ends = {"c": 0.52, "a": 0.5, "b": 0.51, "d": 0.9}
    label_ends(panel, [Label(np.array([start, end]), name, "k") for start, (name, end) in enumerate(ends.items())])
    heights = texts_of(panel)
    assert sorted(heights, key=heights.__getitem__) == ["a", "b", "c", "d"]
    gaps = np.diff(sorted(heights.values()))
    assert (gaps > 0.99 * _GAP).all()
    assert heights["d"] == 0.9
    assert_allclose(np.mean([heights["a"], heights["b"], heights["c"]]), 0.51)


def texts_of(panel: Any) -> dict[str, float]:
    """Where each label stands; a pointer has no text."""
    return {text.get_text(): text.xyann[1] for text in panel.texts if isinstance(text, Annotation) and text.get_text()}


def test_lines_that_coincide_are_labelled_together() -> None:
    """With one pointer; a line that only ends there has one of its own."""
    panel, line = Figure().subplots(), np.linspace(1, 0.3, 20)
    curves = {"a": line, "b": line + 0.002, "c": np.full(20, 0.3), "d": line + 0.2}
    label_ends(panel, [Label(curve, name, "k") for name, curve in curves.items()])
    heights = texts_of(panel)
    assert_allclose(heights["b"] - heights["a"], _GAP)
    assert len([text for text in panel.texts if not text.get_text()]) == 3
    assert len(panel.lines) == 1  # the bar beside the two


def test_groups_of_labels_stand_in_the_order_in_which_they_end() -> None:
    """Also if a group begins below a line that it ends above, so that pointers do not cross."""
    panel, line = Figure().subplots(), np.linspace(1, 0.3, 20)
    curves = {"low": line, "alone": np.linspace(0, 0.303, 20), "high": line + 0.008}
    label_ends(panel, [Label(curve, name, "k") for name, curve in curves.items()])
    heights = texts_of(panel)
    assert sorted(heights, key=heights.__getitem__) == ["alone", "low", "high"]


def test_contours_hold_the_paths_and_name_them_where_they_end(ax: Any) -> None:
    paths: dict[str, Any] = {
        "a": np.array([[4.0, 1.0], [2.0, -0.5], [1.0, 0.2]]),
        "b": [np.array([4.0, 1.0]), np.array([3.9, 1.0])],
    }
    assert go.plot.contours(bowl, paths, minima=[0, 0], ax=ax) is ax
    drawn = [line.get_xydata() for line in ax.lines]
    for path in paths.values():
        assert any(np.array_equal(line, path) for line in drawn)
    assert ax.get_xlim()[0] < 0 < 4 < ax.get_xlim()[1]  # the minimum is in sight
    assert ax.get_ylim()[0] < -0.5
    names = {text.get_text(): text.xy for text in ax.texts if isinstance(text, Annotation)}
    wanted = (ax.transData + ax.transAxes.inverted()).transform([1.0, 0.2])
    assert_allclose(names["a"], wanted)
    norm: Any = ax.collections[0].norm
    levels = norm.boundaries
    assert levels[0] == 0
    assert_allclose(np.diff(np.log(levels[1:])), np.log(1e4) / 15)


def test_a_single_path_and_a_value_alone(ax: Any) -> None:
    go.plot.contours(lambda x: float("nan") if x[0] < 0 else x[0], [[1.0, 1.0], [0.5, 0.0]], ax=ax, xlim=(-1, 2))
    assert ax.get_xlim() == (-1, 2)
    assert all(not text.get_text() for text in ax.texts)


def test_contours_refuse_what_is_no_path() -> None:
    with pytest.raises(ValueError, match=r"path 'a' must be real points of two numbers, of shape \(n, 2\), got .* \(2, 3\)"):
        go.plot.contours(bowl, {"a": np.ones((2, 3))})
    with pytest.raises(ValueError, match=r"no path has finite points to show: pass xlim=\(-1, 1\), ylim=\(-1, 1\)$"):
        go.plot.contours(bowl)


def test_histories_are_compared_against_what_they_cost(ax: Any) -> None:
    histories = {}
    for size in (2, 8):
        history = histories[f"{size} examples"] = go.fit(
            lambda p, x: (float(p @ p), 2 * p), np.ones(3), np.zeros((8, 1)), rule=go.SGD(0.01), epochs=4, batch_size=size
        )
        assert history.examples == 32
    go.plot.compare(histories, "examples", smooth=1, ax=ax)
    few, many = (line.get_xydata() for line in ax.lines[:2])
    assert_allclose(few[:, 0], 2 * np.arange(1, 17))
    assert_allclose(many[:, 0], 8 * np.arange(1, 5))
    assert_allclose(many[:, 1], histories["8 examples"].loss)
    assert ax.get_yscale() == "log"
    assert {text.get_text() for text in ax.texts if text.get_text()} == set(histories)
    seconds: Any = go.plot.compare(histories, "seconds", ax=Figure().subplots()).lines[1].get_xdata()
    assert_allclose(seconds[-1], histories["8 examples"].seconds)


def test_losses_of_a_loop_of_ones_own(ax: Any) -> None:
    go.plot.compare({"mine": [3.0, 1.0, -1.0]}, ax=ax)
    assert_allclose(ax.lines[0].get_xydata(), [[1, 3], [2, 1], [3, -1]])
    assert ax.get_yscale() == "linear"
    gap: Any = go.plot.compare({"mine": [3.0, np.nan, 1.0]}, ax=Figure().subplots())
    assert_allclose(gap.lines[0].get_xydata(), np.array([[1.0, 3.0], [3.0, 1.0]]))
    gap.figure.canvas.draw()
    with pytest.raises(ValueError, match="'mine' has no finite loss"):
        go.plot.compare({"mine": [np.nan]})
    with pytest.raises(ValueError, match="schedules is empty"):
        go.plot.schedule({}, 5)
    with pytest.raises(TypeError, match="'mine' is not a History, and only a History knows its seconds"):
        go.plot.compare({"mine": [1.0]}, "seconds")
    with pytest.raises(ValueError, match="against must be 'updates', 'examples' or 'seconds', got 'time'"):
        go.plot.compare({"mine": [1.0]}, "time")  # type: ignore[arg-type]  # as a user may
    history = go.fit(lambda p, x: (float(p @ p), 2 * p), np.ones(3), np.zeros((8, 1)), go.SGD(0.01), 2, epochs=4)
    histories: Any = [history, history]
    with pytest.raises(TypeError, match=r"each History needs a name: pass a dict, \{") as refused:
        go.plot.compare(histories)
    named = eval(str(refused.value).partition("pass a dict, ")[2])
    assert {text.get_text() for text in go.plot.compare(named, ax=Figure().subplots()).texts} >= {"run 0", "run 1"}
    with pytest.raises(ValueError, match="histories is empty"):
        go.plot.compare({})
    with pytest.raises(ValueError, match=r"'mine' must be what fit returned, or losses of shape \(updates,\), got \[\]"):
        go.plot.compare({"mine": []})


@pytest.mark.parametrize("wrong", ["loss.png", Figure()])
def test_what_cannot_be_drawn_on_is_refused(wrong: Any) -> None:
    history = go.fit(lambda p, x: (float(p @ p), 2 * p), np.ones(3), np.zeros((8, 1)), go.SGD(0.01), 2, epochs=1)
    for draw in (
        lambda: go.plot.compare(history, ax=wrong),
        lambda: go.plot.animate(wrong),
        lambda: history.plot(wrong),
        lambda: go.schedules.Constant(1.0).plot(9, wrong),
    ):
        with pytest.raises(TypeError, match=r"ax must be axes of matplotlib, such as plt\.gca\(\), got ") as refused:
            draw()
        assert ("write .figure.savefig('loss.png')" in str(refused.value)) == isinstance(wrong, str)


def test_one_history_alone(ax: Any) -> None:
    history = go.fit(lambda p, x: (float(p @ p), 2 * p), np.ones(3), np.zeros((8, 1)), go.SGD(0.01), 2, epochs=4)
    go.plot.compare(history, "examples", smooth=1, ax=ax)
    assert_allclose(ax.lines[0].get_ydata(), history.loss)
    assert not [text for text in ax.texts if text.get_text()]


def test_lines_are_cut_before_they_are_smoothed(ax: Any) -> None:
    """A line in sight is the mean over its own updates, and its label stands where it ends there."""
    loss = np.geomspace(1, 1e-4, 4001)
    go.plot.compare({"long": loss, "short": loss[:51]}, xlim=(0, 100), ax=ax)
    long, short = (np.asarray(line.get_xydata()) for line in ax.lines[:2])
    assert_allclose(long[:, 0], np.arange(1, 101))
    assert_allclose(long[-1, 1], loss[98:100].mean())
    assert ax.get_xlim() == (0, 100)
    pointers: list[Any] = [text for text in ax.texts if isinstance(text, Annotation) and not text.get_text()]
    assert [text.xy[0] for text in pointers] == [1, 1, 0.51]
    assert pointers[2].xyann == (1, pointers[2].xy[1])  # from the end of the short line to the edge
    assert_allclose(short[-1, 0], 51)
    with pytest.raises(ValueError, match=r"'short' has no point in xlim=\(60, 100\): its line goes from 1 to 51"):
        go.plot.compare({"short": loss[:51]}, xlim=(60, 100))


def labels_of(ax: Any) -> set[str]:
    """What is written at the loss axis; no powers of ten among them."""
    labels = {label.get_text() for label in ax.get_yticklabels(which="both")}
    assert not any("times" in label or "10^" in label for label in labels)
    return labels


def test_an_axis_too_short_for_powers_of_ten_is_read_in_plain_numbers(ax: Any) -> None:
    go.plot.compare([0.7, 0.5, 0.2], ax=ax)
    ax.figure.canvas.draw()
    assert labels_of(ax) >= {"0.2", "0.3", "0.5"}
    watch = go.plot.live(0.0, ax=Figure().subplots())
    history = go.fit(lambda p, x: (float(p @ p), 2 * p), np.ones(3), np.zeros((8, 1)), go.SGD(0.01), 2, callback=watch)
    watch.draw()
    for drawn in (watch.ax, history.plot(Figure().subplots())):
        assert {"1", "2", "3"} & labels_of(drawn)
    linear = go.plot.compare([0.7, 0.5, 0.2], yscale="linear", ax=Figure().subplots())
    assert linear.get_yscale() == "linear"


def test_schedules(ax: Any) -> None:
    go.plot.schedule({"linear": lambda step: step / 4, "cosine": go.schedules.Cosine(1.0, steps=4)}, 5, ax=ax)
    assert_allclose(ax.lines[0].get_xydata(), np.column_stack([np.arange(5), np.arange(5) / 4]))
    assert_allclose(ax.lines[1].get_ydata()[2], 0.5)
    go.plot.schedule({"c": 1e-3, "i": np.float64(2)}, 9, ax=(other := Figure().subplots()))
    assert [set(np.asarray(line.get_ydata()).tolist()) for line in other.lines[:2]] == [{1e-3}, {2.0}]
    with pytest.raises(TypeError, match=r"schedules\['c'\] must be a number or a schedule such as .*, got 'fast'"):
        go.plot.schedule({"c": "fast"}, 9)  # type: ignore[dict-item]  # as a user may
    with pytest.raises(ValueError, match="steps must be a whole number of at least 1, got 0"):
        go.plot.schedule(go.schedules.Constant(1.0), 0)


def test_colours_follow_the_background(ax: Any) -> None:
    light = colours_of(ax)
    ax.set_facecolor("black")
    assert "#000000" in light
    assert "#000000" not in colours_of(ax)


def test_a_picture_follows_a_loop(ax: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []

    def display(figure: Any, display_id: bool) -> Any:
        shown.append(figure)
        return types.SimpleNamespace(update=shown.append)

    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=object))
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=display))
    watch = go.plot.live(0.0, ax=ax)
    go.minimize(lambda x: (x @ x, 2 * x), np.ones(2), go.SGD(0.25), callback=watch, maxiter=4, check_every=2)
    wanted = np.array([[0, 2], [2, 2 / 4**2], [4, 2 / 4**4]])
    assert_allclose(ax.lines[0].get_xydata(), wanted)
    assert len(shown) == 3
    assert all(figure is ax.figure for figure in shown)


def test_a_picture_follows_fit(ax: Any) -> None:
    watch = go.plot.live(0.0, ax=ax)
    loss = go.fit(
        lambda p, x: (float(p @ p), 2 * p),
        np.ones(3),
        np.zeros((8, 1)),
        rule=go.SGD(0.1),
        epochs=3,
        batch_size=None,
        callback=watch,
    ).loss
    watch.draw()
    assert_allclose(ax.lines[0].get_ydata(), loss)
