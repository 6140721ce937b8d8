"""Checkpointer: which checkpoints there are, which is loaded, and that fit and minimize go on from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpuopt as go


def run(folder: Path, steps: int, **options: Any) -> go.Checkpointer:
    opt, checkpoints = go.Adam().init(np.zeros(2)), go.Checkpointer(folder, **options)
    for _ in range(steps):
        opt.step(np.ones(2))
        checkpoints.save(opt, extra=opt.t)
    return checkpoints


@pytest.mark.parametrize(("keep", "names"), [(2, [4, 5]), (1, [5]), (9, [1, 2, 3, 4, 5]), (None, [1, 2, 3, 4, 5])])
def test_the_newest_are_kept(keep: int | None, names: list[int], tmp_path: Path) -> None:
    checkpoints = run(tmp_path / "made" / "here", 5, keep=keep)
    assert [path.name for path in checkpoints.paths] == [f"checkpoint-{n:06}.npz" for n in names]
    opt = go.Adam().init(np.zeros(2))
    assert (checkpoints.load(opt), opt.t) == (5, 5)


def test_the_newest_is_the_last_written_whatever_its_count(tmp_path: Path) -> None:
    """Checkpoints of an optimizer that begins anew in an old folder are the newer ones."""
    run(tmp_path, 5, keep=2)
    run(tmp_path, 1, keep=2)
    opt = go.Adam().init(np.zeros(2))
    assert (go.Checkpointer(tmp_path).load(opt), opt.t) == (1, 1)


def test_without_a_checkpoint_nothing_changes(tmp_path: Path) -> None:
    opt = go.Adam().init(np.zeros(2))
    assert go.Checkpointer(tmp_path / "none").load(opt) is None
    assert opt.t == 0
    assert not list(tmp_path.iterdir())


def test_the_one_before_a_damaged_one_is_loaded_with_a_warning(tmp_path: Path) -> None:
    checkpoints, opt = run(tmp_path, 3), go.Adam().init(np.zeros(2))
    checkpoints.paths[-1].write_bytes(b"")
    with pytest.warns(UserWarning, match=r"checkpoint-000003\.npz is no checkpoint, .*; the one before it is tried"):
        assert checkpoints.load(opt) == 2
    for path in checkpoints.paths:
        path.write_bytes(b"")
    with pytest.warns(UserWarning, match="is tried"), pytest.raises(go.CheckpointError, match=r"checkpoint-000001\.npz"):
        checkpoints.load(opt)
    assert opt.t == 2


def test_what_a_killed_run_left_is_swept(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    (tmp_path / f".checkpoint-000007.npz.{'0' * 16}.tmp").touch()
    (tmp_path / "notes.txt").touch()
    run(tmp_path, 1)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-000001.npz", "notes.txt"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folder": 3}, "folder must be a path, got 3"),
        ({"every": 0}, "every must be a whole number of at least 1, got 0"),
        ({"keep": 0}, "keep must be a whole number of at least 1, got 0"),
        ({"folder": __file__}, "is a file: give a folder of its own"),
    ],
)
def test_wrong_options_are_named(options: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError, OSError), match=message):
        go.Checkpointer(**{"folder": "runs", **options})
