"""What the GPU's check tunes is there to be tuned, and comes back as it was."""

from __future__ import annotations

import dataclasses

import pytest

import gpuopt as go
from gpuopt.arrays.dtypes import named
from gpuopt.codegen.cuda import tuning
from gpuopt.codegen.source import kernels
from tools.gpu_check.settings import REDUCTIONS, SETTINGS, Setting, applied


def texts() -> list[str]:
    """A reduction, the scalars that follow from it, and an update."""
    rule = go.chain(go.clip_global_norm(1.0), go.Adam())
    return [written.preamble + written.body for written in kernels(rule, named("float32"))]


def constants() -> dict[str, object]:
    return {name: getattr(tuning, name) for name in tuning.__all__}


def test_settings_are_of_all_constants_and_told_apart() -> None:
    assert {field.name.upper() for field in dataclasses.fields(Setting)} == set(tuning.__all__)
    every = {*SETTINGS, *REDUCTIONS}
    assert len(set(map(str, every))) == len(every) == len(SETTINGS) + len(REDUCTIONS) - 1
    assert SETTINGS[0] == REDUCTIONS[0] == Setting()
    assert str(Setting()) == "as it is"
    assert str(Setting(vectors=7, block=64)) == "BLOCK = 64, VECTORS = 7"


@pytest.mark.parametrize("setting", sorted({*SETTINGS, *REDUCTIONS} - {Setting()}, key=str), ids=str)
def test_a_setting_is_that_of_the_kernels_until_it_comes_back(setting: Setting) -> None:
    before, used = texts(), constants()
    with applied(setting):
        changed = [old != new for old, new in zip(before, texts(), strict=True)]
        assert constants() == {name.upper(): value for name, value in dataclasses.asdict(setting).items()}
    reduces = setting in REDUCTIONS
    if setting.block == tuning.BLOCK or setting.update_chunk != tuning.UPDATE_CHUNK:  # a block is of the launch, not of a text
        assert changed[0] == reduces
        assert changed[-1] != reduces
    assert texts() == before
    assert constants() == used
