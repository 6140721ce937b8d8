"""What the GPU's check tunes is there to be tuned, and comes back as it was."""

from __future__ import annotations

import dataclasses
import re

import pytest

import gpuopt as go
from gpuopt.arrays.dtypes import named
from gpuopt.codegen.cuda.elementwise import KernelSource
from gpuopt.codegen.source import kernels

pytest.importorskip("cupy")

from gpuopt.executors.cuda.launch import CupyExecutor
from tools.gpu_check.settings import REDUCTIONS, SETTINGS, Setting, applied, rewritten


def update(dtype: str = "float32") -> KernelSource:
    return kernels(go.Adam(), named(dtype))[-1]


def reduction() -> KernelSource:
    return kernels(go.chain(go.clip_global_norm(1.0), go.Adam()), named("float32"))[0]


def test_settings_are_told_apart() -> None:
    every = {*SETTINGS, *REDUCTIONS}
    assert len(set(map(str, every))) == len(every) == len(SETTINGS) + len(REDUCTIONS) - 1
    assert SETTINGS[0] == REDUCTIONS[0] == Setting()
    assert rewritten(update(), SETTINGS[0]) == update()


@pytest.mark.parametrize(("dtype", "count"), [("float32", 4), ("bfloat16", 8), ("float64", 2)])
def test_two_vectors_are_twice_as_many_elements(dtype: str, count: int) -> None:
    body = rewritten(update(dtype), Setting(vectors=2)).body
    assert f"% {2 * count} : first;" in body
    assert f"at = first + lane * {2 * count}; at < whole; at += {2 * count * 256}) {{" in body
    assert f"update(Width<{2 * count}, 16>(), at);" in body
    assert re.sub(r"\d+", "", body) == re.sub(r"\d+", "", update(dtype).body)


def test_streaming_stores_are_of_whole_vectors() -> None:
    preamble = rewritten(update(), Setting(streaming=True)).preamble
    assert preamble.count("st.global.cs.v") == update().preamble.count("st.global.v") == 2


def test_a_chunk_is_the_text_s_and_the_table_s_until_it_comes_back() -> None:
    before, runtime = update().body, CupyExecutor.runtime
    used = Setting().chunk
    assert f"first + {used}" in before
    with applied(Setting(chunk=2 * used)):
        assert update().body == before.replace(str(used), str(2 * used))
        assert CupyExecutor.runtime != runtime
    assert update().body == before
    assert CupyExecutor.runtime == runtime


def test_loads_in_flight_are_those_of_a_reduction() -> None:
    before = reduction().body
    with applied(Setting(in_flight=2, lanes_in_flight=64)):
        other = reduction().body
    assert before.count("#pragma unroll 8\n") == other.count("#pragma unroll 2\n") == 1
    assert before.count("#pragma unroll 32\n") == other.count("#pragma unroll 64\n") == 1
    assert reduction().body == before


@pytest.mark.parametrize("setting", [Setting(vectors=2), Setting(streaming=True)], ids=str)
def test_a_text_that_has_changed_is_not_measured_under_a_wrong_name(setting: Setting) -> None:
    other = dataclasses.replace(update(), body=update().body.replace("lane * ", "lane*"), preamble="")
    with pytest.raises(ValueError, match="the text of an update has 0 times what"):
        rewritten(other, setting)
    assert rewritten(reduction(), setting) == reduction()
