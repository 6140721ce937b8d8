"""The front page's tables: what changed, distances, counters, graphs and machines."""

from __future__ import annotations

from itertools import groupby, pairwise

from .changes import Change, best_value
from .history import Benchmark, History, Machine, Point, Value, coverage, plain, plainly, release_value, same_environment
from .pieces import (
    absent,
    against,
    change_item,
    chart,
    folded,
    graded,
    graph_address,
    graph_link,
    moment,
    number,
    percent,
    short,
    table,
    text,
)
from .settings import Exact, Limit, Settings
from .verdicts import Verdicts, count

ANCHORS = ["last release", "best of 100"]


def changes_section(history: History, verdicts: Verdicts) -> str:
    """Every change with the way to its graph, folded by benchmark."""
    kinds = {
        "Exact counters, worse": verdicts.worse,
        "Exact counters, better": verdicts.better,
        "Confirmed by asv’s step detector": verdicts.regressions,
        "Suspects: last values far above those before; one may be chance": verdicts.suspects,
        "Above the last release, or the best before": verdicts.drifts,
    }
    out = ""
    for kind, found in kinds.items():
        if found:
            out += f"<h3>{kind}</h3>"
            for name, group in groupby(sorted(found, key=lambda c: c.benchmark), key=lambda c: c.benchmark):
                some = list(group)
                items = "".join(change_item(change, history.benchmarks[name]) for change in some)
                out += folded(f"<b>{text(name)}</b>: {len(some)}{span(some)}", f"<ul>{items}</ul>")
    return f'<section id="changes"><h2>What changed</h2>{out or "<p>Nothing.</p>"}</section>'


def span(found: list[Change]) -> str:
    shares = sorted(change.after / change.before - 1 for change in found if change.before)
    return f", {percent(shares[0])}" + (f" to {percent(shares[-1])}" if len(shares) > 1 else "") if shares else ""


def limit_section(history: History, limit: Limit, verdicts: Verdicts) -> str:
    """The distances of one machine at a time, against anchors that do not move."""
    said = {c.key: f'<b class="far">▲ since {short(c.run.commit)}</b>' for c in verdicts.regressions}
    said |= {c.key: '<span class="soft">? suspect</span>' for c in verdicts.suspects}
    said |= {c.key: "↗ crept" for c in verdicts.drifts if c.key not in said}
    out = ""
    for i, machine in enumerate(m for m in history.machines if m.runs):
        body = "".join(limit_tables(history, b, machine, limit, said) for b in history.having(limit.benchmarks))
        out += folded(f"<b>{text(machine.name)}</b>{', stale' * machine.stale}", body, name="limit", is_open=i == 0)
    return f'<section id="limit"><h2>Distance to the limit</h2>{out or "<p>Nothing was measured.</p>"}</section>'


def limit_tables(
    history: History, benchmark: Benchmark, machine: Machine, limit: Limit, said: dict[tuple[str, str, Point], str]
) -> str:
    """A table for each choice of the parameters that are neither rows, columns nor sizes; the first is open."""
    axes = [benchmark.names.index(name) for name in (limit.rows, limit.columns, limit.size)]
    tables: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for point in benchmark.points:
        values = machine.history(benchmark.name, point)
        if not values and machine.now(benchmark.name, point) is not None:
            continue
        rest = tuple(plain(value) for i, value in enumerate(point) if i not in axes)
        rows = tables.setdefault(rest, [])
        row, *others = (plain(point[i]) for i in axes)
        if (text(row), "") not in rows:
            rows.append((text(row), ""))
        now = machine.number(benchmark.name, point)
        cell = (
            graph_link(benchmark, machine, point, graded(now, limit))
            if now is not None
            else absent(machine.now(benchmark.name, point))
        )
        cells = f"<td>{cell}</td>{chart(values, history.releases, ', '.join(plainly(point)))}{anchors(history, values, now)}"
        rows.append((text(", ".join(others)), f"{cells}<td>{said.get((machine.name, benchmark.name, point), '')}</td>"))
    columns = [text(f"{limit.columns}, {limit.size}"), "now", "last commits", *ANCHORS, "verdict"]
    made = [(", ".join(rest), table(f"{machine.name}: {', '.join(rest)}", columns, rows)) for rest, rows in tables.items()]
    return "".join(body if not i else folded(f"The same in {text(rest)}", body) for i, (rest, body) in enumerate(made))


def anchors(history: History, values: list[Value], now: float | None, exact: Exact | None = None) -> str:
    """A value beside the last release and the best of the last 100 commits, in one environment."""
    known = same_environment(values)
    if now is None:
        return "<td></td><td></td>"
    return against(now, release_value(known, history.releases, exact is not None)) + against(now, best_value(known, exact))


def exact_section(history: History, chosen: Settings) -> str:
    out = ""
    for machine in history.machines:
        tables = [
            exact_table(history, machine, history.benchmarks[name], e)
            for name, e in chosen.exact.items()
            if name in history.benchmarks
        ]
        if any(tables):
            out += folded(f"<b>{text(machine.name)}</b>", "".join(tables), name="exact")
    words = "The clock plays no part in these: any change comes from the commit named."
    return (
        f'<section id="exact"><h2>Exact counters</h2><p>{words}</p>{out or "<p>None was measured.</p>"}</section>'
        if chosen.exact
        else ""
    )


def exact_table(history: History, machine: Machine, benchmark: Benchmark, exact: Exact) -> str:
    """One counter of one machine, folded up."""
    rows, moved, failed = [], 0, 0
    for point in benchmark.points:
        values, value = machine.history(benchmark.name, point), machine.now(benchmark.name, point)
        if not values and value is not None:
            continue
        now = machine.number(benchmark.name, point)
        failed += value is None
        cell = graph_link(benchmark, machine, point, f"<b>{number(now)}</b>") if now is not None else absent(value)
        step = last_step(values, exact)
        moved += bool(step)
        rows.append(
            (
                text(", ".join(plainly(point)) or "all"),
                f"<td>{cell}</td><td>{step or 'never'}</td>{anchors(history, values, now, exact)}",
            )
        )
    if not rows:
        return ""
    name = benchmark.name.rpartition(".")[2].removeprefix("track_").replace("_", " ")
    summary = f"<b>{text(name)}</b> ({text(benchmark.unit)}): {moved} of {len(rows)} ever changed"
    summary += f', <b class="far">{failed} failed</b>' if failed else ""
    columns = [text(", ".join(benchmark.names)) or "value", "now", "last changed", *ANCHORS]
    return folded(summary, table(f"{machine.name}: {benchmark.name}", columns, rows))


def last_step(values: list[Value], exact: Exact) -> str:
    """The last commit that changed a counter by more than its tolerance."""
    for before, after in reversed(list(pairwise(values))):
        if exact.is_worse(before.value, after.value) or exact.is_better(before.value, after.value):
            sign = "▲" if exact.is_worse(before.value, after.value) else "▼"
            return f"{sign} {number(before.value)} → {number(after.value)} in {short(after.run.commit)}"
    return ""


def graphs_section(history: History, chosen: Settings) -> str:
    """Links to all other benchmarks' graphs."""
    limit = chosen.limit.benchmarks if chosen.limit else None
    others = [b for b in history.having("") if b.name not in chosen.exact and not (limit and b.name.startswith(limit))]
    items = "".join(f'<li><a href="{graph_address(b)}">{text(b.name)}</a> ({text(b.unit)})</li>' for b in others)
    return (
        f'<section id="graphs"><h2>Everything else</h2>{folded(count(len(others), "benchmark"), f"<ul>{items}</ul>")}</section>'
        if items
        else ""
    )


def machines_section(history: History) -> str:
    """What each machine is, and what became of all values there."""
    out = ""
    for machine in history.machines:
        found = coverage(machine, history.benchmarks)
        facts = [("is", "; ".join(f"{text(k)}: {text(v)}" for k, v in machine.facts.items()) or "not described")]
        if machine.last:
            used = [f"{text(k)} {text(v)}" for k, v in machine.last.environment if k not in {"machine", *machine.facts}]
            facts.append(("measures with", ", ".join(used) or "what it has"))
            facts.append(("last measured", f"{moment(machine.measured)}, {short(machine.last.commit)}"))
            facts.append(("is behind by", count(machine.last.behind, "commit")))
        facts.append(
            (
                "has measured",
                count(len(machine.runs), "commit")
                + f"; {machine.off_branch} not on the branch, ignored" * bool(machine.off_branch),
            )
        )
        facts.append(("values", ", ".join(f"{len(names)} {kind}" for kind, names in found.items())))
        facts += [
            (kind, "<br>".join(f"{text(n)}: {found[kind].count(n)}" for n in dict.fromkeys(found[kind])))
            for kind in ("failed", "missing")
            if found[kind]
        ]
        summary = f"<b>{text(machine.name)}</b>{', stale' * machine.stale}"
        out += folded(summary, table(machine.name, ["what", "value"], [(what, f"<td>{said}</td>") for what, said in facts]))
    return f'<section id="machines"><h2>Machines</h2>{out or "<p>No machine has results.</p>"}</section>'
