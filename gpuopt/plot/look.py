"""How figures look: one style on white and one on black, which matplotlib reads as files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gpuopt.arrays import check
from gpuopt.arrays.backend import optional_import

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from matplotlib.axes import Axes

__all__ = ["DASHES", "axes_for", "colours_of", "halo", "is_dark", "style"]

DASHES: Sequence[Any] = ("-", (0, (6, 1.5)), (0, (1.2, 1.2)), (0, (4, 1.5, 1.2, 1.5)), (0, (9, 2)))
"""Kinds of lines, which are told apart without colour."""


def style(dark: bool = False) -> AbstractContextManager[None]:
    """A context in which figures of matplotlib look as those of this module do."""
    module = optional_import("matplotlib.style", "gpuopt.plot")
    context: AbstractContextManager[None] = module.context(_name(dark))
    return context


def axes_for(ax: Axes | None, dark: bool) -> Axes:
    """Where to draw: what is given, or the axes of a new figure."""
    with check.axes_for(ax, "gpuopt.plot", dark) as found:
        return found  # type: ignore[no-any-return]


def colours_of(ax: Axes) -> list[str]:
    """Colours that can be seen on the background of `ax`."""
    with style(is_dark(ax)):
        cycle = optional_import("matplotlib", "gpuopt.plot").rcParams["axes.prop_cycle"]
    return [str(entry["color"]) for entry in cycle]


def is_dark(ax: Axes) -> bool:
    """Whether the background of `ax` is."""
    to_rgb = optional_import("matplotlib.colors", "gpuopt.plot").to_rgb
    red, green, blue = to_rgb(ax.get_facecolor())
    return bool(0.299 * red + 0.587 * green + 0.114 * blue < 0.5)


def halo(ax: Axes) -> list[Any]:
    """Path effects that keep text and lines apart from what is below them."""
    effects = optional_import("matplotlib.patheffects", "gpuopt.plot")
    return [effects.withStroke(linewidth=3, foreground=ax.get_facecolor())]


def _name(dark: bool) -> str:
    return "gpuopt.plot.dark" if dark else "gpuopt.plot.light"
