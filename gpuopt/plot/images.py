"""Arrays as images, side by side, with one scale of colours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from gpuopt.arrays.backend import on_host, optional_import
from gpuopt.arrays.options import pair, whole
from gpuopt.plot.look import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["images"]

_WIDTH, _BAR, _LINE = 6.4, 0.8, 0.2  # inches: of a figure, its colour bar, a line of a title


def images(
    arrays: Mapping[str, ArrayLike] | ArrayLike,
    *,
    columns: int = 2,
    limits: tuple[float, float] | None = None,
    cmap: str | None = None,
    label: str = "",
    dark: bool = False,
) -> list[Axes]:
    """Show arrays as images with one scale of colours, each below its name.

    Parameters
    ----------
    arrays : dict of array_like, or array_like
        Real arrays of shape (rows, columns), by the names that title them; or one array. NumPy or
        CuPy arrays. Of complex ones show ``abs(z)`` or ``np.angle(z)``.
    columns : int
        How many stand side by side, at least 1.
    limits : tuple of float, optional
        The values that have the first and the last colour. By default the smallest and the largest
        of all arrays.
    cmap : str, optional
        The name of one of matplotlib's colour maps, such as ``"gray"``, or ``"twilight"`` for
        phases.
    label : str
        What the values are, with their unit, beside the colour bar.
    dark : bool
        Whether the figure is light on dark.

    Returns
    -------
    list of matplotlib.axes.Axes
        One for each array.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If an array is complex or no image, or if there is none.

    Examples
    --------
    >>> import gpuopt as go, numpy as np
    >>> y, x = np.mgrid[:32, :32]
    >>> waves = np.sin(x / 4)
    >>> one, other = go.plot.images({"waves": waves, "crossed": waves * np.sin(y / 4)})
    """
    given = arrays if isinstance(arrays, Mapping) else {"": arrays}
    if not given:
        raise ValueError("arrays is empty: pass one, or a dict of some by their names")
    columns = whole("columns", columns, 1)
    shown = {name: _image(array, name) for name, array in given.items()}
    if limits is None:
        limits = _end(np.nanmin, shown), _end(np.nanmax, shown)
    else:
        limits = pair("limits", limits)
    with style(dark):
        axes = _panels(shown, min(columns, len(shown)))
        for ax, (name, image) in zip(axes, shown.items(), strict=True):
            drawn = ax.imshow(image, cmap, vmin=limits[0], vmax=limits[1], interpolation="nearest")
            ax.set(title=name, xticks=[], yticks=[])
            ax.grid(visible=False)
            ax.spines[:].set(visible=True, color="0.6", linewidth=0.6)
        axes[0].figure.colorbar(drawn, ax=axes, label=label, aspect=30)
    return axes


def _image(array: Any, name: str) -> Any:
    image = np.asarray(on_host(array))
    if image.ndim != 2 or not image.size:
        raise ValueError(f"the image {name!r} must be of shape (rows, columns), got {image.shape}")
    if image.dtype.kind == "c":
        raise TypeError(f"the image {name!r} is complex: pass abs(z) or np.angle(z) of it")
    if not np.isfinite(image).any():
        raise ValueError(f"the image {name!r} has no finite value to show")
    return image


def _end(which: Any, shown: Mapping[str, Any]) -> float:
    """The smallest or the largest of all finite values."""
    return float(which([which(np.where(np.isfinite(a), a, np.nan)) for a in shown.values()]))


def _panels(shown: Mapping[str, Any], columns: int) -> list[Axes]:
    """Axes for the images, in a figure as high as they and their titles need."""
    rows = math.ceil(len(shown) / columns)
    tall = max(image.shape[0] / image.shape[1] for image in shown.values())
    title = _LINE * (1.5 + max(name.count("\n") for name in shown))
    height = rows * (tall * (_WIDTH - _BAR) / columns + title)
    subplots = optional_import("matplotlib.pyplot", "gpuopt.plot").subplots
    panels = subplots(rows, columns, figsize=(_WIDTH, height), squeeze=False)[1].ravel()
    for ax in panels[len(shown) :]:
        ax.remove()
    return list(panels[: len(shown)])
