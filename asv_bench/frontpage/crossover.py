"""From which size on one side, such as a GPU, is faster than the best of all others on the same machine."""

from __future__ import annotations

import math

from .history import Benchmark, Machine, plain
from .settings import Crossover

DENSE = 10
"""Between sizes that are further apart than this factor, no size is named: time does not follow a straight line there."""


def crossings(benchmark: Benchmark, machine: Machine, chosen: Crossover) -> dict[str, str]:
    """For each row, from which size on, in words."""
    axes = [benchmark.axis(name) for name in (chosen.rows, chosen.sides, chosen.size)]
    if None in axes:
        return {}
    rows, sides, size = (int(axis or 0) for axis in axes)
    found = {}
    for row in benchmark.params[rows]:
        others: dict[float, float] = {}
        of: dict[float, float] = {}
        for point in benchmark.points:
            value = machine.number(benchmark.name, point)
            if point[rows] == row and value is not None:
                side = of if plain(point[sides]) == chosen.of else others
                n = float(point[size].replace("_", ""))
                side[n] = min(value, side.get(n, math.inf))
        if both := sorted(others.keys() & of.keys()):
            found[plain(row)] = crossing(both, others, of)
    return found


def crossing(sizes: list[float], others: dict[float, float], of: dict[float, float]) -> str:
    """From which of the measured sizes on it is ahead; a size in between is named only where they are dense."""
    ahead = [n for n in sizes if all(of[m] < others[m] for m in sizes if m >= n)]
    if not ahead:
        return f"beyond {sizes[-1]:,.0f}"
    if ahead[0] == sizes[0]:
        return f"from {sizes[0]:,.0f} on, the smallest measured"
    low, high = sizes[sizes.index(ahead[0]) - 1], ahead[0]
    if high / low > DENSE:
        return f"between {low:,.0f} and {high:,.0f}"
    below, above = math.log(of[low] / others[low]), math.log(of[high] / others[high])
    at = math.exp(math.log(low) + (math.log(high) - math.log(low)) * below / (below - above))
    return f"from about {float(f'{at:.1g}'):,.0f} on"
