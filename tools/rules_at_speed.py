"""How long each rule takes, beside the time that its bytes take at Adam's speed: at most 1.15 of it is wanted.

Bytes are those of docs/choosing-a-rule.md, counted from the trace. Each rule takes turns with Adam on arrays of its own: what
slows the machine slows both. A turn is five steps: in the first, caches also write back what the other rule left in them. This
prints a table, the slowest first; exit code 1 if a rule takes more. Some two minutes.

A CPU moves more bytes in a second where it also writes, as Adam does, than where it only reads, as a reduction does. So a last
column says what a rule takes beside a plain dot product for the bytes of its reductions, and Adam's speed for the rest.

    python -m tools.rules_at_speed [--executor numba] [--size 16000000] [--rounds 9] [RULE ...]
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

import gpuopt as go
from gpuopt.arrays.backend import cpu_threads, info
from gpuopt.bench.measure import EXECUTORS, Step, in_turns, make_arrays, module_of, optimizer, waiting
from gpuopt.bench.report import cpu_name
from gpuopt.executors.cpu import pool
from gpuopt.rules import rules
from gpuopt.tracing.trace import trace
from tools.rules_table import bytes_an_element

MOST, TURN, PIECE = 1.15, 5, 1_000_000


def reading(xp: Any, x: Any) -> Step:
    """A dot product of `x` with itself, in which as many threads as in a step read it and write nothing."""
    if xp is not np:
        return functools.partial(xp.dot, x, x)
    pieces = [x[start : start + PIECE] for start in range(0, x.size, PIECE)]
    return lambda: pool.run(lambda index, slot: np.dot(pieces[index], pieces[index]), len(pieces), cpu_threads())


def ratio(name: str, executor: str, size: int, rounds: int) -> tuple[float, float, int, float]:
    """A rule's time over that of its bytes at Adam's speed, in the median round; its milliseconds; its bytes an element;
    its time over that of its reductions' bytes at the speed of a dot product, and of the others at Adam's.
    """
    xp, steps = module_of(executor), dict[str, Step]()
    g, p = make_arrays(xp, size, 2)
    for each in dict.fromkeys((name, "Adam")):
        opt = optimizer(rules()[each](), p.copy(), executor)
        steps[each] = functools.partial(opt.step, g, 1.0)
    times = in_turns({**steps, "": reading(xp, g)}, rounds, waiting(xp), TURN)
    (bytes_, reduced), (of_adam, _) = (bytes_an_element(trace(rules()[each]())) for each in (name, "Adam"))
    rounds_ = [*zip(times[name], times["Adam"], times[""], strict=True)]
    slower = statistics.median(own / (adam * bytes_ / of_adam) for own, adam, _ in rounds_)
    honest = (own / (adam * (bytes_ - reduced) / of_adam + dot * reduced / g.itemsize) for own, adam, dot in rounds_)
    return slower, statistics.median(times[name]) * 1e3, bytes_, statistics.median(honest)


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
    print("| rule | bytes an element | ms a step | of the time of its bytes at Adam's speed | and its reductions at a dot's |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, (slower, ms, bytes_, honest) in sorted(found.items(), key=lambda item: -item[1][0]):
        print(f"| {name} | {bytes_} | {ms:.2f} | {slower:.2f}{' (over)' if slower > MOST else ''} | {honest:.2f} |")
    return int(any(slower > MOST for slower, *_ in found.values()))


if __name__ == "__main__":
    sys.exit(main())
