"""The front page of asv's pages, published by asv from made-up histories."""

from __future__ import annotations

import importlib
import json
import math
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.asv_histories import Project

BENCH = Path(__file__).parents[2] / "asv_bench"
if not BENCH.is_dir():
    pytest.skip("asv_bench is not part of this distribution", allow_module_level=True)
pytest.importorskip("asv")

FLOOR, TIME, STATE = "rules.Floor.track_over_floor", "rules.Time.track_time", "counters.C.track_state"
GRID = {"rule": ["'Adam'", "'SGD'"], "executor": ["'numpy'", "'cupy'"], "size": ["1000", "1000000"]}
BENCHMARKS = {
    FLOOR: (GRID, "times the floor"),
    TIME: ({**GRID, "rule": ["'Adam'"], "size": ["1000", "10000", "1000000"]}, "µs"),
    STATE: ({"rule": ["'Adam'", "'SGD'", "'Lion'", "'LARS'"]}, "bytes"),
    "noise.N.track_noise": ({}, "%"),
}
SETTINGS = {
    "limit": {"benchmarks": "rules.Floor.", "rows": "rule", "columns": "executor", "size": "size"},
    "crossover": {"benchmarks": "rules.Time.", "rows": "rule", "sides": "executor", "of": "cupy", "size": "size"},
    "exact": {STATE: 0.01},
    "first": "gpu",
    "accepted": "asv_bench/accepted.txt",
    "address": "https://toy.example/bench/",
}
COMMITS, STEP, LAST = 120, 105, 119
SLOW, DRIFTS = ("'Adam'", "'cupy'", "1000"), ("'SGD'", "'cupy'", "1000")
TIMES: dict[tuple[str, ...], float] = {
    ("'numpy'", "1000"): 5,
    ("'numpy'", "10000"): 8,
    ("'numpy'", "1000000"): 900,
    ("'cupy'", "1000"): 9.0,
}
TIMES |= {("'cupy'", "10000"): 9.5, ("'cupy'", "1000000"): 12}


def measured(machine: str, name: str, point: tuple[str, ...], i: int) -> Any:
    """A box that has everything planted; a cpu whose Python changes; an idle one."""
    noise = math.exp(0.05 * random.Random(f"{machine} {name} {point} {i}").gauss(0, 1))
    if name == FLOOR:
        if machine != "box":
            return 3 * noise if "'numpy'" in point else math.nan
        slow = 1.3 if point == SLOW and i >= STEP else 1 + 0.5 * i / LAST if point == DRIFTS else 1.0
        failed = point == ("'SGD'", "'numpy'", "1000000") and i == LAST
        return None if failed else 1.5 * noise * slow
    if name == TIME:
        return TIMES[point[1:]] * noise if machine == "box" else math.nan
    if name == STATE:
        if machine != "box":
            return 8.0 + 4 * (machine == "cpu" and i >= 110)  # as its Python changes
        creeping = {"'Adam'": 8.0 if i < LAST else 12.0, "'SGD'": 1000 * 1.005**i, "'Lion'": 4.0 if i < LAST else 5.0}
        return creeping.get(point[0], 16.0 if i < LAST else 8.0)
    return 1.0 if i < LAST else 50.0


class Published(NamedTuple):
    project: Project
    page: str
    said: dict[str, Any]

    @property
    def words(self) -> str:
        """The text of the page, tags taken out."""
        body = self.page[self.page.index("<body>") : self.page.index("<script>")]
        return " ".join(re.sub(r"<[^>]*>", " ", body).split())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Published:
    accepted = {LAST: {"asv_bench/accepted.txt": f"accepted: other.B no\naccepted: {STATE}\n"}}
    root = tmp_path_factory.mktemp("toy")
    project = Project(root / "toy", BENCHMARKS, commits=COMMITS, settings=SETTINGS, tags={"v1": 60}, files=accepted)
    path = project.bench / "asv.conf.json"
    config = json.loads(path.read_text()) | {"regressions_first_commits": {"noise\\..*": None}}
    path.write_text(json.dumps(config))
    project.measure("box", measured, facts={"gpu": "made <up>"})
    project.measure("cpu", measured, python=lambda i: "3.11" if i < 110 else "3.12")
    project.measure("idle", measured, range(95, 100))
    project.measure("box", lambda *_: 1e9, [LAST], facts={"gpu": "made <up>"}, commit="f" * 40)
    return Published(project, *project.publish())


def test_counters_decide_and_asv_confirms(site: Published) -> None:
    last, said = site.project.commits[LAST], site.said
    assert said["headline"]["state"] == "worse"
    assert said["headline"]["text"].startswith(f"▲ 2 counters worse, 1 better in {last[:8]}; ▲ 1 regression confirmed")
    worse = {"benchmark": STATE, "parameters": ["Adam"], "machine": "box", "commit": last, "before": 8.0, "after": 12.0}
    assert worse in said["counters"]["worse"]
    assert [entry["parameters"] for entry in said["counters"]["better"]] == [["LARS"]]
    assert [(e["commit"], e["parameters"]) for e in said["regressions"]] == [
        (site.project.commits[STEP], ["Adam", "cupy", "1,000"])
    ]
    assert said["regressions"][0]["after"] / said["regressions"][0]["before"] == pytest.approx(1.3, rel=0.06)


def test_drift_and_creep_show(site: Published) -> None:
    crept = {(entry["benchmark"], *entry["parameters"]) for entry in site.said["drifts"] if entry["machine"] == "box"}
    assert crept >= {(FLOOR, "SGD", "cupy", "1,000"), (STATE, "SGD")}
    assert "↗ crept" in site.words
    assert "last release best of 100" in site.words
    assert site.page.count('class="release"') >= 8


def test_an_environment_that_changed_is_a_line_and_no_verdict(site: Published) -> None:
    of_cpu = [e for kind in ("worse", "better") for e in site.said["counters"][kind] if e["machine"] == "cpu"]
    assert of_cpu == []
    assert not any(e["machine"] == "cpu" for e in site.said["drifts"] + site.said["regressions"])
    assert "the environment changed" in site.page


def test_machines_that_are_stale_or_failed_are_not_hidden(site: Published) -> None:
    machines = site.said["machines"]
    assert {name: (about["behind"], about["stale"]) for name, about in machines.items()} == {
        "box": (0, False),
        "cpu": (0, False),
        "idle": (20, True),
    }
    assert "Stale, and not shown here: idle" in site.words
    assert "failed was 1." in site.words
    assert "1 value failed" in site.words
    assert "1 not on the branch, ignored" in site.words
    assert machines["box"]["measured"] in site.page
    assert site.page.index("<summary>box</summary>") < site.page.index("<summary>cpu</summary>")


def test_the_size_from_which_a_side_is_faster(site: Published) -> None:
    assert "Adam between 10,000 and 1,000,000" in site.words


def test_what_is_muted_is_no_suspect(site: Published) -> None:
    assert not any(entry["benchmark"].startswith("noise.") for entry in site.said["suspects"])


def test_asv_s_own_page_and_feed(site: Published) -> None:
    html = site.project.bench / "html"
    asv = (html / "asv.html").read_text(encoding="utf-8")
    assert all(part in asv for part in ('<html lang="en">', 'href="index.html">Overview', "<noscript>", "max-width: 767px"))
    assert "https://toy.example/bench/asv.html#" in (html / "regressions.xml").read_text(encoding="utf-8")
    assert (
        'rel="alternate" type="application/atom+xml" title="Regressions" href="https://toy.example/bench/regressions.xml"'
        in site.page
    )


class Balance(HTMLParser):
    """Every element that is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.names[tag] += 1
        if tag not in {"meta", "link", "br", "wbr"} and not self.get_starttag_text().endswith("/>"):  # type: ignore[union-attr]
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_html_is_balanced_escaped_and_loads_nothing(site: Published) -> None:
    parser = Balance()
    parser.feed(site.page)
    assert parser.open == []
    assert parser.names["table"] == parser.names["caption"] >= 8
    assert parser.names["script"] == 1
    assert "made &lt;up&gt;" in site.page
    assert "made <up>" not in site.page
    assert 'src="' not in site.page
    assert f"asv.html#{FLOOR}?machine=box&amp;p-rule=%27Adam%27&amp;p-executor=%27numpy%27&amp;p-size=1000" in site.page
    assert "of Adam, cupy, 1,000</span></a>" in site.page


@pytest.fixture(scope="module")
def frontpage() -> Iterator[Any]:
    sys.path.insert(0, str(BENCH))
    try:
        yield lambda name: importlib.import_module(f"frontpage.{name}")
    finally:
        sys.path.remove(str(BENCH))


def a_history(frontpage: Any, values: list[float], name: str = "t") -> Any:
    history = frontpage("history")
    runs = [history.Run(f"{i:040x}", len(values) - 1 - i, 0.0, (), {name: {(): v}}) for i, v in enumerate(values)]
    return history.History({name: history.Benchmark(name, "s", (), ())}, [history.Machine("m", {}, runs)], [])


@pytest.mark.parametrize("noise", [0.02, 0.05, 0.1, 0.15])
def test_noise_is_seldom_a_suspect_and_a_drift_always_is_one(frontpage: Any, noise: float) -> None:
    changes, random_ = frontpage("changes"), random.Random(noise)
    false = drifted = missed = 0
    for _ in range(40):
        still = [math.exp(noise * random_.gauss(0, 1)) for _ in range(200)]
        rising = [value * (1 + 0.5 * i / 199) for i, value in enumerate(still)]
        false += len(changes.suspects(a_history(frontpage, still), lambda name: True))
        drifted += len(changes.time_drifts(a_history(frontpage, still), lambda name: True))
        missed += not changes.time_drifts(a_history(frontpage, rising), lambda name: True)
    assert (false <= 2, drifted <= 3, missed) == (True, True, 0)


def test_a_suspect(frontpage: Any) -> None:
    values = [1 + 0.01 * (i % 3) for i in range(30)]
    suspects = frontpage("changes").suspects
    assert [c.after for c in suspects(a_history(frontpage, [*values, 1.2]), lambda name: True)] == [1.2]
    assert suspects(a_history(frontpage, [*values, 1.05]), lambda name: True) == []
    assert suspects(a_history(frontpage, [*values, 1.2]), lambda name: False) == []
    assert suspects(a_history(frontpage, [1.0] * 5 + [2.0]), lambda name: True) == []


def test_accepted_losses_are_not_red(frontpage: Any) -> None:
    verdicts, settings = frontpage("verdicts"), frontpage("settings").settings({"frontpage": {"exact": {"t": 0}}})
    history, quiet = a_history(frontpage, [1.0, 2.0]), lambda name: False

    def judge(reasons: dict[str, str]) -> Any:
        return verdicts.judge(history, settings, [], quiet, lambda before, after: reasons)

    assert judge({}).state == "worse"
    found = judge({"t": "wider loads"})
    assert (found.state, found.text) == ("steady", "▲ 1 counter worse (1 accepted) in 00000000")
    assert found.worse[0].reason == "wider loads"
    assert '"big soft"' in frontpage("cards").worse_card(found), "nothing is green while a counter is worse"


def test_a_stale_machine_s_times_do_not_decide_beside_a_fresh_one(frontpage: Any) -> None:
    verdicts, settings = frontpage("verdicts"), frontpage("settings").settings({})
    history = a_history(frontpage, [1 + 0.01 * (i % 3) for i in range(60)] + [1.5] * 30 + [3.0])

    def judge() -> Any:
        return verdicts.judge(history, settings, [], lambda name: False, lambda before, after: {})

    assert judge().state == "suspect"
    fresh = a_history(frontpage, [1.0] * 3).machines[0]
    fresh.name = "fresh"
    history.machines.append(fresh)
    history.machines[0].stale = True
    found = judge()
    assert found.state == "steady"
    assert {change.machine for change in (*found.suspects, *found.drifts)} == {"m"}


def test_lines_that_accept_are_those_that_the_change_adds(frontpage: Any, tmp_path: Path) -> None:
    lines = ["accepted: a.B old", "accepted: a.C new reason\naccepted: a.D\n# accepted: a.E x"]
    files = {0: {"asv_bench/ok.txt": lines[0]}, 1: {"asv_bench/ok.txt": "\n".join(lines)}}
    project = Project(tmp_path / "toy", {}, commits=2, files=files)
    between = frontpage("accepted").between
    assert between(str(project.bench), *project.commits, "asv_bench/ok.txt") == {"a.C": "new reason"}
    assert between(str(project.bench), "f" * 40, project.commits[1], "asv_bench/ok.txt") == {}
    assert between(str(project.bench), *project.commits, "") == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"limits": 1}, "frontpage in asv.conf.json has no 'limits'; it may have heading"),
        ({"exact": {"a.B": {"worse": "up"}}}, "a.B in asv.conf.json: worse must be one of more, less, either, not 'up'"),
        ({"limit": {"rows": "rule"}}, "limit in asv.conf.json: "),
    ],
)
def test_settings_that_cannot_be_used(frontpage: Any, given: dict[str, Any], message: str) -> None:
    settings = frontpage("settings")
    with pytest.raises(settings.SettingsError, match=re.escape(message)):
        settings.settings({"frontpage": given})


def test_lines_have_the_colours_of_other_figures(frontpage: Any, tmp_path: Path) -> None:
    page, settings = frontpage("page"), frontpage("settings")
    chosen = settings.settings(json.loads((BENCH / "asv.conf.json").read_text(encoding="utf-8")))
    light, dark = (colour(name) for name in ("light", "dark"))
    assert page.colours(chosen.styles) == (
        f":root {{ --drawn: #{light}; }}\n@media (prefers-color-scheme: dark) {{ :root {{ --drawn: #{dark}; }} }}\n"
    )
    assert page.colours(()) == ""
    (tmp_path / "plain.mplstyle").write_text("lines.linewidth: 2\n")
    with pytest.raises(settings.SettingsError, match=r"plain\.mplstyle has no axes\.prop_cycle with a colour"):
        page.colours([str(tmp_path / "plain.mplstyle")] * 2)


def colour(name: str) -> str:
    """The first colour of a style of the library's figures, as matplotlib reads it."""
    style = pytest.importorskip("matplotlib.style")
    with style.context(f"gpuopt.plot.{name}"):
        return str(sys.modules["matplotlib"].rcParams["axes.prop_cycle"].by_key()["color"][0]).removeprefix("#")


def test_another_project_s_results(tmp_path: Path) -> None:
    """No limit, no counters, no parameters, two commits: the times over those of the last release."""
    project = Project(tmp_path / "toy", {"io.time_read": ({}, "seconds")}, commits=8, tags={"v2": 3}, hours=500)
    project.measure("laptop", lambda machine, name, point, i: 1.0 if i < 4 else 1.5)
    site = Published(project, *project.publish())
    assert "How fast, over release v2?" in site.words
    assert "io.time_read 1.50×" in site.words
    assert site.said["headline"]["state"] == "worse"
    assert site.said["regressions"][0]["commit"] == project.commits[4]
    assert "limit" not in site.words
