"""Made-up histories in asv's format: a git repository of trivial commits, and what machines measured at each."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from typing import Any

TOOLS = Path(__file__).parents[2] / "asv_bench"
Value = Callable[[str, str, tuple[str, ...], int], Any]
"""What a machine measured of a benchmark at a point, at the i-th commit; KeyError where it did not."""


class Project:
    """A repository with a suite of benchmarks in ``asv_bench``; ``benchmarks`` has parameters by name, then unit."""

    def __init__(
        self,
        root: Path,
        benchmarks: dict[str, tuple[dict[str, list[str]], str]],
        *,
        commits: int,
        settings: dict[str, Any] | None = None,
        tags: dict[str, int] | None = None,
        files: dict[int, dict[str, str]] | None = None,
        hours: float = 1.0,
        now: float | None = None,
    ) -> None:
        """``files`` are written by the i-th commit; the commits are ``hours`` apart, the last one is of now."""
        self.root, self.bench, self.benchmarks = root, root / "asv_bench", benchmarks
        end = int(time.time() if now is None else now)
        self.dates = [int(end - 3600 * hours * (commits - 1 - i)) for i in range(commits)]
        self.bench.mkdir(parents=True)
        (self.bench / "benchmarks").mkdir()
        (self.bench / "benchmarks" / "__init__.py").write_text("def track_one():\n    return 1\n")
        config = {"version": 1, "project": "toy", "repo": "..", "branches": ["main"], "environment_type": "virtualenv"}
        config |= {
            "results_dir": "results",
            "html_dir": "html",
            "regressions_thresholds": {".*": 0.1},
            "plugins": [".frontpage.plugin"],
        }
        (self.bench / "asv.conf.json").write_text(json.dumps(config | {"frontpage": settings or {}}), encoding="utf-8")
        for folder in ("frontpage", "tools"):
            shutil.copytree(TOOLS / folder, self.bench / folder, ignore=shutil.ignore_patterns("__pycache__"))
        self.commits = self._commit(files or {}, tags or {})
        self._list()

    def _commit(self, files: dict[int, dict[str, str]], tags: dict[str, int]) -> list[str]:
        """Made by one call of git, however many they are."""
        self.git("init", "--quiet", "--initial-branch=main")
        stream = []
        for i, date in enumerate(self.dates):
            stream.append(
                f"commit refs/heads/main\nmark :{i + 1}\ncommitter toy <toy@example.org> {date} +0000\ndata 1\n{i % 10}\n"
            )
            stream += [f"from :{i}\n"] * bool(i)
            for name, content in ({"step.txt": str(i)} | files.get(i, {})).items():
                stream.append(f"M 100644 inline {name}\ndata {len(content.encode())}\n{content}\n")
        stream += [f"reset refs/tags/{tag}\nfrom :{i + 1}\n" for tag, i in tags.items()]
        subprocess.run(["git", "fast-import", "--quiet"], cwd=self.root, input="".join(stream), text=True, check=True)
        return self.git("rev-list", "--reverse", "main").split()

    def _list(self) -> None:
        (self.bench / "results").mkdir()
        listed: dict[str, Any] = {
            name: {"code": "", "name": name, "param_names": list(params), "params": list(params.values()), "type": "track"}
            | {"unit": unit, "timeout": 60, "version": "1"}
            for name, (params, unit) in self.benchmarks.items()
        }
        (self.bench / "results" / "benchmarks.json").write_text(json.dumps(listed | {"version": 2}))

    def git(self, *arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=self.root, check=True, capture_output=True, text=True).stdout.strip()

    def measure(
        self,
        machine: str,
        value: Value,
        at: Iterable[int] | None = None,
        *,
        facts: dict[str, str] | None = None,
        python: Callable[[int], str] = lambda i: "3.11",
        commit: str = "",
    ) -> None:
        """Write the results of a machine at the chosen commits; ``commit`` takes the place of their hashes."""
        folder = self.bench / "results" / machine
        folder.mkdir(exist_ok=True)
        about = {"machine": machine, **(facts or {})}
        (folder / "machine.json").write_text(json.dumps(about | {"version": 1}))
        for i in range(len(self.commits)) if at is None else at:
            rows = {}
            for name, (params, _) in self.benchmarks.items():
                points = list(product(*params.values()))
                try:
                    row = [value(machine, name, point, i) for point in points]
                except KeyError:
                    continue
                rows[name] = [row, list(params.values()), "1", 1000 * self.dates[i]]
            name = commit or self.commits[i]
            file = {"commit_hash": name, "env_name": f"py{python(i)}", "date": 1000 * self.dates[i], "python": python(i)}
            file |= {"params": about | {"python": python(i)}, "requirements": {}, "env_vars": {}, "durations": {}, "version": 2}
            file |= {"results": rows, "result_columns": ["result", "params", "version", "started_at"]}
            (folder / f"{name[:8]}-py{python(i)}.json").write_text(json.dumps(file))

    def publish(self) -> tuple[str, dict[str, Any]]:
        """The front page, and what it says to machines."""
        command = [sys.executable, "-m", "asv", "--config", str(self.bench / "asv.conf.json"), "publish", "--no-pull"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        page = (self.bench / "html" / "index.html").read_text(encoding="utf-8")
        return page, json.loads((self.bench / "html" / "verdicts.json").read_text(encoding="utf-8"))
