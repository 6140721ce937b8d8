"""The page that says which rule is for what, and the bytes that docstrings count."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

import gpuopt as go
from gpuopt.rules import rules, whole_array_rules
from gpuopt.tracing.trace import trace
from tests.support.executors import only

ROOT = next(parent for parent in Path(__file__).parents if (parent / "pyproject.toml").exists())


@pytest.fixture(scope="module")
def tool() -> dict[str, Any]:
    path = ROOT / "tools" / "rules_table.py"
    if not path.exists():
        pytest.skip("tools is not part of this distribution")
    return runpy.run_path(str(path))


def test_the_page_has_the_table_of_rules(tool: dict[str, Any]) -> None:
    """``python tools/rules_table.py`` writes it."""
    page = tool["PAGE"].read_text(encoding="utf-8")
    assert page.count(tool["BEGIN"]) == page.count(tool["END"]) == 1
    assert tool["written"](page) == page, "run `python tools/rules_table.py`"
    assert all(page.count(f"| `{name}` |") == 1 for name in (*rules(), *whole_array_rules()))


def test_bytes_are_those_that_are_moved(tool: dict[str, Any]) -> None:
    """By hand: p, g and the state in, p and the state out; each norm reads what it is of."""
    found = {name: tool["bytes_an_element"](trace(cls())) for name, cls in rules().items()}
    wanted = {"GradientDescent": (12, 0), "Momentum": (20, 0), "Adam": (28, 0), "LARS": (28, 8), "NAdam": (28, 0)}
    assert wanted.items() <= found.items()
    assert tool["bytes_an_element"](trace(go.Adam(amsgrad=True))) == (36, 0)


@pytest.mark.parametrize("name", rules())
def test_docstrings_count_the_same(name: str, tool: dict[str, Any]) -> None:
    doc = " ".join((rules()[name].__doc__ or "").split())
    for total in re.findall(r"moves (\d+) bytes an element", doc):
        assert int(total) == tool["bytes_an_element"](trace(rules()[name]()))[0]


def test_the_code_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "choosing-a-rule.md").read_text(encoding="utf-8"), re.DOTALL)
    exec(code, {})
    losses = [float(line.split()[1]) for line in capsys.readouterr().out.splitlines()]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 1e-20


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`go\.(\w+)", (ROOT / "docs" / "choosing-a-rule.md").read_text()))))
def test_what_the_page_names_is_there(name: str) -> None:
    assert hasattr(go, name)


@only("numba")
def test_the_time_that_bytes_take(executor: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The script runs; what it measures of so few elements tells nothing."""
    script = pytest.importorskip("tools.rules_at_speed", reason="tools is not part of this distribution")
    assert script.main(["SignSGD", "PolyakStep", "--size", "300", "--rounds", "1"]) in (0, 1)
    rows = re.findall(r"\| (\w+) \| (\d+) \| \d+\.\d\d \| \d+\.\d\d(?: \(over\))? \| \d+\.\d\d \|", capsys.readouterr().out)
    assert sorted(rows) == [("PolyakStep", "16"), ("SignSGD", "12")]
