"""Compare two results; fail where an exact counter got worse. This is the gate of a pull request; wall time only informs.

    python asv_bench/tools/compare_counters.py BASE NEW [--release RELEASE] [--output FILE.md]

BASE, NEW and RELEASE are result files, or folders of one machine (its newest file). RELEASE has the last release, or another
commit that does not move: a counter that crept by more than its tolerance since then fails, however small the steps were.
asv.conf.json says which counters are exact, and a line ``accepted: BENCHMARK REASON`` that the change adds to the file which is
named there lets a loss through. Prints a table in Markdown, for a job's summary or a comment; --output writes it, too.
Exit code 0: no counter got worse; 1: one did, or a counter that BASE has is missing from NEW; 2: the files cannot be compared.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from check_results import entries, newest
from frontpage import accepted
from frontpage.settings import Exact, settings

ROOT = Path(__file__).parents[1]
SETTINGS = settings(json.loads((ROOT / "asv.conf.json").read_text(encoding="utf-8")))
TIMES = 1.1  # a wall time that differs by less than this factor is not shown


@dataclass(frozen=True)
class Change:
    """One value in all results; None where it is not in one of them, or is n/a or failed there."""

    benchmark: str
    parameters: tuple[str, ...]
    base: float | None
    new: float | None
    release: float | None = None
    reason: str = ""
    """Why a loss against the base was accepted, if it was."""
    since_release: str = ""
    """The same, against the release."""

    @property
    def exact(self) -> Exact | None:
        return SETTINGS.exact.get(self.benchmark)

    @property
    def lost(self) -> bool:
        """Whether it is worse than the base has it."""
        if not self.exact or not self.exact.gates or self.base is None:
            return False
        return self.new is None or self.exact.is_worse(self.base, self.new)

    @property
    def crept(self) -> bool:
        """Whether it is worse than the release has it."""
        if not self.exact or not self.exact.gates or self.release is None or self.new is None:
            return False
        return self.exact.is_worse(self.release, self.new)

    @property
    def worse(self) -> bool:
        return (self.lost and not self.reason) or (self.crept and not self.since_release)

    @property
    def notable(self) -> bool:
        if self.base is None or self.new is None:
            return self.base is not self.new
        if self.exact:
            return self.new != self.base or self.crept
        return not self.base / TIMES <= self.new <= self.base * TIMES

    def verdict(self) -> str:
        if not self.exact:
            return "time, informs only"
        if self.worse:
            return "**worse**" if self.lost and not self.reason else "**worse than the release**"
        if self.lost or self.crept:
            return f"accepted: {self.reason or self.since_release}"
        return "changed" if self.exact.gates else "changed, informs only"

    def row(self) -> str:
        values = ("n/a" if v is None else f"{v:,.6g}" for v in (self.release, self.base, self.new))
        ratio = f"{self.new / self.base:.3f}" if self.base and self.new is not None else ""
        return f"| {self.benchmark} | {', '.join(self.parameters)} | {' | '.join(values)} | {ratio} | {self.verdict()} |"


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


def changes(base: Path, new: Path, release: Path | None = None) -> Iterator[Change]:
    before, after, released = values(base), values(new), values(release) if release else {}
    reasons, since = accepted_between(base, new), accepted_between(release, new) if release else {}
    for key in dict.fromkeys([*before, *after]):
        name = key[0]
        yield Change(*key, before.get(key), after.get(key), released.get(key), reasons.get(name, ""), since.get(name, ""))


def accepted_between(before: Path, after: Path) -> dict[str, str]:
    """What the commits between those of two result files accept."""
    commits = (json.loads(path.read_text(encoding="utf-8"))["commit_hash"] for path in (before, after))
    return accepted.between(str(ROOT), *commits, SETTINGS.accepted)


def result_file(path: Path) -> Path:
    found = newest(path) if path.is_dir() else path
    if found is None:
        raise ValueError(f"{path} has no result file")
    return found


def report(found: list[Change]) -> str:
    """The table; the worst first, and only what changed."""
    shown = sorted((c for c in found if c.notable), key=lambda c: (not c.worse, not (c.lost or c.crept), not c.exact))
    counters = sum(c.exact is not None and c.base is not None and c.new is not None for c in found)
    worse = sum(c.worse for c in found)
    text = f"{counters} exact counters compared, {worse} worse; {len(shown)} values changed.\n"
    if shown:
        head = ["| benchmark | parameters | release | base | new | new / base | |", "|---|---|---|---|---|---|---|"]
        text += "\n" + "\n".join([*head, *(change.row() for change in shown)]) + "\n"
    if worse:
        text += f"\nA loss that is worth it passes with a line `accepted: BENCHMARK REASON` in `{SETTINGS.accepted}`.\n"
    return text


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--release", type=Path, help="results of the last release")
    parser.add_argument("--output", type=Path, help="write the table to this file, too")
    options = parser.parse_args(arguments)
    try:
        release = result_file(options.release) if options.release else None
        found = list(changes(result_file(options.base), result_file(options.new), release))
        if not any(c.exact and c.base is not None and c.new is not None for c in found):
            raise ValueError("there is no exact counter in both")
        if options.output:
            options.output.write_text(f"## Exact counters\n\n{report(found)}", encoding="utf-8")
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"compare_counters: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    print(report(found))
    worse = [c for c in found if c.worse]
    for c in worse:
        before = c.base if c.lost and not c.reason else c.release
        print(f"worse: {c.benchmark}({', '.join(c.parameters)}): {before} -> {c.new}", file=sys.stderr)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
