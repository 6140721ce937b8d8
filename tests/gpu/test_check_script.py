"""The GPU's check ends in time and keeps what was measured, whatever becomes of one of its parts."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tools.gpu_check import __main__ as command
from tools.gpu_check import parts as of_parts
from tools.gpu_check import running
from tools.gpu_check.parts import Choice, memory, parts
from tools.gpu_check.results import End, Results
from tools.gpu_check.running import Part, run

ROOT = Path(__file__).parents[2]
PARTS = parts(Choice())
NAMES = [part.name for part in PARTS]
FINE = "echo log of {name}; echo {name} >> {output}"
PROCESS = "echo $$ > {folder}/../process"
FAILS = f"{FINE}; exit 3"
HANGS = f"trap '' INT; {PROCESS}; {FINE}; sleep 60 & sleep 60"
DIES = f"{FINE}; kill -SEGV $$"


def stubs(folder: Path, **others: str) -> list[Part]:
    """The parts by name, each a line of shell that leaves its name as its numbers; with other lines for some."""

    def stub(part: Part) -> Part:
        line = others.get(part.name, FINE)

        def shell(output: Path) -> Sequence[str]:
            return ["sh", "-c", line.format(name=part.name, output=output, folder=folder)]

        return dataclasses.replace(part, limit=5.0, grace=0.1, command=shell)

    return [stub(part) for part in PARTS]


def limited(made: Sequence[Part], name: str, limit: float) -> list[Part]:
    return [dataclasses.replace(part, limit=limit) if part.name == name else part for part in made]


def kept(folder: Path) -> Results:
    """What the archive in `folder` has, beside which only the summary is."""
    assert {path.name for path in folder.iterdir()} == {running.ARCHIVE, running.SUMMARY}
    return Results.of(folder / running.ARCHIVE)


def numbers(results: Results) -> set[str]:
    """The parts whose numbers and log are there."""
    suffixes = {part.name: part.suffix for part in PARTS}
    return {
        name
        for name, suffix in suffixes.items()
        if results.text(f"{name}.{suffix}").split() == [name] and results.text(f"{name}.log") == f"log of {name}\n"
    }


@pytest.mark.parametrize("name", NAMES)
def test_one_part_takes_no_other_with_it(tmp_path: Path, name: str) -> None:
    """Each hangs in turn, the next one fails, and the one after that dies."""
    folder, start = tmp_path / "check", time.monotonic()
    folder.mkdir()
    hangs, fails, dies = ([*NAMES, *NAMES][NAMES.index(name) + k] for k in range(3))
    given = stubs(folder, **{hangs: HANGS, fails: FAILS, dies: DIES})
    assert not run(limited(given, hangs, 0.2), folder, 60, Results())
    assert time.monotonic() - start < 10
    found = kept(folder)
    assert numbers(found) == set(NAMES)  # those of the three up to there, too
    assert {part: end.how for part, end in found.ends.items()} == dict.fromkeys(NAMES, "done") | {
        hangs: "cut off",
        fails: "failed",
        dies: "failed",
    }
    assert [found.ends[part].why for part in (hangs, fails, dies)] == ["its limit is 0 s", "exit code 3", "exit code -11"]
    assert not alive(int((tmp_path / "process").read_text()))


def alive(group: int) -> list[str]:
    """What runs in a group of processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, process_group = path.read_text().rpartition(")")[2].split()[:3]
            found += [path.read_text()] if int(process_group) == group and state not in "ZX" else []
    return found


@pytest.mark.parametrize("command", [["no-such-program"], "ncu is not installed", ValueError("no")], ids=str)
def test_a_part_that_cannot_begin(tmp_path: Path, command: Any) -> None:
    def cannot(output: Path) -> Any:
        if isinstance(command, Exception):
            raise command
        return command

    given = [dataclasses.replace(part, command=cannot) if part.name == "profile" else part for part in stubs(tmp_path)]
    assert run(given, tmp_path, 60, Results()) == isinstance(command, str)
    found = kept(tmp_path)
    assert numbers(found) == {*NAMES} - {"profile"}
    assert found.ends["profile"].how == ("not here" if isinstance(command, str) else "failed")
    assert found.ends["profile"].why


def test_all_end_in_time_even_if_each_hangs(tmp_path: Path) -> None:
    folder, start = tmp_path / "check", time.monotonic()
    folder.mkdir()
    given = [dataclasses.replace(part, limit=0.3) for part in stubs(folder, **dict.fromkeys(NAMES, HANGS))]
    assert not run(given, folder, 1.5, Results())
    assert time.monotonic() - start < 1.5 + 2
    hows = [end.how for end in kept(folder).ends.values()]
    assert hows == sorted(hows)  # cut off, then not begun
    assert set(hows) == {"cut off", "not begun"}


def test_the_rest_is_resumed_and_what_was_not_begun_comes_first(tmp_path: Path) -> None:
    folder, log = tmp_path / "check", tmp_path / "order"
    folder.mkdir()
    earlier = Results()
    earlier.ends = {name: End("done") for name in NAMES[2:]} | {NAMES[0]: End("failed"), NAMES[1]: End("not begun")}
    earlier.files[f"{NAMES[0]}.{PARTS[0].suffix}"] = b"earlier\n"
    earlier.save(folder / running.ARCHIVE)
    lines = dict.fromkeys(NAMES, f"echo {{name}} >> {log}; {FINE}")
    assert run(stubs(folder, **lines), folder, 60, command.earlier(folder, Path()))
    assert log.read_text().split() == [NAMES[1], NAMES[0]]
    found = kept(folder)
    assert found.text(f"{NAMES[0]}.{PARTS[0].suffix}").split() == ["earlier", NAMES[0]]  # it goes on with what was there
    assert {end.how for end in found.ends.values()} == {"done"}
    assert run(stubs(folder, **lines), folder, 60, command.earlier(tmp_path, folder / running.ARCHIVE))
    assert len(log.read_text().split()) == 2


def test_what_a_run_left_that_was_killed_is_taken(tmp_path: Path) -> None:
    killed = Results()
    killed.ends["smoke"] = End("running")
    killed.save(tmp_path / running.ARCHIVE)
    (tmp_path / "running.log").write_text("log of smoke\n")
    (tmp_path / "running.jsonl").write_text("smoke\n")
    assert not run(stubs(tmp_path, smoke=FAILS)[1:2], tmp_path, 60, command.earlier(tmp_path, Path()))
    assert kept(tmp_path).text("smoke.jsonl").split() == ["smoke", "smoke"]


def test_an_interrupt_ends_the_run_and_keeps_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> End:
        raise KeyboardInterrupt

    results = Results()
    assert run(stubs(tmp_path)[:1], tmp_path, 60, results)
    monkeypatch.setattr(running, "_ended", interrupted)
    assert not run(stubs(tmp_path)[:3], tmp_path, 60, results)
    ends = kept(tmp_path).ends
    assert [ends[name].how for name in NAMES[:3]] == ["done", "cut off", "not begun"]


def test_a_summary_that_fails_takes_no_numbers_with_it(tmp_path: Path) -> None:
    results = Results()
    results.files["adam.json"] = b'{"cases": 1}'
    assert run(stubs(tmp_path)[:1], tmp_path, 60, results)
    assert "machine.json" in kept(tmp_path).files
    assert "The summary failed; details.tgz has the numbers." in (tmp_path / running.SUMMARY).read_text(encoding="utf-8")


def test_a_log_without_end_is_cut(tmp_path: Path) -> None:
    line = "yes 1234567 | head -c 5000000"
    assert run(stubs(tmp_path, machine=line)[:1], tmp_path, 60, Results())
    assert 2_000_000 < len(kept(tmp_path).files["machine.log"]) < 2_200_000


def test_eight_minutes_are_kept_and_the_first_parts_fit() -> None:
    """Whatever hangs; and if nothing does, parts end long before their limits."""
    assert max(part.limit + part.grace for part in PARTS) < 180
    assert sum(part.limit + part.grace for part in PARTS[: NAMES.index("suite") + 1]) < 470
    assert NAMES[:5] == ["machine", "smoke", "tuning", "adam", "suite"]


def test_commands_name_what_is_there(tmp_path: Path) -> None:
    for part in PARTS:
        found = part.command(tmp_path / "output")
        if isinstance(found, str):
            continue
        names = [word for word in found if word.startswith(("tools.", "asv_bench/")) or word in ("gpuopt", "pytest")]
        assert names, part.name
        for name in names:
            assert (ROOT / name).exists() if name.endswith(".py") else importlib.util.find_spec(name) is not None


def test_the_memory_checker_reports_memory_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NCCL's questions to CUDA, which some GPUs answer with an error, fail no check."""
    monkeypatch.setattr(of_parts, "FOLDERS", str(tmp_path))
    assert memory() == "compute-sanitizer is not installed"
    (tool := tmp_path / "compute-sanitizer").touch(mode=0o755)
    command = memory()
    assert command[0] == str(tool)
    assert "--report-api-errors no" in " ".join(command[: command.index(sys.executable)])


def test_the_door(tmp_path: Path) -> None:
    if (bash := shutil.which("bash")) is None:
        pytest.skip("no bash")
    environment = {**os.environ, "PYTHON": sys.executable}

    def door(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [bash, str(ROOT / "tools" / "gpu_check.sh"), *arguments]
        return subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    shown = door("--help")
    assert shown.returncode == 0
    assert all(f"    {name}" in shown.stdout or f", {name}" in shown.stdout for name in NAMES)
    refused = door("results", "--resume")
    assert refused.returncode == 2
    assert "details.tgz" in refused.stderr
    assert (tmp_path / "results").is_dir()
