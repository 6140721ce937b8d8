"""Every public name is spelled out where type checkers look for it, and the lists are those of the files in `gpuopt/rules`."""

from __future__ import annotations

import difflib
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

import gpuopt as go
from gpuopt.rules import every_piece, rules

ROOT = next(parent for parent in Path(__file__).parents if (parent / "pyproject.toml").exists())


@pytest.fixture
def tool() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "tools" / "exports.py"))


def test_every_name_is_spelled_out(tool: dict[str, Any]) -> None:
    for path, wanted in tool["wanted"]().items():
        found = path.read_text(encoding="utf-8")
        lines = difflib.unified_diff(found.splitlines(), wanted.splitlines(), "as it is", "as it should be", n=0, lineterm="")
        assert found == wanted, f"{path.relative_to(ROOT)}: run `python tools/exports.py`, which writes\n" + "\n".join(lines)


def test_every_rule_and_piece_is_exported() -> None:
    for name, cls in {**rules(), **every_piece()}.items():
        assert name in go.__all__, f"add {name!r} to __all__ in {cls.__module__} and run `python tools/exports.py`"


def test_a_new_name_is_found_and_written(tool: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "gpuopt"
    (copy / "rules").mkdir(parents=True)
    for path in (*(ROOT / "gpuopt" / "rules").glob("*.py"), ROOT / "gpuopt" / "__init__.py"):
        text = path.read_text(encoding="utf-8")
        if path.name == "adaptive.py":
            text = text.replace('__all__ = ["Adam", ', '__all__ = ["Adam", "AdamAA", ')
        (copy / path.relative_to(ROOT / "gpuopt")).write_text(text, encoding="utf-8")
    names = tool["main"].__globals__
    names |= {"PACKAGE": copy, "RULES": copy / "rules" / "__init__.py", "TOP": copy / "__init__.py"}
    monkeypatch.setattr("sys.argv", ["exports.py", "--check"])
    assert tool["main"]() == 1
    monkeypatch.setattr("sys.argv", ["exports.py"])
    assert tool["main"]() == 0
    for path in (copy / "__init__.py", copy / "rules" / "__init__.py"):
        text = path.read_text(encoding="utf-8")
        assert re.search(r"\bAdam,\s+AdamAA,", text)
        assert '    "Adam",\n    "AdamAA",' in text
