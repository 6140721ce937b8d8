"""A file of the package is about one thing, and a function fits a screen."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import gpuopt

PACKAGE = Path(gpuopt.__file__).parent
FILES = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
OF_A_FILE, OF_A_FUNCTION = 260, 40
LONGER: dict[str, str] = {"__init__.py": "every public name stands there twice"}
"""What may be longer, with a reason; better nothing."""


def lengths(name: str) -> dict[str, tuple[int, int]]:
    """The lines of a file, and of each of its functions without the docstring; with how many there may be."""
    tree = ast.parse(FILES[name])
    found = {name: (len(FILES[name].splitlines()), OF_A_FILE)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0]
            docstring = 0 if ast.get_docstring(node) is None else (first.end_lineno or 0) - first.lineno + 1
            lines = (node.end_lineno or 0) - node.lineno + 1 - docstring
            key = f"{name}: {node.name}"
            found[key] = max(found.get(key, (0, 0)), (lines, OF_A_FUNCTION))
    return found


@pytest.mark.parametrize("name", FILES)
def test_files_and_functions_are_short(name: str) -> None:
    found = lengths(name)
    long = {what: lines for what, (lines, most) in found.items() if lines > most}
    assert long.keys() <= LONGER.keys(), f"divide it, or say in LONGER why not: {long}"
    assert LONGER.keys() & found.keys() <= long.keys(), "this is short by now: take it out of LONGER"


def test_what_may_be_longer_is_there() -> None:
    assert {what.partition(":")[0] for what in LONGER} <= FILES.keys()
