"""What can be tested of the GPU's check without one: its limits, its summary, and benchmarks without asv."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from gpuopt.bench import report
from gpuopt.bench.rivals import GRAPH, Case

ROOT = Path(__file__).parents[2]
CHECK = ROOT / "tools" / "gpu_check.sh"
if not CHECK.exists():
    pytest.skip("tools is not part of this distribution", allow_module_level=True)


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"gpu_check_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


summary, here = load(ROOT / "tools" / "gpu_summary.py"), load(ROOT / "asv_bench" / "tools" / "here.py")


def case(rule: str, count: int, size: int, ours: dict[str, float], dtype: str = "float32") -> Case:
    """A case in which a copy takes 0.95 s, and every rival 2 s."""
    rivals = dict.fromkeys(("by hand", "torch fused", "optax jit"), 2.0)
    return Case(rule, count, size, dtype, 28 * count * size, ours, rivals, {"copy": 0.95, "scale": 0.9})


def save(folder: Path, name: str, cases: list[Case]) -> None:
    (folder / f"{name}.json").write_text(report.as_json(report.Report(cases, "2026-01-01; a GPU; float32; gpuopt 1")))


def test_all_limits_are_less_than_eight_minutes() -> None:
    text = CHECK.read_text(encoding="utf-8")
    limits = [int(seconds) for seconds in re.findall(r"^\s*(?:step|bench) \w+ (\d+) ", text, re.MULTILINE)]
    limits += [int(seconds) for seconds in re.findall(r"\btimeout (\d+) ", text)]
    assert len(limits) == 10
    assert sum(limits) < 480
    if (bash := shutil.which("bash")) is None:
        pytest.skip("no bash")
    subprocess.run([bash, "-n", CHECK], check=True)


def test_a_bar_is_met_or_missed_or_was_not_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    large, many = ("Adam", 1, 64_000_000), ("Adam", 300, 1_000)
    slow = case("Momentum", 1, 64_000_000, {"cupy": 1.5})
    save(
        tmp_path,
        "speed",
        [case("Adam", 1, 1_000_000, {"cupy": 9.0}), case(*large, {"cupy": 1.0}), case(*many, {"cupy": 4.0}), slow],
    )
    save(tmp_path, "master", [case(*large, {"cupy": 1.0}, "bfloat16")])
    save(tmp_path, "graph", [case("Adam", 1, 1_000, {"cupy": 3.0, GRAPH: 1.0})])
    (tmp_path / "suite.log").write_text("...\n===== 9 passed in 1.00s =====\n\n")
    (tmp_path / "failed.log").write_text("== demo failed with 2\n")
    assert summary.main([str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out == (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert re.match(r"Commit \w+.*; 2026-01-01; a GPU; float32; gpuopt 1\n", out)
    for row in (
        "| Adam, 64,000,000: share of a copy's bandwidth | ≥ 92.0% | 95.0% | met |",
        "| Momentum, 64,000,000: share of a copy's bandwidth | ≥ 92.0% | 63.3% | **missed** |",
        "| AdamW, -: share of a copy's bandwidth | ≥ 92.0% | not measured |  |",
        "| Adam, 64,000,000: torch fused's time over ours | ≥ 1.00 | 2.00 | met |",
        "| Adam, 64,000,000: optax jit's time over ours | ≥ 1.00 | 2.00 | met |",
        "| Adam, 300 x 1,000: torch fused's time over ours | ≥ 1.00 | 0.50 | **missed** |",
        "| RMSProp, -: torch foreach's time over ours | ≥ 1.00 | not measured |  |",
        "| Adam, 64,000,000, bfloat16 (master): share of a copy's bandwidth | ≥ 92.0% | 95.0% | met |",
        "| Adam, 1,000: eager time over the replay's | ≥ 1.00 | 3.00 | met |",
        "- suite: 9 passed in 1.00s",
        "- demo: not run",
        "- == demo failed with 2",
        "## master",
    ):
        assert f"\n{row}\n" in out
    assert re.search(r"\n\d+ of 29 bars met, 2 missed, \d+ not measured\.\n", out)


def test_a_summary_of_nothing_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert summary.main([str(tmp_path)]) == 1
    assert "no speed was measured" in capsys.readouterr().out
    assert summary.main([]) == 2


def test_a_run_that_was_stopped_as_it_wrote_was_not_measured(tmp_path: Path) -> None:
    save(tmp_path, "master", [case("Adam", 1, 64_000_000, {"cupy": 1.0}, "bfloat16")])
    (tmp_path / "speed.json").write_text('{"cases": [{"rule"')
    assert summary.main([str(tmp_path)]) == 0
    assert "\n## master\n" in (tmp_path / "summary.md").read_text(encoding="utf-8")


def test_benchmarks_without_asv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "values.json"
    assert here.main([r"State.*'numpy'", "--output", str(path)]) == 0
    assert "track_state_bytes('plain', 'numpy'): 8 bytes an element\n" in capsys.readouterr().out
    name = "precision.State.track_state_bytes('master', 'numpy')"
    assert json.loads(path.read_text(encoding="utf-8"))["values"][name] == 12.0
    assert here.main(["no such benchmark"]) == 1
    assert here.main(["State.*'numpy'", "--seconds", "-1"]) == 1
    assert "0 values, 0 failed, 0 n/a, 2 not begun in time" in capsys.readouterr().out


def test_a_benchmark_that_breaks_is_told_from_one_that_is_not_for_this_machine() -> None:
    class Broken:
        def setup(self, why: type[Exception]) -> None:
            raise why("here")

    assert here.measured(Broken, None, (ValueError,)) == "ValueError: here"
    assert here.measured(Broken, None, (NotImplementedError,)) is None
