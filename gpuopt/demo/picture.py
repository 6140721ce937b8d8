"""The demo's picture: one panel for each way of updating, one line for each rule."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from gpuopt.arrays.backend import optional_import
from gpuopt.demo.runs import Run, Way
from gpuopt.plot.labels import Label, label_ends
from gpuopt.plot.look import DASHES, colours_of, style
from gpuopt.rules import USUAL
from gpuopt.training.history import running_mean

__all__ = ["FORMATS", "draw"]

FORMATS = (".png", ".pdf", ".svg")


def draw(runs: list[Run], examples: int, about: str, path: Path, narrow: bool = False) -> None:
    """Write the loss curves of `runs` to `path`, each labelled with its rule and test accuracy
    where it ends.

    The title says what to look for, and then what it is `about`. With `narrow`, the panels are
    stacked, in less than 700 pixels.
    """
    # A Figure of its own, not pyplot's: it needs no display and leaves no global state.
    figure = optional_import("matplotlib.figure", "the demo").Figure
    with style():
        fig = _figure(figure, runs, examples, about, narrow)
    fig.savefig(path, dpi=150)


def _figure(figure: Any, runs: list[Run], examples: int, about: str, narrow: bool) -> Any:
    ways = list({run.way.batch_size: run.way for run in runs}.values())
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
        here = [(run, curve) for run, curve in zip(runs, curves, strict=True) if run.way == way]
        # A usual rule looks the same whichever others are drawn.
        names = list(dict.fromkeys([*USUAL, *(run.name for run in runs)]))
        _lines(panel, here, names, low, high)
        _frame(panel, way, examples)
    return fig


def _lines(panel: Any, curves: list[Any], names: list[str], low: float, high: float) -> None:
    """The curves of a panel, each labelled where it ends."""
    labels, colours = [], colours_of(panel)
    for run, (epochs, loss) in curves:
        number = names.index(run.name)
        colour, dashes = colours[number % len(colours)], DASHES[number % len(DASHES)]
        panel.plot(epochs, loss, color=colour, linestyle=dashes)
        heights = np.log(np.maximum(loss, low) / low) / np.log(high / low)
        labels.append(Label(heights, f"{run.name}  {run.accuracy:.1%}", colour))
    label_ends(panel, labels)


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
