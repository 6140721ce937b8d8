"""Write the landing page of the published benchmarks: how far each rule is from the memory's limit, whether the last commits
made it worse, and how fresh that is. asv's own page moves to asv.html.

    python landing.py RESULTS_FOLDER HTML_FOLDER
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

from compare_counters import COUNTERS
from landing_data import ENOUGH, FLOOR, Benchmark, Data, coverage, exact, finite, last_step, load, plain
from landing_html import SYMBOLS, ago, day, grade, short, text, times, verdict
from landing_sections import exact_section, floor_section, gpu_section, machines_section, wall_section

STALE_DAYS = 30


def main() -> int:
    parser = argparse.ArgumentParser(description="write the landing page of the published benchmarks")
    parser.add_argument("results", type=Path)
    parser.add_argument("html", type=Path)
    parser.add_argument("--now", type=float, default=None, help="the time of writing, in seconds since 1970")
    chosen = parser.parse_args()
    if not (chosen.results / "benchmarks.json").is_file():
        print(f"landing: {chosen.results} has no benchmarks.json; run `asv run` first", file=sys.stderr)
        return 1
    chosen.html.mkdir(parents=True, exist_ok=True)
    published = move_asv(chosen.html)
    revisions = {commit: int(number) for number, commit in published.get("revision_to_hash", {}).items()}
    data = load(chosen.results, revisions)
    regressions = read_json(chosen.html / "regressions.json").get("regressions")
    page = write(data, published.get("project", "Benchmarks"), regressions, time.time() if chosen.now is None else chosen.now)
    (chosen.html / "index.html").write_text(page, encoding="utf-8")
    print(f"landing: {len(data.machines)} machines, {len(data.order)} commits, {chosen.html / 'index.html'}")
    return 0


def move_asv(html: Path) -> dict[str, Any]:
    """Make room for the landing page, and link back to it; what asv knows of the project and the order of its commits."""
    index = html / "index.html"
    if index.is_file() and "<title>airspeed velocity</title>" in (page := index.read_text(encoding="utf-8")):
        link = '<li><a href="index.html">Overview</a></li>\n\t'
        (html / "asv.html").write_text(page.replace('<li id="nav-li-" ', link + '<li id="nav-li-" ', 1), encoding="utf-8")
        index.unlink()
    feed = html / "regressions.xml"
    if feed.is_file():
        feed.write_text(feed.read_text(encoding="utf-8").replace("index.html#", "asv.html#"), encoding="utf-8")
    return read_json(html / "index.json")


def read_json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def write(data: Data, project: str, regressions: list[Any] | None, now: float) -> str:
    """The whole page."""
    style = Path(__file__).with_name("landing.css").read_text(encoding="utf-8")
    floors = data.having(FLOOR)
    parts = [heading(project), cards(data, floors, regressions, now)]
    parts += [
        floor_section(data, floors),
        exact_section(data),
        wall_section(data),
        gpu_section(data),
        machines_section(data, now),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(project)}: distance to the memory’s limit</title>\n"
        f'<link rel="icon" href="data:,">\n<style>{style}</style>\n</head>\n<body>\n<main>\n'
        + "\n".join(parts)
        + f"\n</main>\n<footer>Written {day(now)} from asv’s result files. Less is better everywhere.</footer>\n"
        + "</body>\n</html>\n"
    )


def heading(project: str) -> str:
    return (
        f"<header><h1>{text(project)}: distance to the memory’s limit</h1>"
        "<p>A step of an optimizer cannot be faster than the memory delivers its arrays. 1× is that limit, measured with a "
        "copy in the same process; 2× takes twice as long.</p></header>"
        '<nav aria-label="Views"><ul><li><a href="asv.html">All benchmarks as graphs</a></li>'
        '<li><a href="asv.html#summarylist">As a list</a></li><li><a href="asv.html#regressions">Regressions</a></li>'
        "</ul></nav>"
    )


def card(title: str, big: str, more: str) -> str:
    return f'<section class="card"><h2>{title}</h2><p class="big">{big}</p><p class="soft">{more}</p></section>'


def cards(data: Data, floors: list[Benchmark], regressions: list[Any] | None, now: float) -> str:
    """What a stranger sees first: how far, whether worse, how fresh."""
    return f'<div class="cards">{far_card(data, floors)}{worse_card(data, floors, regressions)}{fresh_card(data, now)}</div>'


def far_card(data: Data, floors: list[Benchmark]) -> str:
    """Every rule on every executor at the largest size: the least that any machine measured."""
    title = "How far from the limit?"
    best: dict[tuple[str, str], float] = {}
    failed: set[tuple[str, str]] = set()
    largest = 0
    for benchmark in floors:
        rule, executor, size = (benchmark.names.index(name) for name in ("rule", "executor", "size"))
        found = [(point, value) for m in data.machines for point in benchmark.points if (value := finite(m, benchmark, point))]
        failed |= {(p[rule], p[executor]) for m in data.machines for p in benchmark.points if m.now(benchmark.name, p) is None}
        largest = max((int(point[size]) for point, _ in found), default=0)
        for point, value in found:
            if int(point[size]) == largest:
                key = point[rule], point[executor]
                best[key] = min(best.get(key, math.inf), value)
    if not best:
        return card(title, "Nothing measured yet", "No run has a number for it.")
    executors = list(
        dict.fromkeys(
            e for b in floors for e in b.params[b.names.index("executor")] if any(e == k[1] for k in [*best, *failed])
        )
    )
    head = "".join(f'<th scope="col">{text(plain(e))}</th>' for e in executors)
    rows = ""
    for rule_name in dict.fromkeys(
        r for b in floors for r in b.params[b.names.index("rule")] if any(r == k[0] for k in [*best, *failed])
    ):
        cells = "".join(f"<td>{graded(best.get((rule_name, e)), (rule_name, e) in failed)}</td>" for e in executors)
        rows += f'<tr><th scope="row">{text(plain(rule_name))}</th>{cells}</tr>'
    caption = f"<caption>Steps of {largest:,} elements; 1× is the limit, less is better</caption>"
    body = f'<thead><tr><th scope="col">Rule</th>{head}</tr></thead><tbody>{rows}</tbody>'
    return f'<section class="card far-card"><h2>{title}</h2><table>{caption}{body}</table></section>'


def graded(value: float | None, failed: bool) -> str:
    """A distance with its symbol."""
    if value is None:
        return '<span class="far">✗ failed</span>' if failed else "—"
    return f'<span class="{grade(value)}">{SYMBOLS[grade(value)][0]}</span> <b>{times(value)}</b>'


def worse_card(data: Data, floors: list[Benchmark], regressions: list[Any] | None) -> str:
    """Every machine's last value against those before it, and the exact counters that its last commit changed."""
    kinds = {"worse": 0, "better": 0, "steady": 0, "first": 0}
    changed = 0
    for machine in data.machines:
        for benchmark in floors:
            for point in benchmark.points:
                if finite(machine, benchmark, point) is not None:
                    kinds[verdict(machine.history(benchmark.name, point), machine.band)[0]] += 1
        for benchmark in exact(data):
            steps = [last_step(machine.history(benchmark.name, point), COUNTERS[benchmark.name]) for point in benchmark.points]
            changed += sum(step is not None and step[0] == machine.runs[-1].commit for step in steps if machine.runs)
    title = "Did the last commit make it worse?"
    if kinds["worse"]:
        big = f'<span class="far">▲ {kinds["worse"]} of {sum(kinds.values())} distances grew</span>'
    elif kinds["better"] or kinds["steady"]:
        big = f'<span class="at">= No: {kinds["better"] + kinds["steady"]} distances held or shrank</span>'
    else:
        big = "Too few commits to tell"
    seen = (
        ""
        if regressions is None or len(data.order) <= ENOUGH
        else f' asv names <a href="asv.html#regressions">{len(regressions)} regressions</a>.'
    )
    counters = "no exact counter changed" if not changed else f"{changed} exact counter{'s' * (changed > 1)} changed"
    last = f"Commit {short(data.order[-1])}, {day(data.dates[data.order[-1]])}: " if data.order else ""
    return card(title, big, f"{last}{counters}.{seen}")


def fresh_card(data: Data, now: float) -> str:
    """The newest measurement, and any machine that is behind or fails."""
    title = "How fresh is it?"
    newest = max((machine.measured for machine in data.machines), default=0.0)
    if not newest:
        return card(title, "Never measured", "No machine has a result.")
    age = (now - newest) / 86400
    big = f"{ago(age)}"
    if age > STALE_DAYS:
        big = f'<span class="far">✗ Stale: {big}</span>'
    failed = sum(sum(coverage(machine, data.benchmarks).failed.values()) for machine in data.machines)
    words = f"{len(data.machines)} machine{'s' * (len(data.machines) > 1)}; "
    words += f'<span class="far">✗ {failed} values failed</span>' if failed else "no value failed"
    return card(
        title, big, f'Measured {day(newest)}, counted when this page was written. {words}; <a href="#machines">details</a>.'
    )


if __name__ == "__main__":
    sys.exit(main())
