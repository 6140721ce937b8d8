"""What becomes of a machine's results: the step of bench-store that keeps them, with a repository in place of GitHub's."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOW, TOOLS = ROOT / ".github" / "workflows" / "bench-store.yml", ROOT / "asv_bench" / "tools"
if not WORKFLOW.exists() or sys.platform == "win32" or not shutil.which("bash"):
    pytest.skip("needs a clone, and bash", allow_module_level=True)
TIME, STATE = "rules.Time.track_time", "counters.C.track_state"
GH = """#!/bin/bash
[ "$1" = auth ] && exit 0
cp -r "$UPLOADED" "${@: -1}"
"""


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=toy", "-c", "user.email=toy@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def result(commit: str, started: int, *values: float | None) -> dict[str, Any]:
    columns = ["result", "params", "version", "started_at", "samples"]
    rows = {TIME: [list(values), [["1", "2"]], "1", started], STATE: [[8.0], [], "1", started]}
    return {"commit_hash": commit, "result_columns": columns, "results": rows, "version": 2}


class Remote:
    """A clone of main, in a folder of its own, and the repository that it is of."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clone, self.bare = folder, folder / "job" / "clone", folder / "bare"
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", "bare")
        self.clone.parent.mkdir()
        git(folder, "clone", "--quiet", "bare", "job/clone")
        bench = self.clone / "asv_bench"
        shutil.copytree(TOOLS, bench / "tools", ignore=shutil.ignore_patterns("__pycache__"))
        seed = bench / "results" / "old-machine" / "aaaaaaaa-py.json"
        seed.parent.mkdir(parents=True)
        seed.write_text("{}")
        git(self.clone, "checkout", "--quiet", "-B", "main")
        git(self.clone, "add", ".")
        git(self.clone, "commit", "--quiet", "-m", "seed")
        git(self.clone, "push", "--quiet", "origin", "main")
        self.commit = git(self.clone, "rev-parse", "HEAD")
        self.name = f"box/{self.commit[:8]}-py.json"

    def store(self, started: int, *values: float | None) -> None:
        """Run the step as GitHub would, with what a machine uploaded."""
        uploaded, home = self.folder / "upload", self.folder / "home"
        for path in (uploaded, home, self.clone.parent / "uploaded"):
            shutil.rmtree(path, ignore_errors=True)
        (uploaded / "box").mkdir(parents=True)
        (home / "bin").mkdir(parents=True)
        (home / "bin" / "gh").write_text(GH)
        (home / "bin" / "gh").chmod(0o755)
        (uploaded / "benchmarks.json").write_text("{}")
        (uploaded / "box" / "machine.json").write_text('{"machine": "box"}')
        (uploaded / self.name).write_text(json.dumps(result(self.commit, started, *values)))
        script = textwrap.dedent(WORKFLOW.read_text(encoding="utf-8").partition("        run: |\n")[2].partition("\n\n")[0])
        named = {
            "GITHUB_SHA": self.commit,
            "GITHUB_RUN_ID": "1",
            "MACHINE": "box",
            "UPLOADED": str(uploaded),
            "HOME": str(home),
        }
        environment = os.environ | named | {"PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"}
        command = ["bash", "-e", "-o", "pipefail", "-c", script]
        done = subprocess.run(command, cwd=self.clone, env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def kept(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(git(self.bare, "show", f"bench-results:{name}"))
        return found


def test_results_are_kept_beside_the_history_of_main_and_add_up(tmp_path: Path) -> None:
    remote = Remote(tmp_path)
    remote.store(100, 1.0, 5.0)
    names = git(remote.bare, "ls-tree", "-r", "--name-only", "bench-results").split()
    assert names == ["benchmarks.json", remote.name, "box/machine.json", "old-machine/aaaaaaaa-py.json"]
    assert remote.kept(remote.name)["results"][TIME][0] == [1.0, 5.0]
    remote.store(200, 3.0, None)
    row = remote.kept(remote.name)["results"][TIME]
    assert (row[0], row[4]) == ([2.0, None], [[1.0, 3.0], None])
    assert git(remote.bare, "rev-list", "--count", "bench-results") == "2"
    remote.store(200, 3.0, None)  # the same measurement adds nothing
    assert git(remote.bare, "rev-list", "--count", "bench-results") == "2"


def test_samples_of_three_runs() -> None:
    spec = importlib.util.spec_from_file_location("samples", TOOLS / "samples.py")
    assert spec is not None
    assert spec.loader is not None
    samples = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(samples)
    found = result("c", 1, 4.0, None)
    for started, values in ((2, (6.0, 7.0)), (3, (20.0, math.nan))):
        found = samples.combined(found, result("c", started, *values))
    row = found["results"][TIME]
    assert row[0][0] == 6.0
    assert math.isnan(row[0][1])
    assert row[4] == [[4.0, 6.0, 20.0], None]
    other = result("c", 4, 1.0, 1.0)
    other["results"][TIME][2] = "2"
    assert samples.combined(found, other)["results"][TIME][0] == [1.0, 1.0], "another version is another benchmark"
    assert samples.combined(found, other | {"results": {}})["results"] == found["results"]
