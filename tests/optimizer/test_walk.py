"""What a reader of a step must follow: how many calls it makes inside the package, over how many files."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import gpuopt as go

PACKAGE = f"{Path(go.__file__).parent}{os.sep}"
CALLS, FILES = 40, 7
TREES: dict[str, Callable[[], Any]] = {
    "one array": lambda: np.ones(8, np.float32),
    "a dict of three": lambda: {name: np.ones(8, np.float32) for name in "wbc"},
}


def calls(action: Callable[[], object]) -> list[str]:
    """The file of each call of a Python function of the package, in order."""
    found: list[str] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(PACKAGE):
            found.append(file.removeprefix(PACKAGE))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(before)
    return found


@pytest.mark.parametrize("tree", TREES)
def test_a_step_of_adam_is_a_short_walk(tree: str, tile_group: type) -> None:
    """Also with gradients that are new at every step."""
    opt = go.Adam().init(TREES[tree]())
    for _ in range(2):
        opt.step(TREES[tree]())
    grads = TREES[tree]()
    walked = calls(lambda: opt.step(grads))
    assert walked[0] == "optimizer/optimizer.py".replace("/", os.sep)
    assert len(walked) <= CALLS, walked
    assert len(set(walked)) <= FILES, sorted(set(walked))


@pytest.mark.parametrize("tree", TREES)
def test_a_step_that_reduces_first_is_a_walk_twice_as_long(tree: str, tile_group: type) -> None:
    """What follows from the rule alone, such as the order of stages, is found before."""
    opt = go.chain(go.clip_global_norm(1.0), go.Adam()).init(TREES[tree]())
    for _ in range(2):
        opt.step(TREES[tree]())
    walked = calls(lambda: opt.step(TREES[tree]()))
    assert len(walked) <= 2 * CALLS, walked
