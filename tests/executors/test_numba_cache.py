"""Machine code that is kept for other processes: it is only ever a gain, and nothing that others could write is run."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import random
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from gpuopt.arrays import backend
from gpuopt.executors.cpu import numba_cache as cache

ROOT = Path(__file__).parents[2]
STEP = """
import numpy as np, gpuopt as go
from gpuopt.executors.cpu.numba_compile import loop_code
p = [np.ones(3, "float32"), np.ones(100_000, "float32"), np.ones((4, 4), "float32")]
opt = go.Adam().init(p)
opt.step([np.full(x.shape, 0.5, "float32") for x in p])
group = opt._binding.groups[0]
loop = loop_code(group.programs[0].update, np.dtype("float32"))
print(opt.executor, p[0][0], len(loop.stats.cache_hits), len(loop.stats.cache_misses))
"""
COMPILED, LOADED = "numba 0.999 0 1", "numba 0.999 1 0"
posix = pytest.mark.skipif(os.name == "nt", reason="owners and permissions of POSIX")


@pytest.fixture(autouse=True)
def _numba() -> None:
    if reason := backend.why_not_numba():
        pytest.skip(reason)


def start(**variables: str) -> subprocess.Popen[str]:
    """A process that makes one step with its cache where the variables say."""
    kept = {name: value for name, value in os.environ.items() if name not in {"GPUOPT_CACHE_DIR", "NUMBA_CACHE_DIR"}}
    environment = {**kept, "GPUOPT_CPU": "numba", "PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, "-W", "error", "-c", STEP]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def printed(**variables: str) -> str:
    out, err = start(**variables).communicate(timeout=120)
    assert err == ""
    return out.strip()


def test_processes_that_race_for_an_empty_cache(tmp_path: Path) -> None:
    """One that comes later compiles nothing."""
    racing = [start(GPUOPT_CACHE_DIR=str(tmp_path / "cache")) for _ in range(3)]
    for process in racing:
        out, err = process.communicate(timeout=120)
        assert out.startswith("numba 0.999")
        assert err == ""
    assert {path.suffix for path in (tmp_path / "cache" / "gpuopt").iterdir()} == {".code"}
    assert printed(GPUOPT_CACHE_DIR=str(tmp_path / "cache")) == LOADED


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The private folder, empty, in this process."""
    monkeypatch.setenv("GPUOPT_CACHE_DIR", str(tmp_path))
    found = cache.cache_folder()
    assert found == tmp_path / "gpuopt"
    return found


def entry(folder: Path) -> Path:
    """Make an entry; where it lies."""
    cache.write(b"key", b"content")
    (path,) = folder.iterdir()
    assert cache.read(b"key") == b"content"
    return path


def test_numbas_variable_is_honoured_where_it_is_as_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a cluster, where it names a folder that all may write to."""
    tmp_path.chmod(0o1777)
    monkeypatch.delenv("GPUOPT_CACHE_DIR", raising=False)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert cache.cache_folder() == tmp_path / "gpuopt"
    if os.name != "nt":
        (tmp_path / "gpuopt").chmod(0o777)
        assert cache.cache_folder() is None


@posix
def test_the_folder_and_what_lies_there_are_private(folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(entry(folder).stat().st_mode) == 0o600


def test_an_entry_for_another_key_is_none(folder: Path) -> None:
    path = entry(folder)
    path.rename(folder / f"{hashlib.sha256(b'other').hexdigest()[:40]}.code")
    assert cache.read(b"other") is None
    assert cache.read(b"key") is None


def test_another_version_of_numba_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import numba
    from numba.core.registry import cpu_target

    code, codegen = cache.MachineCode("loop"), cpu_target.target_context.codegen()
    before = code._key(("float32",), codegen)
    assert code._key(("float64",), codegen) != before
    monkeypatch.setattr(numba, "__version__", "0.0")
    assert code._key(("float32",), codegen) != before


def flipped(whole: bytes) -> bytes:
    return whole[:-1] + bytes([whole[-1] ^ 1])


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "cut": lambda whole: whole[: len(whole) // 2],
    "one bit": flipped,
    "random": lambda whole: random.Random(0).randbytes(len(whole)),
    "longer": lambda whole: whole + b"0",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_entry_is_compiled_anew(damage: Callable[[bytes], bytes], folder: Path) -> None:
    path = entry(folder)
    path.write_bytes(damage(path.read_bytes()))
    assert cache.read(b"key") is None
    entry(folder)


@pytest.mark.parametrize("content", [b"no pickle", pickle.dumps(("of another", "version")), pickle.dumps(None)])
def test_an_entry_that_numba_cannot_use_is_compiled_anew(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what was written, but nothing that this version of Numba makes."""
    asked = list[bytes]()

    def read(key: bytes) -> bytes:
        asked.append(key)
        return content

    monkeypatch.setenv("GPUOPT_CPU", "numba")
    monkeypatch.setattr(cache, "read", read)
    forget()
    opt = go.SGD(0.5).init(np.ones(3))
    opt.step(np.ones(3))
    assert asked
    assert opt.params[0] == 0.5


def forget() -> None:
    """Let loops be loaded or compiled anew in this process."""
    compiled = pytest.importorskip("gpuopt.executors.cpu.numba_compile")
    for made in (compiled._functions, compiled.loop_code):
        made.cache_clear()


OPENED = {
    "the folder, by all": (lambda folder, path: folder, 0o777),
    "the folder, by the group": (lambda folder, path: folder, 0o770),
    "an entry": (lambda folder, path: path, 0o666),
}


@posix
@pytest.mark.parametrize(("chosen", "mode"), OPENED.values(), ids=OPENED)
def test_what_others_can_write_is_not_run_and_not_changed(chosen: Callable[..., Path], mode: int, folder: Path) -> None:
    opened = chosen(folder, entry(folder))
    opened.chmod(mode)
    assert cache.read(b"key") is None
    cache.write(b"key", b"mine")
    assert stat.S_IMODE(opened.stat().st_mode) == mode
    opened.chmod(0o700)
    assert cache.read(b"key") == b"content"


@posix
@pytest.mark.parametrize("what", ["folder", "entry"])
def test_what_another_user_owns(what: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its permissions are."""
    path = entry(folder)
    user, owners = os.geteuid(), cache._is_own

    def anothers(status: os.stat_result, kind: Callable[[int], bool]) -> bool:
        monkeypatch.setattr(os, "geteuid", lambda: user + (kind is {"folder": stat.S_ISDIR, "entry": stat.S_ISREG}[what]))
        return owners(status, kind)

    monkeypatch.setattr(cache, "_is_own", anothers)
    assert cache.read(b"key") is None
    cache.write(b"key", b"mine")
    monkeypatch.undo()
    assert path.read_bytes().endswith(b"content")


@posix
def test_a_link_in_place_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    public = tmp_path / "public"
    public.mkdir(mode=0o755)
    (tmp_path / "gpuopt").symlink_to(public)
    monkeypatch.setenv("GPUOPT_CACHE_DIR", str(tmp_path))
    assert cache.cache_folder() is None
    cache.write(b"key", b"content")
    assert list(public.iterdir()) == []
    assert stat.S_IMODE(public.stat().st_mode) == 0o755


def planted(what: str, path: Path) -> None:
    """Put something else in place of a file."""
    kept = path.rename(path.with_suffix(".kept"))
    if what == "a folder":
        path.mkdir()
    elif what == "a pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(kept if what == "a link to a good entry" else path.parent / "nowhere")


@posix
@pytest.mark.parametrize("what", ["a link to a good entry", "a broken link", "a folder", "a pipe"])
def test_no_file_in_place_of_an_entry(what: str, folder: Path) -> None:
    path = entry(folder)
    planted(what, path)
    before = path.lstat()
    with contextlib.suppress(OSError):
        assert cache.read(b"key") is None
    cache.write(b"key", b"content")
    assert path.lstat().st_ino == before.st_ino
    assert not list(folder.glob("*.tmp"))


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be another user, too")
def test_what_another_user_planted_is_never_run(tmp_path: Path) -> None:
    """A folder that all may write to, and there the entries that this user's step looks for, owned by another."""
    ran, folder = tmp_path / "ran", tmp_path / "gpuopt"
    assert printed(GPUOPT_CACHE_DIR=str(tmp_path)) == COMPILED
    for path in folder.iterdir():
        os.chown(path, 65534, 65534)
        path.write_bytes(pickle.dumps(Planted(ran)))
    assert printed(GPUOPT_CACHE_DIR=str(tmp_path)) == COMPILED
    os.chown(folder, 65534, 65534)
    folder.chmod(0o777)
    assert printed(GPUOPT_CACHE_DIR=str(tmp_path)) == COMPILED
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777
    assert {path.stat().st_uid for path in folder.iterdir()} == {65534}
    assert not ran.exists()


class Planted:
    """Writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return open, (str(self._path), "w")


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """No file may become longer than this."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@posix
def test_a_full_disk(folder: Path) -> None:
    with full_disk(), contextlib.suppress(OSError):
        cache.write(b"key", bytes(10_000))
    assert list(folder.iterdir()) == []


@posix
def test_a_step_with_a_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither `init` nor another rule fails, and nothing is left of what could not be written."""
    monkeypatch.setenv("GPUOPT_CPU", "numba")
    forget()
    with full_disk():
        opt = go.AdamW(0.1).init(np.ones(3))
        opt.step(np.ones(3))
        opt.rule = go.AdamW(0.1, weight_decay=0.0, bias_correction=False)
        opt.step(np.ones(3))
    assert opt.executor == "numba"
    assert list(folder.iterdir()) == []


NOWHERE: dict[str, dict[str, str]] = {
    "a file in the way": {"GPUOPT_CACHE_DIR": __file__},
    "no such device": {"GPUOPT_CACHE_DIR": "/proc/nowhere"},
    "too long": {"GPUOPT_CACHE_DIR": "/tmp/" + 300 * "x"},
    "no home folder": {"HOME": ".", "XDG_CACHE_HOME": ""},
    "a file for a home": {"HOME": "/dev/null", "XDG_CACHE_HOME": "~/.cache"},
}


@posix
@pytest.mark.parametrize("variables", NOWHERE.values(), ids=NOWHERE)
def test_no_place_for_a_folder(variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then there is no cache; nothing is made in the current folder instead."""
    monkeypatch.chdir(tmp_path)
    for name in ("GPUOPT_CACHE_DIR", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache.cache_folder() is None
    assert cache.read(b"key") is None
    cache.write(b"key", b"content")
    assert list(tmp_path.iterdir()) == []


def test_no_entry_in_the_password_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user of a container."""

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("GPUOPT_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert cache.cache_folder() is None
