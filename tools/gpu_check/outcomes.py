"""A pytest plugin that writes down each test's outcome as it comes, and leaves out those that passed in an earlier run.

$GPUOPT_CHECK_OUTCOMES names the file of rows. With pytest-xdist, a process whose device refuses everything, as after an illegal
address, ends itself, and another one takes its place: one fault fails few tests.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tools.gpu_check.device import is_dead
from tools.gpu_check.rows import BEGUN, Row, Rows, latest

VARIABLE = "GPUOPT_CHECK_OUTCOMES"
BEFORE = f"{VARIABLE}_BEFORE"
"""How many rows there were when the first process began: one that takes another's place must collect the same tests."""


def pytest_configure(config: Any) -> None:
    rows = Rows(Path(os.environ[VARIABLE]))
    before = int(os.environ.setdefault(BEFORE, str(len(rows.all))))
    config.pluginmanager.register(Remaining(rows.all[:before]))
    # Of several processes, the first one hears of every test.
    config.pluginmanager.register(Quitter() if hasattr(config, "workerinput") else Writer(rows))


class Remaining:
    """Sets aside the tests that passed; those that were begun and never ended come last."""

    def __init__(self, rows: list[Row]) -> None:
        self._earlier = {test: row["outcome"] for (test,), row in latest(rows, "test").items()}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> None:
        again = [item for item in items if self._earlier.get(item.nodeid) == "passed"]
        items[:] = [item for item in items if self._earlier.get(item.nodeid) != "passed"]
        items.sort(key=lambda item: self._earlier.get(item.nodeid) == BEGUN)
        if again:
            config.hook.pytest_deselected(items=again)


class Writer:
    """Writes an outcome for each test; for one that breaks in its teardown, a second one."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._rows.add(test=nodeid, outcome=BEGUN, seconds=0, why="")

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or report.outcome != "passed":
            row = {"test": report.nodeid, "outcome": report.outcome, "seconds": round(report.duration, 2)}
            self._rows.add(**row, why=_why(report.longrepr))


class Quitter:
    """Ends a process, after a test that failed, if its device is dead."""

    def __init__(self) -> None:
        self._failed = False

    def pytest_runtest_logreport(self, report: Any) -> None:
        self._failed = self._failed or report.outcome == "failed"

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self) -> None:
        if self._failed and "cupy" in sys.modules and is_dead():
            os._exit(1)
        self._failed = False


def _why(longrepr: Any) -> str:
    """The message of a failure, or the reason of a skip, in one line."""
    if isinstance(longrepr, tuple):
        return str(longrepr[2])
    message = getattr(getattr(longrepr, "reprcrash", None), "message", longrepr)
    return " ".join(str(message or "").split())[:200]
