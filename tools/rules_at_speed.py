"""How long each rule takes, beside the time that its bytes take at Adam's speed: at most 1.15 of it is wanted.

Bytes are those of docs/choosing-a-rule.md, counted from the trace. Each rule takes turns with Adam on arrays of its own: what
slows the machine slows both. Prints a table, the slowest first; exit code 1 if a rule takes more. Some two minutes.

    python -m tools.rules_at_speed [--executor numba] [--size 16000000] [--rounds 9] [RULE ...]
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
from collections.abc import Sequence
from typing import Any

import gpuopt as go
from gpuopt.arrays.backend import cpu_threads, info
from gpuopt.bench.measure import EXECUTORS, Step, in_turns, make_arrays, module_of, optimizer, waiting
from gpuopt.bench.report import cpu_name
from gpuopt.rules import rules
from gpuopt.tracing.trace import trace
from tools.rules_table import bytes_an_element

MOST = 1.15


def ratio(name: str, executor: str, size: int, rounds: int) -> tuple[float, float, int]:
    """A rule's time over that of its bytes at Adam's speed, in the median round; its milliseconds; its bytes an element."""
    xp, steps = module_of(executor), dict[str, Step]()
    g, p = make_arrays(xp, size, 2)
    for each in dict.fromkeys((name, "Adam")):
        opt = optimizer(rules()[each](), p.copy(), executor)
        steps[each] = functools.partial(opt.step, g, 1.0)
    times = in_turns(steps, rounds, waiting(xp))
    bytes_ = {each: bytes_an_element(trace(rules()[each]()))[0] for each in steps}
    slower = [own / adam for own, adam in zip(times[name], times["Adam"], strict=True)]
    return statistics.median(slower) * bytes_["Adam"] / bytes_[name], statistics.median(times[name]) * 1e3, bytes_[name]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("rules", nargs="*", metavar="RULE", help="the names of some, in place of all elementwise rules")
    parser.add_argument("--executor", choices=EXECUTORS, default="numba")
    parser.add_argument("--size", type=int, default=16_000_000, help="elements, in float32")
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args(arguments)
    found: dict[str, Any] = {name: ratio(name, given.executor, given.size, given.rounds) for name in given.rules or rules()}
    where = info()["device"] if given.executor == "cupy" else f"{cpu_name()}, {cpu_threads()} threads"
    print(f"{where}, gpuopt {go.__version__}, {given.size:,} elements of float32, {given.executor}\n")
    print("| rule | bytes an element | ms a step | of the time of its bytes at Adam's speed |\n| --- | ---: | ---: | ---: |")
    for name, (slower, ms, bytes_) in sorted(found.items(), key=lambda item: -item[1][0]):
        print(f"| {name} | {bytes_} | {ms:.2f} | {slower:.2f}{' (over)' if slower > MOST else ''} |")
    return int(any(slower > MOST for slower, _, _ in found.values()))


if __name__ == "__main__":
    sys.exit(main())
