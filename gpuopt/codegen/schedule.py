"""The order of NumPy's calls: an array that is used again soon is still in the cache."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from gpuopt.codegen.pairs import Steps
from gpuopt.tracing.expr import Expr

__all__ = ["arguments", "misses", "orders"]

_ARRAY = re.compile(r"\b(?:a|p?[bw])\d+\b")
_CACHED = 3
"""The tiles that fit into a second-level cache of 2 MiB, as the executor cuts arrays."""


def arguments(op: Expr) -> Iterator[Expr]:
    """The values that a step reads; the whole pair, if it reads a part of one."""
    return (arg.args[0] if arg.op == "view" else arg for arg in op.args)


def orders(steps: Steps) -> list[Steps]:
    """The orders that steps may have: the formula's, and two where few values wait in scratch.

    One array after the other gets its new value, as the formula says; or the value at the end of
    the longest chain of steps comes first.
    """
    made = set(steps.results.values())
    each = [op for op in steps.ops if op in made]
    return [steps, depth_first(steps, each), depth_first(steps, [])]


def depth_first(steps: Steps, first: list[Expr]) -> Steps:
    """Order steps so that a value is computed right before its first use; `first` those, in order.

    Among the arguments of a step, the one at the end of the longest chain of steps comes first
    (similar to Sethi and Ullman, 1970).
    """
    depth: dict[Expr, int] = {}
    for op in steps.ops:
        depth[op] = 1 + max((depth.get(arg, 0) for arg in arguments(op)), default=0)
    ordered: dict[Expr, None] = {}
    waiting = [*sorted(depth, key=depth.__getitem__), *reversed(first)]
    while waiting:
        op = waiting[-1]
        needed = [arg for arg in arguments(op) if arg in depth and arg not in ordered]
        if needed:
            waiting += sorted(needed, key=depth.__getitem__)
        else:
            ordered[waiting.pop()] = None
    return steps._replace(ops=list(ordered))


def misses(calls: Iterable[str]) -> int:
    """Count how often calls name an array that is not among the last few that were named."""
    missed, cached = 0, list[str]()
    for call in calls:
        for name in _ARRAY.findall(call):
            missed += name not in cached
            cached = [*(other for other in cached if other != name), name][-_CACHED:]
    return missed
