"""Read asv's result files (format version 2) for the landing page: what each machine measured, when, and how it changed.

A value is a number, None where the benchmark failed, and NaN where it says that it does not apply on that machine.
"""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import dataclass, field
from itertools import pairwise, product
from pathlib import Path
from typing import Any

from compare_counters import COUNTERS

Point = tuple[str, ...]
"""One choice of a benchmark's parameters, each as asv writes it: the Python text of the value."""
FLOOR = "rules.Floor."
"""The benchmarks of the distance to the memory's limit."""
LEAST_BAND = 0.05
"""A wall time that moved by less than this share is called steady, however quiet the machine says it is."""
UNKNOWN_BAND = 0.10
"""The band of a machine that did not measure its noise."""
HISTORY = 5
"""A new value is compared with the median of this many before it."""
ENOUGH = 4
"""With fewer values before it, a wall time's change is not judged: a slow moment of the machine looks the same."""


@dataclass(frozen=True)
class Benchmark:
    """One entry of benchmarks.json."""

    name: str
    unit: str
    names: tuple[str, ...]
    params: tuple[tuple[str, ...], ...]
    version: str

    @property
    def points(self) -> list[Point]:
        return list(product(*self.params))

    def axis(self, name: str) -> int | None:
        """The position of a parameter; None if the benchmark has none of that name."""
        return self.names.index(name) if name in self.names else None


@dataclass
class Run:
    """All that one machine measured at one commit."""

    commit: str
    date: float
    measured: float = 0.0
    values: dict[str, dict[Point, float | None]] = field(default_factory=dict)


@dataclass
class Machine:
    """A machine and its runs, the oldest commit first."""

    name: str
    facts: dict[str, str]
    runs: list[Run]
    noise: float | None = None

    @property
    def band(self) -> float:
        return UNKNOWN_BAND if self.noise is None else max(LEAST_BAND, self.noise)

    @property
    def measured(self) -> float:
        """When it last measured, in seconds since 1970; 0 if never."""
        return max((run.measured for run in self.runs), default=0.0)

    def now(self, name: str, point: Point) -> float | str | None:
        """The last run's value, or "missing" if it has none."""
        return self.runs[-1].values.get(name, {}).get(point, "missing") if self.runs else "missing"

    def history(self, name: str, point: Point) -> list[tuple[str, float]]:
        """The numbers of one point by commit, the oldest first."""
        found = [(run.commit, run.values.get(name, {}).get(point)) for run in self.runs]
        return [(commit, value) for commit, value in found if value is not None and math.isfinite(value)]


@dataclass(frozen=True)
class Coverage:
    """How much of what could be measured the last run holds."""

    numbers: int
    total: int
    not_applicable: int
    failed: dict[str, int]
    missing: dict[str, int]


@dataclass
class Data:
    """Everything that the page shows."""

    benchmarks: dict[str, Benchmark]
    machines: list[Machine]
    order: list[str]
    """The measured commits, the oldest first."""
    dates: dict[str, float]

    def having(self, prefix: str) -> list[Benchmark]:
        return [b for name, b in sorted(self.benchmarks.items()) if name.startswith(prefix)]


def load(results: Path, revisions: dict[str, int] | None = None, noise: str = "noise.") -> Data:
    """Read a results folder; ``revisions`` numbers the commits in their order, where asv has worked it out."""
    benchmarks = read_benchmarks(results / "benchmarks.json")
    rank = revisions or {}
    machines = []
    for path in sorted(results.glob("*/machine.json")):
        runs = sorted(read_runs(path.parent, benchmarks), key=lambda run: (rank.get(run.commit, math.inf), run.date))
        facts = {k: str(v) for k, v in json.loads(path.read_text(encoding="utf-8")).items() if k != "version" and v != ""}
        machines.append(Machine(facts.pop("machine", path.parent.name), facts, runs))
        machines[-1].noise = noise_of(machines[-1], [b for b in benchmarks.values() if b.name.startswith(noise)])
    dates = {run.commit: run.date for machine in machines for run in machine.runs}
    order = sorted(dates, key=lambda commit: (rank.get(commit, math.inf), dates[commit]))
    return Data(benchmarks, machines, order, dates)


def read_benchmarks(path: Path) -> dict[str, Benchmark]:
    read = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: Benchmark(
            name,
            str(b.get("unit", "")),
            tuple(b.get("param_names", ())),
            tuple(tuple(values) for values in b.get("params", ())),
            str(b.get("version", "")),
        )
        for name, b in read.items()
        if isinstance(b, dict)
    }


def read_runs(folder: Path, benchmarks: dict[str, Benchmark]) -> list[Run]:
    """The files of one machine; two files of one commit (two environments) become one run, the later measurement first."""
    runs: dict[str, Run] = {}
    for path in sorted(folder.glob("*.json")):
        if path.name == "machine.json":
            continue
        file = json.loads(path.read_text(encoding="utf-8"))
        run = runs.setdefault(file["commit_hash"], Run(file["commit_hash"], file["date"] / 1000))
        rows = {name: dict(zip(file["result_columns"], row, strict=False)) for name, row in file["results"].items()}
        measured = max((row["started_at"] for row in rows.values() if row.get("started_at")), default=file["date"]) / 1000
        for name, row in rows.items():
            values = read_values(row, benchmarks.get(name))
            run.values[name] = (
                values | run.values.get(name, {}) if measured < run.measured else run.values.get(name, {}) | values
            )
        run.measured = max(run.measured, measured)
    return list(runs.values())


def read_values(row: dict[str, Any], benchmark: Benchmark | None) -> dict[Point, float | None]:
    """One benchmark's values by parameters; none if it is no longer there or was another version then."""
    if benchmark is None or (row.get("version") is not None and str(row["version"]) != benchmark.version):
        return {}
    points = list(product(*(row.get("params") or [])))
    values = row.get("result")
    return dict(zip(points, values if values is not None else [None] * len(points), strict=False))


def noise_of(machine: Machine, benchmarks: list[Benchmark]) -> float | None:
    """The largest noise that the last run measured, as a share: 0.03 is ±3 %."""
    found = []
    for benchmark in benchmarks:
        for point in benchmark.points:
            value = machine.now(benchmark.name, point)
            if isinstance(value, (int, float)) and math.isfinite(value):
                found.append(share(float(value), benchmark.unit))
    return max(found, default=None)


def share(value: float, unit: str) -> float:
    """A noise in per cent, as a ratio (1.03) or as a share (0.03) is the share 0.03."""
    if "%" in unit or "percent" in unit or "per cent" in unit:
        return value / 100
    return value - 1 if "ratio" in unit or "times" in unit or value >= 1 else value


def finite(machine: Machine, benchmark: Benchmark, point: tuple[str, ...]) -> float | None:
    value = machine.now(benchmark.name, point)
    return value if isinstance(value, (int, float)) and math.isfinite(value) else None


def exact(data: Data) -> list[Benchmark]:
    """The benchmarks whose values do not depend on the clock, as the gate of a pull request lists them."""
    return [data.benchmarks[name] for name in COUNTERS if name in data.benchmarks]


def change(history: list[tuple[str, float]]) -> float | None:
    """The last value against the median of those before it, as a share; None if it is the first."""
    before = [value for _, value in history[-1 - HISTORY : -1]]
    usual = statistics.median(before) if before else 0.0
    return history[-1][1] / usual - 1 if usual else None


def last_step(history: list[tuple[str, float]], allowed: float) -> tuple[str, float, float] | None:
    """The last commit at which an exact value changed by more than the allowed share: (commit, before, after)."""
    for (_, before), (commit, after) in reversed(list(pairwise(history))):
        if abs(after - before) > allowed * abs(before):
            return commit, before, after
    return None


def coverage(machine: Machine, benchmarks: dict[str, Benchmark]) -> Coverage:
    """Count the last run's values against all that benchmarks.json lists."""
    numbers = total = aside = 0
    failed: dict[str, int] = {}
    missing: dict[str, int] = {}
    for name, benchmark in benchmarks.items():
        for point in benchmark.points:
            total += 1
            value = machine.now(name, point)
            if value is None:
                failed[name] = failed.get(name, 0) + 1
            elif isinstance(value, str):
                missing[name] = missing.get(name, 0) + 1
            elif math.isfinite(value):
                numbers += 1
            else:
                aside += 1
    return Coverage(numbers, total, aside, failed, missing)


def plain(text: str) -> str:
    """A parameter as a reader writes it: Adam for 'Adam', 1,000,000 for 1000000."""
    text = text.strip("'\"")
    return f"{int(text):,}" if text.isdigit() else text
