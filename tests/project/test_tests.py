"""The tests themselves: where they lie, and what they import."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import gpuopt
from tests.support import ROOT

TESTS = ROOT / "tests"
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in TESTS.rglob("*.py"))
WINGS = {path.parent.name for path in Path(gpuopt.__file__).parent.glob("*/__init__.py")}
BESIDE = {
    "doors": "the doors to other libraries, which are single files",
    "gpu": "what nothing but a GPU can show",
    "project": "the repository itself",
    "site": "the documentation as a site, and asv_bench with the pages it makes",
    "support": "what several test modules need",
}


def imported(path: str) -> set[str]:
    """The modules that a file imports."""
    nodes = list(ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))))
    found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module or '.'}.{alias.name}" for alias in node.names} | {node.module or "."}
    return found


@pytest.mark.parametrize("path", MODULES)
def test_no_test_module_is_imported(path: str) -> None:
    """A test module may be deleted, and no other notices: what several need is in support."""
    wrong = [name for name in imported(path) if any(part.startswith("test_") for part in name.split("."))]
    assert wrong == [], f"{path}: move what it needs to tests/support"


def test_each_folder_is_of_a_wing() -> None:
    """Where the code is says where its test is."""
    folders = {path.parent.name for path in TESTS.glob("*/__init__.py")}
    assert folders <= WINGS | BESIDE.keys()
    assert folders >= WINGS, "a wing without tests"
    assert {path.name for path in TESTS.glob("*.py")} == {"__init__.py", "conftest.py"}


@pytest.mark.parametrize("path", [path for path in MODULES if Path(path).name.startswith("test_")])
def test_each_test_module_lies_in_a_folder_that_says_what_it_is_of(path: str) -> None:
    assert ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    assert (ROOT / path).with_name("__init__.py").exists()
