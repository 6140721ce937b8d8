"""What states are: arrays, or one number for each array, or one for all. A trace tells which.

A state is taken for the least that it can be. Where a trace makes something greater of it, the next
one takes it for that, until none is new.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

from gpuopt.tracing.expr import Expr, differs, reachable
from gpuopt.tracing.symbols import Symbol

__all__ = ["BEGUN", "Kind", "kinds_of"]

BEGUN = "begun()"
"""A state of a part whose states of the tree begin with what ``start`` gives: whether they did."""


class Kind(enum.IntEnum):
    """What a state is."""

    SHARED = 0
    """One number, which all arrays of a tree share."""
    OWN = 1
    """One number for each array."""
    REAL = 2
    """A real array."""
    COMPLEX = 3
    """A complex array."""

    @property
    def is_number(self) -> bool:
        return self < Kind.REAL


def kinds_of(made: Mapping[str, Sequence[Symbol]]) -> dict[str, Kind]:
    """What each state must be, to hold its new value and what it begins with.

    A number is shared if it is computed from reductions over the tree or the loss, or together with
    one that is, and from nothing that differs from array to array: neither ``t`` nor a reduction of
    one.
    """
    found, reads, seeds = dict[str, Kind](), dict[str, set[str]](), set[str]()
    for name, (new, *begun) in made.items():
        parts = [part for value in (new, *begun) for part in value.parts]
        if len(new.parts) == 2:
            found[name] = Kind.COMPLEX
        elif not all(part.host for part in parts) or any(len(x.parts) == 2 for x in begun):
            found[name] = Kind.REAL
        else:
            found[name] = Kind.OWN
            ends = [*reachable(parts, within=lambda expr: not expr.reduces)]
            if not any(map(_of_one, ends)):
                reads[name] = {e.value.name for e in ends if e.op == "state"}
                if any(e.reduces or e.op == "loss" for e in ends):
                    seeds.add(name)
    return found | dict.fromkeys(_shared(reads, seeds), Kind.SHARED)


def _of_one(expr: Expr) -> bool:
    """Whether a value is one of each array by itself; of states that is still to be found."""
    return expr.op == "step" or (expr.op != "state" and differs([expr]))


def _shared(reads: dict[str, set[str]], seeds: set[str]) -> set[str]:
    """Which states are shared: the `seeds`, and what they read, or what is computed from them."""
    known = {name: {n for n in names if not n.endswith(BEGUN)} for name, names in reads.items()}
    while alone := {name for name, names in known.items() if not names <= known.keys()}:
        known = {name: names for name, names in known.items() if name not in alone}
    shared, before = seeds & known.keys(), set[str]()
    while shared != before:
        before = shared
        read = set().union(*(known[name] for name in shared))
        shared = shared | read | {name for name, names in known.items() if names & shared}
    return shared
