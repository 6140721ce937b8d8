"""The GPU's smoke test and tuning go on after a fault that makes the device refuse everything, and with what is left."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools.gpu_check import device
from tools.gpu_check.rows import BEGUN, Rows, latest

pytest.importorskip("cupy")

from tools.gpu_check import smoke, tuning
from tools.gpu_check.settings import SETTINGS


class GoneOn(Exception):
    """Another process took this one's place."""


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that go on, because the device is dead."""
    commands: list[list[str]] = []

    def execute(path: str, command: list[str]) -> None:
        commands.append(command)
        raise GoneOn

    monkeypatch.setenv("GPUOPT_CPU", "numpy")  # which `smoke` sets
    monkeypatch.setattr(device, "is_dead", lambda: True)
    monkeypatch.setattr(os, "execv", execute)
    return commands


def hows(path: Path, *keys: str) -> dict[Any, str]:
    return {key[-1]: row.get("how") or row.get("error", "measured") for key, row in latest(Rows(path).all, *keys).items()}


def test_the_smoke_test_goes_on_in_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dead: list[list[str]]
) -> None:
    path = tmp_path / "rows.jsonl"
    seen: list[str] = []

    def breaks() -> object:
        raise RuntimeError("an illegal\naddress")

    def check(name: str, gives: object) -> Callable[[], object]:
        def run() -> object:
            seen.append(name)
            return gives

        return run

    found = {"a": check("a", True), "b": breaks, "c": check("c", "differs"), "d": lambda: True}
    monkeypatch.setattr(smoke, "checks", lambda small: found)
    with pytest.raises(GoneOn):
        smoke.main(["--output", str(path)])
    assert hows(path, "name") == {"a": "ok", "b": "failed"}
    module, *options = dead[0][2:]
    assert module == "tools.gpu_check.smoke"
    assert smoke.main(options) == 1
    assert seen == ["a", "c"]
    assert hows(path, "name") == {"a": "ok", "b": "failed", "c": "wrong bits", "d": "ok"}
    # A later run tries again what was not right, and last what was never ended.
    Rows(path).add(name="b", how=BEGUN)
    found |= {"b": check("b", True), "c": check("c", True)}
    assert smoke.main(["--output", str(path)]) == 0
    assert seen == ["a", "c", "c", "b"]
    assert smoke.main(["--output", str(path)]) == 0
    assert len(seen) == 4


def test_without_a_file_nothing_is_tried_again(monkeypatch: pytest.MonkeyPatch, dead: list[list[str]]) -> None:
    monkeypatch.setattr(smoke, "checks", lambda small: {"a": lambda: 1 / 0, "b": lambda: True})
    assert smoke.main([]) == 1
    assert dead == []


def test_tuning_goes_on_in_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dead: list[list[str]]) -> None:
    path, used, other = tmp_path / "rows.jsonl", *SETTINGS[:2]
    measured = {"seconds": 2.0, "copy": 1.0, "moved": 28.0}

    def breaks(name: str, setting: Any, size: int) -> dict[str, float]:
        if setting == other:
            raise RuntimeError("an illegal address")
        return measured

    jobs = [(used, "Adam"), (other, "Adam"), (used, "GradientDescent")]
    monkeypatch.setattr(tuning, "jobs", lambda small: jobs)
    monkeypatch.setattr(tuning, "measured", breaks)
    with pytest.raises(GoneOn):
        tuning.main(["--output", str(path), "--size", "7"])
    module, *options = dead[0][2:]
    assert module == "tools.gpu_check.tuning"
    assert tuning.main(options) == 1
    assert hows(path, "case", "setting") == {str(used): "measured", str(other): "RuntimeError: an illegal address"}
    assert len(latest(Rows(path).all, "case", "setting")) == 3
    monkeypatch.setattr(tuning, "measured", lambda *_: measured)
    assert tuning.main(["--output", str(path)]) == 0


def test_a_device_that_answers_is_not_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    import cupy

    monkeypatch.setattr(cupy.cuda.runtime, "deviceSynchronize", lambda: None)
    device.go_on_if_dead("tools.gpu_check.smoke")
    monkeypatch.setattr(cupy.cuda.runtime, "deviceSynchronize", lambda: 1 / 0)
    assert device.is_dead()
