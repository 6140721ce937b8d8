"""How arrays are cut, and where their state lies."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuopt.executors.layout import PADDING, ParamView, cut, place

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
def test_a_leaf_sees_elements_in_the_order_of_memory(shape: tuple[int, ...], data: Any) -> None:
    axes = data.draw(st.permutations(range(len(shape))))
    array = np.arange(math.prod(shape)).reshape(shape).transpose(axes)
    leaf = ParamView(array)
    assert leaf.flat is not None
    assert leaf.flat.tolist() == list(range(array.size))
    assert np.array_equal(leaf.like_param(np.arange(array.size)), array)


def test_state_of_large_arrays_is_padded_and_of_small_ones_is_not() -> None:
    leaves = [ParamView(np.zeros(n)) for n in (5, 100, 3, 33)]
    packed = [leaves[0], leaves[2]]
    total = place(leaves, packed)
    assert [(leaf.start, leaf.stop) for leaf in packed] == [(0, 5), (5, 8)]
    assert [leaf.start % PADDING for leaf in (leaves[1], leaves[3])] == [0, 0]
    runs = sorted((leaf.start, leaf.stop) for leaf in leaves)
    assert all(stop <= start for (_, stop), (start, _) in itertools.pairwise(runs))
    assert runs[-1][1] == total
