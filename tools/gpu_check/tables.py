"""Tables of what the parts measured, in Markdown."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Iterable, Sequence

from gpuopt.bench.report import markdown
from tools.gpu_check.bars import BENCHES, report, tried
from tools.gpu_check.parts import METRICS
from tools.gpu_check.results import Results
from tools.gpu_check.rows import Row

TUNING = ("tuning", "setting", "case")
MOST = 40
"""Troubles of a part that are named."""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; numbers, in every column but the first and the last, are on the right."""
    rules = ["---", *["---:"] * (len(heads) - 2), "---"]
    return [f"| {' | '.join(row)} |" for row in (heads, rules, *rows)]


def parts(results: Results) -> list[str]:
    """How each part ended."""
    rows = [(name, end.how, f"{end.seconds:.0f}", end.why) for name, end in results.ends.items()]
    return ["", *table(("part", "ended", "seconds", "why"), rows)]


def troubles(results: Results) -> list[str]:
    """What was wrong in smoke test, tuning and suite, by name; the last words of the benchmarks and of the memory checker."""
    lines = [f"- tuning: {row['case']}, {row['setting']}: {row['error']}" for row in tried(results, *TUNING) if "error" in row]
    for name, key, how, why in (("smoke", "name", "how", "note"), ("suite", "test", "outcome", "why")):
        rows = tried(results, name, key)
        bad = [f"- {name}: {row[key]}: {row[how]} {row[why]}".rstrip() for row in rows if row[how] not in ("ok", "passed")]
        lines += [*bad[:MOST], *([f"- {name}: {len(bad) - MOST} more"] if len(bad) > MOST else [])]
    for name, word in (("benchmarks", " values, "), ("memory", "ERROR SUMMARY")):
        found = [line for line in results.text(f"{name}.log").splitlines() if word in line]
        lines += [f"- {name}: {line.strip('= ')}" for line in found[-1:]]
    return ["", *lines] if lines else []


def slowest(results: Results, number: int = 5) -> list[str]:
    """The tests that took longest."""
    rows = sorted(tried(results, "suite", "test"), key=lambda row: -float(row["seconds"]))
    if not rows:
        return []
    return ["", "Slowest tests: " + ", ".join(f"{row['test']} ({row['seconds']:.1f} s)" for row in rows[:number]) + "."]


def tuning(results: Results) -> list[str]:
    """The share of a copy's bandwidth for each setting, and which setting is best; of updates, and of reductions."""
    lines = []
    for what in ("updates", "reductions"):
        if rows := [row for row in tried(results, *TUNING) if row.get("of") == what]:
            lines += ["", f"## tuning of {what}", "", "Share of a copy's bandwidth; the first line is what steps use.", ""]
            lines += _tuning(rows)
    return lines


def _tuning(rows: list[Row]) -> list[str]:
    found = {(row["setting"], row["case"]): row["copy"] / row["seconds"] for row in rows}
    settings, names = (list(dict.fromkeys(row[key] for row in rows)) for key in ("setting", "case"))
    every = [name for name in names if all((setting, name) in found for setting in settings)] or names[:1]
    means = {
        setting: statistics.fmean(found[setting, name] for name in every)
        for setting in settings
        if all((setting, name) in found for name in every)
    }
    best = max(means, key=lambda setting: means[setting])

    def cell(value: float | None) -> str:
        return "-" if value is None else f"{value:.1%}"

    body = [
        [
            f"**{setting}**" if setting == best else setting,
            *(cell(found.get((setting, name))) for name in names),
            cell(means.get(setting)),
        ]
        for setting in settings
    ]
    last = f"Best: {best}, {means[best]:.1%} on average; what steps use: {cell(means.get(settings[0]))}."
    return [*table(["setting", *names, f"mean of {len(every)}"], body), "", last]


def counters(results: Results) -> list[str]:
    """What the profiler counted, a line for each kernel: its last launch."""
    lines = results.text("profile.log").splitlines()
    begin = next((number for number, line in enumerate(lines) if '"Kernel Name"' in line), None)
    if begin is None:
        return []
    found: dict[str, dict[str, str]] = {}
    for row in csv.DictReader(line for line in lines[begin:] if line.startswith('"')):
        if row.get("Metric Name") in METRICS:
            cell = f"{row['Metric Value']} {row['Metric Unit']}".strip()
            found.setdefault(row["Kernel Name"].partition("(")[0], {})[METRICS[row["Metric Name"]]] = cell
    body = [[kernel, *(cells.get(name, "-") for name in METRICS.values())] for kernel, cells in found.items()]
    return ["", "## profile", "", *table(["kernel", *METRICS.values()], body)]


def benches(results: Results) -> list[str]:
    """Every table of ``gpuopt bench``."""
    lines: list[str] = []
    for name in BENCHES:
        if (found := report(results, name)) is not None:
            lines += ["", f"## {name}", "", markdown(found).rstrip()]
    return lines
