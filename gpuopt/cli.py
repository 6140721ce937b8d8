"""The command line: ``gpuopt info``, ``gpuopt demo``, ``gpuopt bench``, ``gpuopt kernel``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from gpuopt import __version__, backend, bench, demo
from gpuopt.dtypes import COMPUTE, is_complex, named
from gpuopt.executors.cuda_text import kernel_text
from gpuopt.rules import Rule, rules
from gpuopt.source import cuda_source
from gpuopt.trace import trace

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process by default.

    Returns
    -------
    int
        The exit code: 0; 2, after one line on stderr, where an option is wrong or cannot be met here.
    """
    parser = _Parser(prog="gpuopt", description="First-order optimizers for plain NumPy and CuPy arrays.")
    parser.add_argument("--version", action="version", version=f"gpuopt {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("info", help="what runs here, and why not the other").set_defaults(run=_info)
    demo_parser = commands.add_parser("demo", help="train a small network on handwritten digits, every rule three ways")
    demo.add_arguments(demo_parser)
    demo_parser.set_defaults(run=demo.main)
    bench_parser = commands.add_parser("bench", help="time every rule beside its rivals and the memory's floor")
    bench.add_arguments(bench_parser)
    bench_parser.set_defaults(run=bench.main)
    kernel_parser = commands.add_parser("kernel", help="print the CUDA kernel that is generated from a rule")
    kernel_parser.add_argument("rule", metavar="RULE", type=_rule, help=f"one of {', '.join(map(str.lower, rules()))}")
    kernel_parser.add_argument("--dtype", choices=list(COMPUTE), default="float32", help="of parameter and gradient (float32)")
    kernel_parser.add_argument("--complete", action="store_true", help="all of the text that CuPy compiles; needs CuPy, no GPU")
    kernel_parser.set_defaults(run=_kernel)
    options = parser.parse_args(arguments)
    try:
        code = int(options.run(options))
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # as in `gpuopt info | head -1`: nobody reads on, and the interpreter must not try to flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ModuleNotFoundError, RuntimeError, ValueError) as error:
        print(f"gpuopt {options.command}: {error}", file=sys.stderr)
        return 2


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with an option in one line; ``--help`` has the rest."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def _rule(name: str) -> Rule:
    """The rule of that name with its defaults."""
    return demo.rule_class(name)()


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
    dtype = named(options.dtype)
    print(kernel_text(trace(options.rule, is_complex(dtype)), dtype, dtype).python())
    return 0
