"""``gpuopt demo``: every rule learns to read handwritten digits, stochastic, by mini-batches and by
batches.

Prints a table and draws the loss curves. The data come with scikit-learn; nothing is downloaded.
Comes in: options of the command line. Imports: every wing before it.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gpuopt.arrays.backend
from gpuopt.arrays.backend import optional_import
from gpuopt.demo.network import load_digits
from gpuopt.demo.picture import FORMATS, draw
from gpuopt.demo.runs import Run, Way, make_rule, train
from gpuopt.rules import GradientDescent, Rule, rules
from gpuopt.training.history import History

__all__ = ["add_arguments", "main", "rule_class"]

_ROW = "{:<17} {:<16} {:>8} {:>14} {:>14} {:>9} {:>9}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``gpuopt demo`` to `parser`."""
    parser.description = (
        "Train a 64-32-10 network on scikit-learn's handwritten digits with every rule, in three "
        "ways."
    )
    epochs = ", ".join(f"{way.epochs} {way.name}" for way in map(Way.of, (1, 32, None)))
    add = parser.add_argument
    add(
        "--rule",
        nargs="+",
        type=rule_class,
        metavar="NAME",
        help=f"rules to train with (default: all: {', '.join(rules())})",
    )
    add(
        "--batch-size",
        nargs="+",
        type=_batch_size,
        default=[1, 32, None],
        metavar="N",
        help="examples an update sees: 1 is stochastic, more is mini-batch (typically a power of "
        "two), "
        "'all' is batch; each makes a panel (default: 1 32 all)",
    )
    add(
        "--epochs",
        type=_integer(1),
        metavar="N",
        help=f"passes over the training data (default: {epochs})",
    )
    add(
        "--lr",
        type=_learning_rate,
        help="learning rate of every run (default: one that suits rule and batch size)",
    )
    add(
        "--seed",
        type=_integer(0),
        default=0,
        help="decides split, first weights and order of examples (default: 0)",
    )
    add(
        "--backend",
        choices=["auto", "numpy", "cupy"],
        help="where to compute (default: what GPUOPT_BACKEND says, or auto)",
    )
    add(
        "--output",
        type=Path,
        default=Path("gpuopt-demo.png"),
        metavar="FILE",
        help="where to draw the loss curves: .png, .pdf or .svg (default: gpuopt-demo.png)",
    )


def main(args: argparse.Namespace) -> int:
    """Run the demo.

    Returns
    -------
    int
        The exit code: 0; 1 where no run reached its end; 2, after one line on stderr, where an
        option cannot be met.
    """
    try:
        tqdm, data, test = _prepare(args)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        print("gpuopt demo: error:", " ".join(str(error).split()), file=sys.stderr)
        return 2
    start = time.perf_counter()
    examples = len(data[0])
    ways = [Way.of(size) for size in dict.fromkeys(args.batch_size)]
    if args.epochs is not None:
        ways = [dataclasses.replace(way, epochs=args.epochs) for way in ways]
    classes = dict.fromkeys(args.rule or rules().values())
    jobs = [(way, make_rule(cls, way, args.lr)) for way in ways for cls in classes]
    runs = []
    # disable=None: no bar where stderr is not a terminal.
    with tqdm(
        total=sum(way.epochs * way.updates(examples) for way, _ in jobs),
        unit="update",
        disable=None,
    ) as bar:
        for way, rule in jobs:
            bar.set_description(f"{way.name}, {type(rule).__name__}")
            before = bar.n
            runs.append(train(way, rule, args.seed, data, test, _tick(bar, way.updates(examples))))
            # Where a run stopped early, its part of the bar is done all the same.
            bar.update(before + way.epochs * way.updates(examples) - bar.n)
    title = (
        "A 64-32-10 network learns to read handwritten digits\n"
        f"{examples} to train, {len(test[0])} to test, float32, {runs[0].executor} executor, seed "
        f"{args.seed}"
    )
    print(title)
    _print_table(runs)
    done = [run for run in runs if not run.failure]
    if not done:
        print("gpuopt demo: every loss stopped being finite: try a smaller --lr", file=sys.stderr)
        return 1
    draw(done, examples, f"{title}; % is the test accuracy", args.output)
    print(f"\n{time.perf_counter() - start:.1f} s; loss curves: {args.output}")
    return 0


def _prepare(args: argparse.Namespace) -> tuple[Any, Any, Any]:
    """Everything that may be missing or wrong, found before the first training."""
    tqdm = optional_import("tqdm", "the demo").tqdm
    optional_import("matplotlib", "the demo")
    if args.output.suffix.lower() not in FORMATS:
        raise ValueError(
            f"argument --output: {args.output} must end in one of {', '.join(FORMATS)}"
        )
    existed = args.output.exists()
    try:
        args.output.open("ab").close()  # only opening it tells whether it can be written
    except OSError as error:
        raise OSError(f"argument --output: cannot write {args.output}: {error.strerror}") from error
    if not existed:
        args.output.unlink()
    if args.backend is not None:
        gpuopt.arrays.backend.use(args.backend)
    xp = gpuopt.arrays.backend.xp()
    data, test = load_digits(args.seed, xp)
    for size in args.batch_size:
        if size is not None and size > len(data[0]):
            raise ValueError(
                f"argument --batch-size: {size} is more than the {len(data[0])} training examples"
            )
    return tqdm, data, test


def _tick(bar: Any, updates: int) -> Callable[[History], None]:
    def tick(_history: History) -> None:
        bar.update(updates)  # not returned: tqdm's True would stop the training

    return tick


def _print_table(runs: list[Run]) -> None:
    print()
    print(
        _ROW.format(
            "way (batch size)", "rule", "lr", "test accuracy", "training loss", "updates", "seconds"
        )
    )
    for run in runs:
        way = f"{run.way.name} ({run.way.batch_size or 'all'})"
        start = (way, run.name, f"{getattr(run.rule, 'lr', math.nan):g}")
        if run.failure:
            print(_ROW.format(*start, "", "", "", "").rstrip(), "", run.failure)
        else:
            result = (
                f"{run.accuracy:.1%}",
                f"{run.loss:.2g}",
                run.history.steps,
                f"{run.history.seconds:.2f}",
            )
            print(_ROW.format(*start, *result))


def rule_class(text: str) -> type[Rule]:
    """The rule of that name, in any case and with or without hyphens; an argparse type."""
    known = {name.lower(): cls for name, cls in rules().items()} | {"sgd": GradientDescent}
    name = text.lower().replace("-", "").replace("_", "")
    if name not in known:
        raise argparse.ArgumentTypeError(
            f"there is no rule {text!r}; the rules are {', '.join(known)}"
        )
    return known[name]


def _integer(least: int) -> Callable[[str], int]:
    def integer(text: str) -> int:
        if not text.strip().lstrip("+-").isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(
                f"must be an integer of at least {least}, not {text!r}"
            )
        return int(text)

    return integer


def _batch_size(text: str) -> int | None:
    if text == "all":
        return None
    try:
        return _integer(1)(text)
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
