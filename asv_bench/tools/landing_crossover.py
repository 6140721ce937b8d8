"""From which size on a step on the GPU is faster than on the CPU beside it, for the landing page."""

from __future__ import annotations

import math

from landing_data import Benchmark, Data, Machine, plain

TIMES = ("s", "seconds", "ms", "µs", "us", "ns")


def timed_by_size(data: Data) -> list[Benchmark]:
    """The benchmarks that give a time by rule, executor and size."""
    wanted = {"rule", "executor", "size"}
    return [b for b in data.having("") if b.unit in TIMES and wanted <= set(b.names)]


def crossover(benchmark: Benchmark, machine: Machine, gpu: str = "cupy") -> dict[str, str]:
    """For each rule, from which size the GPU's time beats the best CPU executor of the same machine, in words."""
    rule, executor, size = (benchmark.axis(name) for name in ("rule", "executor", "size"))
    if rule is None or executor is None or size is None:
        return {}
    found: dict[str, str] = {}
    for chosen in benchmark.params[rule]:
        cpu: dict[float, float] = {}
        device: dict[float, float] = {}
        for point in benchmark.points:
            value = machine.now(benchmark.name, point)
            if point[rule] != chosen or not isinstance(value, (int, float)) or not math.isfinite(value):
                continue
            side = device if plain(point[executor]) == gpu else cpu
            n = float(point[size].replace("_", ""))
            side[n] = min(value, side.get(n, math.inf))
        both = sorted(cpu.keys() & device.keys())
        if both:
            found[plain(chosen)] = crossing(both, cpu, device)
    return found


def crossing(sizes: list[float], cpu: dict[float, float], gpu: dict[float, float]) -> str:
    """Between which of the measured sizes the GPU overtakes the CPU; sizes in between are on a straight line in logarithms."""
    ahead = [n for n in sizes if all(gpu[m] < cpu[m] for m in sizes if m >= n)]
    if not ahead:
        return f"the CPU is ahead up to {sizes[-1]:,.0f}"
    if ahead[0] == sizes[0]:
        return f"the GPU is ahead from {sizes[0]:,.0f} on, the smallest measured"
    low, high = sizes[sizes.index(ahead[0]) - 1], ahead[0]
    below, above = math.log(gpu[low] / cpu[low]), math.log(gpu[high] / cpu[high])
    at = math.exp(math.log(low) + (math.log(high) - math.log(low)) * below / (below - above))
    return f"about {float(f'{at:.1g}'):,.0f} (between {low:,.0f} and {high:,.0f})"
