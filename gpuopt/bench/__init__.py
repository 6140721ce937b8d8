"""``gpuopt bench``: the time of a step beside what else a user could take, and beside the memory's
floor.

Comes in: options of the command line. Imports: every wing before it; rivals only where they are
installed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gpuopt.arrays import backend
from gpuopt.arrays.backend import optional_import
from gpuopt.arrays.dtypes import named
from gpuopt.arrays.precision import Precision
from gpuopt.bench import report
from gpuopt.bench.measure import EXECUTORS, pin_allocator, why_not
from gpuopt.bench.rivals import Case, compare, subjects, why_no_graph

__all__ = ["add_arguments", "main"]

DTYPES = ("float16", "bfloat16", "float32", "float64")
OPTIONS = ("master", "stochastic_rounding", "capturable")
FORMATS = (".md", ".json", ".png")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``gpuopt bench`` to `parser`."""
    parser.description = (
        "Time a step of every rule, and of a chain, beside the expression a user would write, "
        "PyTorch's fused and foreach "
        "optimizers and optax under jit (each where it is installed), and beside the memory's "
        "speed. All take turns in one "
        "process; medians."
    )
    add = parser.add_argument
    add(
        "--rules",
        nargs="+",
        type=_rule,
        metavar="NAME",
        help=f"what to measure (default: all: {', '.join(subjects())})",
    )
    add(
        "--sizes",
        nargs="+",
        type=_positive,
        default=[1_000_000, 16_000_000],
        metavar="N",
        help="elements of one array (default: 1000000 16000000)",
    )
    add(
        "--many",
        nargs=2,
        type=_positive,
        default=[300, 1_000],
        metavar=("ARRAYS", "SIZE"),
        help="also many arrays of one size (default: 300 1000)",
    )
    add(
        "--dtype",
        choices=DTYPES,
        default="float32",
        help="of the arrays; bfloat16 needs ml_dtypes (default: float32)",
    )
    add(
        "--init",
        nargs="+",
        choices=OPTIONS,
        default=[],
        metavar="OPTION",
        help=f"options of init: {', '.join(OPTIONS)}",
    )
    add(
        "--graph",
        action="store_true",
        help="also the replay of a step captured in a CUDA graph (CuPy; implies capturable)",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--executors",
        nargs="+",
        choices=EXECUTORS,
        help="executors to measure (default: those of --backend)",
    )
    where.add_argument(
        "--backend",
        choices=backend.CHOICES,
        help="numpy: every CPU executor that works here; cupy: the GPU; auto: the GPU where there "
        "is one (default: auto)",
    )
    add(
        "--rounds",
        type=_positive,
        default=15,
        metavar="N",
        help="turns that each takes (default: 15)",
    )
    add(
        "--format",
        choices=["text", "markdown"],
        default="text",
        help="of what is printed (default: text)",
    )
    add(
        "--output",
        type=_output,
        metavar="FILE",
        help="also write a table (.md), all numbers (.json) or a picture (.png; needs matplotlib)",
    )


def main(args: argparse.Namespace) -> int:
    """Run the benchmark.

    Returns
    -------
    int
        The exit code: 0; 2, after one line on stderr, where an option cannot be met.
    """
    try:
        executors = _executors(args)
        options = _options(args, executors)
        if args.output is not None:
            _check_output(args.output)
        # For the rivals' sake: the expressions by hand allocate, and take several times longer
        # without.
        pin_allocator()
        cases: list[Case] = []
        for case in _cases(args, executors, options):
            cases.append(case)
            found = report.Report.of(cases, args.dtype, options)
            if (
                args.output is not None and args.output.suffix == ".json"
            ):  # what is measured is kept if this is stopped
                args.output.write_text(report.as_json(found), encoding="utf-8")
        if args.output is not None and args.output.suffix == ".png":
            report.draw(found, args.output)
        elif args.output is not None and args.output.suffix == ".md":
            args.output.write_text(report.markdown(found), encoding="utf-8")
    except (ImportError, MemoryError, OSError, RuntimeError, ValueError) as error:
        print(
            "gpuopt bench: error:",
            " ".join(str(error).split()) or type(error).__name__,
            file=sys.stderr,
        )
        return 2
    print((report.markdown if args.format == "markdown" else report.text)(found), end="")
    return 0


def _executors(args: argparse.Namespace) -> list[str]:
    """The executors to measure, all of which work here."""
    if args.executors is None:
        name = args.backend or "auto"
        if name == "cupy" or (name == "auto" and backend.xp() is not np):
            args.executors = ["cupy"]
        else:
            args.executors = [
                executor for executor in ("numpy", "numba") if why_not(executor) is None
            ]
    for executor in args.executors:
        if reason := why_not(executor):
            raise RuntimeError(f"the executor {executor} cannot be used here: {reason}")
    return list(dict.fromkeys(args.executors))


def _options(args: argparse.Namespace, executors: list[str]) -> list[str]:
    """The options of `init`, in one order; raises where they, the dtype or a graph cannot be
    had.
    """
    if args.graph and "cupy" not in executors:
        raise RuntimeError(
            "--graph needs the executor cupy: "
            + (why_not("cupy") or "choose it with --backend cupy")
        )
    if args.graph and (reason := why_no_graph()):
        raise RuntimeError(f"--graph cannot be used: {reason}")
    try:
        dtype = named(args.dtype)
    except ModuleNotFoundError as error:
        raise RuntimeError(
            "--dtype bfloat16 needs ml_dtypes, which is not installed (pip install ml_dtypes)"
        ) from error
    asked = {*args.init, *(["capturable"] if args.graph else [])}
    if "master" in asked and dtype.itemsize != 2:
        raise ValueError(f"--init master is for float16 and bfloat16, not for --dtype {args.dtype}")
    if "stochastic_rounding" in asked and args.dtype != "bfloat16":
        raise ValueError(
            f"--init stochastic_rounding is for bfloat16, not for --dtype {args.dtype}"
        )
    Precision(**dict.fromkeys(asked - {"capturable"}, True))  # they may exclude each other
    return [option for option in OPTIONS if option in asked]


def _check_output(path: Path) -> None:
    """Raise, before anything is measured, where the file cannot be written."""
    if path.suffix == ".png":
        optional_import("matplotlib", "a picture of gpuopt bench")
    existed = path.exists()
    try:
        path.open("ab").close()  # only opening it tells whether it can be written
    except OSError as error:
        raise OSError(f"argument --output: cannot write {path}: {error.strerror}") from error
    if not existed:
        path.unlink()


def _cases(args: argparse.Namespace, executors: list[str], options: list[str]) -> Iterator[Case]:
    """Measure each rule on each set of arrays; the CPU's executors take turns with each other, the
    GPU comes after.
    """
    together = [[e for e in executors if e != "cupy"], [e for e in executors if e == "cupy"]]
    shapes = [(1, size) for size in dict.fromkeys(args.sizes)] + [tuple(args.many)]
    jobs = [
        (group, name, *shape)
        for group in together
        if group
        for name in dict.fromkeys(args.rules or subjects())
        for shape in shapes
    ]
    for number, (group, name, count, size) in enumerate(jobs, start=1):
        if sys.stderr.isatty():
            print(
                f"\r{number} of {len(jobs)}: {name}, {count} x {size:,} ",
                end="",
                file=sys.stderr,
                flush=True,
            )
        graph = args.graph and group == ["cupy"]
        yield compare(name, group, size, count, args.dtype, args.rounds, options, graph)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)


def _rule(text: str) -> str:
    known = {name.lower(): name for name in subjects()}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(
            f"there is no rule {text!r}; the rules are {', '.join(known)}"
        )
    return known[text.lower()]


def _positive(text: str) -> int:
    plain = text.strip().replace("_", "")
    if not plain.isdecimal() or int(plain) < 1:
        raise argparse.ArgumentTypeError(f"must be an integer of at least 1, not {text!r}")
    return int(plain)


def _output(text: str) -> Path:
    path = Path(text)
    if path.suffix not in FORMATS:
        raise argparse.ArgumentTypeError(f"{text} must end in one of {', '.join(FORMATS)}")
    return path
