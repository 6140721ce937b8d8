"""What a measuring job uploaded: the expected JSON files are taken, and nothing else."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "asv_bench" / "tools" / "admit.py"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
RESULT = "gpu/01234567-virtualenv-py3.11-numba0.68.1-numpy2.4.6.json"
GOOD = {
    "benchmarks.json": {"version": 2, "rules.Time.track_time": {"code": "def f(): ..."}},
    "gpu/machine.json": {"machine": "gpu", "version": 1},
    RESULT: {"commit_hash": COMMIT, "results": {"rules.Time.track_time": [[1.5, float("nan")]]}},
}


@pytest.fixture(scope="module")
def admit() -> Any:
    spec = importlib.util.spec_from_file_location("admit", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["admit"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def uploaded(tmp_path: Path) -> Path:
    folder = tmp_path / "uploaded"
    for name, data in GOOD.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(data))
    (tmp_path / "results").mkdir()
    return folder


def run(admit: Any, uploaded: Path, machine: str = "gpu", commit: str = COMMIT) -> int:
    return int(admit.main([str(uploaded), str(uploaded.parent / "results"), "--machine", machine, "--commit", commit]))


def stored(uploaded: Path) -> dict[str, str]:
    results = uploaded.parent / "results"
    return {p.relative_to(results).as_posix(): p.read_text() for p in results.rglob("*") if not p.is_dir()}


def test_expected_files_are_written_anew(admit: Any, uploaded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (uploaded.parent / "results" / "gpu").mkdir()
    before = uploaded.parent / "results" / "gpu" / "76543210-before.json"
    before.write_text("{}")
    assert run(admit, uploaded) == 0
    found = stored(uploaded)
    assert found.pop("gpu/76543210-before.json") == "{}"
    assert found == {name: json.dumps(data, indent=4) + "\n" for name, data in GOOD.items()}
    assert capsys.readouterr().err == ""


OTHERS = [
    "run.sh",
    ".gitattributes",
    ".git/config",
    ".git",
    ".github/workflows/x.yml",
    "gpu/.git",
    "gpu/run.py",
    "gpu/01234567-a.json.sh",
    "gpu/01234567-.json",
    "gpu/76543210-of-another-commit.json",
    "gpu/01234567-a\nb.json",
    "gpu/more/01234567-a.json",
    "github-cpu/machine.json",
    "asv.conf.json",
]


@pytest.mark.parametrize("name", OTHERS)
def test_nothing_else_is_taken(admit: Any, uploaded: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = uploaded / name
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.write_text('{"commit_hash": "x"}')
    except OSError:
        pytest.skip("no such name on this system")
    assert run(admit, uploaded) == 0
    assert stored(uploaded).keys() == GOOD.keys()
    assert capsys.readouterr().err == ascii(f"admit: left out {name}") + "\n"


def linked(uploaded: Path, name: str) -> None:
    """Put a link in the place of a file or folder, to one that is as it should be."""
    (uploaded / name).rename(uploaded.parent / "elsewhere")
    (uploaded / name).symlink_to(uploaded.parent / "elsewhere")


def replaced(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def with_text(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        *[(lambda folder, name=name: linked(folder, name), "is no regular file") for name in GOOD],
        (lambda folder: linked(folder, "gpu"), "is no folder"),
        (lambda folder: replaced(folder / RESULT, getattr(os, "mkfifo", Path.mkdir)), "is no regular file"),
        (lambda folder: replaced(folder / RESULT, Path.mkdir), "is no regular file"),
        (lambda folder: (folder / RESULT).unlink(), "has no result of 01234567"),
        (lambda folder: (folder / "gpu/machine.json").unlink(), "machine.json"),
        (with_text(RESULT, "#!/bin/sh\n"), "holds no JSON"),
        (with_text(RESULT, "[" * 100_000), "holds no JSON"),
        (with_text(RESULT, "[1]"), "holds no JSON object"),
        (with_text(RESULT, "{}"), "is of None, not of "),
        (with_text(RESULT, " " * 4_000_001), "has more than 4,000,000 bytes"),
        (with_text("gpu/machine.json", '{"machine": "github-cpu"}'), "machine.json is of 'github-cpu'"),
        (with_text("benchmarks.json", "\0"), "holds no JSON"),
    ],
)
def test_what_is_not_as_it_must_be_is_refused_whole(
    admit: Any, uploaded: Path, spoil: Any, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        spoil(uploaded)
    except (AttributeError, OSError):
        pytest.skip("no links or pipes on this system")
    assert run(admit, uploaded) == 1
    assert stored(uploaded) == {}
    error = capsys.readouterr().err
    assert message in error.replace("\\'", "'")
    assert error.count("\n") == 1


@pytest.mark.parametrize("machine", ["..", ".", "", "a/b", "../gpu", ".git", "/gpu", "gpu\n", "-x", "a" * 65, "gp\u00fc"])
def test_a_machine_is_no_path(admit: Any, uploaded: Path, machine: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(admit.RefusedError, match="a machine's name must be"):
        admit.admitted(uploaded, machine, COMMIT)


@pytest.mark.parametrize("commit", ["", "01234567", "../" * 14, COMMIT.upper(), COMMIT + "\n"])
def test_a_commit_is_a_hash(admit: Any, uploaded: Path, commit: str) -> None:
    with pytest.raises(admit.RefusedError, match="a commit must be"):
        admit.admitted(uploaded, "gpu", commit)


def test_a_link_among_the_results_is_not_followed(admit: Any, uploaded: Path) -> None:
    results, elsewhere = uploaded.parent / "results", uploaded.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("mine")
    try:
        (results / "benchmarks.json").symlink_to(elsewhere / "file")
    except OSError:
        pytest.skip("no links on this system")
    assert run(admit, uploaded) == 0
    assert not (results / "benchmarks.json").is_symlink()
    (results / "gpu").rename(uploaded.parent / "kept")
    (results / "gpu").symlink_to(elsewhere)
    assert run(admit, uploaded) == 1
    assert [(path.name, path.read_text()) for path in elsewhere.iterdir()] == [("file", "mine")]


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_who_may_write_takes_uploads_through_this_tool_alone(workflow: Path) -> None:
    """A job with a token that may write runs nothing that another job made, and installs nothing."""
    text = workflow.read_text(encoding="utf-8")
    jobs = re.split(r"^  (?=[\w-]+:$)", text.partition("\njobs:\n")[2], flags=re.MULTILINE)
    for job in jobs:
        if "uses: ./" in job:  # of which each job is looked at in its own file
            assert "run:" not in job
            continue
        if "contents: write" not in job:
            assert "git push" not in job
            continue
        assert "self-hosted" not in job
        assert not re.search(r"\b(cp|mv|rsync|tar|unzip|pip|source|eval)\b|download-artifact|actions/cache", job)
        downloads = re.findall(r'gh run download .* --dir "([^"]+)"', job)
        assert len(downloads) == job.count("gh run download") == 1
        for line in job.splitlines():
            if downloads[0] in line and "gh run download" not in line:
                assert line.strip().startswith(f'python3 -I asv_bench/tools/admit.py "{downloads[0]}" ')


def test_every_action_is_pinned_by_its_commit() -> None:
    uses = [line.strip() for path in WORKFLOWS for line in path.read_text(encoding="utf-8").splitlines() if "uses: a" in line]
    others = {
        line.strip().partition(" #")[0] for path in WORKFLOWS for line in path.read_text().splitlines() if "uses: ." in line
    }
    assert others == {"uses: ./.github/workflows/bench-store.yml"}
    assert all(re.fullmatch(r"(- )?uses: actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line) for line in uses)
    pins: dict[str, str] = {}
    for line in uses:
        name, _, pin = line.partition("uses: ")[2].partition("@")
        assert pins.setdefault(name, pin) == pin, f"{name} has two pins"
