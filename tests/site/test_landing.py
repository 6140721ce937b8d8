"""The landing page of the published benchmarks, made from small made-up results; asv and a browser are not needed."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

TOOLS = Path(__file__).parents[2] / "asv_bench" / "tools"
if not TOOLS.is_dir():
    pytest.skip("asv_bench is not part of this distribution", allow_module_level=True)

NAN = float("nan")
FLOOR, STATE, NOISE = "rules.Floor.track_over_floor", "counters.Counters.track_state_bytes", "noise.Noise.track_noise"
RULES, EXECUTORS, SIZES = ["'Adam'", "'Momentum'"], ["'numpy'", "'cupy'"], ["1000", "16000000"]
BENCHMARKS: dict[str, Any] = {
    FLOOR: (["rule", "executor", "size", "dtype"], [RULES, EXECUTORS, SIZES, ["'float32'"]], "times the floor"),
    STATE: (["rule", "executor"], [RULES, EXECUTORS], "bytes an element"),
    NOISE: (["executor"], [EXECUTORS], "%"),
}
START = 1_767_268_800
"""1 January 2026, noon; each commit is a day later."""


@pytest.fixture
def landing(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The script as a module; the scripts beside it are imported by their bare names."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(TOOLS))
    yield importlib.import_module("landing")
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(TOOLS)):
            del sys.modules[name]


def write_benchmarks(folder: Path, benchmarks: dict[str, Any]) -> None:
    folder.mkdir(exist_ok=True)
    listed = {
        name: {"name": name, "param_names": names, "params": params, "unit": unit, "version": "1", "type": "track"}
        for name, (names, params, unit) in benchmarks.items()
    }
    (folder / "benchmarks.json").write_text(json.dumps(listed | {"version": 2}))


def write_run(folder: Path, machine: str, i: int, values: dict[str, Any]) -> None:
    """One result file: ``values`` gives each benchmark a list, None, or a function of the parameters."""
    (folder / machine).mkdir(exist_ok=True)
    (folder / machine / "machine.json").write_text(json.dumps({"machine": machine, "cpu": "made <up>", "version": 1}))
    rows = {}
    for name, value in values.items():
        params = BENCHMARKS[name][1]
        rows[name] = [
            [value(*p) for p in product(*params)] if callable(value) else value,
            params,
            "1",
            1000 * (START + 86400 * i),
        ]
    file = {"commit_hash": f"{i:x}" * 40, "date": 1000 * (START + 86400 * i), "results": rows, "version": 2}
    file["result_columns"] = ["result", "params", "version", "started_at"]
    (folder / machine / f"{i}.json").write_text(json.dumps(file))


def page_of(landing: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int = 5) -> str:
    now = START + 86400 * days
    monkeypatch.setattr(sys, "argv", ["landing", str(tmp_path / "results"), str(tmp_path / "html"), "--now", str(now)])
    assert landing.main() == 0
    return (tmp_path / "html" / "index.html").read_text(encoding="utf-8")


def floor(slow: float = 1.0) -> Any:
    return lambda rule, executor, size, dtype: NAN if "cupy" in executor else (2.5 if "16" in size else 123.4) * slow


def state(value: float = 8.0) -> Any:
    return lambda rule, executor: NAN if "cupy" in executor else value


def history(folder: Path) -> None:
    """Five commits on a machine without a GPU; the last is slower and has more state."""
    write_benchmarks(folder, BENCHMARKS)
    for i in range(1, 6):
        values = {FLOOR: floor(1.3 if i == 5 else 1.0), STATE: state(12 if i == 5 else 8), NOISE: [3.0, NAN]}
        write_run(folder, "box", i, values)


def visible(page: str) -> str:
    """The text of the page, tags taken out."""
    body = page[page.index("<body>") :]
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def test_numbers_changes_and_freshness_are_there(landing: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history(tmp_path / "results")
    said = visible(page_of(landing, tmp_path, monkeypatch))
    assert "3.25×" in said
    assert "160×" in said
    assert "▲ +30 % slower" in said
    assert "4 of 4 distances grew" in said
    assert "2 exact counters changed" in said
    assert "▲ more: 8 → 12 changed in commit 55555555" in said
    assert "±5 %" in said
    assert "less than a day old" in said
    assert "7 of 14; 7 not applicable here" in said
    assert "No GPU was measured yet." in said
    assert "Not measured on box: cupy." in said
    assert "no value failed" in said


def test_links_lead_to_the_graph_of_the_value(landing: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history(tmp_path / "results")
    page = page_of(landing, tmp_path, monkeypatch)
    assert f'"asv.html#{FLOOR}?machine=box&amp;p-rule=%27Adam%27&amp;p-executor=%27numpy%27&amp;p-size=1000&amp;' in page


def test_nothing_remote_no_script_and_all_is_escaped(
    landing: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history(tmp_path / "results")
    page = page_of(landing, tmp_path, monkeypatch)
    assert "//" not in page.replace("<!doctype html>", "")
    assert "<script" not in page
    assert "made &lt;up&gt;" in page
    assert "made <up>" not in page


class Balance(HTMLParser):
    """Every element that is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in {"meta", "link", "br", "wbr"} and not self.get_starttag_text().endswith("/>"):  # type: ignore[union-attr]
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_html_is_balanced_and_every_table_has_a_caption(
    landing: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history(tmp_path / "results")
    page = page_of(landing, tmp_path, monkeypatch)
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    assert page.count("<table>") == page.count("<caption>") >= 4


def test_a_machine_without_values_is_shown_as_such(
    landing: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"
    write_benchmarks(results, BENCHMARKS)
    (results / "idle").mkdir()
    (results / "idle" / "machine.json").write_text(json.dumps({"machine": "idle", "version": 1}))
    said = visible(page_of(landing, tmp_path, monkeypatch))
    assert "Never measured" in said
    assert "Nothing measured yet" in said
    assert "Too few commits to tell" in said
    assert "idle" in said
    assert "0 of 14" in said


def test_a_missing_benchmark_is_named(landing: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_benchmarks(tmp_path / "results", BENCHMARKS)
    write_run(tmp_path / "results", "box", 1, {STATE: state()})
    said = visible(page_of(landing, tmp_path, monkeypatch)).replace(" ", "")
    assert f"✗8of{FLOOR}" in said
    assert "±10%(assumed)" in said


def test_failed_values_are_counted_and_shown(landing: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_benchmarks(tmp_path / "results", BENCHMARKS)
    write_run(tmp_path / "results", "box", 1, {FLOOR: None, STATE: [8.0, None, 8.0, None], NOISE: [1.0, NAN]})
    said = visible(page_of(landing, tmp_path, monkeypatch))
    assert "✗ 10 values failed" in said
    assert said.count("✗ failed") >= 10
    assert "2 failed" in said


def test_values_of_another_version_do_not_count(landing: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history(tmp_path / "results")
    path = tmp_path / "results" / "benchmarks.json"
    listed = json.loads(path.read_text())
    listed[STATE]["version"] = "2"
    path.write_text(json.dumps(listed))
    assert "✗ 4 of" in visible(page_of(landing, tmp_path, monkeypatch))


def test_old_numbers_are_called_stale(landing: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history(tmp_path / "results")
    assert "✗ Stale: 45 days old" in visible(page_of(landing, tmp_path, monkeypatch, days=50))


def test_a_machine_that_is_behind_says_so(landing: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history(tmp_path / "results")
    write_run(tmp_path / "results", "slowcoach", 3, {FLOOR: floor(), STATE: state()})
    assert "33333333 , 2 behind the newest measured" in visible(page_of(landing, tmp_path, monkeypatch))


def test_the_size_from_which_the_gpu_is_faster(landing: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    time = "rules.Time.track_time"
    sizes = ["1000", "100000", "10000000"]
    monkeypatch.setitem(BENCHMARKS, time, (["rule", "executor", "size"], [["'Adam'"], ["'numpy'", "'cupy'"], sizes], "µs"))
    write_benchmarks(tmp_path / "results", BENCHMARKS)
    write_run(tmp_path / "results", "gpu", 1, {time: [10.0, 40.0, 4000.0, 20.0, 20.0, 100.0]})
    said = visible(page_of(landing, tmp_path, monkeypatch))
    assert "about 10,000 (between 1,000 and 100,000)" in said
    assert "No GPU was measured yet." not in said


def test_asv_s_own_page_moves_and_its_order_of_commits_counts(
    landing: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history(tmp_path / "results")
    html = tmp_path / "html"
    html.mkdir()
    (html / "index.html").write_text('<html><title>airspeed velocity</title><li id="nav-li-" class="active"></li></html>')
    (html / "regressions.xml").write_text('<link href="index.html#x"/>')
    order = {str(i): f"{j:x}" * 40 for i, j in enumerate([5, 1, 2, 3, 4])}
    (html / "index.json").write_text(json.dumps({"project": "toy <3", "revision_to_hash": order}))
    (html / "regressions.json").write_text(json.dumps({"regressions": [1, 2, 3]}))
    for _ in range(2):  # a second time changes nothing
        page = page_of(landing, tmp_path, monkeypatch)
        assert '<a href="index.html">Overview</a>' in (html / "asv.html").read_text()
        assert (html / "regressions.xml").read_text() == '<link href="asv.html#x"/>'
        assert "toy &lt;3" in page
        assert "3 regressions" in visible(page)
        assert "Commit 44444444" in visible(page)
        assert "slower" not in visible(page)


def test_results_that_are_not_there_are_an_error(landing: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["landing", str(tmp_path), str(tmp_path / "html")])
    assert landing.main() == 1


JQUERY = "https://code.jquery.com/jquery-3.3.1.min.js"


@pytest.fixture
def offline(landing: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """offline.py, with jquery in its cache as three bytes, and no npm."""
    kept = tmp_path / "assets" / "jquery@3.3.1" / "dist" / "jquery.min.js"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"abc")
    monkeypatch.setenv("GPUOPT_ASV_ASSETS", str(tmp_path / "assets"))
    monkeypatch.setenv("PATH", str(tmp_path))
    return importlib.import_module("offline")


def published(tmp_path: Path, head: str) -> Path:
    html = tmp_path / "html"
    html.mkdir()
    (html / "index.json").write_text("{}")
    (html / "index.html").write_text(f"<html><head>{head}</head></html>")
    return html


ABC = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="


def test_a_remote_script_becomes_a_checked_local_copy(offline: ModuleType, tmp_path: Path) -> None:
    tag = f'<script src="{JQUERY}" integrity="{ABC}" crossorigin="anonymous" onerror="f()"></script>'
    html = published(tmp_path, tag)
    assert offline.make_offline(html) == 1
    assert (
        html / "index.html"
    ).read_text() == '<html><head><script src="vendor/jquery.min.js" onerror="f()"></script></head></html>'
    assert (html / "vendor" / "jquery.min.js").read_bytes() == b"abc"


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (f'<script src="{JQUERY}" integrity="sha256-AAAA"></script>', "is not the file it should be"),
        (f'<script src="{JQUERY}"></script>', "states a hash"),
        ('<script src="https://elsewhere.example/x.js" integrity="sha256-AAAA"></script>', "no npm package is known"),
        ('<script src="//elsewhere.example/x.js"></script>', "no npm package is known"),
        ("<style>@import 'https://elsewhere.example/x.css';</style>", "remote references remain"),
        ("<style>a { background: url(//elsewhere.example/x.png) }</style>", "remote references remain"),
        (
            '<link href="https://cdn.jsdelivr.net/npm/bootstrap@3.1.1/dist/css/bootstrap.min.css" integrity="sha256-A">',
            "npm could not",
        ),
    ],
)
def test_what_cannot_be_made_local_is_an_error(offline: ModuleType, tmp_path: Path, head: str, message: str) -> None:
    with pytest.raises(offline.OfflineError, match=message):
        offline.make_offline(published(tmp_path, head))


def test_times_of_rounds_taken_in_turns(landing: ModuleType, tmp_path: Path) -> None:
    compare = importlib.import_module("compare_times")
    for i in range(3):
        for side, value in (("base", 2.0), ("new", 3.0)):
            folder = tmp_path / f"{side}-{i}"
            folder.mkdir()
            other = [1.0 + i, 1.0 + i, NAN, NAN] * 2
            write_run(folder, "smoke", 1, {FLOOR: [value + 0.1 * i, *other[1:]], STATE: state(value)})
    said = compare.report(tmp_path)
    assert "4 wall times in 3 rounds taken in turns: 1 moved." in said
    assert "▲ slower" in said
    assert STATE not in said


def test_few_commits_are_not_judged(landing: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three commits and a slow last one: the numbers are shown, no verdict."""
    write_benchmarks(tmp_path / "results", BENCHMARKS)
    for i in range(1, 4):
        write_run(tmp_path / "results", "box", i, {FLOOR: floor(1.3 if i == 3 else 1.0), NOISE: [3.0, NAN]})
    said = visible(page_of(landing, tmp_path, monkeypatch))
    assert "too few commits to tell" in said
    assert "Too few commits to tell" in said
    assert "slower" not in said
