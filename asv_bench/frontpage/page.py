"""The front page as a whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .cards import cards
from .history import History
from .pieces import GRADES, day, symbol, text
from .sections import changes_section, exact_section, graphs_section, limit_section, machines_section
from .settings import Settings, SettingsError
from .verdicts import Verdicts

HERE = Path(__file__).parent
VIEWS = {"asv.html": "All benchmarks as graphs", "asv.html#summarylist": "As a list", "asv.html#regressions": "Regressions"}
VIEWS |= {"verdicts.json": "For machines"}


def write(history: History, chosen: Settings, verdicts: Verdicts, project: str, now: float) -> str:
    style, age = ((HERE / name).read_text(encoding="utf-8") for name in ("style.css", "age.js"))
    title = f"{text(project)}: {text(chosen.heading)}"
    links = "".join(f'<li><a href="{address}">{words}</a></li>' for address, words in VIEWS.items())
    feed = f"{chosen.address.rstrip('/')}/regressions.xml" if chosen.address else "regressions.xml"
    sections = [changes_section(history, verdicts)]
    sections += [limit_section(history, chosen.limit, verdicts)] if chosen.limit else []
    sections += [exact_section(history, chosen), graphs_section(history, chosen), machines_section(history)]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{title}</title>\n<link rel="icon" href="data:,">\n'
        f'<link rel="alternate" type="application/atom+xml" title="Regressions" href="{text(feed)}">\n'
        f"<style>{style}{colours(chosen.styles)}</style>\n</head>\n<body>\n"
        f'<a class="skip" href="#main">To the numbers</a>\n\n'
        f"<header><h1>{title}</h1><p>{text(chosen.about)} {legend(chosen)}</p></header>\n"
        f'<nav aria-label="Views"><ul>{links}</ul></nav>\n<main id="main">\n{cards(history, chosen, verdicts)}\n'
        + "\n".join(sections)
        + f"\n</main>\n<footer><p>Written {day(now)} from asv’s results. Less is better everywhere.</p></footer>\n"
        f"<script>{age}</script>\n</body>\n</html>\n"
    )


def colours(styles: Sequence[str]) -> str:
    """CSS that draws lines in the first colour of two style files, one for light and one for dark pages."""
    found = []
    for name in styles:
        first = re.search(r"""axes\.prop_cycle:.*?["'](\w{6})["']""", (HERE / name).read_text(encoding="utf-8"))
        if first is None:
            raise SettingsError(f"styles in asv.conf.json: {name} has no axes.prop_cycle with a colour")
        found.append(f":root {{ --drawn: #{first[1]}; }}")
    if not found:
        return ""
    light, dark = found
    return f"{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}\n"


def legend(chosen: Settings) -> str:
    if not chosen.limit:
        return ""
    ends = {"at": f"up to {chosen.limit.at:g}×", "near": f"up to {chosen.limit.near:g}×", "far": "above"}
    return ", ".join(f"{symbol(GRADES[kind][0], GRADES[kind][1], kind)} {words}" for kind, words in ends.items()) + "."
