"""How arrays are cut, and where their state lies."""

from __future__ import annotations

import itertools
import math
from typing import Any, cast

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import gpuopt as go
from gpuopt.executors.cpu.tiles import TileExecutor
from gpuopt.executors.layout import LINE, PADDING, ParamView, cut, place
from tests.support.executors import ON_CPU, only

SHAPES = st.lists(st.integers(0, 9), max_size=4).map(tuple)


@settings(derandomize=True, deadline=None)
@given(shape=SHAPES, limit=st.integers(1, 60))
def test_cut_covers_every_element_once_and_in_order(shape: tuple[int, ...], limit: int) -> None:
    numbers = np.arange(math.prod(shape)).reshape(shape)
    parts = [(np.asarray(numbers[box]).reshape(-1), count) for box, count in cut(shape, limit)]
    assert all(len(part) == count <= limit for part, count in parts)
    assert [int(n) for part, _ in parts for n in part] == list(range(numbers.size))


@settings(derandomize=True, deadline=None)
@given(shape=SHAPES.filter(lambda shape: math.prod(shape) > 0), data=st.data())
def test_a_view_sees_elements_in_the_order_of_memory(shape: tuple[int, ...], data: Any) -> None:
    axes = data.draw(st.permutations(range(len(shape))))
    array = np.arange(math.prod(shape)).reshape(shape).transpose(axes)
    view = ParamView(array)
    assert view.flat is not None
    assert view.flat.tolist() == list(range(array.size))
    assert place([view], [view]) == array.size
    assert np.array_equal(view.state({"s": np.arange(array.size)})["s"], array)


def test_state_of_large_arrays_is_padded_and_of_small_ones_is_not() -> None:
    views = [ParamView(np.zeros(n)) for n in (5, 100, 3, 33)]
    packed = [views[0], views[2]]
    total = place(views, packed)
    assert [(view.start, view.stop) for view in packed] == [(0, 5), (5, 8)]
    assert [view.start % PADDING for view in (views[1], views[3])] == [0, 0]
    parts = sorted((view.start, view.stop) for view in views)
    assert all(stop <= start for (_, stop), (start, _) in itertools.pairwise(parts))
    assert parts[-1][1] == total


@only(*ON_CPU)
def test_state_and_scratch_begin_with_a_line_of_the_cache(executor: str) -> None:
    """Of every optimizer, wherever NumPy's own arrays begin."""
    for size in (20_000, 20_001, 20_007):
        opt = go.Adam().init(np.zeros(size, "float16"))
        opt.step(np.zeros(size))
        assert {state.__array_interface__["data"][0] % LINE for state in opt.state.values()} == {0}
        (group,) = opt._binding.groups
        scratch = cast("TileExecutor", group.executor)._scratch
        assert {array.__array_interface__["data"][0] % LINE for array in scratch._of_thread[0].values()} <= {0}
