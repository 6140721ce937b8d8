"""Compare two results; fail where an exact counter got worse. This is the gate of a pull request; wall time only informs.

    python asv_bench/tools/compare_counters.py BASE NEW

BASE and NEW are result files, or folders of one machine (its newest file). Prints a table in Markdown, for a job's summary.
Exit code 0: no counter got worse; 1: one did, or a counter that BASE has is missing from NEW; 2: the files cannot be compared.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from check_results import entries, newest

# How much more is allowed. callgrind's total is exact for one build of Python and NumPy, but the length of an environment
# variable or a path can move it by some instructions; all other counters are integers of the code alone.
COUNTERS = {
    "counters.Counters.track_state_bytes": 0.0,
    "counters.Counters.track_temporaries": 0.05,
    "counters.Counters.track_host_instructions": 0.01,
    "counters.Chain.track_chain_state_bytes": 0.0,
    "counters.Chain.track_chain_temporaries": 0.05,
    "counters.Launches.track_launches": 0.0,
    "counters.Kernels.track_registers": 0.0,
    "counters.Kernels.track_spills": 0.0,
    "precision.State.track_state_bytes": 0.0,
    "layouts.Copies.track_copies": 0.0,
    "layouts.Passes.track_passes": 0.0,
    "convergence.Convergence.track_updates": 0.0,
}
TIMES = 1.1  # a wall time that differs by less than this factor is not shown


@dataclass(frozen=True)
class Change:
    """One value in both results; None where it is not in one of them, or is n/a or failed there."""

    benchmark: str
    parameters: tuple[str, ...]
    base: float | None
    new: float | None

    @property
    def counter(self) -> bool:
        return self.benchmark in COUNTERS

    @property
    def worse(self) -> bool:
        if not self.counter or self.base is None:
            return False
        return self.new is None or self.new > self.base * (1 + COUNTERS[self.benchmark])

    @property
    def notable(self) -> bool:
        if self.base is None or self.new is None:
            return self.base is not self.new
        if self.counter:
            return self.new != self.base
        return not self.base / TIMES <= self.new <= self.base * TIMES

    def row(self) -> str:
        values = ("n/a" if v is None else f"{v:,.6g}" for v in (self.base, self.new))
        ratio = f"{self.new / self.base:.3f}" if self.base and self.new is not None else ""
        verdict = "**worse**" if self.worse else "changed" if self.counter else "time, informs only"
        return f"| {self.benchmark} | {', '.join(self.parameters)} | {' | '.join(values)} | {ratio} | {verdict} |"


def values(path: Path) -> dict[tuple[str, tuple[str, ...]], float | None]:
    """Each value of a result file by benchmark and parameters, whatever the order of either."""
    found: dict[tuple[str, tuple[str, ...]], float | None] = {}
    for name, entry in entries(path).items():
        combinations = list(itertools.product(*entry["params"]))
        row: list[Any] = entry["result"] or [None] * len(combinations)
        for parameters, value in zip(combinations, row, strict=True):
            missing = value is None or math.isnan(value)
            found[name, tuple(p.strip("'") for p in parameters)] = None if missing else float(value)
    return found


def changes(base: Path, new: Path) -> Iterator[Change]:
    before, after = values(base), values(new)
    for key in dict.fromkeys([*before, *after]):
        yield Change(*key, before.get(key), after.get(key))


def result_file(path: Path) -> Path:
    found = newest(path) if path.is_dir() else path
    if found is None:
        raise ValueError(f"{path} has no result file")
    return found


def report(found: list[Change]) -> str:
    """The table; the worst first, and only what changed."""
    shown = sorted((c for c in found if c.notable), key=lambda c: (not c.worse, not c.counter))
    counters = sum(c.counter and c.base is not None and c.new is not None for c in found)
    worse = sum(c.worse for c in found)
    text = f"{counters} exact counters compared, {worse} worse; {len(shown)} values changed.\n"
    if shown:
        head = ["| benchmark | parameters | base | new | new / base | |", "|---|---|---|---|---|---|"]
        text += "\n" + "\n".join([*head, *(change.row() for change in shown)]) + "\n"
    return text


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("new", type=Path)
    options = parser.parse_args(arguments)
    try:
        found = list(changes(result_file(options.base), result_file(options.new)))
        if not any(c.counter and c.base is not None and c.new is not None for c in found):
            raise ValueError("there is no exact counter in both")
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"compare_counters: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    print(report(found))
    worse = [c for c in found if c.worse]
    for change in worse:
        print(f"worse: {change.benchmark}({', '.join(change.parameters)}): {change.base} -> {change.new}", file=sys.stderr)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
