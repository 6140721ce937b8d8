"""Pieces of the front page: escaped text, symbols with words, small charts in SVG, tables; nothing remote."""

from __future__ import annotations

import datetime
import html
import math
import urllib.parse

from .changes import SPAN, Change
from .history import Benchmark, Machine, Point, Value, plainly
from .settings import Limit
from .verdicts import iso

GRADES = {"at": ("●", "at the limit"), "near": ("◐", "near it"), "far": ("○", "far from it")}


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


def percent(share: float) -> str:
    return (
        "±0 %"
        if abs(share) < 0.0005
        else f"{'+' if share > 0 else '−'}{abs(share):.{0 if abs(share) >= 0.1 else 1}%}".replace("%", " %")
    )


def day(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def moment(seconds: float) -> str:
    """A date; the reader's browser adds its age."""
    return f'<time datetime="{iso(seconds)}">{day(seconds)}</time>'


def short(commit: str) -> str:
    return f"<code>{text(commit[:8])}</code>"


def symbol(sign: str, words: str, kind: str = "") -> str:
    """A sign to look at, and words to listen to."""
    return f'<span class="{kind}"><span aria-hidden="true">{sign}</span><span class="hidden">{text(words)}</span></span>'


def graded(value: float, limit: Limit) -> str:
    """A value over the limit, with its symbol."""
    kind = "at" if value <= limit.at else "near" if value <= limit.near else "far"
    return f"{symbol(*GRADES[kind], kind)} <b>{times(value)}</b>"


def graph_address(benchmark: Benchmark, machine: str = "", point: Point = ()) -> str:
    """The address of asv's graph, with the machine and the parameters chosen."""
    chosen = [("machine", machine)] if machine else []
    chosen += [(f"p-{name}", value) for name, value in zip(benchmark.names, point, strict=False)]
    query = urllib.parse.urlencode(chosen, quote_via=urllib.parse.quote)
    return text(f"asv.html#{urllib.parse.quote(benchmark.name)}{'?' + query if query else ''}")


def graph_link(benchmark: Benchmark, machine: Machine, point: Point, words: str) -> str:
    """A value that leads to its graph; its name says of what it is."""
    of = f'<span class="hidden"> of {text(", ".join(plainly(point)) or benchmark.name)}</span>'
    return f'<a href="{graph_address(benchmark, machine.name, point)}">{words}{of}</a>'


def absent(value: float | str | None) -> str:
    """What stands in place of a number."""
    if value is None:
        return f"{symbol('✗', '', 'far')} <b class='far'>failed</b>"
    return "not measured" if isinstance(value, str) else "n/a"


def against(now: float, before: float | None) -> str:
    """A value beside an earlier one."""
    if before is None:
        return '<td class="soft">—</td>'
    moved = f" ({percent(now / before - 1)})" if before else ""
    return f"<td>{number(before)}{moved}</td>"


def chart(values: list[Value], releases: list[tuple[str, int]], words: str) -> str:
    """A line over the last commits; where the environment changed it breaks, and each release is a line."""
    shown = values[-SPAN:]
    if len(shown) < 2:
        return "<td></td>"
    low, high = min(v.value for v in shown), max(v.value for v in shown)
    place = [(3 + 94 * i / (len(shown) - 1), 18 - 15 * (v.value - low) / ((high - low) or 1)) for i, v in enumerate(shown)]
    changed = [i for i in range(1, len(shown)) if shown[i].run.environment != shown[i - 1].run.environment]
    tags = {next((i for i, v in enumerate(shown) if v.run.behind <= behind), 0): tag for tag, behind in releases}
    lines = "".join(upright(place, i, "environment", "the environment changed") for i in changed)
    lines += "".join(upright(place, i, "release", tag) for i, tag in tags.items() if i)
    parts = [place[i:j] for i, j in zip([0, *changed], [*changed, len(shown)], strict=True)]
    drawn = "".join(f'<polyline points="{" ".join(f"{x:.0f},{y:.1f}" for x, y in part)}"/>' for part in parts)
    said = f"{words}: {number(shown[0].value)} at first, {number(shown[-1].value)} now, over {len(shown)} commits"
    said += "; the environment changed" * bool(changed)
    x, y = place[-1]
    return (
        f'<td><svg class="line" viewBox="0 0 100 21" role="img" aria-label="{text(said)}">'
        f'{lines}{drawn}<circle cx="{x:.0f}" cy="{y:.1f}" r="2.2"/></svg></td>'
    )


def upright(place: list[tuple[float, float]], i: int, kind: str, words: str) -> str:
    """A line before a value."""
    x = (place[i - 1][0] + place[i][0]) / 2
    return f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="21"><title>{text(words)}</title></line>'


def table(caption: str, columns: list[str], rows: list[tuple[str, str]]) -> str:
    """A table in a box that scrolls by itself; the first column has headings, and a row without cells heads a group."""
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    body = ""
    for heading, cells in rows:
        if cells:
            body += f'<tr><th scope="row">{heading}</th>{cells}</tr>'
        else:
            body += f'<tr class="group"><th scope="rowgroup" colspan="{len(columns)}">{heading}</th></tr>'
    return (
        f'<div class="scroll" tabindex="0"><table><caption>{text(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def folded(summary: str, body: str, *, name: str = "", is_open: bool = False) -> str:
    """Something to open; of those with one name only one is open."""
    return f"<details{f' name={name!r}' if name else ''}{' open' * is_open}><summary>{summary}</summary>{body}</details>"


def change_item(change: Change, benchmark: Benchmark) -> str:
    """A line of a list of changes, with the way to its graph."""
    moved = f" ({percent(change.after / change.before - 1)})" if change.before else ""
    what = f"{text(', '.join(plainly(change.point)) or 'all')} on {text(change.machine)}"
    said = f" — accepted: {text(change.reason)}" if change.reason else ""
    return (
        f'<li><a href="{graph_address(benchmark, change.machine, change.point)}">{what}</a>: '
        f"{number(change.before)} → {number(change.after)}{moved} in {short(change.run.commit)}{said}</li>"
    )
