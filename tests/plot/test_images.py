"""Arrays as images: what is shown, in which colours, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot as plt
from numpy.testing import assert_allclose

import gpuopt as go


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def test_images_share_one_scale_of_colours(xp: Any) -> None:
    given = {"ramp": xp.arange(6.0).reshape(2, 3), "hole": xp.asarray([[np.nan, -1.0], [np.inf, 2.0]])}
    axes = go.plot.images(given, label="counts")
    assert [ax.get_title("left") for ax in axes] == ["ramp", "hole"]
    assert_allclose(np.asarray(axes[0].images[0].get_array()), np.arange(6.0).reshape(2, 3))
    assert [ax.images[0].get_clim() for ax in axes] == [(-1, 5), (-1, 5)]  # of what is finite
    figure = axes[0].figure
    assert figure is not None
    assert figure.axes[-1].get_ylabel() == "counts"


def test_limits_colours_and_columns_are_as_asked() -> None:
    axes = go.plot.images({str(k): np.eye(4) for k in range(5)}, columns=3, limits=(0, 2), cmap="gray", dark=True)
    assert [ax.images[0].get_clim() for ax in axes] == [(0, 2)] * 5
    assert {ax.images[0].get_cmap().name for ax in axes} == {"gray"}
    places = [ax.get_subplotspec() for ax in axes]
    assert [(each.rowspan.start, each.colspan.start) for each in places if each] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    figure = axes[0].figure
    assert figure is not None
    assert len(figure.axes) == 6  # no empty panel, and the bar
    assert axes[0].get_facecolor() != (1, 1, 1, 1)


def test_one_image_and_a_figure_as_high_as_it_needs() -> None:
    (wide,) = go.plot.images(np.ones((10, 40)))
    (tall,) = go.plot.images({"two\nlines": np.ones((40, 40))})
    heights = [ax.get_figure(root=True).get_figheight() for ax in (wide, tall)]  # type: ignore[union-attr]
    assert heights[0] < 2 < 5 < heights[1]
    assert wide.get_title("left") == ""


@pytest.mark.parametrize(
    ("given", "options", "error", "message"),
    [
        ({}, {}, ValueError, "arrays is empty: pass one, or a dict"),
        ({"a": np.ones(3)}, {}, ValueError, r"image 'a' must be of shape \(rows, columns\), got \(3,\)"),
        ({"a": np.ones((0, 3))}, {}, ValueError, r"got \(0, 3\)"),
        ({"a": np.ones((2, 2), complex)}, {}, TypeError, r"image 'a' is complex: pass abs\(z\)"),
        ({"a": np.full((2, 2), np.nan)}, {}, ValueError, "image 'a' has no finite value"),
        (np.ones((2, 2)), {"columns": 0}, ValueError, "columns must be a whole number of at least 1, got 0"),
    ],
)
def test_what_is_no_image_is_refused(given: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        go.plot.images(given, **options)
    assert not plt.get_fignums()
