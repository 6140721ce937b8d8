"""The verdict on the branch, which the page shows and verdicts.json holds for machines."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from . import changes
from .changes import Accepted, Change
from .history import History, Machine, coverage, same_environment
from .settings import Settings

NEW = 20
"""A confirmed regression is news for so many measured commits; after that it is one of those that nobody repaired."""


@dataclass(frozen=True)
class Verdicts:
    """What changed, from certain to uncertain."""

    worse: list[Change]
    better: list[Change]
    regressions: list[Change]
    suspects: list[Change]
    drifts: list[Change]
    state: str
    text: str

    def as_json(self, machines: list[Machine]) -> dict[str, Any]:
        kinds = {kind: [change.as_json() for change in getattr(self, kind)] for kind in ("regressions", "suspects", "drifts")}
        counters = {kind: [change.as_json() for change in getattr(self, kind)] for kind in ("worse", "better")}
        ages = {m.name: {"measured": iso(m.measured), "behind": m.last.behind, "stale": m.stale} for m in machines if m.last}
        return {"headline": {"state": self.state, "text": self.text}, "counters": counters, **kinds, "machines": ages}


def iso(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def judge(
    history: History,
    chosen: Settings,
    confirmed: list[Change],
    muted: Callable[[str], bool],
    accepted: Accepted,
) -> Verdicts:
    """All verdicts; ``confirmed`` are asv's regressions, and ``muted`` says which benchmarks have none."""

    def timed(name: str) -> bool:
        return name not in chosen.exact and not muted(name)

    worse, better = changes.counters(history, chosen, accepted)
    said = {c.key for c in (*worse, *confirmed)}
    suspected = [c for c in changes.suspects(history, timed) if c.key not in said]
    crept = changes.exact_drifts(history, chosen.exact, accepted) + changes.time_drifts(history, timed)
    crept = [c for c in crept if c.key not in {change.key for change in worse}]
    state, text = headline(history, chosen.exact, worse, better, confirmed, suspected, crept)
    return Verdicts(worse, better, confirmed, suspected, crept, state, text)


def headline(
    history: History,
    exact: Collection[str],
    worse: list[Change],
    better: list[Change],
    confirmed: list[Change],
    suspected: list[Change],
    crept: list[Change],
) -> tuple[str, str]:
    """The state, and a sentence. Machines that are stale decide only by their counters, while others are fresh."""
    deciding = {m.name: m for m in history.machines if not m.stale} or {m.name: m for m in history.machines}
    fresh = [c for c in confirmed if c.machine in deciding]
    new = [c for c in fresh if c.run in deciding[c.machine].runs[-NEW:]]
    muted = [c for c in suspected if c.machine in deciding]
    open_ = [c for c in worse if not c.reason]
    failed = sum(len(coverage(machine, history.benchmarks)["failed"]) for machine in deciding.values())
    said = counted(worse, better)
    if new:
        said.append(f"▲ {count(len(new), 'regression')} confirmed, the last in {new[0].run.commit[:8]}")
    if failed:
        said.append(f"✗ {count(failed, 'value')} failed")
    aside = [f"? {count(len(muted), 'suspect')} to be confirmed"] if muted else []
    known = {c.key for c in crept if c.machine in deciding or c.benchmark in exact}
    lasting = len(fresh) - len(new) + len(known - {c.key for c in fresh})
    aside += [f"↗ {count(lasting, 'value')} above an earlier level"] if lasting else []
    if open_ or new:
        return "worse", "; ".join(said + aside)
    if aside:
        return "suspect", "; ".join(said + aside)
    if failed or not compared(history):
        return "unknown", "; ".join(said) or "Nothing to compare yet"
    if better and not worse:
        return "better", "; ".join(said)
    return "steady", "; ".join(said) or f"= Nothing changed in {latest(history)}"


def counted(worse: list[Change], better: list[Change]) -> list[str]:
    """How many exact counters moved, by the commit that moved them."""
    said = []
    for commit in dict.fromkeys(change.run.commit for change in (*worse, *better)):
        up, down = ([c for c in kind if c.run.commit == commit] for kind in (worse, better))
        reasons = f" ({sum(bool(c.reason) for c in up)} accepted)" if any(c.reason for c in up) else ""
        parts = [f"▲ {count(len(up), 'counter')} worse{reasons}"] if up else []
        parts += [f"{len(down)} better" if up else f"▼ {count(len(down), 'counter')} better"] if down else []
        said.append(f"{', '.join(parts)} in {commit[:8]}")
    return said


def compared(history: History) -> bool:
    """Whether any machine has two runs in one environment."""
    return any(
        len(same_environment(machine.history(b.name, p))) > 1
        for machine in history.machines
        for b in history.benchmarks.values()
        for p in b.points
    )


def latest(history: History) -> str:
    last = min((m.last for m in history.machines if m.last), key=lambda run: run.behind)
    return last.commit[:8]


def count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
