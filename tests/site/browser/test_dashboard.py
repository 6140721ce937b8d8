"""The published benchmarks in Chromium: a toy history with a planted slowdown, published as the real one is.

Set GPUOPT_SCREENSHOTS to a folder to keep pictures of the pages.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest

TOOLS = Path(__file__).parents[3] / "asv_bench" / "tools"
CHROMIUM = (
    os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
WANTED = {
    "no Chromium was found (set CHROMIUM)": CHROMIUM,
    "the Python package playwright is not installed": importlib.util.find_spec("playwright"),
    "the Python package asv is not installed": importlib.util.find_spec("asv"),
    "neither npm nor GPUOPT_ASV_ASSETS is there": os.environ.get("GPUOPT_ASV_ASSETS") or shutil.which("npm"),
}
MISSING = [reason for reason, found in WANTED.items() if not found]
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason="; ".join(MISSING)),
    # Playwright's event loop leaves sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

COMMITS, PLANTED = 12, 8
FLOOR, COUNTER = "rules.Floor.track_over_floor", "counters.Counters.track_state_bytes"
PARAMS = {
    FLOOR: [["'Adam'", "'Momentum'"], ["'numpy'", "'numba'", "'cupy'"], ["1000000", "16000000"], ["'float32'"]],
    COUNTER: [["'Adam'", "'Momentum'"], ["'numpy'", "'numba'", "'cupy'"]],
}
SLOW = ("'Adam'", "'numba'", "16000000", "'float32'")


class Site(NamedTuple):
    address: str
    html: Path
    commits: list[str]


def git(repo: Path, *arguments: str, day: int = 1) -> str:
    who = {"GIT_AUTHOR_DATE": f"2026-01-{day:02d}T12:00:00Z", "GIT_COMMITTER_DATE": f"2026-01-{day:02d}T12:00:00Z"}
    command = ["git", "-c", "user.name=toy", "-c", "user.email=toy@example.org", "-c", "commit.gpgsign=false", *arguments]
    return subprocess.run(command, cwd=repo, env=os.environ | who, check=True, capture_output=True, text=True).stdout.strip()


def value(name: str, point: tuple[str, ...], i: int) -> float:
    """What the toy's i-th commit measured: NaN on the GPU, 1.4 times as much in one place from the planted commit on."""
    if "'cupy'" in point:
        return float("nan")
    if name == COUNTER:
        return 8.0 if i < PLANTED else 12.0
    wobble = 1 + 0.01 * ((i * 7) % 3 - 1)
    return (1.05 if "'numba'" in point else 2.5) * wobble * (1.4 if point == SLOW and i >= PLANTED else 1.0)


def toy(repo: Path) -> list[str]:
    """A git history of trivial commits with a result file of each."""
    bench = repo / "asv_bench"
    shutil.copytree(TOOLS, bench / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    (bench / "benchmarks").mkdir()
    (bench / "benchmarks" / "__init__.py").write_text("def track_one():\n    return 1\n")
    settings = {"version": 1, "project": "toy", "repo": "..", "branches": ["main"], "environment_type": "virtualenv"}
    settings |= {"results_dir": "results", "html_dir": "html", "regressions_thresholds": {".*": 0.1}}
    (bench / "asv.conf.json").write_text(json.dumps(settings))
    names = {FLOOR: ["rule", "executor", "size", "dtype"], COUNTER: ["rule", "executor"]}
    units = {FLOOR: "times the floor", COUNTER: "bytes an element"}
    listed: dict[str, Any] = {
        name: {"code": "", "name": name, "param_names": names[name], "params": params, "type": "track", "unit": units[name]}
        | {"timeout": 60, "version": "1"}
        for name, params in PARAMS.items()
    }
    machine = bench / "results" / "toy-machine"
    machine.mkdir(parents=True)
    (bench / "results" / "benchmarks.json").write_text(json.dumps(listed | {"version": 2}))
    (machine / "machine.json").write_text(json.dumps({"machine": "toy-machine", "cpu": "made up", "version": 1}))
    git(repo, "init", "--quiet", "--initial-branch=main")
    commits = []
    for i in range(COMMITS):
        (repo / "step.txt").write_text(str(i))
        git(repo, "add", "step.txt")
        git(repo, "commit", "--quiet", "-m", f"step {i}", day=i + 1)
        commits.append(git(repo, "rev-parse", "HEAD"))
        date = 1000 * int(git(repo, "log", "-1", "--format=%ct"))
        rows = {n: [[value(n, p, i) for p in product(*params)], params, "1", date] for n, params in PARAMS.items()}
        file = {
            "commit_hash": commits[-1],
            "env_name": "toy",
            "date": date,
            "params": {"machine": "toy-machine", "python": "3"},
        }
        file |= {"python": "3", "requirements": {}, "env_vars": {}, "durations": {}, "version": 2, "results": rows}
        file["result_columns"] = ["result", "params", "version", "started_at"]
        (machine / f"{commits[-1][:8]}-toy.json").write_text(json.dumps(file))
    return commits


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    repo = tmp_path_factory.mktemp("toy")
    commits = toy(repo)
    script = ["bash", str(repo / "asv_bench" / "tools" / "publish.sh")]
    done = subprocess.run(script, env=os.environ | {"PYTHON": sys.executable}, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    html = repo / "asv_bench" / "html"
    command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0", "--directory", str(html)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().split(" port ")[1].split()[0]
        yield Site(f"http://127.0.0.1:{port}/", html, commits)
        server.terminate()


class Visit:
    """A page that was opened, with all that went wrong on it."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.address = page, address
        self.errors: list[str] = []
        self.remote: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("requestfailed", lambda request: self.errors.append(f"failed: {request.url}"))
        page.on("response", lambda r: self.errors.append(f"{r.status}: {r.url}") if r.status >= 400 else None)
        page.on("request", self._request)

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.remote.append(request.url)

    def open(self, path: str, wait_for: str, picture: str = "") -> str:
        """Go there, wait until something shows, and hold that nothing went wrong; the visible text."""
        self.page.goto("about:blank")
        self.page.goto(self.address + path, wait_until="networkidle")
        self.page.locator(wait_for).first.wait_for(state="visible", timeout=15_000)
        assert self.errors == []
        assert self.remote == []
        assert "error.html" not in self.page.url
        if picture and (folder := os.environ.get("GPUOPT_SCREENSHOTS")):
            self.page.screenshot(path=str(Path(folder) / f"{picture}.png"), full_page=True)
        return str(self.page.locator("body").inner_text())


@pytest.fixture(params=[(1280, 900, "light"), (390, 844, "dark")], ids=["desktop-light", "phone-dark"])
def visit(request: pytest.FixtureRequest, site: Site) -> Iterator[Visit]:
    from playwright.sync_api import sync_playwright

    width, height, scheme = request.param
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=quiet)
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        yield Visit(context.new_page(), site.address)
        browser.close()


def test_the_landing_page_says_how_far_whether_worse_and_how_fresh(
    visit: Visit, site: Site, request: pytest.FixtureRequest
) -> None:
    said = visit.open("", "#machines", f"landing-{request.node.callspec.id}")
    assert "distance to the memory’s limit" in said
    assert "2.50×" in said or "2.52×" in said or "2.48×" in said
    assert site.commits[-1][:8] in said
    assert "2 regressions" not in said
    assert "asv names" in said
    assert "No GPU was measured yet." in said
    assert "20 of 30" not in said
    assert "12 of 18; 6 not applicable here" in said
    assert f"changed, last in commit {site.commits[PLANTED][:8]}" in said
    assert visit.page.locator("script").count() == 0
    assert visit.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_the_landing_page_leads_to_the_graph_of_a_value(visit: Visit) -> None:
    visit.open("", "#machines")
    visit.page.locator("td.value a").first.click()
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


def test_the_planted_slowdown_is_a_regression_at_its_commit(visit: Visit, site: Site) -> None:
    found = json.loads((site.html / "regressions.json").read_text())["regressions"]
    hashes = {int(k): v for k, v in json.loads((site.html / "index.json").read_text())["revision_to_hash"].items()}
    slow = [entry for entry in found if entry[0].startswith(FLOOR)]
    assert len(slow) == 1
    assert all(part in slow[0][0] for part in SLOW)
    [(before, after, low, high)] = slow[0][6]
    assert before is None, "a single commit, not a range"
    assert hashes[after] == site.commits[PLANTED]
    assert high / low == pytest.approx(1.4, rel=0.03)
    assert site.commits[PLANTED][:8] in visit.open("asv.html#regressions", "#regressions-body table")
