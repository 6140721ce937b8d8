"""Pieces of the landing page: escaped text, bars and small charts in SVG, tables; no script and nothing remote."""

from __future__ import annotations

import datetime
import html
import math
import urllib.parse

from compare_counters import COUNTERS
from landing_data import ENOUGH, Benchmark, Machine, Point, change, last_step, plain

AT_LIMIT, NEAR = 1.15, 2.0
"""Up to these times the floor a step is called "at the limit" and "near it"."""
SYMBOLS = {"at": ("●", "at the memory’s limit"), "near": ("◐", "near it"), "far": ("○", "far from it")}


def text(value: object) -> str:
    return html.escape(str(value))


def number(value: float) -> str:
    """Three digits that matter, and thousands in groups."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 6)}f}"


def times(value: float) -> str:
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}×"


def percent(change: float) -> str:
    return f"{'+' if change > 0 else '−'}{abs(change):.0%}".replace("%", " %")


def day(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def ago(days: float) -> str:
    return "less than a day old" if days < 1 else f"{days:.0f} day{'s' * (round(days) != 1)} old"


def short(commit: str) -> str:
    return f"<code>{text(commit[:8])}</code>"


def graph_link(benchmark: Benchmark, machine: Machine | None = None, point: Point | None = None) -> str:
    """The address of asv's graph, with the machine and the parameters chosen."""
    chosen = [("machine", machine.name)] if machine else []
    chosen += [(f"p-{name}", value) for name, value in zip(benchmark.names, point or (), strict=False)]
    query = urllib.parse.urlencode(chosen, quote_via=urllib.parse.quote)
    return text(f"asv.html#{urllib.parse.quote(benchmark.name)}{'?' + query if query else ''}")


def grade(value: float) -> str:
    return "at" if value <= AT_LIMIT else "near" if value <= NEAR else "far"


def bar(value: float) -> str:
    """How much of the memory's speed is reached: a full bar is the limit."""
    width = max(1.0, min(100.0, 100 / value))
    return (
        '<svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="6"/><rect class="{grade(value)}" width="{width:.0f}" height="6"/></svg>'
    )


def chart(history: list[tuple[str, float]], band: float, label: str) -> str:
    """A line over the commits, its end marked, the noise band of the values before it shaded; a text says the same."""
    values = [value for _, value in history[-40:]]
    if len(values) < 2:
        return ""
    usual = sorted(values[:-1])[len(values[:-1]) // 2]
    low, high = min(*values, usual * (1 - band)), max(*values, usual * (1 + band))
    span = (high - low) or 1.0

    def y(value: float) -> float:
        return 21 - 18 * (value - low) / span

    def x(i: int) -> float:
        return 3 + 93 * i / (len(values) - 1)

    points = " ".join(f"{x(i):.1f},{y(value):.1f}" for i, value in enumerate(values))
    top, bottom = y(usual * (1 + band)), y(usual * (1 - band))
    said = f"{label}: {number(values[0])} at first, {number(values[-1])} now, over {len(values)} commits"
    return (
        f'<svg class="line" viewBox="0 0 100 24" role="img" aria-label="{text(said)}"><title>{text(said)}</title>'
        f'<rect class="band" x="0" y="{top:.1f}" width="100" height="{bottom - top:.1f}"/>'
        f'<polyline points="{points}"/><circle cx="{x(len(values) - 1):.1f}" cy="{y(values[-1]):.1f}" r="2.6"/></svg>'
    )


def verdict(history: list[tuple[str, float]], band: float) -> tuple[str, str]:
    """A class and words for a wall time's last change; less is better."""
    moved = change(history)
    if moved is None:
        return "first", "first value"
    if len(history) <= ENOUGH:
        return "first", "too few commits to tell"
    if moved > band:
        return "worse", f"▲ {percent(moved)} slower"
    if moved < -band:
        return "better", f"▼ {percent(moved)} faster"
    return "steady", "= steady"


def floor_cell(benchmark: Benchmark, machine: Machine, point: Point) -> str:
    """A table cell of a distance to the floor: value, bar, history and change."""
    value = machine.now(benchmark.name, point)
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return absent(value)
    history = machine.history(benchmark.name, point)
    kind, words = verdict(history, machine.band)
    symbol, meaning = SYMBOLS[grade(value)]
    label = f"{benchmark.name}, {', '.join(plain(p) for p in point)}"
    return (
        f'<td class="value {kind}"><a href="{graph_link(benchmark, machine, point)}">'
        f'<span class="{grade(value)}" title="{meaning}">{symbol}</span> <b>{times(value)}</b></a>'
        f'{bar(value)}{chart(history, machine.band, label)}<span class="note">{words}</span></td>'
    )


def exact_cell(benchmark: Benchmark, machine: Machine, point: Point) -> str:
    """A table cell of a count: the value, and the commit that changed it."""
    value = machine.now(benchmark.name, point)
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return absent(value)
    history = machine.history(benchmark.name, point)
    step = last_step(history, COUNTERS[benchmark.name])
    note = f"unchanged in {len(history)}" if len(history) > 1 else "first value"
    kind = "steady"
    if step:
        kind = "worse" if step[2] > step[1] else "better"
        mark = "▲ more" if kind == "worse" else "▼ less"
        note = f"{mark}: {number(step[1])} → {number(step[2])}<br>changed in commit {short(step[0])}"
    link = graph_link(benchmark, machine, point)
    return f'<td class="value {kind}"><a href="{link}"><b>{number(value)}</b></a><span class="note">{note}</span></td>'


def absent(value: float | str | None) -> str:
    if value is None:
        return '<td class="none failed">✗ failed</td>'
    if isinstance(value, str):
        return '<td class="none">not measured</td>'
    return '<td class="none">n/a</td>'


def table(caption: str, columns: list[str], rows: list[tuple[str, bool, list[str]]], corner: str = "") -> str:
    """A table in a box that scrolls by itself; a row is (its heading, whether it heads a group, cells)."""
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    body = ""
    for heading, group, cells in rows:
        if group:
            body += f'<tr class="group"><th scope="rowgroup" colspan="{len(columns) + 1}">{heading}</th></tr>'
        else:
            body += f'<tr><th scope="row">{heading}</th>{"".join(cells)}</tr>'
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}"><table><caption>{text(caption)}</caption>'
        f'<thead><tr><th scope="col">{corner}</th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )
