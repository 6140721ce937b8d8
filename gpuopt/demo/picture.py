"""The demo's picture: one panel for each way of updating, one line for each rule."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gpuopt.arrays.backend import optional_import
from gpuopt.demo.runs import Run, Way
from gpuopt.rules import USUAL
from gpuopt.training.history import running_mean

__all__ = ["FORMATS", "draw"]

FORMATS = (".png", ".pdf", ".svg")

# Okabe and Ito's colours can be told apart with any colour vision, the dashes without colour.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
_DASHES = ("-", (0, (6, 1.5)), (0, (1.2, 1.2)), (0, (4, 1.5, 1.2, 1.5)), (0, (9, 2)))
_GAP = 0.05  # least distance of two labels, as a share of the panel's height
_ALIKE = 0.01  # mean distance below which two lines look like one, as a share of that height


def draw(runs: list[Run], examples: int, about: str, path: Path, narrow: bool = False) -> None:
    """Write the loss curves of `runs` to `path`, each labelled with its rule and test accuracy
    where it ends.

    The title says what to look for, and then what it is `about`. With `narrow` the panels stand one
    below the other, in less than 700 pixels.
    """
    # A Figure of its own, not pyplot's: it needs no display and leaves no global state.
    figure = optional_import("matplotlib.figure", "the demo").Figure
    ways = list({run.way.batch_size: run.way for run in runs}.values())
    # A usual rule looks the same whichever others are drawn.
    names = list(dict.fromkeys([*USUAL, *(run.name for run in runs)]))
    size, shape = (1.2 + 4.6 * len(ways), 5.4), (1, len(ways))
    if narrow:
        size, shape = (4.6, 1.4 + 3.6 * len(ways)), (len(ways), 1)
    fig = figure(figsize=size, layout="constrained")
    curves = [_curve(run, examples) for run in runs]
    ends = [(float(loss[-1]), run) for run, (_, loss) in zip(runs, curves, strict=True)]
    lines = [*_findings(ends, ways), about]
    wide = 56 if narrow else max(62, 62 * len(ways))
    text = "\n".join("\n".join(textwrap.wrap(line, wide)) for line in lines)
    fig.suptitle(text, x=0.01, ha="left", fontsize=9 if narrow else 12)
    panels = fig.subplots(*shape, sharey=True, squeeze=False).ravel()
    low, high = _limits([loss for _, loss in curves])
    panels[0].set_yscale("log")  # the panels share it
    panels[0].set_ylim(low, high)
    panels[0].yaxis.set_major_formatter("{x:g}")
    if high < 10 * low:  # too short an axis for powers of ten alone
        panels[0].yaxis.set_minor_formatter("{x:g}")
    panels[0].set_ylabel("training loss (mean cross-entropy)")
    for panel, way in zip(panels, ways, strict=True):
        labels = []
        for run, (epochs, loss) in zip(runs, curves, strict=True):
            if run.way == way:
                style = names.index(run.name)
                colour, dashes = _COLOURS[style % len(_COLOURS)], _DASHES[style % len(_DASHES)]
                panel.plot(epochs, loss, color=colour, linestyle=dashes, linewidth=1.8)
                heights = np.log(np.maximum(loss, low) / low) / np.log(high / low)
                labels.append(Label(heights, f"{run.name}  {run.accuracy:.1%}", colour))
        _label(panel, labels)
        _frame(panel, way, examples)
    fig.savefig(path, dpi=150)


def _findings(ends: list[tuple[float, Run]], ways: list[Way]) -> list[str]:
    """What one should see: where lines go, and which one ends lowest."""
    of_way = [[end for end in ends if end[1].way == way] for way in ways]
    best = [min(found, key=lambda end: end[0])[1] for found in of_way]
    named = ", ".join(f"{run.name} ({run.way.name}, {run.accuracy:.1%})" for run in best)
    return [
        "A 64-32-10 network learns to read handwritten digits: the lower a line, the better",
        f"Lowest in the end, with the share of test digits read right: {named}",
    ]


def _frame(panel: Any, way: Way, examples: int) -> None:
    """Title and axes of a panel."""
    updates = way.updates(examples)
    size = {None: "all examples", 1: "1 example"}.get(way.batch_size, f"{way.batch_size} examples")
    panel.set_title(f"{way.name}: {size} an update", loc="left", fontsize=11)
    window = _window(way, examples)
    mean = f"loss: mean of the last {window} updates" if window > 1 else "loss: of each update"
    panel.set_xlabel(
        f"epochs ({updates} update{'s' if updates > 1 else ''} each)\n{mean}", fontsize=9
    )
    panel.set_xlim(0, way.epochs)
    panel.grid(visible=True, color="0.9")
    panel.set_axisbelow(True)
    panel.tick_params(which="both", length=0)
    panel.spines[["top", "right"]].set_visible(False)


class Label(NamedTuple):
    """A line and its text: heights as shares of the panel's, from the line's begin to its end."""

    heights: Any
    text: str
    colour: str


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


def _label(panel: Any, labels: list[Label]) -> None:
    """Write each text, in its colour, to the right of the height where its line ends, moved apart
    from the others. Lines that look like one share a pointer.
    """
    groups = _together(labels)
    ends = [float(np.mean([label.heights[-1] for label in group])) for group in groups]
    heights = ends = [min(end, 1.0) for end in ends]
    heights = heights.copy()
    for _ in range(100):
        for i in range(len(heights) - 1):
            room = _GAP * (len(groups[i]) + len(groups[i + 1])) / 2
            overlap = max(0.0, room - (heights[i + 1] - heights[i]))
            heights[i] -= overlap / 2
            heights[i + 1] += overlap / 2
    for height, end, group in zip(heights, ends, groups, strict=True):
        colour = group[0].colour if len(group) == 1 else "0.4"
        pointer = {"arrowstyle": "-", "color": colour, "shrinkA": 2, "shrinkB": 0}
        top = height + _GAP * (len(group) - 1) / 2
        places = [top - _GAP * number for number in range(len(group))]
        panel.annotate("", (1, end), (1.06, height), **_OUTSIDE, arrowprops=pointer)
        if len(group) > 1:
            ends_of_bar = [places[0] + 0.4 * _GAP, places[-1] - 0.4 * _GAP]
            panel.plot(
                [1.06, 1.06],
                ends_of_bar,
                color=colour,
                clip_on=False,
                linewidth=1,
                transform=panel.transAxes,
            )
        for place, label in zip(places, group, strict=True):
            panel.annotate(
                label.text,
                (1, end),
                (1.08, place),
                **_OUTSIDE,
                va="center",
                color=label.colour,
                fontsize=9,
            )


_OUTSIDE = {"xycoords": "axes fraction", "textcoords": "axes fraction"}


def _window(way: Way, examples: int) -> int:
    """The number of updates to average, a 40th of all: the loss of one small batch says little."""
    updates = way.updates(examples)
    return max(1, way.epochs * updates // 40) if updates > 1 else 1


def _curve(run: Run, examples: int) -> tuple[Any, Any]:
    """Epochs and averaged loss, at so few points that dashes stay visible."""
    loss = running_mean(run.history.loss, _window(run.way, examples))
    at = np.unique(np.linspace(0, loss.size - 1, 200).astype(int))
    return (at + 1) / run.way.updates(examples), loss[at]


def _limits(losses: list[Any]) -> tuple[float, float]:
    """The ends of the logarithmic axis; a line that climbs far above where all began leaves it."""
    positive = np.concatenate(losses)
    positive = positive[positive > 0]
    if not positive.size:
        return 0.1, 1.0
    begun = max(float(loss[0]) for loss in losses) or np.inf
    return float(positive.min()) / 1.3, min(float(positive.max()), 3 * begun) * 1.3
