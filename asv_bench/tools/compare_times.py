"""Compare wall times of two commits that were measured in turns, round by round; it informs, and never fails a pull request.

    python asv_bench/tools/compare_times.py ROUNDS

ROUNDS holds the results folders base-1, new-1, base-2, new-2, ... A value is called slower or faster only if every round of one
commit lies on the same side of every round of the other, and the medians differ by 5 % or more. Prints Markdown.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from compare_counters import SETTINGS, result_file, values

LEAST = 0.05


def rounds(folder: Path, side: str) -> dict[tuple[str, tuple[str, ...]], list[float]]:
    """The times of one commit by benchmark and parameters, a value for each round."""
    found: dict[tuple[str, tuple[str, ...]], list[float]] = {}
    for results in sorted(folder.glob(f"{side}-*")):
        machine = next(path.parent for path in results.glob("*/machine.json"))
        for key, value in values(result_file(machine)).items():
            if value is not None and key[0] not in SETTINGS.exact:
                found.setdefault(key, []).append(value)
    return found


def verdict(base: list[float], new: list[float]) -> str:
    ratio = statistics.median(new) / statistics.median(base) - 1
    if min(new) > max(base) and ratio >= LEAST:
        return "▲ slower"
    if max(new) < min(base) and -ratio >= LEAST:
        return "▼ faster"
    return "= within the noise"


def report(folder: Path) -> str:
    base, new = rounds(folder, "base"), rounds(folder, "new")
    both = [key for key in base if key in new]
    found = {key: verdict(base[key], new[key]) for key in both}
    moved = [key for key in both if not found[key].startswith("=")]
    text = f"{len(both)} wall times in {max(map(len, base.values()), default=0)} rounds taken in turns: {len(moved)} moved.\n"
    if not moved:
        return text
    text += "\n| benchmark | parameters | base | new | new / base | |\n|---|---|---|---|---|---|\n"
    for key in sorted(moved, key=lambda key: found[key] != "▲ slower"):
        before, after = statistics.median(base[key]), statistics.median(new[key])
        text += f"| {key[0]} | {', '.join(key[1])} | {before:.4g} | {after:.4g} | {after / before:.2f} | {found[key]} |\n"
    return text


if __name__ == "__main__":
    print(report(Path(sys.argv[1])))
