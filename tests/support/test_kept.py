"""What compilers made is kept by content: made once, whole or not at all, and forgotten when nobody asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.cuda import kept


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("GPUOPT_TEST_CACHE", str(tmp_path / "cache"))
    kept.folder.cache_clear()
    yield tmp_path / "cache"
    kept.folder.cache_clear()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_is_made_once(place: Path) -> None:
    made: list[Path] = []

    def make(path: Path) -> None:
        made.append(path)
        path.write_text("content")

    found = [kept.kept("name", make) for _ in range(3)]
    assert found == [place / "name"] * 3
    assert [path.read_text() for path in found] == ["content"] * 3
    assert len(made) == 1
    assert made[0] != found[0]
    assert names(place) == ["name"]


def test_what_fails_leaves_nothing(place: Path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        kept.kept("name", fail)
    assert names(place) == []


def test_processes_that_make_the_same(place: Path) -> None:
    """Each reads the whole of it."""
    code = (
        "import time; from tests.support.cuda.kept import kept\n"
        "def make(path):\n    path.write_text('a' * 100_000); time.sleep(0.3)\n"
        "print(kept('name', make).read_text() == 'a' * 100_000)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = [subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate(timeout=60)[0] for process in running] == ["True\n"] * 3
    assert names(place) == ["name"]


def test_a_key_changes_with_each_part() -> None:
    assert kept.key("a", "b") == kept.key("a", b"b")
    assert len({kept.key("a", "b"), kept.key("ab"), kept.key("", "ab"), kept.key("b", "a"), kept.key("a", "b", "")}) == 5


def test_what_was_not_used_for_long_is_forgotten(place: Path) -> None:
    for name, days in [("old", 31), ("used", 31), ("new", 29)]:
        path = kept.kept(name, lambda path: path.write_text(""))
        os.utime(path, (time.time() - days * 86_400,) * 2)
    kept.kept("used", lambda path: path.write_text("again"))
    kept.forget()
    assert names(place) == ["new", "used"]
    assert (place / "used").read_text() == ""


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_the_folder_is_private(place: Path) -> None:
    assert kept.folder().stat().st_mode & 0o777 == 0o700
