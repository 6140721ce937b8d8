"""What is stored in 16 bits or in 8, and rounded at random: the parameter, states, or both.

Comes in: the new values of an update. Goes out: which states may have so few bits, and their values
as they are stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from gpuopt.arrays.random import ROUNDING
from gpuopt.rules.hooks import has_hook
from gpuopt.rules.noise import uniform
from gpuopt.tracing.expr import Graph
from gpuopt.tracing.operands import Operand
from gpuopt.tracing.signatures import own_states
from gpuopt.tracing.symbols import Symbol

if TYPE_CHECKING:
    from gpuopt.rules.base import Part

__all__ = ["may_be_short", "rounded"]


def may_be_short(
    parts: Iterable[Part], made: Mapping[str, Sequence[Symbol]], p: Symbol
) -> Iterator[str]:
    """The states to which 16 bits, or 8, are enough: those that do not stand for the parameter.

    One stands for it if it begins as an array, or keeps `p`; and so do all states of a part that
    `Optimizer.evaluation` asks, if none of them begins as an array. Rounded, they would lose what
    they differ by from the parameter. `made` has of each state the new value, and what it begins
    with.
    """
    for part in parts:
        names = [part.named(name, "_") for name in own_states(part.formula)]
        found = {name: made[name] for name in names if made.get(name)}
        begun = {name for name, (_, *by) in found.items() if not all(map(_is_number, by))}
        kept = {name for name, (new, *_) in found.items() if new.parts == p.parts}
        evaluated = has_hook(part.formula, "evaluation") and not begun
        yield from () if evaluated else (name for name in found if name not in begun | kept)


def _is_number(value: Symbol) -> bool:
    return all(part.host for part in value.parts)


def rounded(
    values: Mapping[Operand, Symbol], stored: Mapping[Operand, str | None], graph: Graph, seed: int
) -> dict[Operand, Symbol]:
    """The values of arrays; those that change and are `stored` so are rounded up or down to that,
    by random bits of their own.

    Where one does not act in this step, it can be stored as it is, and stays so.
    """
    t, found = Symbol(graph, graph.leaf("step", "t")), dict(values)
    for stream, (array, new) in enumerate(values.items(), start=ROUNDING):
        if array in stored and new.parts != (graph.leaf("input", array),):
            u = uniform(new, seed, t, stream).parts[0]
            found[array] = Symbol(graph, graph.stochastic(f"{stored[array]}", new.parts[0], u))
    return found
