"""What a stranger sees first: how far, whether worse, how fresh, and from which size on a side is faster."""

from __future__ import annotations

import math
import statistics

from .changes import best_value
from .crossover import crossings
from .history import Benchmark, History, Machine, Point, coverage, plain, release_value, same_environment
from .pieces import absent, folded, graded, moment, short, symbol, table, text, times
from .settings import Crossover, Limit, Settings
from .verdicts import Verdicts, count

SIGNS = {"worse": "far", "suspect": "near", "better": "at", "steady": "at", "unknown": "soft"}


def cards(history: History, chosen: Settings, verdicts: Verdicts) -> str:
    far = limit_card(history, chosen.limit) if chosen.limit else ratio_card(history, chosen)
    more = crossover_card(history, chosen.crossover) if chosen.crossover else ""
    return f'<div class="cards">{far}{worse_card(verdicts)}{fresh_card(history)}{more}</div>'


def card(title: str, body: str, kind: str = "") -> str:
    return f'<section class="card {kind}"><h2>{title}</h2>{body}</section>'


def by_machine(history: History, name: str, bodies: dict[str, str]) -> str:
    """One machine at a time, the first open; those that are stale are only named."""
    shown = [m for m in history.machines if not m.stale and bodies.get(m.name)]
    out = "".join(folded(text(m.name), bodies[m.name], name=name, is_open=m is shown[0]) for m in shown)
    stale = [f"{text(m.name)} ({moment(m.measured)})" for m in history.machines if m.stale and m.runs]
    out = out or '<p class="big soft">No machine is fresh</p>' * any(bodies.values())
    return out + (f'<p class="soft">Stale, and not shown here: {", ".join(stale)}.</p>' if stale else "")


def limit_card(history: History, limit: Limit) -> str:
    """Every row and column at the largest size, of one machine at a time."""
    bodies = {m.name: limit_table(history, m, limit) for m in history.machines}
    empty = "" if any(bodies.values()) else '<p class="big">Nothing measured yet</p>'
    return card("How far from the limit?", empty + by_machine(history, "far", bodies), "wide")


def limit_table(history: History, machine: Machine, limit: Limit) -> str:
    cells: dict[tuple[str, str], str] = {}
    largest = 0.0
    for benchmark in history.having(limit.benchmarks):
        row, column, size = (benchmark.names.index(name) for name in (limit.rows, limit.columns, limit.size))
        points = [p for p in benchmark.points if machine.history(benchmark.name, p) or machine.now(benchmark.name, p) is None]
        largest = max((float(p[size]) for p in points), default=0.0)
        for point in points:
            if float(point[size]) == largest:
                cells.setdefault((plain(point[row]), plain(point[column])), limit_cell(machine, benchmark, point, limit))
    if not cells:
        return ""
    columns = list(dict.fromkeys(column for _, column in cells))
    rows = [
        (text(row), "".join(f"<td>{cells.get((row, c), 'n/a')}</td>" for c in columns))
        for row in dict.fromkeys(r for r, _ in cells)
    ]
    return table(f"{largest:,.0f} elements; 1× is the limit, less is better", [text(limit.rows), *map(text, columns)], rows)


def limit_cell(machine: Machine, benchmark: Benchmark, point: Point, limit: Limit) -> str:
    """The value, or why there is none and what it last was."""
    value = machine.number(benchmark.name, point)
    if value is not None:
        return graded(value, limit)
    past = machine.history(benchmark.name, point)
    was = f' <span class="soft">was {times(past[-1].value)}</span>' if past else ""
    return absent(machine.now(benchmark.name, point)) + was


def ratio_card(history: History, chosen: Settings) -> str:
    """Without a limit: the times over those of the last release, or of the best of the last 100 commits."""
    bodies = {m.name: ratio_table(history, m, chosen) for m in history.machines}
    empty = "" if any(bodies.values()) else '<p class="big">Nothing to compare yet</p>'
    since = f"over release {text(history.releases[-1][0])}" if history.releases else "over the best of 100 commits"
    return card(f"How fast, {since}?", empty + by_machine(history, "far", bodies), "wide")


def ratio_table(history: History, machine: Machine, chosen: Settings) -> str:
    found = []
    for benchmark in history.having(""):
        if benchmark.name in chosen.exact:
            continue
        logs = []
        for point in benchmark.points:
            values = same_environment(machine.history(benchmark.name, point))
            if not values or values[-1].run is not machine.last:
                continue
            before = release_value(values, history.releases, exact=False) if history.releases else best_value(values)
            if before and before > 0 and values[-1].value > 0:
                logs.append(math.log(values[-1].value / before))
        if logs:
            found.append((math.exp(statistics.fmean(logs)), benchmark.name))
    rows = [(text(name), f"<td><b>{times(ratio)}</b></td>") for ratio, name in sorted(found, reverse=True)[:12]]
    return table("Geometric mean over the parameters; less is better", ["benchmark", "ratio"], rows) if rows else ""


def worse_card(verdicts: Verdicts) -> str:
    """The headline, from certain to uncertain, and the way to every change."""
    first, *more = text(verdicts.text).split("; ")
    kind = "soft" if verdicts.state == "steady" and verdicts.worse else SIGNS[verdicts.state]  # green while nothing is worse
    big = f'<p class="big {kind}">{first}</p>'
    big += "".join(f'<p class="{"soft" if part.startswith(("?", "↗")) else ""}">{part}</p>' for part in more)
    return card("Did it get worse?", f'{big}<p><a href="#changes">All that changed</a></p>')


def fresh_card(history: History) -> str:
    """When each machine last measured; the oldest is not hidden by the newest."""
    items = ""
    for machine in history.machines:
        if not machine.last:
            items += f"<li><b>{text(machine.name)}</b>: never measured on this branch</li>"
            continue
        failed = len(coverage(machine, history.benchmarks)["failed"])
        sign = symbol("✗", "", "far") + " <b>stale</b>, " if machine.stale else ""
        items += f"<li><b>{text(machine.name)}</b>: {sign}{moment(machine.measured)}, "
        items += f"{short(machine.last.commit)}, {count(machine.last.behind, 'commit')} behind"
        items += f'; <b class="far">{count(failed, "value")} failed</b></li>' if failed else "</li>"
    body = f"<ul>{items}</ul>" if items else '<p class="big">Never measured</p>'
    return card("How fresh is it?", body + '<p><a href="#machines">Machines</a></p>')


def crossover_card(history: History, chosen: Crossover) -> str:
    tables = ""
    for machine in history.machines:
        for benchmark in history.having(chosen.benchmarks):
            if found := crossings(benchmark, machine, chosen):
                rows = [(text(row), f"<td>{text(words)}</td>") for row, words in found.items()]
                tables += table(f"{machine.name}: elements", [text(chosen.rows), f"{text(chosen.of)} is faster"], rows)
    never = not any(
        machine.number(b.name, p) is not None and plain(p[axis]) == chosen.of
        for machine in history.machines
        for b in history.having(chosen.benchmarks)
        if (axis := b.axis(chosen.sides)) is not None
        for p in b.points
    )
    why = f"{text(chosen.of)} was not measured yet." if never else "No machine timed both sides."
    return card(f"From which size on is {text(chosen.of)} faster?", tables or f"<p>{why}</p>", "span")
