"""``gpuopt bench``: the time of a step, compared with other libraries and with the limit that the
memory sets.

Comes in: options of the command line. Imports: every wing before it; rivals only if they are
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
from gpuopt.bench.arguments import OPTIONS, add_arguments
from gpuopt.bench.by_hand import CHAIN
from gpuopt.bench.measure import EXECUTORS, pin_allocator, why_not
from gpuopt.bench.rivals import Case, compare, why_no_graph
from gpuopt.bench.subjects import STANDARD

__all__ = ["add_arguments", "main"]


def main(args: argparse.Namespace) -> int:
    """Run the benchmark.

    Returns
    -------
    int
        The exit code: 0; or 2, after one line on stderr, if an option is not possible here.
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
        arrays = f"{args.dtype}{', every second element' if args.strided else ''}"
        for case in _cases(args, executors, options):
            cases.append(case)
            found = report.Report.of(cases, arrays, options)
            if args.output is not None and args.output.suffix == ".json":
                # What is measured is kept if this is stopped.
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
            ours = [executor for executor in EXECUTORS if executor != "cupy"]
            args.executors = [executor for executor in ours if why_not(executor) is None]
    for executor in args.executors:
        if reason := why_not(executor):
            raise RuntimeError(f"the executor {executor} cannot be used here: {reason}")
    return list(dict.fromkeys(args.executors))


def _options(args: argparse.Namespace, executors: list[str]) -> list[str]:
    """The options of `init`, in one order; raises if they, the dtype or a graph are not possible
    here.
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
    Precision("master" in asked, "stochastic_rounding" in asked)  # they may exclude each other
    return [option for option in OPTIONS if option in asked]


def _check_output(path: Path) -> None:
    """Raise, before anything is measured, if the file cannot be written."""
    if path.suffix == ".png":
        optional_import("matplotlib", "a picture of gpuopt bench")
    existed = path.exists()
    try:
        path.open("ab").close()  # only opening it tells whether it can be written
    except OSError as error:
        raise OSError(f"argument --output: cannot write {path}: {error.strerror}") from error
    if not existed:
        path.unlink()


def _usual(dtype: str) -> list[str]:
    """The default subjects; the chain has bounds, which complex arrays do not allow."""
    return [name for name in STANDARD if name != CHAIN or not dtype.startswith("complex")]


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
        for name in dict.fromkeys(args.rules or _usual(args.dtype))
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
        arguments = size, count, args.dtype, args.rounds, options, graph, args.rivals
        yield compare(name, group, *arguments, strided=args.strided)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
