"""``gpuopt demo``: rules train a network on handwritten digits: by single examples, by mini-batches
and by whole batches.

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
from typing import Any

import gpuopt.arrays.backend
from gpuopt.arrays.backend import optional_import
from gpuopt.demo.arguments import add_arguments, rule_class
from gpuopt.demo.network import load_digits
from gpuopt.demo.picture import FORMATS, draw
from gpuopt.demo.runs import Run, Way, make_rule, train
from gpuopt.rules import USUAL, rules
from gpuopt.training.history import History

__all__ = ["add_arguments", "main", "rule_class"]

_ROW = "{:<17} {:<16} {:>8} {:>14} {:>14} {:>9} {:>9}"


def main(args: argparse.Namespace) -> int:
    """Run the demo.

    Returns
    -------
    int
        The exit code: 0; 1 if no run reached its end; 2, after one line on stderr, if an option is
        not possible here.
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
    classes = dict.fromkeys(args.rule or [rules()[name] for name in USUAL])
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
        f"{examples} to train, {len(test[0])} to test, float32, {runs[0].executor} executor, "
        f"seed {args.seed}"
    )
    print(title)
    _print_table(runs)
    done = [run for run in runs if not run.failure]
    if not done:
        print("gpuopt demo: every loss stopped being finite: try a smaller --lr", file=sys.stderr)
        return 1
    draw(done, examples, title.partition("\n")[2], args.output, args.narrow)
    print(f"\n{time.perf_counter() - start:.1f} s; loss curves: {args.output}")
    return 0


def _prepare(args: argparse.Namespace) -> tuple[Any, Any, Any]:
    """Find everything that may be missing or wrong, before the first training."""
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
