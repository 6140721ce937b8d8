"""The options of ``gpuopt bench``, and what their values may be."""

from __future__ import annotations

import argparse
from pathlib import Path

from gpuopt.arrays import backend
from gpuopt.bench.measure import EXECUTORS
from gpuopt.bench.rivals import KINDS
from gpuopt.bench.subjects import STANDARD, subjects
from gpuopt.option_values import rule_among, whole_number

__all__ = ["OPTIONS", "add_arguments"]


DTYPES = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")
OPTIONS = ("master", "stochastic_rounding", "capturable")
FORMATS = (".md", ".json", ".png")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``gpuopt bench`` to `parser`."""
    parser.description = (
        "Time a step of the usual rules, or of those named, and of a chain. Compare it with the "
        "expression that a user would write, with PyTorch's fused and foreach optimizers and optax "
        "under jit (each if it is installed), and with the memory's speed. All take turns in one "
        "process; times are medians."
    )
    _add_arrays(parser)
    _add_init(parser)
    _add_executors(parser)
    _add_output(parser)


def _add_arrays(parser: argparse.ArgumentParser) -> None:
    """Options for what is measured: rules, and the arrays that they update."""
    parser.add_argument(
        "--rules",
        nargs="+",
        type=rule_among({name: name for name in subjects()}),
        metavar="NAME",
        help=f"what to measure, of {', '.join(subjects())} (default: {' '.join(STANDARD)})",
    )
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=whole_number(1),
        default=[1_000_000, 16_000_000],
        metavar="N",
        help="elements of one array (default: 1000000 16000000)",
    )
    parser.add_argument(
        "--many",
        nargs=2,
        type=whole_number(1),
        default=[300, 1_000],
        metavar=("ARRAYS", "SIZE"),
        help="also many arrays of one size (default: 300 1000)",
    )
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        default="float32",
        help="dtype of the arrays; bfloat16 needs ml_dtypes (default: float32)",
    )
    parser.add_argument(
        "--strided",
        action="store_true",
        help="parameters and gradients are every second element of arrays twice as long",
    )


def _add_init(parser: argparse.ArgumentParser) -> None:
    """Options for how the optimizers are made."""
    parser.add_argument(
        "--init",
        nargs="+",
        choices=OPTIONS,
        default=[],
        metavar="OPTION",
        help=f"options of init: {', '.join(OPTIONS)}",
    )
    parser.add_argument(
        "--graph",
        action="store_true",
        help="also the replay of a step captured in a CUDA graph (CuPy; implies capturable)",
    )


def _add_executors(parser: argparse.ArgumentParser) -> None:
    """Options for where it is measured; they exclude each other."""
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
        help="numpy: every CPU executor that works here; cupy: the GPU; auto: the GPU "
        "if there is one (default: auto)",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    """Options for how often it is measured, beside what, and how the numbers are shown."""
    parser.add_argument(
        "--rounds",
        type=whole_number(1),
        default=15,
        metavar="N",
        help="how many turns each takes (default: 15)",
    )
    parser.add_argument(
        "--rivals",
        nargs="*",
        choices=KINDS,
        default=KINDS,
        metavar="KIND",
        help=f"rivals to measure, if they are installed: {', '.join(KINDS)} (default: all; none "
        "if no kind is named)",
    )
    parser.add_argument(
        "--format",
        choices=["text", "markdown"],
        default="text",
        help="format of the printed table (default: text)",
    )
    parser.add_argument(
        "--output",
        type=_output,
        metavar="FILE",
        help="also write a table (.md), all numbers (.json) or a picture (.png; needs matplotlib)",
    )


def _output(text: str) -> Path:
    path = Path(text)
    if path.suffix not in FORMATS:
        raise argparse.ArgumentTypeError(f"{text} must end in one of {', '.join(FORMATS)}")
    return path
