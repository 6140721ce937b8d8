"""The command line: ``gpuopt info``, ``gpuopt demo``, ``gpuopt bench``, ``gpuopt kernel``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import gpuopt
from gpuopt import __version__, bench, demo
from gpuopt.arrays import backend
from gpuopt.arrays.dtypes import COMPUTE, named
from gpuopt.codegen.source import cuda_source, kernels
from gpuopt.rules import rules
from gpuopt.rules.base import Bindable
from gpuopt.rules.partitions import is_partitioned
from gpuopt.tracing.trace import TraceError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        The arguments of the process by default.

    Returns
    -------
    int
        The exit code: 0; or 2, after one line on stderr, if an option is wrong or not possible
        here.
    """
    options = _parser().parse_args(arguments)
    try:
        code = int(options.run(options))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # As in `gpuopt info | head -1`: nobody reads on, and the interpreter must not try to flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ModuleNotFoundError, RuntimeError, TraceError, ValueError) as error:
        print(f"gpuopt {options.command}: {_first_line(error)}", file=sys.stderr)
        return 2


class _Parser(argparse.ArgumentParser):
    """Reports a wrong option in one line; ``--help`` has the rest."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    """The commands; each sets `run`, the function that runs it."""
    parser = _Parser(
        prog="gpuopt", description="First-order optimizers for plain NumPy and CuPy arrays."
    )
    parser.add_argument("--version", action="version", version=f"gpuopt {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser(
        "info", help="print which backends and executors run here, and why others do not"
    ).set_defaults(run=_info)
    demo_parser = commands.add_parser(
        "demo", help="train a small network on handwritten digits with several rules, in three ways"
    )
    demo.add_arguments(demo_parser)
    demo_parser.set_defaults(run=demo.main)
    bench_parser = commands.add_parser(
        "bench", help="time rules, their rivals, and the memory's speed"
    )
    bench.add_arguments(bench_parser)
    bench_parser.set_defaults(run=bench.main)
    kernel_parser = commands.add_parser("kernel", help="print the CUDA kernels of a rule")
    _add_kernel_arguments(kernel_parser)
    kernel_parser.set_defaults(run=_kernel)
    return parser


def _add_kernel_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``gpuopt kernel`` to `parser`."""
    names = ", ".join(map(str.lower, rules()))
    parser.add_argument(
        "rule",
        metavar="RULE",
        type=_rule,
        help=f"one of {names}, or an expression such as 'chain(clip(1.0), Adam(1e-3))'",
    )
    parser.add_argument(
        "--dtype",
        choices=list(COMPUTE),
        default="float32",
        help="dtype of parameter and gradient (default: float32)",
    )
    parser.add_argument(
        "--complete",
        action="store_true",
        help="print the whole text that CuPy compiles; needs CuPy, no GPU",
    )


def _rule(text: str) -> Any:
    """The rule of that name with its defaults, or the value of an expression of public names."""
    if text.replace("-", "").replace("_", "").isalnum():
        return demo.rule_class(text)()
    try:
        rule = eval(
            text, {"__builtins__": {}, **{name: getattr(gpuopt, name) for name in gpuopt.__all__}}
        )
    except Exception as error:
        raise argparse.ArgumentTypeError(
            f"{text!r}: {type(error).__name__}: {_first_line(error)}"
        ) from None
    if not isinstance(rule, Bindable):
        raise argparse.ArgumentTypeError(f"{text!r} gives {rule!r}, which is not a rule")
    if is_partitioned(rule):
        raise argparse.ArgumentTypeError(
            f"{text!r} has a kernel for each group of arrays: give the rule of one group"
        )
    return rule


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _info(_: argparse.Namespace) -> int:
    for name, value in backend.info().items():
        print(f"{name + ':':10} {value}" if not isinstance(value, dict) else f"{name}:")
        for key, inner in value.items() if isinstance(value, dict) else ():
            print(f"  {key + ':':10} {'not installed' if inner is None else inner}")
    return 0


def _kernel(options: argparse.Namespace) -> int:
    if options.complete:
        print(cuda_source(options.rule, options.dtype))
        return 0
    for written in kernels(options.rule, named(options.dtype)):
        print(written.python())
    return 0
