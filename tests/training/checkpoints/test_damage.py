"""Damaged files, files of others, full disks and killed processes: nothing is lost, and nothing wrong is loaded."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpuopt as go
from tests.support.examples import spread
from tests.support.optimizers import everything


def optimizer(value: float) -> go.Optimizer[go.Momentum]:
    opt = go.Momentum().init({"w": np.full(9, value), "b": np.full((), value, "f4")})
    opt.step({"w": np.full(9, value), "b": np.full((), value, "f4")})
    return opt


def saved(path: Path) -> tuple[Path, bytes, Any]:
    """A checkpoint, its bytes, and what loads from it."""
    opt = optimizer(3.0)
    go.save(path, opt, extra="all")
    return path, path.read_bytes(), everything(opt)


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, bytes, Any]:
    return saved(tmp_path / "a.npz")


@pytest.fixture(params=["npz", "safetensors"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, bytes, Any]:
    """The same of each format."""
    pytest.importorskip("safetensors" if request.param == "safetensors" else "numpy")
    return saved(tmp_path / f"a.{request.param}")


def loads(path: Path, data: bytes, right: Any, opt: Any) -> bool:
    """Whether the bytes load, which then are right in all; if they do not, nothing changes."""
    path.write_bytes(data)
    before = everything(opt)
    try:
        extra = go.load(path, opt)
    except go.CheckpointError:
        assert everything(opt) == before
        return False
    assert (everything(opt), extra) == (right, "all")
    return True


def test_no_flipped_bit_loads_anything_wrong(either: tuple[Path, bytes, Any]) -> None:
    path, data, right = either
    rng = random.Random(5)
    passed = 0
    tried = 1000 // spread(10)
    for _ in range(tried):
        bit = rng.randrange(8 * len(data))
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        passed += loads(path, bytes(flipped), right, optimizer(1.0))
    assert passed < tried / 5  # those of a time or an attribute that nobody reads


def test_no_truncated_file_loads(either: tuple[Path, bytes, Any]) -> None:
    path, data, right = either
    opt = optimizer(1.0)
    for size in range(0, len(data), spread(61)):
        assert not loads(path, data[:size], right, opt)
    assert loads(path, data, right, opt)


def rewritten(data: bytes, change: Any, compression: int = zipfile.ZIP_STORED) -> bytes:
    """An archive whose manifest somebody changed, with the checksum that belongs to it."""
    files = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files["manifest.json"])
    change(manifest, files)
    files["manifest.json"] = json.dumps(manifest).encode()
    files["manifest.sha256"] = hashlib.sha256(files["manifest.json"]).hexdigest().encode()
    with zipfile.ZipFile(out := io.BytesIO(), "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def objects(manifest: Any, files: dict[str, bytes]) -> None:
    """An array that would be unpickled."""
    np.save(out := io.BytesIO(), np.array([{}]), allow_pickle=True)
    files["params/w.npy"] = out.getvalue()
    manifest["arrays"]["params/w"] = hashlib.sha256(out.getvalue()).hexdigest()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda manifest, files: manifest.update(version=2), "in version 2 of the format, .*: install the newer gpuopt"),
        (lambda manifest, files: manifest.update(format="another"), "it is a another"),
        (lambda manifest, files: files.pop("params/w.npy"), "its arrays differ from its manifest"),
        (lambda manifest, files: files.update(more=b""), "its arrays differ from its manifest"),
        (lambda manifest, files: manifest.update(tree={"array": "none"}), "damaged"),
        (lambda manifest, files: manifest.update(tree=[]), "holds no optimizer"),
        (lambda manifest, files: files.update({"params/w.npy": files["params/b.npy"]}), "params/w has another checksum"),
        (objects, "Object arrays cannot be loaded"),
    ],
)
def test_what_is_of_another_kind_is_refused(written: tuple[Path, bytes, Any], change: Any, message: str) -> None:
    path, data, _ = written
    path.write_bytes(rewritten(data, change))
    opt = optimizer(1.0)
    before = everything(opt)
    with pytest.raises(go.CheckpointError, match=message):
        go.load(path, opt)
    assert everything(opt) == before


def test_what_is_compressed_is_refused(written: tuple[Path, bytes, Any]) -> None:
    """It could be of any size, once it is read."""
    path, data, right = written
    path.write_bytes(rewritten(data, lambda manifest, files: None, zipfile.ZIP_DEFLATED))
    with pytest.raises(go.CheckpointError, match=r"the size of params/w\.npy is wrong"):
        go.load(path, optimizer(1.0))
    assert loads(path, rewritten(data, lambda manifest, files: None), right, optimizer(1.0))


def test_numpys_own_archives_are_told_apart(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", w=np.ones(3))
    with pytest.raises(
        go.CheckpointError, match=r"not a checkpoint of gpuopt, because it has no manifest: read arrays with numpy\.load"
    ):
        go.load(tmp_path / "a.npz", optimizer(1.0))


# What is written


def test_a_full_disk_leaves_the_old_file(written: tuple[Path, bytes, Any]) -> None:
    resource = pytest.importorskip("resource")
    path, data, _ = written
    opt = go.Adam().init(np.ones(100_000))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            go.save(path, opt)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [each.name for each in path.parent.iterdir()] == ["a.npz"]
    assert path.read_bytes() == data


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_whatever_breaks_off_leaves_the_old_file(
    written: tuple[Path, bytes, Any], call: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, data, _ = written

    def broken(*args: Any) -> None:
        raise error

    monkeypatch.setattr(os, call, broken)
    monkeypatch.setattr(Path, call, broken, raising=False)
    with pytest.raises(error):
        go.save(path, optimizer(1.0))
    assert [each.name for each in path.parent.iterdir()] == ["a.npz"]
    assert path.read_bytes() == data


def test_what_is_saved_is_brought_to_the_disk_before_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    sync, replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        calls.append("folder" if Path(f"/proc/self/fd/{descriptor}").resolve() == tmp_path else "file")
        sync(descriptor)

    def replaced(self: Path, target: Path) -> Path:
        calls.append("named")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replaced)
    go.save(tmp_path / "a.npz", optimizer(1.0))
    assert calls == ["file", "named", "folder"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "a.npz").symlink_to(tmp_path / "there" / "b.npz")
    go.save(tmp_path / "a.npz", optimizer(1.0))
    assert (tmp_path / "a.npz").is_symlink()
    assert [each.name for each in (tmp_path / "there").iterdir()] == ["b.npz"]


def test_what_a_killed_save_left_is_swept_and_what_others_write_is_not(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    left, written, others = (tmp_path / f".{name}.{'0' * 15}{n}.tmp" for n, name in enumerate(["a.npz", "a.npz", "b.npz"]))
    for path in (left, written, others):
        path.touch()
    with written.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        go.save(tmp_path / "a.npz", optimizer(1.0))
    assert {each.name for each in tmp_path.iterdir()} == {"a.npz", written.name, others.name}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(("doing", "times", "everyday"), [("saving", 300, 6), ("fitting", 50, 3)])
def test_a_process_that_is_killed(doing: str, times: int, everyday: int, tmp_path: Path) -> None:
    """At random moments: what it had saved is there, and nothing else; a training goes on to the same bits."""
    rounds = str(times // spread(times // everyday))
    command = [sys.executable, "-m", "tests.support.killed", doing, str(tmp_path), rounds]
    environment, root = {**os.environ, "GPUOPT_CPU": "numpy"}, Path(__file__).parents[3]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
