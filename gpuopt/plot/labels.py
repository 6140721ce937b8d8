"""Labels of lines, written where the lines end, so that no legend is needed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["Label", "label_ends"]

_GAP = 0.05  # least distance of two labels, as a share of the panel's height
_ALIKE = 0.01  # mean distance below which two lines look like one, as a share of that height
_OUTSIDE = {"xycoords": "axes fraction", "textcoords": "axes fraction"}


class Label(NamedTuple):
    """A line and its text: heights as shares of the panel's, from the line's begin to its end, and
    where that is from left to right.
    """

    heights: Any
    text: str
    colour: str
    end: float = 1.0


def label_ends(panel: Any, labels: list[Label]) -> None:
    """Write each text, in its colour, to the right of the height where its line ends, moved apart
    from the others. Lines that look like one share a pointer.
    """
    groups = sorted(_together(labels), key=_end)
    ends = [min(_end(group), 1.0) for group in groups]
    for height, end, group in zip(_apart(ends, groups), ends, groups, strict=True):
        colour = group[0].colour if len(group) == 1 else "0.4"
        pointer = {"arrowstyle": "-", "color": colour, "shrinkA": 2, "shrinkB": 0}
        top = height + _GAP * (len(group) - 1) / 2
        places = [top - _GAP * number for number in range(len(group))]
        panel.annotate("", (1, end), (1.06, height), **_OUTSIDE, arrowprops=pointer)
        last = max(label.end for label in group)
        if last < 1 - _ALIKE:  # a line that ends within the panel
            thin = {**pointer, "alpha": 0.4, "shrinkA": 0}
            panel.annotate("", (last, end), (1, end), **_OUTSIDE, arrowprops=thin)
        if len(group) > 1:
            bar = [places[0] + 0.4 * _GAP, places[-1] - 0.4 * _GAP]
            where = {"transform": panel.transAxes, "clip_on": False}
            panel.plot([1.06, 1.06], bar, color=colour, linewidth=1, linestyle="-", **where)
        for place, label in zip(places, group, strict=True):
            how = {"va": "center", "color": label.colour, "fontsize": 10}
            panel.annotate(label.text, (1, end), (1.08, place), **_OUTSIDE, **how)


def _end(group: list[Label]) -> float:
    """The height where the lines of a group end, in the mean."""
    return float(np.mean([label.heights[-1] for label in group]))


def _apart(ends: list[float], groups: list[list[Label]]) -> list[float]:
    """Heights of the labels, lowest first, near the ends of their lines and apart."""
    heights = list(ends)
    for _ in range(100):
        for i in range(len(heights) - 1):
            room = _GAP * (len(groups[i]) + len(groups[i + 1])) / 2
            overlap = max(0.0, room - (heights[i + 1] - heights[i]))
            heights[i] -= overlap / 2
            heights[i + 1] += overlap / 2
    return heights


def _together(labels: list[Label]) -> list[list[Label]]:
    """The labels, lowest first, those of lines that look like one together, highest first."""
    found: list[list[Label]] = []
    for label in sorted(labels, key=lambda label: float(label.heights[-1])):
        for group in found:
            if _look_alike(group[0].heights, label.heights):
                group.insert(0, label)
                break
        else:
            found.append([label])
    return found


def _look_alike(one: Any, other: Any) -> bool:
    if len(one) != len(other):
        return False
    apart = np.abs(one - other)
    return bool(apart.mean() < _ALIKE and apart[-1] < 2 * _ALIKE)
