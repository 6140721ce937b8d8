"""A pytest plugin that writes down each test's outcome as it comes, and leaves out those that passed in an earlier run.

$GPUOPT_CHECK_OUTCOMES names the file of rows.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tools.gpu_check.rows import BEGUN, Rows

VARIABLE = "GPUOPT_CHECK_OUTCOMES"


def pytest_configure(config: Any) -> None:
    rows = Rows(Path(os.environ[VARIABLE]))
    config.pluginmanager.register(Remaining(rows))
    if not hasattr(config, "workerinput"):  # of several processes, the first one hears of every test
        config.pluginmanager.register(Writer(rows))


class Remaining:
    """Sets aside the tests that passed; those that were begun and never ended come last."""

    def __init__(self, rows: Rows) -> None:
        self._earlier = {row["test"]: row["outcome"] for row in rows.earlier}

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


def _why(longrepr: Any) -> str:
    """The message of a failure, or the reason of a skip, in one line."""
    if isinstance(longrepr, tuple):
        return str(longrepr[2])
    message = getattr(getattr(longrepr, "reprcrash", None), "message", longrepr)
    return " ".join(str(message or "").split())[:200]
