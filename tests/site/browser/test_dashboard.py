"""The published benchmarks in Chromium: a toy history with a planted slowdown, published as the real one is.

Set GPUOPT_SCREENSHOTS to a folder to keep pictures of the pages.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.asv_histories import Project
from tests.support.browser import Visit, browser, marks, served

TOOLS = Path(__file__).parents[3] / "asv_bench" / "tools"
pytestmark = marks(asv=importlib.util.find_spec("asv"))

COMMITS, PLANTED = 18, 12
FLOOR, COUNTER, TIME = "rules.Floor.track_over_floor", "counters.Counters.track_state_bytes", "rules.Time.track_time"
RULES = ["'GradientDescent'", "'Momentum'", "'RMSProp'", "'Adam'", "'AdamW'"]
GRID = {"rule": RULES, "executor": ["'numpy'", "'numba'", "'cupy'"], "size": ["1000", "1000000", "16000000"]}
BENCHMARKS: dict[str, tuple[dict[str, list[str]], str]] = {
    FLOOR: ({**GRID, "dtype": ["'float32'", "'float64'"]}, "times the floor"),
    COUNTER: ({"rule": RULES, "executor": GRID["executor"]}, "bytes an element"),
    TIME: (GRID, "µs"),
}
SLOW = ("'Adam'", "'numba'", "16000000", "'float32'")


class Site(NamedTuple):
    address: str
    html: Path
    commits: list[str]


def value(machine: str, name: str, point: tuple[str, ...], i: int) -> float:
    """What was measured: NaN on the GPU that a machine lacks, 1.4 times as much in one place from the planted commit on."""
    if ("'cupy'" in point) != machine.startswith("gpu") and (name != TIME or "'cupy'" in point):
        return math.nan
    if name == COUNTER:
        return 8.0 if i < COMMITS - 1 else 12.0
    wobble = 1 + 0.01 * ((i * 7) % 3 - 1)
    if name == TIME:
        return 9.0 if "'cupy'" in point else 1e-3 * int(point[2])
    return (1.05 if "'numba'" in point else 2.5) * wobble * (1.4 if point == SLOW and i >= PLANTED else 1.0)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    settings = json.loads((TOOLS.parent / "asv.conf.json").read_text(encoding="utf-8"))["frontpage"]
    settings["styles"] = [str(TOOLS.parent / "frontpage" / name) for name in settings["styles"]]
    project = Project(tmp_path_factory.mktemp("toy") / "toy", BENCHMARKS, commits=COMMITS, settings=settings, tags={"v1": 9})
    for machine in ("toy-machine", "gpu-toy", "another-machine"):
        project.measure(machine, value, facts={"gpu": "made up"} if machine.startswith("gpu") else {"cpu": "made up"})
    script = ["bash", str(project.bench / "tools" / "publish.sh")]
    done = subprocess.run(script, env=os.environ | {"PYTHON": sys.executable}, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    html = project.bench / "html"
    with served(html) as address:
        yield Site(address, html, project.commits)


@pytest.fixture(params=[(1280, 900, "light"), (375, 740, "dark")], ids=["desktop-light", "phone-dark"])
def visit(request: pytest.FixtureRequest, site: Site) -> Iterator[Visit]:
    width, height, scheme = request.param
    with browser() as opened:
        context = opened.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        yield Visit(context.new_page(), site.address)


def test_the_front_page_says_how_far_whether_worse_and_how_fresh(
    visit: Visit, site: Site, request: pytest.FixtureRequest
) -> None:
    said = visit.open("", "#machines", f"front-{request.node.callspec.id}")
    assert "distance to the memory’s limit" in said
    assert f"▲ 25 counters worse in {site.commits[-1][:8]}" in said
    assert "2 regressions confirmed" in said
    assert "gpu-toy: " in said
    assert "(less than a day ago)" in said
    height, wide = visit.page.evaluate("[document.documentElement.scrollHeight, document.documentElement.scrollWidth]")
    assert wide <= visit.page.viewport_size["width"]
    assert height < 4_000
    visit.page.evaluate("for (const d of document.querySelectorAll('details:not([name])')) d.open = true")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= visit.page.viewport_size["width"]
    assert visit.faults() == []


def test_the_front_page_needs_neither_script_nor_server(site: Site) -> None:
    with browser() as opened:
        page = opened.new_context(java_script_enabled=False, offline=True).new_page()
        page.goto((site.html / "index.html").as_uri())
        said = page.locator("body").inner_text()
        assert " UTC" in said
        assert "ago" not in said
        page.locator("summary", has_text="toy-machine").first.click()
        assert page.locator("details[name=far][open]").count() == 1
        assert "numba" in page.locator("details[name=far][open]").inner_text()


def test_the_front_page_leads_to_the_graph_of_a_value(visit: Visit) -> None:
    visit.open("", "#machines")
    visit.page.locator("#limit td a").first.click()
    visit.page.locator("#graph-display canvas").first.wait_for(state="visible", timeout=15_000)
    assert visit.errors == []
    assert visit.remote == []


@pytest.mark.parametrize(
    ("path", "wait_for", "expected"),
    [
        ("asv.html#/", "#summarygrid-display canvas", "Overview"),
        ("asv.html#summarylist", "#summarylist-body table", "track_over_floor"),
        ("asv.html#regressions", "#regressions-body table", "track_over_floor"),
        (f"asv.html#{FLOOR}", "#graph-display canvas", "track_over_floor"),
    ],
    ids=["grid", "list", "regressions", "graph"],
)
def test_a_page_of_asv_works_without_a_network(
    visit: Visit, request: pytest.FixtureRequest, path: str, wait_for: str, expected: str
) -> None:
    assert expected in visit.open(path, wait_for, request.node.callspec.id)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= visit.page.viewport_size["width"]
    covered = "e => { const at = e.getBoundingClientRect(), nav = document.querySelector('#nav').getBoundingClientRect();"
    covered += " return at.top < nav.bottom - 5; }"
    assert not visit.page.locator(wait_for).first.evaluate(covered), "asv's bar is above what the page shows, not over it"


def test_the_planted_slowdown_is_a_regression_at_its_commit(visit: Visit, site: Site) -> None:
    found = json.loads((site.html / "regressions.json").read_text())["regressions"]
    hashes = {int(k): v for k, v in json.loads((site.html / "index.json").read_text())["revision_to_hash"].items()}
    slow = [entry for entry in found if entry[0].startswith(FLOOR)]
    assert len(slow) == 2, "one on each machine with a CPU"
    assert all(part in slow[0][0] for part in SLOW)
    [(before, after, low, high)] = slow[0][6]
    assert before is None, "a single commit, not a range"
    assert hashes[after] == site.commits[PLANTED]
    assert high / low == pytest.approx(1.4, rel=0.03)
    assert site.commits[PLANTED][:8] in visit.open("asv.html#regressions", "#regressions-body table")
