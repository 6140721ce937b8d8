"""What changed, from certain to uncertain: exact counters, asv's confirmed regressions, suspects, and drifts."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from .history import Benchmark, History, Machine, Point, Run, Value, plainly, release_value, same_environment
from .settings import Exact, Settings

BEYOND = 4
"""A last value so many robust standard deviations above those before it is a suspect."""
LEAST, LEAST_DRIFT = 0.05, 0.10
"""A time that moved by less than this share is no suspect, and no drift."""
ENOUGH = 10
"""With fewer values before it, a time's last value is not judged."""
BEFORE, AFTER = 4, 3
"""A step is confirmed by so many values before it, and from it on."""
RECENT, LEVEL = 20, 30
"""A last value is held against the median of so many before it; a level is the median of so many neighbours."""
SPAN = 100
"""The best of so many commits is what a value is held against, beside the last release."""
Accepted = Callable[[str, str], dict[str, str]]
"""The reasons that the commits after one, up to another, give for losses, by benchmark."""


@dataclass(frozen=True)
class Change:
    """A value that moved, and the commit at which it did."""

    benchmark: str
    point: Point
    machine: str
    run: Run
    before: float
    after: float
    reason: str = ""
    """Why it was accepted, if it was."""

    @property
    def key(self) -> tuple[str, str, Point]:
        return self.machine, self.benchmark, self.point

    def as_json(self) -> dict[str, Any]:
        said = {"benchmark": self.benchmark, "parameters": plainly(self.point), "machine": self.machine}
        return said | {"commit": self.run.commit, "before": self.before, "after": self.after}


def series(history: History, names: Callable[[str], bool]) -> Iterator[tuple[Machine, Benchmark, Point, list[Value]]]:
    """Every machine's points that the last run measured, with their values in the environment of the last run."""
    for machine in history.machines:
        for benchmark in history.having(""):
            if names(benchmark.name):
                for point in benchmark.points:
                    values = same_environment(machine.history(benchmark.name, point))
                    if values and values[-1].run is machine.last:
                        yield machine, benchmark, point, values


def counters(history: History, chosen: Settings, accepted: Accepted) -> tuple[list[Change], list[Change]]:
    """The exact counters that the last run of each machine changed, for the worse and for the better."""
    worse, better = [], []
    for machine, benchmark, point, values in series(history, chosen.exact.__contains__):
        if len(values) < 2 or not machine.last:
            continue
        exact, (before, after) = chosen.exact[benchmark.name], values[-2:]
        change = Change(benchmark.name, point, machine.name, machine.last, before.value, after.value)
        if exact.is_worse(before.value, after.value):
            reason = accepted(before.run.commit, after.run.commit).get(benchmark.name, "")
            worse.append(Change(**{**vars(change), "reason": reason}))
        elif exact.is_better(before.value, after.value):
            better.append(change)
    return worse, better


def regressions(history: History, chosen: Settings, named: list[list[Any]], hashes: dict[int, str]) -> list[Change]:
    """What asv's step detector names in regressions.json, of times and in the environments that are used now."""
    machines = {machine.name: machine for machine in history.machines if machine.runs}
    found = []
    for entry, _, graph, index, _, _, jumps in named:
        name = entry.partition("(")[0]
        machine = machines.get(graph.get("machine", next(iter(machines), "")))
        if machine is None or not machine.last or name in chosen.exact or name not in history.benchmarks:
            continue
        used = dict(machine.last.environment)
        if any(used.get(key, "") != str(value or "") for key, value in graph.items() if key != "branch"):
            continue
        point = history.benchmarks[name].points[index or 0]
        runs = [value.run for value in same_environment(machine.history(name, point))]
        for _, after, low, high in jumps:  # asv also names the last of two values, which is noise
            among = [run for run in runs[BEFORE : len(runs) - AFTER + 1] if run.commit == hashes[after]]
            found += [Change(name, point, machine.name, run, low, high) for run in among]
    return sorted(found, key=lambda change: change.run.behind)


def sigma(values: list[float]) -> float:
    """How far a series' values scatter, as a share: from the changes between neighbours, which a step hardly moves."""
    moves = [abs(math.log(after / before)) for before, after in pairwise(values) if before > 0 and after > 0]
    return 1.4826 * statistics.median(moves) / math.sqrt(2) if moves else math.inf


def suspects(history: History, timed: Callable[[str], bool]) -> list[Change]:
    """The last times that lie far above those before them; one slow value may be chance."""
    found = []
    for machine, benchmark, point, values in series(history, timed):
        *before, last = [value.value for value in values]
        usual = statistics.median(before[-RECENT:]) if len(before) >= ENOUGH else 0.0
        if usual > 0 and last > 0:
            moved = math.log(last / usual)
            if moved > BEYOND * sigma(before[-30:]) and moved > math.log1p(LEAST):
                found.append(Change(benchmark.name, point, machine.name, values[-1].run, usual, last))
    return found


def levels(values: list[Value]) -> list[tuple[Run, float]]:
    """The medians of neighbouring values, each with the run that it ends with."""
    size = width(values)
    ends = range(size, len(values) + 1)
    return [(values[end - 1].run, statistics.median([v.value for v in values[end - size : end]])) for end in ends]


def width(values: list[Value]) -> int:
    """How many neighbours make a level."""
    return max(1, min(LEVEL, len(values) // 3))


def time_drifts(history: History, timed: Callable[[str], bool]) -> list[Change]:
    """The times whose level lies above the best that they ever had, by more than their scatter explains."""
    found = []
    for machine, benchmark, point, values in series(history, timed):
        known = [level for _, level in levels(values)]
        now, best = known[-1], min(known)
        if width(values) < 5 or best <= 0:
            continue
        chance = 6 * sigma([value.value for value in values]) / math.sqrt(width(values))
        if math.log(now / best) > max(chance, math.log1p(LEAST_DRIFT)):
            found.append(Change(benchmark.name, point, machine.name, values[-1].run, best, now))
    return found


def exact_drifts(history: History, exact: dict[str, Exact], accepted: Accepted) -> list[Change]:
    """The counters that are worse than in the last release, or the best of the last 100 commits, however small the steps."""
    found = []
    for machine, benchmark, point, values in series(history, exact.__contains__):
        kept, now = exact[benchmark.name], values[-1].value
        if benchmark.name in accepted(within(values)[0].run.commit, values[-1].run.commit):
            continue
        anchors = [release_value(values, history.releases, exact=True), best_value(values, kept)]
        worst = [anchor for anchor in anchors if anchor is not None and kept.is_worse(anchor, now)]
        if worst:
            found.append(Change(benchmark.name, point, machine.name, values[-1].run, kept.best(worst), now))
    return found


def best_value(values: list[Value], exact: Exact | None = None) -> float | None:
    """The best of the last 100 commits: of counters a value, of times a level."""
    if exact:
        return exact.best([value.value for value in within(values)]) if values else None
    return min((level for run, level in levels(values) if run.behind <= values[-1].run.behind + SPAN), default=None)


def within(values: list[Value]) -> list[Value]:
    """Those of the last 100 commits."""
    return [value for value in values if value.run.behind <= values[-1].run.behind + SPAN]
