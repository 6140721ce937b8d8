"""The landing page's tables: distances, counters, CPU against GPU, and the machines."""

from __future__ import annotations

import math
from itertools import product

from compare_counters import COUNTERS
from landing_crossover import crossover, timed_by_size
from landing_data import FLOOR, Benchmark, Data, Machine, coverage, exact, finite, last_step, plain
from landing_html import SYMBOLS, absent, ago, day, exact_cell, floor_cell, graph_link, number, short, table, text


def floor_section(data: Data, floors: list[Benchmark]) -> str:
    legend = ", ".join(f'<span class="{key}">{symbol}</span> {meaning}' for key, (symbol, meaning) in SYMBOLS.items())
    out = f"<section><h2>Distance to the limit, now and over the commits</h2><p>{legend}. A full bar is the limit. "
    out += "The line runs over the commits; the shaded band is the noise. "
    out += "Small arrays are far from it because Python’s calls decide.</p>"
    for machine in data.machines:
        for benchmark in floors:
            out += floor_tables(benchmark, machine)
    return out + ("" if floors else "<p>No benchmark of the distance is listed.</p>") + "</section>"


def floor_tables(benchmark: Benchmark, machine: Machine) -> str:
    """A table of rules and executors by sizes for each choice of the other parameters; the first is open."""
    rule, executor, size = (benchmark.names.index(name) for name in ("rule", "executor", "size"))
    others = [i for i in range(len(benchmark.names)) if i not in (rule, executor, size)]
    tables = []
    for rest in product(*(benchmark.params[i] for i in others)):
        points = [p for p in benchmark.points if tuple(p[i] for i in others) == rest and worth(machine, benchmark, p)]
        sizes = [s for s in benchmark.params[size] if any(p[size] == s for p in points)]
        rows: list[tuple[str, bool, list[str]]] = []
        for r in benchmark.params[rule]:
            if any(p[rule] == r for p in points):
                rows.append((text(plain(r)), True, []))
            for e in benchmark.params[executor]:
                mine = {p[size]: p for p in points if p[rule] == r and p[executor] == e}
                if mine:
                    cells = [floor_cell(benchmark, machine, mine[s]) if s in mine else absent(math.nan) for s in sizes]
                    rows.append((text(plain(e)), False, cells))
        if rows:
            what = ", ".join(plain(value) for value in rest)
            head = [f"{plain(s)} elements" for s in sizes]
            tables.append((what, table(f"{machine.name}: {what}", head, rows, "Rule, executor")))
    silent = [
        e
        for i, e in enumerate(benchmark.params[executor])
        if not any(worth(machine, benchmark, p) for p in benchmark.points if p[executor] == e)
    ]
    note = f'<p class="soft">Not measured on {text(machine.name)}: {text(", ".join(map(plain, silent)))}.</p>' if silent else ""
    more = "".join(f"<details><summary>The same in {text(what)}</summary>{body}</details>" for what, body in tables[1:])
    return (tables[0][1] if tables else "") + more + note


def worth(machine: Machine, benchmark: Benchmark, point: tuple[str, ...]) -> bool:
    """Whether a point deserves a cell: it has a number, once had one, or failed."""
    value = machine.now(benchmark.name, point)
    return value is None or finite(machine, benchmark, point) is not None or bool(machine.history(benchmark.name, point))


def exact_section(data: Data) -> str:
    out = "<section><h2>Exact counters</h2><p>The clock plays no part in these: any change comes from the commit named.</p>"
    for machine in data.machines:
        out += "".join(pivot(benchmark, machine) for benchmark in exact(data))
    return out + "</section>"


def pivot(benchmark: Benchmark, machine: Machine) -> str:
    """One counter of one machine, folded up: its first parameters by its last."""
    points = [point for point in benchmark.points if worth(machine, benchmark, point)]
    if not points:
        return ""
    columns = list(dict.fromkeys(point[-1] for point in points if point)) or [""]
    rows = []
    for head in dict.fromkeys(point[:-1] for point in points):
        cells = {point[-1] if point else "": exact_cell(benchmark, machine, point) for point in points if point[:-1] == head}
        rows.append((text(", ".join(map(plain, head)) or "all"), False, [cells.get(c, absent(math.nan)) for c in columns]))
    steps = [step for point in points if (step := last_step(machine.history(benchmark.name, point), COUNTERS[benchmark.name]))]
    unmoved = f"none changed in {len(machine.runs)} commits" if len(machine.runs) > 1 else "the first"
    last = max((step[0] for step in steps), key=[run.commit for run in machine.runs].index, default=None)
    said = (
        f"{len(steps)} of {len(points)} changed, last in commit {short(last)}" if last else f"{len(points)} values, {unmoved}"
    )
    failed = sum(machine.now(benchmark.name, point) is None for point in points)
    said += f', <b class="far">✗ {failed} failed</b>' if failed else ""
    unit = f" ({benchmark.unit})" if benchmark.unit not in ("", "unit") else ""
    name = benchmark.name.rpartition(".")[2].removeprefix("track_").replace("_", " ")
    body = table(
        f"{machine.name}: {name}{unit}",
        [text(plain(c)) or "value" for c in columns],
        rows,
        text(", ".join(benchmark.names[:-1])),
    )
    return f"<details><summary><b>{text(name)}</b>{text(unit)} on {text(machine.name)}: {said}</summary>{body}</details>"


def wall_section(data: Data) -> str:
    """Links to all other benchmarks' graphs."""
    others = [b for b in data.having("") if not b.name.startswith((FLOOR, *COUNTERS))]
    items = "".join(f'<li><a href="{graph_link(b)}">{text(b.name)}</a> ({text(b.unit)})</li>' for b in others)
    return f"<section><h2>Everything else</h2><ul>{items}</ul></section>" if items else ""


def gpu_section(data: Data) -> str:
    out = "<section><h2>From which size on is the GPU faster?</h2>"
    tables = ""
    for benchmark in timed_by_size(data):
        for machine in data.machines:
            if found := crossover(benchmark, machine):
                rows = [(text(rule), False, [f"<td>{text(words)}</td>"]) for rule, words in found.items()]
                tables += table(f"{machine.name}: {benchmark.name}", ["size at which both take as long"], rows, "Rule")
    measured = any(
        finite(machine, b, p) is not None
        for machine in data.machines
        for b in data.benchmarks.values()
        for p in b.points
        if "'cupy'" in p
    )
    if not tables:
        tables = (
            "<p>No size was timed on both the CPU and the GPU of one machine.</p>"
            if measured
            else "<p>No GPU was measured yet.</p>"
        )
    return out + tables + "</section>"


def machines_section(data: Data, now: float) -> str:
    columns = [facts_of(machine, data, now) for machine in data.machines]
    rows = [(what, False, [f"<td>{column[what]}</td>" for column in columns]) for what in (columns[0] if columns else ())]
    names = [text(machine.name) for machine in data.machines]
    body = table("Freshness and coverage of every machine", names, rows) if rows else "<p>No machine has results.</p>"
    return f'<section id="machines"><h2>Machines</h2>{body}</section>'


def facts_of(machine: Machine, data: Data, now: float) -> dict[str, str]:
    """What the page says of a machine, by heading."""
    found = coverage(machine, data.benchmarks)
    last = machine.runs[-1].commit if machine.runs else ""
    behind = len(data.order) - 1 - data.order.index(last) if last else 0
    noise = f"±{machine.band:.0%}".replace("%", " %") + (" (assumed)" if machine.noise is None else "")
    return {
        "last measured": f"{day(machine.measured)} ({ago((now - machine.measured) / 86400)})" if last else "never",
        "at commit": short(last) + (f", {behind} behind the newest measured" if behind else "") if last else "—",
        "commits measured": str(len(machine.runs)),
        "values": f"{found.numbers} of {found.total}; {found.not_applicable} not applicable here",
        "failed": named(found.failed),
        "not measured": named(found.missing),
        "noise band": noise,
        "what it is": "<br>".join(f"{text(k)}: {text(v)}" for k, v in machine.facts.items()) or "—",
    }


def named(counts: dict[str, int]) -> str:
    return (
        "<br>".join(
            f"✗ {number(count)} of {text(name)}".replace(".", ".<wbr>").replace("_", "_<wbr>") for name, count in counts.items()
        )
        or "none"
    )
