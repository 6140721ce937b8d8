"""The options of ``gpuopt demo``, and what their values may be."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from gpuopt.demo.runs import Way
from gpuopt.option_values import rule_among, whole_number
from gpuopt.rules import USUAL, GradientDescent, Rule, rules

__all__ = ["add_arguments", "rule_class"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``gpuopt demo`` to `parser`."""
    parser.description = (
        "Train a 64-32-10 network on scikit-learn's handwritten digits with every rule, "
        "in three ways."
    )
    _add_runs(parser)
    _add_surroundings(parser)


def _add_runs(parser: argparse.ArgumentParser) -> None:
    """Options for what is trained: rules, batch sizes, epochs and learning rates."""
    parser.add_argument(
        "--rules",
        dest="rule",
        nargs="+",
        type=rule_class,
        metavar="NAME",
        help=f"rules to train with, of {', '.join(rules())} (default: {' '.join(USUAL)})",
    )
    parser.add_argument(
        "--batch-size",
        nargs="+",
        type=_batch_size,
        default=[1, 32, None],
        metavar="N",
        help="examples an update sees: 1 is stochastic, more is mini-batch (typically a power of "
        "two), 'all' is batch; each makes a panel (default: 1 32 all)",
    )
    epochs = ", ".join(f"{way.epochs} {way.name}" for way in map(Way.of, (1, 32, None)))
    parser.add_argument(
        "--epochs",
        type=whole_number(1),
        metavar="N",
        help=f"passes over the training data (default: {epochs})",
    )
    parser.add_argument(
        "--lr",
        type=_learning_rate,
        help="learning rate of every run (default: one that suits rule and batch size)",
    )


def _add_surroundings(parser: argparse.ArgumentParser) -> None:
    """Options for what all runs share: random numbers, arrays, and the picture."""
    parser.add_argument(
        "--seed",
        type=whole_number(0),
        default=0,
        help="seed of the split, the first weights and the order of examples (default: 0)",
    )
    parser.add_argument(
        "--backend",
        choices=["auto", "numpy", "cupy"],
        help="where to compute (default: GPUOPT_BACKEND, or auto)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("gpuopt-demo.png"),
        metavar="FILE",
        help="file for the loss curves: .png, .pdf or .svg (default: gpuopt-demo.png)",
    )
    parser.add_argument(
        "--narrow",
        action="store_true",
        help="stack the panels, for a page of less than 700 pixels",
    )


def rule_class(text: str) -> type[Rule]:
    """The rule of that name, in any case and with or without hyphens; an argparse type."""
    return rule_among({**rules(), "sgd": GradientDescent})(text)


def _batch_size(text: str) -> int | None:
    if text == "all":
        return None
    try:
        return whole_number(1)(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}; or 'all'") from None


def _learning_rate(text: str) -> float:
    try:
        lr = float(text)
    except ValueError:
        lr = math.nan
    if not 0 <= lr < math.inf:
        raise argparse.ArgumentTypeError(f"must be a finite number >= 0, not {text!r}")
    return lr
