"""asv's results of what was measured without asv."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("asv")

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "asv_bench" / "tools"
STATE = "precision.State.track_state_bytes"


def recorded(values: dict[str, object], folder: Path, commit: str = "HEAD") -> subprocess.CompletedProcess[str]:
    path = folder / "values.json"
    path.write_text(json.dumps({"values": values, "units": {}, "not begun": 0}), encoding="utf-8")
    command = [sys.executable, str(TOOLS / "record.py"), str(path), str(folder / "results" / "some-gpu"), commit]
    command += ["--python", "3.12", "--require", "numpy=2.5.2", "--set", "gpu=some GPU"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_was_measured_is_a_run_of_asv(tmp_path: Path) -> None:
    done = recorded({f"{STATE}('plain', 'cupy')": 8.0, f"{STATE}('master', 'cupy')": "ValueError: wrong"}, tmp_path)
    assert done.returncode == 0, done.stderr
    data = json.loads(Path(done.stdout.strip()).read_text(encoding="utf-8"))
    assert data["params"] == {"machine": "some-gpu", "gpu": "some GPU", "python": "3.12", "numpy": "2.5.2"}
    assert list(data["results"]) == [STATE]
    row = dict(zip(data["result_columns"], data["results"][STATE], strict=False))
    assert row["result"].count(8.0) == 1
    assert row["result"].count(None) == 1
    assert sum(x is not None and math.isnan(x) for x in row["result"]) == len(row["result"]) - 2
    judged = [sys.executable, str(TOOLS / "check_results.py"), str(tmp_path / "results"), "--least", "1"]
    assert subprocess.run(judged, capture_output=True, text=True, check=False).returncode == 1  # one failed


def test_a_commit_that_is_not_here_is_named(tmp_path: Path) -> None:
    done = recorded({}, tmp_path, "no-such-commit")
    assert done.returncode == 1
    assert "no-such-commit" in done.stderr
