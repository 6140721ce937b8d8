"""The demo's picture: one panel for each way of updating, one line for each rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gpuopt.arrays.backend import optional_import
from gpuopt.demo.runs import Run, Way
from gpuopt.rules import rules
from gpuopt.training.history import running_mean

__all__ = ["FORMATS", "draw"]

FORMATS = (".png", ".pdf", ".svg")

# Okabe and Ito's colours can be told apart with any colour vision, the dashes without colour.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
_DASHES = ("-", (0, (6, 1.5)), (0, (1.2, 1.2)), (0, (4, 1.5, 1.2, 1.5)), (0, (9, 2)))
_GAP = 0.05  # least distance of two labels, as a share of the panel's height


def draw(runs: list[Run], examples: int, title: str, path: Path) -> None:
    """Write the loss curves of `runs` to `path`, each labelled with its rule and test accuracy
    where it ends.
    """
    # A Figure of its own, not pyplot's: it needs no display and leaves no global state.
    figure = optional_import("matplotlib.figure", "the demo").Figure
    ways = list({run.way.batch_size: run.way for run in runs}.values())
    names = list(rules())  # a rule looks the same whichever others are drawn
    fig = figure(figsize=(1.2 + 4.6 * len(ways), 5.4), layout="constrained")
    fig.suptitle(title, x=0.01, ha="left", fontsize=12)
    panels = fig.subplots(1, len(ways), sharey=True, squeeze=False)[0]
    curves = [_curve(run, examples) for run in runs]
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
                height = float(np.log(max(loss[-1], low) / low) / np.log(high / low))
                labels.append((height, f"{run.name}  {run.accuracy:.1%}", colour))
        _label(panel, labels)
        _frame(panel, way, examples)
    fig.savefig(path, dpi=150)


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


def _label(panel: Any, labels: list[tuple[float, str, str]]) -> None:
    """Write each text, in its colour, to the right of the height where its line ends, moved apart
    from the others.
    """
    labels = sorted(labels)
    heights = [height for height, _, _ in labels]
    for _ in range(100):
        for i in range(len(heights) - 1):
            overlap = max(0.0, _GAP - (heights[i + 1] - heights[i]))
            heights[i] -= overlap / 2
            heights[i + 1] += overlap / 2
    for height, (end, text, colour) in zip(heights, labels, strict=True):
        panel.annotate(
            text,
            (1, end),
            (1.07, height),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            color=colour,
            fontsize=9,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "relpos": (0, 0.5),
                "shrinkA": 2,
                "shrinkB": 0,
            },
        )


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
    """The ends of the logarithmic axis."""
    positive = np.concatenate(losses)
    positive = positive[positive > 0]
    return (
        (float(positive.min()) / 1.3, float(positive.max()) * 1.3) if positive.size else (0.1, 1.0)
    )
