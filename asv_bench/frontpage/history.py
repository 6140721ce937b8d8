"""What each machine measured on the branch, commit by commit, as asv reads it from its result files.

A value is a number, None where the benchmark failed, and NaN where it says that it does not apply on that machine.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from itertools import product
from typing import Any

Point = tuple[str, ...]
"""One choice of a benchmark's parameters, each as asv writes it: the Python text of the value."""
Environment = tuple[tuple[str, str], ...]
"""What a run was made with: versions, the machine's facts and variables; values of two environments are not compared."""


@dataclass(frozen=True)
class Benchmark:
    """One entry of benchmarks.json."""

    name: str
    unit: str
    names: tuple[str, ...]
    params: tuple[tuple[str, ...], ...]

    @property
    def points(self) -> list[Point]:
        return list(product(*self.params))

    def axis(self, name: str) -> int | None:
        """The position of a parameter; None if the benchmark has none of that name."""
        return self.names.index(name) if name in self.names else None


@dataclass
class Run:
    """All that one machine measured at one commit, in one environment."""

    commit: str
    behind: int
    """How many commits the branch has after this one."""
    measured: float
    """When, in seconds since 1970."""
    environment: Environment
    values: dict[str, dict[Point, float | None]] = field(default_factory=dict)

    def value(self, name: str, point: Point) -> float | str | None:
        """The value, or "missing" if this was not measured."""
        return self.values.get(name, {}).get(point, "missing")


@dataclass(frozen=True)
class Value:
    """A number of one point, and the run that it is of."""

    run: Run
    value: float


@dataclass
class Machine:
    """A machine and its runs on the branch, the oldest commit first."""

    name: str
    facts: dict[str, str]
    runs: list[Run]
    stale: bool = False
    off_branch: int = 0
    """How many runs of commits that are not on the branch were ignored."""

    @property
    def last(self) -> Run | None:
        return self.runs[-1] if self.runs else None

    @property
    def measured(self) -> float:
        """When it last measured, in seconds since 1970; 0 if never."""
        return max((run.measured for run in self.runs), default=0.0)

    def now(self, name: str, point: Point) -> float | str | None:
        """The last run's value, or "missing" if it has none."""
        return self.last.value(name, point) if self.last else "missing"

    def number(self, name: str, point: Point) -> float | None:
        """The last run's value, if it is a number."""
        value = self.now(name, point)
        return value if isinstance(value, (int, float)) and math.isfinite(value) else None

    def history(self, name: str, point: Point) -> list[Value]:
        """The numbers of one point, the oldest first."""
        found = [Value(run, value) for run in self.runs if isinstance(value := run.value(name, point), (int, float))]
        return [value for value in found if math.isfinite(value.value)]


@dataclass
class History:
    """Everything that the pages tell of."""

    benchmarks: dict[str, Benchmark]
    machines: list[Machine]
    releases: list[tuple[str, int]]
    """The tags on the branch, with how many commits it has after each; the newest last."""

    def having(self, prefix: str) -> list[Benchmark]:
        return [b for name, b in sorted(self.benchmarks.items()) if name.startswith(prefix)]


def same_environment(values: list[Value]) -> list[Value]:
    """The last values that were measured in one environment."""
    start = len(values)
    while start and values[start - 1].run.environment == values[-1].run.environment:
        start -= 1
    return values[start:]


def release_value(values: list[Value], releases: list[tuple[str, int]], exact: bool) -> float | None:
    """What the last release measured: of times, the median of the last five values up to it."""
    if not releases:
        return None
    before = [value.value for value in values if value.run.behind >= releases[-1][1]]
    if not before:
        return None
    return before[-1] if exact else statistics.median(before[-5:])


def coverage(machine: Machine, benchmarks: dict[str, Benchmark]) -> dict[str, list[str]]:
    """The names of the benchmarks of each value of the last run, by what became of it."""
    found: dict[str, list[str]] = {"measured": [], "n/a": [], "failed": [], "missing": []}
    for name, benchmark in benchmarks.items():
        for point in benchmark.points:
            value = machine.now(name, point)
            if value is None:
                found["failed"].append(name)
            elif isinstance(value, str):
                found["missing"].append(name)
            else:
                found["measured" if math.isfinite(value) else "n/a"].append(name)
    return found


def plain(text: str) -> str:
    """A parameter as a reader writes it: Adam for 'Adam', 1,000,000 for 1000000."""
    text = text.strip("'\"")
    return f"{int(text):,}" if text.isdigit() else text


def plainly(point: Any) -> list[str]:
    return [plain(value) for value in point]
