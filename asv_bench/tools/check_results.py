"""Fail unless the newest run of each machine measured enough, and no benchmark failed: asv itself exits 0 where all was n/a.

    python asv_bench/tools/check_results.py RESULTS [--machine NAME] [--commit HASH] [--least 60]

A value that is NaN in a result file is n/a; null is a failure. Exit code 1, and one line, where something is wrong.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

APART = {"machine.json", "benchmarks.json"}


def entries(path: Path) -> dict[str, dict[str, Any]]:
    """The columns of each benchmark in a result file, by benchmark."""
    data = json.loads(path.read_text(encoding="utf-8"))
    return {name: dict(zip(data["result_columns"], row, strict=False)) for name, row in data["results"].items()}


def newest(folder: Path, commit: str = "") -> Path | None:
    """The result file of a machine, or of a commit there, whose last benchmark started last; file times say nothing."""
    found = {
        p: max((e.get("started_at") or 0 for e in entries(p).values()), default=0)
        for p in folder.glob(f"{commit[:8]}*.json")
        if p.name not in APART
    }
    return max(found, key=lambda p: (found[p], p.name)) if found else None


def problems(results: Path, machine: str | None, least: int, commit: str = "") -> Iterator[str]:
    """What is wrong, a line each; and on stdout how much was measured."""
    machines = sorted(p.parent for p in results.glob("*/machine.json") if machine in (None, p.parent.name))
    if not machines:
        yield f"no machine{f' {machine!r}' if machine else ''} has results in {results}"
    for folder in machines:
        path = newest(folder, commit)
        if path is None:
            yield f"{folder.name}: no result file"
            continue
        values = {name: entry["result"] or [None] for name, entry in entries(path).items()}
        failed = sorted(name for name, row in values.items() if None in row)
        measured = sum(v is not None and not math.isnan(v) for row in values.values() for v in row)
        absent = sum(v is not None and math.isnan(v) for row in values.values() for v in row)
        if failed:
            yield f"{folder.name}: failed: {', '.join(failed)} ({path.name})"
        elif measured < least:
            yield f"{folder.name}: {measured} values were measured, at least {least} must be ({path.name})"
        else:
            print(f"{folder.name}: {measured} values of {len(values)} benchmarks, {absent} n/a ({path.name})")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--machine")
    parser.add_argument("--commit", default="")
    parser.add_argument("--least", type=int, default=60)
    options = parser.parse_args(arguments)
    try:
        found = list(problems(options.results, options.machine, options.least, options.commit))
    except (OSError, ValueError, KeyError) as error:
        found = [f"cannot read the results: {type(error).__name__}: {error}"]
    if found:
        print("check_results:", "; ".join(found), file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
