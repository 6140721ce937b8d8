"""What the parts left, in Markdown: every bar and whether it was met, each part's end, tables for docs/performance.md."""

from __future__ import annotations

import functools
import subprocess

from tools.gpu_check import tables
from tools.gpu_check.bars import BENCHES, bars, report
from tools.gpu_check.results import Results
from tools.gpu_check.running import ROOT


def summary(results: Results) -> str:
    """The whole page."""
    rows = bars(results)
    met, missed, unknown = (sum(row[3] == word for row in rows) for word in ("met", "**missed**", ""))
    lines = [
        f"Commit {commit()}; {header(results)}",
        *(line for line in results.text("machine.log").splitlines()[:3] if line.startswith(("GPU:", "Python "))),
        "",
        f"{met} of {len(rows)} bars met, {missed} missed, {unknown} not measured.",
        "",
        *tables.table(("what", "wanted", "measured", "bar"), rows),
    ]
    for part in (tables.parts, tables.troubles, tables.slowest, tables.tuning, tables.counters, tables.benches):
        lines += part(results)
    return "\n".join(lines) + "\n"


def header(results: Results) -> str:
    """Date, device and versions, from the first run of ``gpuopt bench``."""
    found = next((one for name in BENCHES if (one := report(results, name)) is not None), None)
    return "no speed was measured" if found is None else found.header


@functools.cache
def commit() -> str:
    """The commit at hand, marked where files differ from it."""
    try:
        command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
