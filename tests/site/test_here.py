"""Benchmarks of the asv suite in one process, without asv."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"asv_bench_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


here = load(ROOT / "asv_bench" / "tools" / "here.py")


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


def test_what_is_measured_is_kept_if_it_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, left = tmp_path / "values.json", [1.0]

    def measured(*_: object) -> float:
        if not left:
            raise KeyboardInterrupt
        return left.pop()

    monkeypatch.setattr(here, "measured", measured)
    with pytest.raises(KeyboardInterrupt):
        here.main(["State.*'numpy'", "--output", str(path)])
    assert list(json.loads(path.read_text(encoding="utf-8"))["values"].values()) == [1.0]
