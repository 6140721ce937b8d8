"""The GPU's check writes down the outcome of each test, and goes on with those that did not pass."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tools.gpu_check.outcomes import VARIABLE
from tools.gpu_check.rows import BEGUN, Rows, latest

ROOT = Path(__file__).parents[2]
TESTS = """
import sys
from types import SimpleNamespace as Space
import pytest
def test_passes(): pass
def test_fails(): assert 1 == 2, "as it must"
def test_is_skipped(): pytest.skip("no second device")
def test_kills_the_device():
    sys.modules["cupy"] = Space(cuda=Space(runtime=Space(deviceSynchronize=lambda: 1 / 0)))
    assert False
def test_comes_after_it(): assert "cupy" not in sys.modules
"""


def test_outcomes_are_written_as_they_come_and_what_passed_is_not_run_again(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]")
    path = tmp_path / "rows"
    environment = {**os.environ, VARIABLE: str(path), "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    plugins = ["-p", "tools.gpu_check.outcomes", "-p", "xdist", "-p", "no:cacheprovider"]
    line = [sys.executable, "-m", "pytest", *plugins, "-n", "1"]

    def rows() -> list[tuple[str, str, str]]:
        """What a run adds."""
        before = len(Rows(path).all)
        done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 1, done.stdout
        return [(row["test"].partition("::")[2], row["outcome"], row["why"]) for row in Rows(path).all[before:]]

    rows()
    outcomes = latest(Rows(path).all, "test")
    assert {test.partition("::")[2]: (row["outcome"], row["why"]) for (test,), row in outcomes.items()} == {
        "test_passes": ("passed", ""),
        "test_fails": ("failed", "AssertionError: as it must assert 1 == 2"),
        "test_is_skipped": ("skipped", "Skipped: no second device"),
        "test_kills_the_device": ("failed", "worker 'gw0' crashed while running 'test_it.py::test_kills_the_device'"),
        "test_comes_after_it": ("passed", ""),
    }
    Rows(path).add(test="test_it.py::test_fails", outcome=BEGUN)  # as if it had hung: then it comes last
    again = [name for name, outcome, _ in rows() if outcome == BEGUN]
    assert again == ["test_is_skipped", "test_kills_the_device", "test_fails"]
