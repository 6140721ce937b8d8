"""The plugin itself: what ``asv publish`` calls."""

from __future__ import annotations

import functools
import json
import math
import os
import re
import time
from pathlib import Path
from typing import Any

from asv.publishing import OutputPublisher

from . import accepted, asv_pages, changes, page, settings, verdicts
from .reading import read


class FrontPage(OutputPublisher):
    """Written last: it tells what asv's step detector found."""

    name = "frontpage"
    button_label = "Overview"
    description = "How far, whether worse, how fresh"
    order = math.inf

    @classmethod
    def publish(cls, conf: Any, repo: Any, benchmarks: Any, graphs: Any, revisions: dict[str, int]) -> None:
        chosen = settings.settings(vars(conf))
        html, now = Path(conf.html_dir), float(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
        history = read(conf, repo, benchmarks, chosen.first, now)
        named = json.loads((html / "regressions.json").read_text(encoding="utf-8"))["regressions"]
        confirmed = changes.regressions(history, chosen, named, {number: commit for commit, number in revisions.items()})
        without = [pattern for pattern, first in conf.regressions_first_commits.items() if first is None]

        def muted(name: str) -> bool:
            return any(re.match(pattern, name) for pattern in without)

        @functools.cache
        def reasons(before: str, after: str) -> dict[str, str]:
            return accepted.between(conf.repo, before, after, chosen.accepted)

        found = verdicts.judge(history, chosen, confirmed, muted, reasons)
        asv_pages.move(html, chosen.address)
        (html / "verdicts.json").write_text(json.dumps(found.as_json(history.machines), indent=1) + "\n", encoding="utf-8")
        (html / "index.html").write_text(page.write(history, chosen, found, conf.project, now), encoding="utf-8")
