"""What `gpu_check.sh` left in a folder, in Markdown: every bar and whether it was met, then tables for docs/performance.md.

    python tools/gpu_summary.py FOLDER

Writes FOLDER/summary.md and prints it. What was not measured is said to be that. Exit code 0 unless nothing was measured.
"""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

from gpuopt.bench import report
from gpuopt.bench.rivals import GRAPH, Case

SHARE = 0.92
"""Of a copy's bandwidth: what a step of a large array must reach."""
RULES = ("GradientDescent", "Momentum", "RMSProp", "Adam", "AdamW")
TORCH = {"RMSProp": "torch foreach"}
"""PyTorch's way where it has no fused one."""
RUNS = ("speed", "bfloat16", "master", "rounded", "graph")
Row = tuple[str, str, str, str]


def read(path: Path) -> report.Report | None:
    """What one run of ``gpuopt bench`` measured, as far as it came."""
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # it was stopped as it wrote
        return None
    return report.Report([Case(**case) for case in found["cases"]], found["header"], found["options"])


def last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []
    return next((line.strip().strip("= ") for line in reversed(lines) if line.strip()), "not run")


def ours(case: Case) -> float:
    """Seconds of the step as it is called, not of its replay; the fastest executor, where there are several."""
    return min(seconds for name, seconds in case.ours.items() if name != GRAPH)


def bar(what: str, wanted: float, measured: float | None, form: str) -> Row:
    """One row of the table of bars; the measured number must be at least the wanted one."""
    if measured is None:
        return what, f"≥ {wanted:{form}}", "not measured", ""
    return what, f"≥ {wanted:{form}}", f"{measured:{form}}", "met" if measured >= wanted else "**missed**"


def bars(runs: dict[str, report.Report]) -> list[Row]:
    """The bars of speed: the largest single array for bandwidth and rivals, many arrays for torch's fused step."""
    cases = runs["speed"].cases if "speed" in runs else []
    large = {case.rule: case for case in sorted(cases, key=lambda case: case.size) if case.count == 1}
    many = {case.rule: case for case in cases if case.count > 1}
    rows = [
        bar(f"{rule}, {_arrays(case)}: share of a copy's bandwidth", SHARE, _share(case), ".1%")
        for rule, case in zip(RULES, map(large.get, RULES), strict=True)
    ]
    for found, rivals in ((large, ("torch", "optax jit", "by hand")), (many, ("torch",))):
        for rival, rule in product(rivals, RULES):
            case, name = found.get(rule), TORCH.get(rule, "torch fused") if rival == "torch" else rival
            rows.append(bar(f"{rule}, {_arrays(case)}: {name}'s time over ours", 1.0, _ratio(case, name), ".2f"))
    for name in ("bfloat16", "master", "rounded"):
        case = next((c for c in runs[name].cases if c.count == 1 and c.rule == "Adam"), None) if name in runs else None
        rows.append(bar(f"Adam, {_arrays(case)}, bfloat16 ({name}): share of a copy's bandwidth", SHARE, _share(case), ".1%"))
    for case in runs["graph"].cases if "graph" in runs else []:
        replay = case.ours.get(GRAPH)
        rows.append(
            bar(f"{case.rule}, {_arrays(case)}: eager time over the replay's", 1.0, replay and ours(case) / replay, ".2f")
        )
    return rows


def _arrays(case: Case | None) -> str:
    return "-" if case is None else f"{case.size:,}" if case.count == 1 else f"{case.count} x {case.size:,}"


def _share(case: Case | None) -> float | None:
    return None if case is None else case.streams["copy"] / ours(case)


def _ratio(case: Case | None, rival: str) -> float | None:
    return None if case is None or rival not in case.rivals else case.rivals[rival] / ours(case)


def commit() -> str:
    """The commit at hand, marked where files differ from it."""
    try:
        done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def summary(folder: Path) -> str:
    runs = {name: found for name in RUNS if (found := read(folder / f"{name}.json"))}
    first = next(iter(runs.values()), None)
    rows = bars(runs)
    missed, unknown = (sum(word in row[i] for row in rows) for i, word in ((3, "missed"), (2, "not measured")))
    lines = [
        f"Commit {commit()}; {first.header if first else 'no speed was measured'}",
        *(f"GPU: {line}" for line in _text(folder / "device.log")[1:]),
        "",
        f"{len(rows) - missed - unknown} of {len(rows)} bars met, {missed} missed, {unknown} not measured.",
        "",
        "| what | wanted | measured | |",
        "| --- | ---: | ---: | --- |",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        f"- suite: {last_line(folder / 'suite.log')}",
        f"- benchmarks of the asv suite: {last_line(folder / 'benchmarks.log')}",
        f"- demo: {last_line(folder / 'demo.log')}",
        *(f"- {line}" for line in _text(folder / "failed.log")),
    ]
    for name, found in runs.items():
        lines += ["", f"## {name}", "", report.markdown(found).rstrip()]
    return "\n".join(lines) + "\n"


def _text(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(__doc__)
        return int(arguments != ["--help"]) * 2
    folder = Path(arguments[0])
    text: Any = summary(folder)
    (folder / "summary.md").write_text(text, encoding="utf-8")
    print(text, end="")
    return int(not any((folder / f"{name}.json").exists() for name in RUNS))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
