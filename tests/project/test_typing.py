"""mypy --strict and pyright have no objection to right code of a user, and report each planted mistake."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = next(parent for parent in Path(__file__).parents if (parent / "pyproject.toml").exists())
SCRIPTS = ROOT / "tests" / "support" / "typing"
RIGHT = ("training", "trees", "own", "bare")
"""Code without a mistake. In ``bare`` only hyperparameters are annotated, which mypy must be told to allow."""
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PAGES = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a script for each page that has code in Python: all its blocks, one after another.
    Each block of the README is a script."""
    folder = tmp_path_factory.mktemp("pages")
    for page in PAGES:
        text, name = (ROOT / page).read_text(encoding="utf-8"), Path(page).stem.lower().replace("-", "_")
        found = re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
        scripts = found if page == "README.md" else ["\n".join(found)]
        for number, script in enumerate(filter(None, scripts), start=1):
            (folder / f"{name}_{number}.py").write_text(script, encoding="utf-8")
    return folder


def run(module: str, *arguments: object, cwd: Path) -> str:
    """What a checker prints about this checkout, seen as an installed package."""
    pytest.importorskip(module, reason=f"{module} is not installed: it comes with the extra dev")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr + done.stdout
    return done.stdout


def mypy(*arguments: object, cwd: Path, config: pytest.Config) -> dict[str, list[str]]:
    """mypy's errors by ``file:line``."""
    assert config.cache is not None
    cache = config.cache.mkdir("mypy")
    text = run("mypy", "--strict", "--config-file=", "--no-error-summary", f"--cache-dir={cache}", *arguments, cwd=cwd)
    found: dict[str, list[str]] = {}
    for path, line, message in re.findall(r"^(.*?):(\d+): error: (.*)$", text, flags=re.MULTILINE):
        found.setdefault(f"{Path(path).name}:{line}", []).append(message)
    return found


def pyright(*arguments: object, cwd: Path) -> dict[str, list[str]]:
    """pyright's errors by ``file:line``."""
    report = json.loads(run("pyright", "--outputjson", "--pythonpath", sys.executable, *arguments, cwd=cwd))
    found: dict[str, list[str]] = {}
    for each in report["generalDiagnostics"]:
        if each["severity"] == "error":
            place = f"{Path(each['file']).name}:{each['range']['start']['line'] + 1}"
            found.setdefault(place, []).append(each["message"])
    return found


def marked(*endings: str) -> set[str]:
    """The lines that are marked as mistakes."""
    lines = (SCRIPTS / "mistakes.py").read_text(encoding="utf-8").splitlines()
    return {f"mistakes.py:{number}" for number, line in enumerate(lines, start=1) if line.endswith(endings)}


def assert_found(errors: dict[str, list[str]], mistakes: set[str]) -> None:
    assert {place: errors[place] for place in errors.keys() - mistakes} == {}, "right code is refused"
    assert mistakes - errors.keys() == set(), "mistakes are not seen"


def test_mypy(pages: Path, pytestconfig: pytest.Config) -> None:
    scripts = [SCRIPTS / f"{name}.py" for name in (*RIGHT, "mistakes") if name != "bare"]
    errors = mypy(*scripts, *EXAMPLES, *sorted(pages.glob("*.py")), cwd=pages, config=pytestconfig)
    assert_found(errors, marked("# wrong", "# wrong, says mypy"))
    loose = ("--allow-untyped-defs", "--allow-untyped-calls")
    assert mypy(*loose, SCRIPTS / "bare.py", cwd=pages, config=pytestconfig) == {}


def test_pyright(pages: Path) -> None:
    scripts = [SCRIPTS / f"{name}.py" for name in (*RIGHT, "mistakes")]
    assert_found(pyright(*scripts, *EXAMPLES, *sorted(pages.glob("*.py")), cwd=pages), marked("# wrong"))


@pytest.mark.parametrize("name", RIGHT)
def test_right_code_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpuopt.arrays import backend

    monkeypatch.setattr(backend, "_chosen", None)  # the script chooses one
    runpy.run_path(str(SCRIPTS / f"{name}.py"))
