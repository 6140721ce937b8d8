"""The README is true: its Python runs, its rule is the library's, its kernel is the one that is generated."""

from __future__ import annotations

import inspect
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

import gpuopt as go
from gpuopt import cli

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def test_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, Any] = {}
    for block in blocks("python"):
        exec(block, scope)
    assert capsys.readouterr().out.split() == ["True", "80", "True"]


def test_the_rule_is_the_librarys() -> None:
    shown = next(block for block in blocks("python") if "class RMSProp" in block)
    lines = inspect.getsource(go.RMSProp.update).splitlines()
    body = textwrap.dedent("\n".join(lines[1:])).replace("abs2(", "go.abs2(")
    assert textwrap.indent(body, " " * 8).rstrip() in shown


def test_the_kernel_is_the_generated_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["kernel", "rmsprop"]) == 0
    assert capsys.readouterr().out in blocks("text")


def test_commands_are_one_line_each() -> None:
    first, second = blocks("sh")[:2]
    for command in (first, second):
        assert command.count("\n") == 1
        assert command.startswith("python3 -m venv .venv && ")
    assert "gpuopt demo" in first
    ci = (Path(__file__).parent.parent / ".ci" / "run").read_text(encoding="utf-8")
    assert second.strip() in ci, ".ci/run runs the README's test command word for word"


def test_the_page_on_rules_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parent.parent / "docs" / "your-own-rule.md").read_text(encoding="utf-8")
    scope: dict[str, Any] = {"__name__": __name__}
    *parts, last = re.findall(r"^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    for block in parts:
        exec(block, scope)
    first, origin, message, equal = capsys.readouterr().out.splitlines()
    assert first == "[0.9 0.9] [-0.1  0.1] [ 0.01 -0.01]"
    assert origin == "[5. 5. 5.]"
    assert message in " ".join(page.split())
    assert equal == "True True"
    pytest.importorskip("cupy", reason="cuda_source needs CuPy")
    exec(last, scope)
    assert capsys.readouterr().out == "True\n"
