"""The GPU's check from end to end, on the emulated device: small arrays, and what is measured means nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.gpu_check import device
from tools.gpu_check.__main__ import main
from tools.gpu_check.results import Results

PARTS = ("machine", "smoke", "tuning", "adam", "suite", "master", "graph", "benchmarks", "demo", "profile", "memory")
TEST = "tests/gpu/test_gpu.py::test_a_step_takes_no_memory"
SMALL = ("--size", "5000", "--many", "3", "50", "--rounds", "1", "--seconds", "600", "--tests", TEST)


@pytest.mark.gpu
def test_a_dry_run(
    tmp_path: Path, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not pytestconfig.getoption("--emulated-gpu", default=False):
        pytest.skip("a dry run of the check needs the emulated device")
    monkeypatch.setenv(device.VARIABLE, "tests.support.emulated_gpu")
    code = main([str(tmp_path), *SMALL, "--parts", *PARTS])
    out = capsys.readouterr().out
    assert code == 0, out
    assert {path.name for path in tmp_path.iterdir()} == {"details.tgz", "summary.md"}
    found = Results.of(tmp_path / "details.tgz")
    assert {name: end.how for name, end in found.ends.items()} == dict.fromkeys(PARTS[:-2], "done") | dict.fromkeys(
        PARTS[-2:], "not here"
    )
    text = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert re.search(r"\| checks of the smoke test have NumPy's bits \| all \| (\d\d) of \1 \| met \|", text), text
    assert re.search(r"\| tests that need a GPU pass \| all \| 4 of 4 \| met \|", text), text
    for measured in (
        r"Adam, 5,000: share of a copy's bandwidth",
        r"Adam, 5,000, bfloat16 \(master\): share of a copy's bandwidth",
        r"Adam, 50: eager time over the replay's",
    ):
        assert re.search(rf"\n\| {measured} \| ≥ [\d.%]+ \| [\d.%]+ \| (met|\*\*missed\*\*) \|\n", text), text
    assert re.search(r"\nBest: .+, [\d.]+% on average; what steps use: [\d.]+%\.\n", text), text
